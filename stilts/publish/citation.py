"""How to cite the study, from `CITATION.cff`, and what a page says of its version."""

import re
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.provenance import read_git_state
from stilts.study.yaml_files import read_yaml

FILE = "CITATION.cff"
KEY = "stilts"


class _Person(BaseModel):
    given: str = Field("", alias="given-names")
    family: str = Field("", alias="family-names")
    name: str = ""

    @property
    def full_name(self) -> str:
        return self.name or f"{self.given} {self.family}"

    @property
    def for_bibtex(self) -> str:
        # Braces keep BibTeX from taking a group's last word for a family name.
        return f"{{{self.name}}}" if self.name else f"{self.family}, {self.given}"


class Citation(BaseModel):
    """The fields of a citation file that a reference needs; see https://citation-file-format.github.io."""

    model_config = ConfigDict(extra="ignore")

    title: str
    authors: list[_Person] = Field(min_length=1)
    version: str
    license: str
    released: date = Field(alias="date-released")
    repository: str = Field("", alias="repository-code")


def read_citation(root: Path) -> Citation:
    """Return the citation of a checkout; StiltsError if its file is missing or lacks a field."""
    path = root / FILE
    try:
        return Citation.model_validate(read_yaml(path, "citation file"))
    except ValidationError as error:
        raise StiltsError(f"{path}: {describe_reasons(error)}") from None


def format_bibtex(citation: Citation) -> str:
    """Return the reference as a BibTeX entry."""
    fields = {
        "title": f"{{{citation.title}}}",
        "author": " and ".join(person.for_bibtex for person in citation.authors),
        "year": str(citation.released.year),
        "version": citation.version,
        "url": citation.repository,
    }
    lines = [f"  {name} = {{{_escape(value)}}}," for name, value in fields.items() if value]
    return "\n".join(["@software{" + KEY + ",", *lines, "}"])


def _escape(text: str) -> str:
    return re.sub(r"([&%#_])", r"\\\1", text)


def describe_version(citation: Citation, commit: str | None, changed: bool | None) -> str:
    """Return the footer's line: version, commit, date and licence.

    Parameters
    ----------
    commit : str or None
        Of the checkout, from `stilts.study.provenance`; None if it is not known.
    changed : bool or None
        Whether the checkout differs from its commit.
    """
    state = f"commit {commit[:10]}{' with changes' if changed else ''}" if commit else "commit not known"
    return f"Version {citation.version} of {citation.released:%Y-%m-%d}, {state}; licence {citation.license}"


def describe_checkout(root: Path) -> str:
    """Return the footer's line of a checkout as it stands, see `describe_version`."""
    git = read_git_state(root)
    return describe_version(read_citation(root), git.commit, git.dirty)
