"""Files that keep a state between two commands, damaged in all ways: one line with a remedy, or made again."""

import json
import logging

import pytest
import torch
from tiny import write_encoder
from tiny_checkout import study_settings, write_checkout
from users import ONLY_ROOT, another_user

from stilts import cli
from stilts.publish.site import _Built, _built, check, list_toc_pages
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError
from stilts.training.state import SavedStates
from stilts.workspace.notebooks.jobs import _page_stands
from stilts.workspace.notebooks.pages import read_book_pages
from stilts.workspace.progress import read_noted_share
from stilts.workspace.resolution import open_plan

SHAPES = ("", "null", "5", "text", "[]", "[1, 2]", "{}", "true", "\x00", "{", '{"a": 1}')


# --- table of contents, state of the book, table of pages ------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        *SHAPES,
        "root: index", "root: 5\nparts: []", "root: index\nparts: 5", "root: index\nparts: {}",
        "root: index\nparts: [chapters]", "root: index\nparts: [{caption: A}]",
        "root: index\nparts: [{chapters: 5}]", "root: index\nparts: [{chapters: [book/a]}]",
        "root: index\nparts: [{chapters: [{file: 5}]}]", "root: index\nparts: [{chapters: [{url: x}]}]",
        "root: index\nparts: [{chapters: [{file: book/a, sections: 5}]}]",
        "root: index\nparts: [{chapters: [{file: book/a, sections: [x]}]}]",
        "root: index\nroot: other\nparts: []", "root: index\nparts: [{chapters: [{file: /etc/passwd}]}]",
    ],
)  # fmt: skip
def test_a_table_of_contents_of_another_shape_is_one_line(tmp_path, content):
    (tmp_path / "_toc.yml").write_text(content)
    with pytest.raises(StiltsError, match=r"_toc.yml") as caught:
        list_toc_pages(tmp_path)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "_toc.yml").read_text() == content


@pytest.mark.parametrize("content", [*SHAPES, '{"settings": "a", "pages": 5}', '{"settings": "a", "pages": "b"}'])
def test_a_state_of_the_book_of_another_shape_means_that_it_is_built_again(tmp_path, content, caplog):
    (tmp_path / "state.json").write_text(content)
    assert _built(tmp_path / "state.json") is None
    assert "has no usable state of a build (it is empty or of another shape)" in caplog.text


@pytest.mark.parametrize("content", ["5", "[]", "{5: {}}", "a: 5", "a: {}", "a: {template: [x]}", "a: {template: 5}",
                                     "a: {template: x}\na: {template: x}", "{"])  # fmt: skip
