"""The analysis pages of the book, with the template and parameters of each.

Every notebook in `notebooks/`, except for those of phases, is a page of the same name with default parameters. The
table `notebooks/pages.yml` adds pages that share a template: page -> template, and the parameters in which it differs.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import Phase
from stilts.study.yaml_files import read_yaml

TABLE = Path("notebooks") / "pages.yml"


@dataclass(frozen=True)
class Page:
    """One analysis page.

    Attributes
    ----------
    name : str
        Name of its executed notebook, and of its figures if the template has a parameter `page`.
    template : Path
    parameters : dict
        Parameters that differ from the template's defaults.
    """

    name: str
    template: Path
    parameters: dict[str, Any] = field(default_factory=dict)


def read_book_pages(root: Path) -> list[Page]:
    """Return the analysis pages of a checkout's book, sorted by name.

    Raises
    ------
    UnknownName
        If the table names a template that does not exist.
    StiltsError
        If the table cannot be read, or a page in it has the name of a template.
    """
    found = sorted((root / "notebooks").glob("*.ipynb"))
    templates = {path.stem: path for path in found if path.stem not in get_args(Phase)}
    pages = [Page(name, path) for name, path in templates.items()]
    pages += [_page(root / TABLE, name, entry, templates) for name, entry in _table(root / TABLE).items()]
    return sorted(pages, key=lambda page: page.name)


def _table(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content = read_yaml(path, "table of pages")
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise StiltsError(f"{path}: the table of pages must map page names to settings, but holds {content!r}")
    return content


def _page(table: Path, name: str, entry: Any, templates: dict[str, Path]) -> Page:
    if name in templates:
        raise StiltsError(f"{table}: page '{name}' has the same name as a notebook; choose another name")
    if not isinstance(entry, dict) or not isinstance(entry.get("template"), str):
        raise StiltsError(f"{table}: page '{name}' has no template; add one, as in `template: transfer`")
    if entry["template"] not in templates:
        raise UnknownName(f"template of page '{name}' in {table}", str(entry["template"]), templates)
    parameters = {key: value for key, value in entry.items() if key != "template"}
    return Page(name, templates[entry["template"]], parameters)
