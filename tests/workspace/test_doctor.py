"""What is said of a machine that has what is needed, and of one that has not."""

import os
import sys

import pytest
from tiny_checkout import ENCODER, study_settings, write_checkout, write_study

from stilts.workspace.checkout import Checkout
from stilts.workspace.doctor import (
    Check,
    check_browser,
    check_data,
    check_disk,
    check_fonts,
    check_index,
    check_python,
    check_studies,
)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Checkout:
    monkeypatch.delenv("STILTS_DATA", raising=False)
    return write_checkout(tmp_path / "checkout", study_settings(ENCODER))

XTREME = {"intermediates": ["none", "mnli"], "targets": ["xnli"]}


def test_an_old_python_is_not_enough():
    assert check_python((3, 11)) == Check("Python", True, f"3.11 in {sys.prefix}")
    assert check_python((3, 10)) == Check(
        "Python", False, f"3.10 in {sys.prefix}", "use Python 3.11 or newer: make book PYTHON=..."
    )


def test_a_study_that_cannot_be_read_is_said(here):
    places = f"studies in {here.root}/studies"
    assert check_studies(here) == Check("studies", True, f"1 {places}")
    (here.root / "studies" / "empty.yml").write_text("")
    assert check_studies(here) == Check(
        "studies", False, f"2 {places}",
        f"{here.root}/studies/empty.yml: a study file must be a mapping of settings, but this one holds nothing",
    )  # fmt: skip


def test_little_free_space_is_said(tmp_path):
    folder = tmp_path / "not" / "there"
    assert check_disk(folder, lambda place: 6e9) == Check("disk", True, f"6.0 GB free for {folder}")
    assert str(check_disk(folder, lambda place: 4e9 if place == tmp_path else 0)) == (
        f"warning  disk: 4.0 GB free for {folder}; free disk space, or set STILTS_RUNS to a folder on another disk"
    )


def test_a_runs_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    assert check_disk(tmp_path / "file" / "runs", lambda place: 6e9) == Check(
        "disk", False, f"{tmp_path}/file cannot be written", "set STILTS_RUNS to a folder that can be written"
    )


def test_studies_that_read_no_data_folder_are_not_named(here, monkeypatch):
    monkeypatch.setenv("STILTS_DATA", "nowhere")
    assert list(check_data(here)) == []
    data = {"suite": "xtreme", "folder": "data"}
    write_study(here.root / "studies" / "wide.yml", study_settings(ENCODER, name="wide", data=data, **XTREME))
    assert [check.advice for check in check_data(here)] == [
        "only studies on XTREME need it: `stilts fetch wide`, or set STILTS_DATA to where it is"
    ]


def test_an_index_that_does_not_answer_is_said(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    found = check_index(timeout=5)
    assert (found.ok, found.found) == (False, "no answer in 5 s")


def test_a_font_that_is_missing_is_named():
    assert check_fonts(["DejaVu Sans"]) == Check("fonts", True, "DejaVu Sans")
    assert check_fonts(["DejaVu Sans", "No Such Sans"]) == Check(
        "fonts", False, "DejaVu Sans, No Such Sans", "install No Such Sans, or matplotlib anew, which brings it"
    )


def test_a_data_folder_that_is_missing_is_said_with_who_reads_it(here):
    assert list(check_data(here)) == []
    for name in ("one", "two"):
        data = {"suite": "xtreme", "folder": "data"}
        write_study(here.root / "studies" / f"{name}.yml", study_settings(ENCODER, name=name, data=data, **XTREME))
    assert list(check_data(here)) == [
        Check(
            "data", False, f"{here.root}/data does not exist",
            "only studies on XTREME need it: `stilts fetch one`, or set STILTS_DATA to where it is",
        )
    ]  # fmt: skip
    (here.root / "data").mkdir()
    (empty,) = check_data(here)
    assert (empty.ok, empty.found) == (False, f"{here.root}/data is empty")
    (here.root / "data" / "facebook").mkdir()
    assert list(check_data(here)) == [Check("data", True, f"{here.root}/data")]


def test_a_browser_that_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    advice = "only book.pdf and tests of the book's pages need them: install chromium and chromium-driver"
    assert check_browser() == Check("browser", False, "no chromium and no chromedriver", advice)
    for name in ("google-chrome", "chromedriver"):
        (tmp_path / name).touch(mode=0o755)
    assert check_browser() == Check("browser", True, f"{tmp_path}/google-chrome, {tmp_path}/chromedriver")
