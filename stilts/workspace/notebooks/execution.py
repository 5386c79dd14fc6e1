"""Execution of a template notebook into a page of the book.

A template in `notebooks/` has no outputs; its first code cell, tagged `parameters`, assigns plain literals. The
executed copy is written atomically.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from stilts.study.errors import StiltsError
from stilts.study.storage import replace_file
from stilts.workspace.notebooks.engine import PageEngine
from stilts.workspace.notebooks.templates import check_parameters, find_repository, read_defaults, remove_traces


def read_parameters(template: Path) -> dict[str, Any]:
    """Return a template's parameters with their defaults. Raises StiltsError if it cannot be read."""
    return read_defaults(_read(template), template.name)


def execute(template: Path, output: Path, parameters: Mapping[str, Any] | None = None) -> None:
    """Execute a template in the repository's root folder and write the executed copy.

    Parameters
    ----------
    template : Path
        Notebook with a `parameters` cell.
    output : Path
        Notebook to write. If the execution fails, it keeps its old content, and the executed cells are written to
        `<stem>.failed.ipynb` beside it.
    parameters : mapping or None
        Values that replace the template's defaults.

    Raises
    ------
    UnknownName
        If the template has no such parameter.
    StiltsError
        If the template cannot be read, a cell fails, the kernel dies or the output cannot be written.
    """
    template, output = template.resolve(), output.resolve()
    notebook = _prepared(template, dict(parameters or {}))
    _make_folder(output.parent)  # now, so that an error does not come after hours of work
    failed = output.with_name(f"{output.stem}.failed.ipynb")
    try:
        executed = PageEngine.execute_notebook(
            notebook,
            notebook.metadata.get("kernelspec", {}).get("name", "python3"),
            progress_bar=False,
            cwd=str(find_repository(template)),
            input_path=str(template),
        )
    except DeadKernelError as error:
        remove_traces(notebook)
        _write(notebook, failed)
        raise StiltsError(f"{template.name}: the kernel died ({error}); executed until then: {failed}") from None
    except (RuntimeError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise StiltsError(f"{template.name}: the kernel could not be run: {reason}") from error
    _raise_for_error(executed, template, failed)
    _write(executed, output)
    failed.unlink(missing_ok=True)


def _read(template: Path) -> NotebookNode:
    try:
        return load_notebook_node(str(template))
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise StiltsError(f"cannot read notebook {template}: {error}") from None


def _prepared(template: Path, parameters: dict[str, Any]) -> NotebookNode:
    notebook = _read(template)
    check_parameters(read_defaults(notebook, template.name), parameters, template.name)
    return parameterize_notebook(notebook, parameters) if parameters else notebook


def _raise_for_error(notebook: NotebookNode, template: Path, failed: Path) -> None:
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type != "error":
                continue
            if output.ename == "KeyboardInterrupt":
                raise KeyboardInterrupt
            _write(notebook, failed)
            first = cell.source.strip().split("\n")[0]
            raise StiltsError(
                f"{template.name}: cell {number} ({first}) failed: {output.ename}: {output.evalue}. "
                f"Executed until then: {failed}"
            )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StiltsError(f"cannot create folder {folder} for an executed notebook: {error.strerror}") from None


def _write(notebook: NotebookNode, path: Path) -> None:
    try:
        replace_file(path, lambda part: part.write_text(nbformat.writes(notebook), encoding="utf-8"))
    except OSError as error:
        raise StiltsError(f"cannot write notebook {path}: {error.strerror}") from None
