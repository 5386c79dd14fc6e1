"""What may be removed from the folder of runs: all that no study needs any more, and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest
from faked_study import fill
from tiny_checkout import ENCODER, study_settings, write_checkout, write_study

from stilts.study.errors import StiltsError
from stilts.study.leftovers import name_part
from stilts.workspace.checkout import Checkout
from stilts.workspace.cleaning import Unneeded, find_unneeded, remove_unneeded
from stilts.workspace.plan import Plan
from stilts.workspace.resolution import open_plan

OTHER = "target-other.intent-s1-0123456789"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Checkout:
    """A checkout with a study of which one seed is recorded, and of the other the intermediate training alone."""
    monkeypatch.delenv("STILTS_DATA", raising=False)
    settings = study_settings(ENCODER, intermediates=["nli"], seeds=[1, 2])
    here = write_checkout(tmp_path / "checkout", settings)
    fill(here, "tiny", languages=("en", "de"))
    for slug in ("target-nli.intent-s2", "zero-shot-nli.intent-s2"):
        for path in here.runs.glob(f"records/{slug}-*"):
            path.unlink()
    return here


def keep_no_checkpoints(here: Checkout) -> None:
    settings = study_settings(ENCODER, intermediates=["nli"], seeds=[1, 2])
    settings["schedule"] = {"keep_checkpoints": "none"}
    write_study(here.root / "studies" / "tiny.yml", settings)


def by_slug(plan: Plan) -> dict[str, str]:
    return {run.slug: run.id for run in plan.runs}


def write(folder: Path, size: int = 10) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"x" * size)
    return folder


def test_a_checkpoint_is_needed_while_a_run_starts_from_it(here):
    keep_no_checkpoints(here)
    ids = by_slug(open_plan(here, "tiny"))
    for place in ("checkpoints", "training"):
        for slug in ("intermediate-nli-s1", "target-nli.intent-s1", "intermediate-nli-s2", "target-nli.intent-s2"):
            write(here.runs / place / ids[slug])
        write(here.runs / place / OTHER, 20)
    assert find_unneeded(here) == [
        Unneeded("checkpoint", here.runs / "checkpoints" / OTHER, 20),
        Unneeded("saved state", here.runs / "training" / OTHER, 20),
        Unneeded("checkpoint", here.runs / "checkpoints" / ids["intermediate-nli-s1"], 10),
        Unneeded("checkpoint", here.runs / "checkpoints" / ids["target-nli.intent-s1"], 10),
        Unneeded("saved state", here.runs / "training" / ids["intermediate-nli-s1"], 10),
        Unneeded("saved state", here.runs / "training" / ids["target-nli.intent-s1"], 10),
    ]


def test_a_checkpoint_that_the_study_keeps_is_needed(here):
    ids = by_slug(open_plan(here, "tiny"))
    for slug in ("intermediate-nli-s1", "target-nli.intent-s1"):
        write(here.runs / "checkpoints" / ids[slug])
    assert [each.path.name for each in find_unneeded(here)] == [ids["target-nli.intent-s1"]]


def test_what_a_process_holds_is_needed(here):
    write(here.runs / "checkpoints" / OTHER)
    with here.lock(OTHER):
        assert find_unneeded(here) == []
    assert [each.path.name for each in find_unneeded(here)] == [OTHER]


def test_suites_and_encoders_of_no_study_are_found_with_what_was_set_aside(here):
    plan = open_plan(here, "tiny")
    suite, encoder = plan.suite_folder, here.encoder_folder(plan.runs[0])
    unused = here.runs / "data" / "pocket-0123456789ab", here.runs / "encoders" / "small-0123456789"
    for folder in (suite, encoder, *unused):
        write(folder)
    aside = [
        write(suite.with_name(f"{suite.name}.broken-1")), write(here.runs / "checkpoints" / f"{OTHER}.corrupt-2"),
        write(encoder.with_name(f"{encoder.name}.damaged-1")),
    ]  # fmt: skip
    (here.runs / "records" / f"{OTHER}.json.corrupt-1").write_text("{")
    write(name_part(here.runs / "data" / ".of-this-process"))
    left = write(part_of_dead_process(here.runs / "data" / ".of-another"))
    assert {(each.kind, each.path) for each in find_unneeded(here)} == {
        ("suite", unused[0]), ("encoder", unused[1]), *(("set aside", path) for path in aside), ("left over", left),
    }  # fmt: skip


def test_inputs_of_another_encoder_or_of_other_code_are_found(here):
    run = open_plan(here, "tiny").runs[0]
    encoder = write(here.encoder_folder(run))
    needed = write(here.kept_inputs(run).folder)
    assert needed.parent == here.runs / "inputs" / encoder.name
    unused = [write(needed.with_name("0123456789ab")), write(here.runs / "inputs" / "small-0123456789" / "0123")]
    found = {(each.kind, each.path) for each in find_unneeded(here)}
    assert found == {("inputs", unused[0]), ("inputs", unused[1].parent)}


def part_of_dead_process(path: Path) -> Path:
    dead = subprocess.Popen(["true"])
    dead.wait()
    return path.with_name(name_part(path).name.replace(f"-{os.getpid()}", f"-{dead.pid}"))


def test_what_a_study_that_cannot_be_planned_may_need_is_kept(here, caplog):
    caplog.set_level("INFO")
    settings = study_settings(
        ENCODER, name="far", intermediates=["none", "mnli"], targets=["xnli"], seeds=[1],
        data={"suite": "xtreme", "folder": "nowhere"},
    )  # fmt: skip
    write_study(here.root / "studies" / "far.yml", settings)
    kept = [
        here.runs / "checkpoints" / "target-mnli.xnli-s1-0123456789", here.runs / "data" / "xtreme-0123456789ab",
        here.runs / "encoders" / f"{ENCODER}-0123456789",
    ]  # fmt: skip
    for folder in (*kept, here.runs / "checkpoints" / "target-mnli.xnli-s2-0123456789"):
        write(folder)
    assert [each.path.name for each in find_unneeded(here)] == ["target-mnli.xnli-s2-0123456789"]
    assert caplog.messages == [
        "what bears a name of the runs of these studies is kept, since they cannot be planned here: far"
    ]


def test_nothing_is_found_while_a_study_cannot_be_read(here):
    write(here.runs / "checkpoints" / OTHER)
    (here.root / "studies" / "wrong.yml").write_text("name: wrong\n")
    with pytest.raises(StiltsError, match="wrong.yml: title: Field required"):
        find_unneeded(here)


def test_what_is_found_is_removed_and_the_rest_stays(here):
    ids = by_slug(open_plan(here, "tiny"))
    write(here.runs / "checkpoints" / OTHER)
    write(here.runs / "checkpoints" / ids["intermediate-nli-s2"])
    before = {path for path in here.root.rglob("*") if OTHER not in str(path)}
    remove_unneeded(find_unneeded(here))
    assert set(here.root.rglob("*")) == before
    assert find_unneeded(here) == []
