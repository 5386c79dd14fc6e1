"""A template notebook's parameters and text.

A template in `notebooks/` has no outputs; its first code cell, tagged `parameters`, assigns plain literals, each with a
comment. `${name}` in a Markdown cell, in `metadata.mystnb.figure.{name,caption}` and in `metadata.mystnb.image.alt` is
replaced by the parameter's value, so that pages of one template have their own titles and labels. `${finding}` in a
caption is replaced by what the cell's output says was found. A cell tagged `if-shown` stays on the page only if it has
output.
"""

import ast
import io
import string
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from stilts.study.errors import StiltsError, UnknownName
from stilts.workspace.notebooks.markup import disarm_markdown, escape_text

PACKAGE = Path(__file__).parents[2]
INJECTED = "injected-parameters"
STATED = "Parameters of this run"  # on the line that opens them
IF_SHOWN = "if-shown"
FINDING = "finding"
"""Key of an output's metadata, and name in captions: what a figure shows, in a sentence of Markdown."""


class Filler(string.Template):
    """`string.Template` that replaces only `${name}`, so that `$x$` and `$$` keep their meaning in Markdown."""

    pattern = r"""
        \$(?:
          (?P<escaped>(?!)) |
          (?P<named>(?!)) |
          \{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)\} |
          (?P<invalid>(?!))
        )
    """


def find_tagged_cell(notebook: NotebookNode, tag: str) -> NotebookNode | None:
    """Return the first cell with a tag, or None."""
    return next((cell for cell in notebook.cells if _has(cell, tag)), None)