def test_a_table_of_pages_of_another_shape_is_one_line(tmp_path, content):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "pages.yml").write_text(content)
    with pytest.raises(StiltsError, match="pages.yml") as caught:
        read_book_pages(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_analysis_whose_figure_lost_its_data_is_made_again(tmp_path):
    page, data = tmp_path / "page.ipynb", tmp_path / "gain.csv"
    page.write_text(json.dumps({"cells": [{"cell_type": "code", "source": "1", "execution_count": 1}]}))
    data.write_text("task,gain\n")
    assert _page_stands(page, [data])
    data.write_text("")
    assert not _page_stands(page, [data])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gain.csv", "page.ipynb.corrupt-1"]


# --- built site ------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    html = tmp_path / "html"
    (html / "_downloads").mkdir(parents=True)
    (html / "index.html").write_text("<h1>A</h1>")
    (html / "job.html").write_text("<h1>84.5</h1>")
    (html / "_downloads" / "gain.csv").write_text("task,gain\nnli,1.5\n")
    files = {str(path.relative_to(html)): path for path in html.rglob("*") if path.is_file()}
    from stilts.study.storage import hash_file

    built = _Built(settings="a", pages="b", files={name: hash_file(path) for name, path in files.items()})
    (tmp_path / "state.json").write_text(built.model_dump_json())
    assert check(html) == []
    return html


@pytest.mark.parametrize(
    "name, content, problems",
    [
        ("job.html", "", ["job.html: is empty", "job.html: is missing or not as it was built"]),
        ("job.html", "<h1>99.5</h1>", ["job.html: is missing or not as it was built"]),
        ("_downloads/gain.csv", "", ["_downloads/gain.csv: holds no data",
                                     "_downloads/gain.csv: is missing or not as it was built"]),
        ("_downloads/gain.csv", None, ["_downloads/gain.csv: is missing or not as it was built"]),
    ],
)  # fmt: skip
def test_what_was_changed_in_a_built_site_is_named(site, name, content, problems):
    (site / name).unlink() if content is None else (site / name).write_text(content)
    assert check(site) == problems


def test_what_was_empty_when_it_was_built_is_named(site):
    (site.parent / "state.json").unlink()
    for name in ("job.html", "_downloads/gain.csv"):
        (site / name).write_text("\n")
    assert check(site) == ["_downloads/gain.csv: holds no data", "job.html: is empty"]


# --- status ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    root = tmp_path_factory.mktemp("status")
    return write_checkout(root / "checkout", study_settings(write_encoder(root / "encoder")))


def run_status(here, monkeypatch, capsys) -> tuple[int, str]:
    monkeypatch.chdir(here.root)
    monkeypatch.setattr("sys.argv", ["stilts", "status", "tiny"])
    with pytest.raises(SystemExit) as ended:
        cli.app()
    shown = capsys.readouterr()
    return ended.value.code, shown.out + shown.err


@pytest.mark.parametrize(
    "note",
    [*SHAPES, '{"done": "a", "total": 5}', '{"done": 1}', '{"done": 1, "total": 0}', '{"done": -1, "total": 5}',
     '{"done": NaN, "total": 5}', '{"done": 1, "total": null}', '{"done": [1], "total": 5}', "[" * 100_000],
)  # fmt: skip
def test_a_note_of_progress_of_another_shape_is_none(here, note):
    folder = here.runs / "progress"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(note)
    assert read_noted_share(here, "run") == 0.0
    (folder / "run.json").write_text('{"done": 1, "total": 4}')
    assert read_noted_share(here, "run") == 0.25


@ONLY_ROOT
def test_another_user_s_lock_is_said(here, monkeypatch, capsys):
    run = open_plan(here, "tiny").runs[0]
    for folder in ("progress", "locks", "records"):
        (here.runs / folder).mkdir(parents=True, exist_ok=True)
    (here.runs / "progress" / f"{run.id}.json").write_text('{"done": 1, "total": 4}')
    (here.runs / "locks" / f"{run.id}.lock").touch(mode=0o600)
    for folder in (here.root, here.root.parent / "encoder"):
        for path in folder.rglob("*"):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    (here.runs / "locks" / f"{run.id}.lock").chmod(0o600)
    with another_user(here.root / "studies"):
        code, said = run_status(here, monkeypatch, capsys)
    (here.runs / "locks" / f"{run.id}.lock").unlink()
    (here.runs / "progress" / f"{run.id}.json").unlink()
    assert code == 0
    assert f"{run.id}: 25%, running or interrupted: lock" in said


@ONLY_ROOT
@pytest.mark.parametrize("name", ["runs", "runs/records", "results", "studies"])
def test_a_folder_that_may_not_be_read_is_one_line(here, monkeypatch, capsys, name):
    for folder in (here.runs / "records", here.root / "results"):
        folder.mkdir(parents=True, exist_ok=True)
    for folder in (here.root, here.root.parent / "encoder"):
        for path in folder.rglob("*"):
            path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
    (here.root / name).chmod(0o700)
    with another_user(here.root / "notebooks"):
        code, said = run_status(here, monkeypatch, capsys)
    (here.root / name).chmod(0o755)
    assert code == 1
    assert "Traceback" not in said
    assert "permission denied; ask its owner (root) for access" in said


def test_a_file_for_the_folder_of_runs_is_one_line(here, monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STILTS_RUNS", str(tmp_path / "file"))
    code, said = run_status(here, monkeypatch, capsys)
    assert code == 1
    place = tmp_path / "file" / "records"
    assert f"error: folder of records {place} must be a folder, but it is or lies in a file" in said


# --- saved states of trainings ---------------------------------------------------------------------------------------


NOTES = {
    "done": 4, "losses": [0.5], "batch_tokens": None, "groups": [{"lr": 0.1}], "rates": {"last_epoch": 4},
    "outcome": {"history": [], "best_scores": {}, "best_update": 0, "examples": 8, "tokens": 99},
    "random": [3, [1, 2], None],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"scaler": {}}, {"done": None}, {"outcome": {"history": [], "energy": 3}}, {"rates": None},
        {"groups": 5}, {"random": [3]}, None,
    ],
    ids=str,
)  # fmt: skip
def test_a_state_of_another_version_is_removed_and_said_and_an_older_one_serves(tmp_path, change, caplog):
    caplog.set_level(logging.INFO)
    states = Checkpoints(tmp_path / "run")
    states.save("update-4", {"w": torch.zeros(2)}, NOTES)
    states.save("update-8", {"w": torch.zeros(2)}, None if change is None else NOTES | {"done": 8} | change)
    assert SavedStates(tmp_path / "run", 10).newest() == 4
    assert "run: the state after update 8 was saved by another version of stilts (" in caplog.text
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["update-4"]


def test_a_state_that_lacks_a_note_is_removed(tmp_path):
    for lacking in NOTES:
        notes = {name: value for name, value in NOTES.items() if name != lacking}
        Checkpoints(tmp_path / lacking).save("update-4", {"w": torch.zeros(2)}, notes)
        assert SavedStates(tmp_path / lacking, 10).newest() == 0
    assert json.loads(json.dumps(NOTES)) == NOTES
