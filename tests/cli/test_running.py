"""Commands that run: what they choose to run, and what they end with."""

import json

import pytest

from stilts.workspace.resolution import open_plan


def remove_records(here, *slugs: str) -> None:
    for slug in slugs:
        for path in here.runs.glob(f"records/{slug}-*"):
            path.unlink()


def test_a_run_ends_with_scores_and_the_next_command(filled, door, caplog):
    code, out, err = door("run", "tiny")
    assert (code, err) == (0, "")
    assert caplog.messages == ["study tiny: every run is recorded"]
    table = door("scores", "tiny")[1]
    assert out == f"{table}tiny: 18 of 18 runs recorded\nnext: stilts compare tiny nli none\n"


def test_a_part_of_a_study_is_run_beside_what_exists(filled, door, caplog):
    """All that is asked for is recorded; what is not would need Snakemake, see tests/workspace/test_scheduled.py."""
    remove_records(filled, "zero-shot-nli.intent-s2", "target-nli.slots-s1")
    code, out, err = door("run", "tiny", "--only", "nli", "--only", "none", "--target", "intent", "--seed", "1")
    assert (code, err) == (0, "")
    assert caplog.messages == ["study tiny: every run is recorded"]
    assert out.endswith("tiny: 16 of 18 runs recorded\nnext: stilts run tiny\n")
    assert len(open_plan(filled, "tiny").runs) == 18


@pytest.mark.parametrize(
    "options, words",
    [
        (("--only", "nil"), "unknown condition of study 'tiny' 'nil'. Did you mean 'nli'? Known: nli, none\n"),
        (("--target", "slot"), "unknown target task of study 'tiny' 'slot'. Did you mean 'slots'? Known: intent, s"),
        (("--seed", "5"), "unknown seed of study 'tiny' '5'. Known: 1, 2\n"),
    ],
)
def test_an_unknown_part_runs_nothing(filled, door, options, words):
    code, out, err = door("run", "tiny", *options)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: {words}")


def test_what_no_run_needs_is_listed_and_then_removed(filled, door):
    folder = filled.runs / "checkpoints" / "target-other.intent-s1-0123456789"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 2_000_000)
    code, out, err = door("gc", "--dry-run")
    assert (code, err) == (0, "")
    assert "│ checkpoint │ 2 MB │ checkpoints/target-other.intent-s1-0123456789 │" in out.splitlines()
    assert out.endswith("1 that no run needs, 2 MB: nothing was removed\n")
    assert json.loads(door("gc", "--dry-run", "--json")[1]) == [
        {"kind": "checkpoint", "path": str(folder), "size": 2_000_000}
    ]
    assert folder.exists()
    assert door("gc")[1].endswith("1 that no run needs, 2 MB: removed\n")
    assert not folder.exists()
    assert door("gc")[1] == "0 that no run needs, 0 kB: removed\n"


def test_records_travel_in_a_pack(filled, door, tmp_path):
    code, out, err = door("pack", "tiny", tmp_path / "back", "--records")
    assert (code, err) == (0, "")
    size = sum(path.stat().st_size for path in (tmp_path / "back").iterdir())
    assert out == f"18 of 18 runs have a record here\n{size / 1e3:.0f} kB; on the other machine: stilts unpack back\n"
    remove_records(filled, "zero-shot-nli.intent-s2", "target-nli.slots-s1")
    code, out, err = door("unpack", tmp_path / "back")
    assert (code, err) == (0, "")
    assert out.endswith(f" new files of records: {filled.runs / 'records'}\n")
    assert len(open_plan(filled, "tiny").recorded()) == 18
    code, out, err = door("pack", "tiny", tmp_path / "back", "--records")
    assert (code, out, err) == (1, "", f"error: {tmp_path}/back already exists; name a new folder\n")
