"""What the site's data files hold: titles, and type and description of each column.

Descriptions stand in `columns.yaml`; titles are the captions of figures and tables; types are inferred from the files.
The book shows them as its data dictionary, and the site has them as `datapackage.json`, the descriptor of a Data
Package (https://specs.frictionlessdata.io), which programs can read the files by.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from stilts.publish.citation import KEY, read_citation
from stilts.publish.downloads import BOOK_FOLDER, DATA
from stilts.sources.pocket.card import LICENCES
from stilts.sources.suite import Licence
from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.storage import replace_file
from stilts.study.yaml_files import read_yaml

TABLE = Path(__file__).with_name("columns.yaml")
PACKAGE = "datapackage.json"
ADD = "add it to stilts/publish/columns.yaml"
NAME = "<name>"
EXAMPLE = "example"  # the column with texts of a source
SOURCES = LICENCES | {
    "URIEL+ and Glottolog": Licence(
        "CC-BY-SA-4.0", "CC BY-SA 4.0, Khan et al. 2025 and the Glottolog editors",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    )
}  # fmt: skip
UNKNOWN_TYPE = "any"
Entry = TypeVar("Entry")
NAME_WORDS = 3  # at most, as in "BUCC 2018: mining"
# In the words of Frictionless; the first that all values of a column match.
TYPES = {
    "boolean": re.compile(r"True|False"),
    "integer": re.compile(r"[+-]?\d+"),
    "number": re.compile(r"[+-]?(\d+\.?\d*(e[+-]\d+)?|inf)"),
}


@dataclass(frozen=True)
class Column:
    """A column of a data file.

    Attributes
    ----------
    name : str
    type : str
        boolean, integer, number or string; any where the column has no value.
    description : str
    """

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class DataFile:
    """A data file of the site.

    Attributes
    ----------
    name : str
        Without folder and suffix.
    title : str
    columns : tuple of Column
    has_missing : bool
        Whether a cell is empty.
    sources : tuple of str
        Names in `SOURCES` of what the file holds of others, whose licences count.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    has_missing: bool
    sources: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Its address, relative to the site."""
        return f"{DATA}/{self.name}.csv"


# --- descriptions ----------------------------------------------------------------------------------------------------


class Descriptions(BaseModel):
    """The content of `columns.yaml`.

    Attributes
    ----------
    columns : dict
        Column -> description.
    files : dict
        File, in which `*` stands for any text -> column -> description.
    titles : dict
        File -> title.
    sources : dict
        File -> names in `SOURCES` of what it holds of others.
    """

    model_config = ConfigDict(extra="forbid")

    columns: dict[str, str]
    files: dict[str, dict[str, str]] = {}
    titles: dict[str, str] = {}
    sources: dict[str, list[Literal[*SOURCES]]] = {}

    def find(self, file: str, column: str) -> tuple[str, str] | None:
        """Return where a column's description stands, the pattern of files ("" for all) and the name; None without."""
        own = [pattern for pattern in reversed(self.files) if fnmatchcase(file, pattern)]
        places = [(pattern, self.files[pattern]) for pattern in own] + [("", self.columns)]
        exact = ((pattern, column) for pattern, known in places if column in known)
        named = ((pattern, name) for pattern, known in places for name in known if _stands_for(name, column))
        return next(exact, None) or next(named, None)

    def describe(self, file: str, column: str) -> str | None:
        """Return a column's description, None without one."""
        if (place := self.find(file, column)) is None:
            return None
        pattern, name = place
        return (self.files[pattern] if pattern else self.columns)[name]

    def title(self, file: str) -> str | None:
        """Return the title of a file, None without one."""
        return _find_first(self.titles, file)

    def list_sources(self, file: str) -> tuple[str, ...]:
        """Return the sources of what a file holds of others."""
        return tuple(_find_first(self.sources, file) or ())


def _find_first(entries: Mapping[str, Entry], file: str) -> Entry | None:
    """Return the entry of the first pattern that a file's name matches, None without one."""
    return next((entry for pattern, entry in entries.items() if fnmatchcase(file, pattern)), None)


def _stands_for(pattern: str, column: str) -> bool:
    if NAME not in pattern:
        return False
    parts = (re.escape(part) for part in pattern.split(NAME))
    return re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*".join(parts), column) is not None


def read_descriptions(path: Path = TABLE) -> Descriptions:
    """Return the descriptions of columns; StiltsError if the file is missing or has another form."""
    try:
        return Descriptions.model_validate(read_yaml(path, "descriptions of columns"))
    except ValidationError as error:
        raise StiltsError(f"{path}: {describe_reasons(error)}") from None


# --- titles ----------------------------------------------------------------------------------------------------------


def read_captions(folder: Path) -> dict[str, str]:
    """Return the captions of the figures and tables of executed pages, by the name of their data file.

    The data of figure `fig-gain` and table `tab-gain` are in `gain.csv`; the figure's caption counts.
    """
    found: dict[str, str] = {}
    for page in sorted(folder.glob("*.ipynb")):
        found |= {figure["name"]: figure["caption"] for figure in _figures(page)}
    tables_first = sorted(found, key=lambda name: name.startswith("fig-"))
    return {name.partition("-")[2]: found[name] for name in tables_first}


