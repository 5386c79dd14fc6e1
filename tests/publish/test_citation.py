"""How to cite: the file of the repository as BibTeX, and the line of the footer."""

from datetime import date
from pathlib import Path

import pytest

from stilts.publish.citation import Citation, describe_version, format_bibtex, read_citation
from stilts.study.errors import StiltsError

ROOT = Path(__file__).parents[2]
PERSON = {"given-names": "Ada", "family-names": "Lovelace"}
FIELDS = {"title": "A study & more", "authors": [PERSON, {"name": "The others"}], "version": "1.2.0",
          "license": "MIT", "date-released": date(2026, 2, 3)}  # fmt: skip


def test_a_citation_becomes_bibtex():
    citation = Citation(**FIELDS, **{"repository-code": "https://example.org/a_study"})
    assert format_bibtex(citation) == "\n".join(
        [
            "@software{stilts,",
            r"  title = {{A study \& more}},",
            "  author = {Lovelace, Ada and {The others}},",
            "  year = {2026},",
            "  version = {1.2.0},",
            r"  url = {https://example.org/a\_study},",
            "}",
        ]
    )


def test_the_footer_states_version_commit_date_and_licence():
    citation = Citation(**FIELDS)
    assert describe_version(citation, "0123456789abcdef", False) == (
        "Version 1.2.0 of 2026-02-03, commit 0123456789; licence MIT"
    )
    assert "commit 0123456789 with changes; " in describe_version(citation, "0123456789abcdef", True)
    assert "commit not known; " in describe_version(citation, None, None)


def test_the_repository_s_own_file_can_be_read():
    assert read_citation(ROOT).license == "Apache-2.0"
    assert format_bibtex(read_citation(ROOT)).startswith("@software{stilts,\n  title = {{stilts: English")


def test_a_file_that_lacks_a_field_is_named(tmp_path):
    (tmp_path / "CITATION.cff").write_text("title: x\nauthors: [{name: y}]\nversion: '1'\nlicense: MIT\n")
    with pytest.raises(StiltsError, match=r"CITATION.cff: date-released: .*required"):
        read_citation(tmp_path)