def _has(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def read_defaults(notebook: NotebookNode, name: str = "notebook") -> dict[str, Any]:
    """Return the values that the `parameters` cell assigns; empty if there is no such cell.

    Raises
    ------
    StiltsError
        If the cell contains anything but assignments of a literal to a name.
    """
    cell = find_tagged_cell(notebook, "parameters")
    try:
        return dict(_assignments(ast.parse(cell.source if cell else "")))
    except (ValueError, SyntaxError) as error:
        raise StiltsError(f"{name}: the parameters cell must hold only `name = literal` lines ({error})") from None


def _assignments(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    for statement in tree.body:
        yield _target(statement).id, ast.literal_eval(statement.value)


def _target(statement: ast.stmt) -> ast.Name:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    if len(targets) != 1 or not isinstance(targets[0], ast.Name):
        raise ValueError(f"line {statement.lineno}: {ast.unparse(statement)}")
    return targets[0]


@cache
def find_imported_modules(content: bytes, name: str) -> tuple[Path, ...]:
    """Return the files of this package that a template's code imports, sorted.

    Parameters
    ----------
    content : bytes
        Content of the template's file.
    name : str
        Name of the template in errors.

    Raises
    ------
    StiltsError
        If the template cannot be read as a notebook whose code is Python.
    """
    try:
        notebook = nbformat.reads(content.decode(), as_version=4)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        names = {name for tree in map(ast.parse, code) for node in ast.walk(tree) for name in _imported(node)}
    except (ValueError, SyntaxError, AttributeError, nbformat.ValidationError, nbformat.reader.NotJSONError) as error:
        raise StiltsError(f"template {name} cannot be read: {error}") from None
    places = [PACKAGE.parent.joinpath(*name.split(".")) for name in names]
    files = [path for place in places for path in (place.with_suffix(".py"), place / "__init__.py")]
    return tuple(sorted(path for path in files if path.is_file()))


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield the modules of this package that a statement may import."""
    if isinstance(node, ast.Import):
        names = [each.name for each in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module}", *(f"{node.module}.{each.name}" for each in node.names)]
    else:
        return
    yield from (name for name in names if name.split(".")[0] == PACKAGE.name)


def check_parameters(defaults: Mapping[str, Any], given: Mapping[str, Any], name: str = "notebook") -> None:
    """Check given parameters against the names and types of a template's defaults.

    Raises
    ------
    UnknownName
        If the template has no parameter of that name.
    StiltsError
        If a value has another type than the default; None allows any type, a float allows integers.
    """
    for key, value in given.items():
        if key not in defaults:
            raise UnknownName(f"parameter of {name}", key, defaults)
        if not _same_kind(defaults[key], value):
            wanted = type(defaults[key]).__name__
            raise StiltsError(f"{name}: parameter {key} must be of type {wanted}, got {value!r}")


def _same_kind(default: Any, value: Any) -> bool:
    if default is None:
        return True
    if isinstance(default, list | tuple):
        return isinstance(value, list | tuple)
    return type(value) is type(default) or (isinstance(default, float) and type(value) is int)


def fill(notebook: NotebookNode, values: Mapping[str, Any]) -> None:
    """Replace `${name}` in Markdown cells, figure names, captions and alt texts, in place; unknown names stay.

    Items of a list are joined by commas. Values in Markdown are escaped, see `stilts.workspace.notebooks.markup`.
    """
    texts = {key: _as_text(value) for key, value in values.items()}
    markdown = {key: escape_text(text) for key, text in texts.items()}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = Filler(cell.source).safe_substitute(markdown)
        shown = cell.metadata.get("mystnb", {})
        for part, key in (("figure", "name"), ("figure", "caption"), ("image", "alt")):
            if key in shown.get(part, {}):
                own = markdown if key == "caption" else texts
                shown[part][key] = Filler(shown[part][key]).safe_substitute(own)


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def state_parameters(notebook: NotebookNode, values: Mapping[str, Any]) -> None:
    """Insert a cell after the `parameters` cell that assigns every value, with its comment from that cell."""
    cell = find_tagged_cell(notebook, "parameters")
    if cell is None:
        return
    comments = _comments(cell.source)
    lines = [f"{name} = {value!r}{comments.get(name, '')}" for name, value in values.items()]
    notebook.cells = [other for other in notebook.cells if INJECTED not in other.metadata.get("tags", [])]
    folded = {"tags": [INJECTED, "hide-input"], "mystnb": {"code_prompt_show": STATED, "code_prompt_hide": STATED}}
    stated = new_code_cell("\n".join(lines), id=INJECTED, metadata=folded)
    notebook.cells.insert(notebook.cells.index(cell) + 1, stated)


def _comments(source: str) -> dict[str, str]:
    """Return the comment behind each assignment, with two spaces before it."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {token.start[0]: f"  {token.string}" for token in tokens if token.type == tokenize.COMMENT}
    statements = [statement for statement in ast.parse(source).body if statement.end_lineno in by_line]
    return {_target(statement).id: by_line[statement.end_lineno] for statement in statements}


def state_findings(notebook: NotebookNode) -> None:
    """Replace `${finding}` in captions of an executed notebook by the finding of the cell's output, in bold type."""
    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        said = [output.get("metadata", {}).get(FINDING) for output in cell.get("outputs", [])]
        if "caption" in figure and any(said):
            finding = next(filter(None, said))
            figure["caption"] = Filler(figure["caption"]).safe_substitute({FINDING: f"**{disarm_markdown(finding)}**"})


def drop_unshown(notebook: NotebookNode) -> None:
    """Drop the cells tagged `if-shown` that show nothing from an executed notebook, in place.

    A code cell is dropped if it has no output. A Markdown cell is dropped if there is at least one tagged code cell
    between it and the next Markdown cell, and all of these are dropped.
    """
    kept: list[NotebookNode] = []
    introduced: list[bool] = []  # whether each tagged code cell up to the next Markdown cell is shown
    for cell in reversed(notebook.cells):
        shown = True
        if cell.cell_type == "markdown":
            shown = not _has(cell, IF_SHOWN) or not introduced or any(introduced)
            introduced = []
        elif _has(cell, IF_SHOWN):
            shown = bool(cell.get("outputs"))
            introduced.append(shown)
        if shown:
            kept.append(cell)
    notebook.cells = kept[::-1]


def find_repository(path: Path) -> Path:
    """Return the nearest folder above a path that contains a `pyproject.toml`, else the path's own folder."""
    parents = path.resolve().parents
    return next((parent for parent in parents if (parent / "pyproject.toml").exists()), parents[0])


def remove_traces(notebook: NotebookNode) -> None:
    """Remove times and paths, which differ between executions with the same results, in place."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
