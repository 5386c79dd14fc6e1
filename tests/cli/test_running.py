"""Commands that run: what they choose to run, and what they end with."""

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
