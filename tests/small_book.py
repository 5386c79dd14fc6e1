"""A whole book without a run: the real prose, settings and templates, with made-up outputs where notebooks compute."""

import ast
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from faked_explorer import open_faked_studies
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from stilts.publish.explorer import show_explorer
from stilts.publish.site import list_toc_pages
from stilts.publish.tables import switch
from stilts.workspace.notebooks.pages import Page, read_book_pages
from stilts.workspace.notebooks.templates import FINDING, fill, read_defaults, state_findings, state_parameters

ROOT = Path(__file__).parents[1]
# What commands leave in a checkout, with files that could be pages.
LEFT_BEHIND = (".hypothesis", ".pytest_cache", ".ruff_cache", ".snakemake", ".venv/lib", "runs/checkpoints/run")

FINDINGS = {
    "findings-overview.md": "**Something was found.**\n",
    "findings.md": "1. **Something was found**: +1.0 points (+0.5 to +1.5).\n",
    "findings-verdicts.html": '<table class="verdicts"><tbody><tr><td><span class="verdict supported">supported</span>'
    "</td></tr></tbody></table>\n",
    "findings-reference.bib": "@software{stilts,\n  title = {{A study}},\n}\n",
}
FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 300" width="600" height="300">'
    '<path d="M20 280 L200 150 L580 20" stroke="#0072B2" fill="none"/></svg>'
)
TABLE = (
    '<table class="dataframe sortable"><thead><tr><th>language</th><th>score</th></tr></thead><tbody>'
    + "".join(f"<tr><td>l{n:02d}</td><td>{(n * 37) % 100}.5</td></tr>" for n in range(20))
    + "</tbody></table>"
)


def write_book(folder: Path) -> None:
    """Lay out a book in an empty folder: what the repository holds, and a page for each notebook it names."""
    for name in ("_config.yml", "_toc.yml", "index.md", "CITATION.cff", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "book", folder / "book")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    for left in LEFT_BEHIND:
        (folder / left).mkdir(parents=True)
        (folder / left / "README.md").write_text("# No page of the book\n")
    for page in list_toc_pages(folder):
        if page.startswith("runs/"):
            write_page(folder, page)
    write_page(folder, "runs/book/findings")
    for name, text in FINDINGS.items():
        (folder / "runs" / "book" / name).write_text(text)


def write_page(folder: Path, page: str) -> None:
    """Write a page as if its template had been executed; a plain one where there is no template of its name."""
    path = folder / f"{page}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    template, changes = _template(folder, page)
    notebook = nbformat.read(template, 4) if template.exists() else plain_notebook(path.stem)
    values = read_defaults(notebook) | changes
    state_parameters(notebook, values)
    fill(notebook, values)
    notebook.metadata.template = f"notebooks/{template.name}" if template.exists() else "index.md"
    for cell in notebook.cells:
        _give_output(cell, path.parent)
    state_findings(notebook)
    nbformat.write(notebook, path)


def _template(folder: Path, page: str) -> tuple[Path, dict[str, Any]]:
    """Return a page's template, and the parameters that keep the labels of pages from one template apart."""
    name = Path(page).name
    known = {entry.name: entry for entry in read_book_pages(folder)}
    entry = known.get(name, Page(name, folder / "notebooks" / f"{name}.ipynb"))
    return entry.template, {"page": name, **entry.parameters}


def _give_output(cell: NotebookNode, folder: Path) -> None:
    last = cell.source.rstrip().split("\n")[-1]
    if last.startswith("switch({"):
        options = ast.literal_eval(last.removeprefix("switch(").removesuffix(")"))
        cell.outputs = [new_output("display_data", {"text/html": switch(options).data})]
    if cell.cell_type == "code" and "show_explorer(" in cell.source:
        with TemporaryDirectory() as root:
            shown = show_explorer(open_faked_studies(Path(root)), folder)
        cell.outputs = [new_output("display_data", {"text/html": shown.data})]
        return
    shown = cell.metadata.get("mystnb", {})
    if cell.cell_type != "code" or "figure" not in shown:
        return
    data = {"image/svg+xml": FIGURE} if "image" in shown else {"text/html": TABLE}
    cell.outputs = [new_output("display_data", data, metadata={FINDING: "Something was found."})]
    stem = shown["figure"]["name"].partition("-")[2]
    (folder / f"{stem}.csv").write_text("language,score\n")
    if "image" in shown:
        (folder / f"{stem}.svg").write_text(FIGURE)


def plain_notebook(name: str) -> NotebookNode:
    """Return a template with one figure and one table."""
    figure = {"figure": {"name": f"fig-{name}", "caption": "A figure of ${study}."}, "image": {"alt": "A rising line"}}
    table = {"figure": {"name": f"tab-{name}", "caption": "A table of ${study}."}}
    cells = [
        new_markdown_cell(f"# {name.title()} of ${{study}}\n\nSee {{numref}}`fig-{name}` and {{numref}}`tab-{name}`."),
        new_code_cell('study = "pocket"  # a study', metadata={"tags": ["parameters"]}),
        new_code_cell("figure()", metadata={"mystnb": figure, "tags": ["hide-input"]}),
        new_code_cell("table()", metadata={"mystnb": table, "tags": ["hide-input"]}),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