def _figures(page: Path) -> Iterator[Mapping[str, str]]:
    for cell in json.loads(page.read_text(encoding="utf-8"))["cells"]:
        if figure := cell["metadata"].get("mystnb", {}).get("figure"):
            yield figure


def shorten_caption(caption: str) -> str:
    """Return the start of a caption without its finding, markup and brackets, and the study that it names.

    It ends with the first sentence, at a semicolon, or at a colon that more than a name stands before.
    """
    caption = re.sub(r"^\*\*.*?\*\* ", "", caption)
    plain = re.sub(r",? (as )?in \{numref\}`[^`]*`| \([^()]*\)", "", caption).replace("`", "")
    title = re.split(r"\.(?: |$)|; ", plain, maxsplit=1)[0]
    head = title.partition(": ")[0]
    title = head if len(head.split()) > NAME_WORDS else title
    study = re.search(r"\. Study ([\w-]+)[.,]", plain)
    return f"{title} (study {study[1]})" if study else title


# --- files -----------------------------------------------------------------------------------------------------------


def describe_data(root: Path) -> list[DataFile]:
    """Return the data files of a checkout's site, sorted by name.

    Raises
    ------
    StiltsError
        If a column has no description, a file no title or its examples no source, with a line for each.
    """
    reader = _Reader(root / BOOK_FOLDER)
    paths = sorted((root / BOOK_FOLDER).glob("*.csv"), key=lambda path: path.stem)
    files = [reader.read(path) for path in paths]
    if reader.problems:
        raise StiltsError("\n".join(reader.problems))
    return files


class _Reader:
    """Reads the data files of a folder and collects what is not described."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.descriptions = read_descriptions()
        self.problems: list[str] = []

    @cached_property
    def captions(self) -> dict[str, str]:
        return read_captions(self.folder)

    def read(self, path: Path) -> DataFile:
        with path.open(encoding="utf-8", newline="") as file:
            heads, *rows = [*csv.reader(file)] or [[]]
        columns = tuple(
            Column(head, infer_type(row[place] for row in rows), self._description(path, head))
            for place, head in enumerate(heads)
        )
        has_missing = any("" in row for row in rows)
        return DataFile(path.stem, self._title(path), columns, has_missing, self._sources(path, heads))

    def _description(self, path: Path, column: str) -> str:
        return self._require(self.descriptions.describe(path.stem, column), path, f"column {column} has no description")

    def _title(self, path: Path) -> str:
        caption = self.captions.get(path.stem)
        title = self.descriptions.title(path.stem) or (shorten_caption(caption) if caption else None)
        return self._require(title, path, "no caption and no title")

    def _sources(self, path: Path, heads: Sequence[str]) -> tuple[str, ...]:
        sources = self.descriptions.list_sources(path.stem)
        if EXAMPLE in heads and not sources:
            self._require(None, path, "examples, but no source, whose licence counts")
        return sources

    def _require(self, found: str | None, path: Path, problem: str) -> str:
        if found is None:
            self.problems.append(f"{DATA}/{path.name}: {problem}; {ADD}")
        return found or ""


def infer_type(values: Iterable[str]) -> str:
    """Return the type of a column in the words of Frictionless; empty cells say nothing of it."""
    known = [value for value in values if value]
    fits = (name for name, form in TYPES.items() if all(form.fullmatch(value) for value in known))
    return next(fits, "string") if known else UNKNOWN_TYPE


# --- package ---------------------------------------------------------------------------------------------------------


def make_package(root: Path) -> dict[str, Any]:
    """Return the descriptor of the Data Package that a checkout's data files are; see `describe_data` for errors."""
    citation = read_citation(root)
    return {
        "name": KEY,
        "title": citation.title,
        "version": citation.version,
        "licenses": [{"name": citation.license}],
        "resources": [_resource(file, citation.license) for file in describe_data(root)],
    }


def _resource(file: DataFile, licence: str) -> dict[str, Any]:
    fields = [{"name": each.name, "type": each.type, "description": each.description} for each in file.columns]
    return {
        "name": file.name,
        "path": file.address,
        "title": file.title,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": {"fields": fields} | ({"missingValues": [""]} if file.has_missing else {}),
    } | ({"licenses": _list_licences(file, licence)} if file.sources else {})


def _list_licences(file: DataFile, licence: str) -> list[dict[str, str]]:
    """Return the licences of a file's sources and that of the rest; a file without sources has the package's."""
    found = [
        ({"name": SOURCES[source].name} if SOURCES[source].name else {})
        | {"path": SOURCES[source].address, "title": f"{source}: {SOURCES[source].text}"}
        for source in file.sources
    ]
    return [*found, {"name": licence, "title": "all else in the file"}]


def write_package(package: Mapping[str, Any], html: Path) -> None:
    """Write a descriptor as `datapackage.json` to a built site, beside the folder of its data files."""
    text = json.dumps(package, indent=2, ensure_ascii=False) + "\n"
    replace_file(html / PACKAGE, lambda part: part.write_text(text, encoding="utf-8"))
