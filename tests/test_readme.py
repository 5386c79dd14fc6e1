"""What README.md and CONTRIBUTING.md name is there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md")
# Folders that a fresh clone has not: what this machine computes, and a study that the reader names.
MADE_LATER = ("runs/", "data/", "results/<study>")


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_images_point_to_files(document):
    targets = re.findall(r"\]\(([^)\s]+)\)", text(document))
    local = [target for target in targets if not target.startswith("https://")]
    assert [target for target in local if not (ROOT / target).is_file()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_code_type_exist(document):
    named = re.findall(r"`([\w.<>-]+/[\w./<>-]*|[\w-]+\.(?:md|toml|txt|yml|cff))`", text(document))
    named = [path for path in named if not path.startswith(MADE_LATER)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_make_knows_the_targets_that_are_named():
    known = set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.MULTILINE))
    named = {target for document in DOCUMENTS for target in re.findall(r"(?:`|\n)make ([a-z]+)", text(document))}
    assert named - known == set()


def test_the_shown_notebook_command_fits_its_template():
    template, arguments = re.search(r"papermill --engine stilts (\S+) \S+ (.*)", text("README.md")).groups()
    cells = json.loads(text(template))["cells"]
    parameters = next("".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    known = set(re.findall(r"^(\w+) =", parameters, flags=re.MULTILINE))
    given = re.findall(r"-p (\w+)", arguments)
    assert given
    assert set(given) - known == set()
