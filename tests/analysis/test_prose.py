"""Sentences that hold numbers: what they say follows from their tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import make_record

from stilts.analysis.ledger import Statement, show_statements
from stilts.analysis.opened import open_study
from stilts.analysis.prose import (
    describe_dead_runs,
    describe_differences,
    describe_layers,
    describe_not_learned,
    describe_rank_correlations,
    describe_restarts,
    describe_scope,
)
from stilts.analysis.questions import distance_answer
from stilts.analysis.questions.chapters import open_section
from stilts.analysis.suite_report import describe_tasks
from stilts.workspace.checkout import find_checkout

ROOT = Path(__file__).parents[2]


def profiles(gains: dict[str, list[float]]) -> pd.DataFrame:
    """Gains by layer, each with an interval of one point to either side; the baseline rises from layer to layer."""
    count = len(next(iter(gains.values())))
    rows = [("none", layer, 50.0 + layer, np.nan, np.nan, np.nan) for layer in range(1, count + 1)]
    rows += [
        (name, layer, 50.0 + layer + gain, gain, gain - 1, gain + 1)
        for name, own in gains.items()
        for layer, gain in enumerate(own, 1)
    ]
    return pd.DataFrame(rows, columns=["condition", "layer", "score", "gain", "gain_low", "gain_high"])


def test_gains_of_the_best_layer_the_last_and_the_one_that_is_judged_are_said():
    table = profiles({"nli": [-2.0, 3.0, 2.0, -8.0], "qa": [0.0, 0.5, 4.0, -12.0]})
    assert describe_layers(table).split("\n\n") == [
        "Without an intermediate task layer 4 is best (54.0 percent).",
        "Averaged over 2 conditions, the gain is highest at layer 3, +3.0 points; at the last it is −10.0. Claim "
        "C3 of the ledger is judged at layer 2, which lies as deep as the paper's 14th of 24: there the gain is +1.8.",
    ]


@pytest.mark.parametrize("gains, said", [
    ([1.0, 2.0, 3.0, 4.0], "the gain is highest at layer 4, +4.0 points; at the last it is +4.0."),
    ([-4.0, -1.0, -2.0, -3.0], "the gain is highest at layer 2, −1.0 points; at the last it is −3.0."),
])  # fmt: skip
def test_without_a_reversal_the_gains_are_said_alike(gains, said):
    assert said in describe_layers(profiles({"nli": gains}))


def test_without_a_condition_there_is_nothing_to_say():
    empty = profiles({"nli": [1.0]}).iloc[:0]
    assert describe_layers(empty) == "No condition can be compared with `none` yet."


def test_targets_that_were_not_learned_are_named_with_their_conditions():
    analysis = open_study(find_checkout(), "order-six")
    analysis.__dict__["failed"] = {("none", "intent"): "-", ("nli", "slots"): "-", ("qa", "slots"): "-"}
    assert describe_not_learned(analysis) == (
        "These were not learned in English, so that their scores say nothing of transfer: `intent` after `none`; "
        "`slots` after `nli` and `qa`."
    )
    analysis.__dict__["failed"] = {}
    assert describe_not_learned(analysis) == "Every target was learned in English under every condition."


def test_trainings_that_stayed_at_chance_are_named_by_target():
    said = describe_dead_runs(open_study(find_checkout(), "pocket-full", resamples=50))
    assert said == (
        "4 trainings of a target that the baseline has learned stayed at chance on the English dev set: `command-para` "
        "after `nli` (seeds 4, 7), 53.0 to 55.5 where guessing gives 50.0; `command-nli` after `para` (seeds 7, 8), "
        "37.0 to 41.0 where guessing gives 33.5. No average of gains, test or verdict holds such cells."
    )


def test_a_page_counts_the_trainings_that_stayed_at_chance():
    scope = describe_scope(open_study(find_checkout(), "pocket-full", resamples=50))
    assert scope.endswith(
        " 4 trainings of a target that the baseline has learned stayed at chance on the English dev set; such a "
        "training counts nowhere."
    )


def test_a_page_says_which_seeds_a_gpu_trained():
    pilot = open_study(find_checkout(), "pilot", resamples=50)
    said = "It trained seeds 1, 4 and 5 on processors, and seeds 2 and 3 on a GPU (NVIDIA H200)."
    assert said in describe_scope(pilot)
    one = replace(pilot, records=tuple(record for record in pilot.records if record.run.seed == 1))
    assert "GPU" not in describe_scope(one)


def test_a_page_says_how_many_conditions_have_one_seed():
    pilot = open_study(find_checkout(), "pilot", resamples=50)
    assert "4 of the conditions have one seed and count nowhere. It trained" in describe_scope(pilot)
    others = {"anli", "squad2", "cosmosqa"}
    one = replace(pilot, records=tuple(record for record in pilot.records if record.run.condition not in others))
    assert "1 of the conditions has one seed and counts nowhere." in describe_scope(one)
    first = replace(pilot, records=tuple(record for record in pilot.records if record.run.seed == 1))
    assert "of the conditions" not in describe_scope(first)


def test_trainings_that_were_repeated_are_counted_and_named():
    once = make_record("xnli", "target")
    twice = make_record("paws-x", "target").model_copy(update={"at_chance": [50.0, 51.0]})
    stage = make_record(None, "intermediate").model_copy(update={"at_chance": [33.0]})
    assert describe_restarts([once]) == ""
    assert describe_restarts([once, twice, stage]) == (
        "Repeated from another seed, since their English dev score was at chance: 2 trainings, 3 times in all: "
        "`paws-x` after `nli` (1 seed) and `nli` (1 seed). That leaves out what the failed ones would have scored."
    )


def test_statements_have_a_column_for_each_study():
    one, other = (Statement("C9", "Nine tasks.", "9", f"{n} tasks") for n in (6, 8))
    assert show_statements({"pocket-full": [one], "pilot": [other]}).to_dict("records") == [
        {"id": "C9", "statement": "Nine tasks.", "published": "9", "pocket-full": "6 tasks", "pilot": "8 tasks"}
    ]


def test_languages_are_counted_by_task_and_without_english():
    rows = {"intent.en": {"test": 3}, "intent.de": {"test": 3}, "slots.de": {"test": 2}, "dates.de": {"test": 1},
            "dates.fi": {"test": 1}, "dates.en": {"train": 4}}  # fmt: skip
    assert describe_tasks({"suite": "pocket", "rows": rows}) == (
        "Languages besides English with a test set: 1 in `intent` and `slots`; 2 in `dates`."
    )


def test_the_distance_page_says_which_targets_are_in_no_test(monkeypatch):
    monkeypatch.chdir(ROOT)
    answer = distance_answer.answer_question(open_section(find_checkout(), "distance-pilot"))
    assert distance_answer.describe_left_out(answer) == (
        "In no test: `paws-x`, whose English dev score is 12 points above guessing under one condition, where 25 are "
        "asked for."
    )
    assert answer.evidence.targets == ["xnli", "udpos", "pan-x"]


def test_differences_that_exclude_zero_are_named():
    table = pd.DataFrame({
        "comparison": ["multi \N{MINUS SIGN} single tasks", "mnli-mlm \N{MINUS SIGN} mnli"],
        "target": ["tydiqa", "xnli"], "difference": [4.8, 0.2],
        "low": [1.0, 0.1], "high": [8.6, 1.4], "survives_holm": [False, False],
    })  # fmt: skip
    assert describe_differences(table) == (
        "Of 2 differences, the own interval of 2 excludes zero (`multi` \N{MINUS SIGN} single tasks on `tydiqa` (+4.8) "
        "and `mnli-mlm` \N{MINUS SIGN} `mnli` on `xnli` (+0.2)), and that of none after Holm's correction."
    )
    assert describe_differences(table.iloc[:0]) == "No two conditions can be compared yet."


def test_distances_that_a_measure_goes_with_are_named():
    table = pd.DataFrame({
        "by": ["genetic", "genetic", "writing"], "measure": ["gain", "score without", "gain"],
        "rho": [0.387, -0.1, 0.4], "low": [0.1, -0.4, 0.11], "high": [0.61, 0.2, 0.63],
    })  # fmt: skip
    assert describe_rank_correlations(table) == (
        "By intervals that exclude zero, the gain goes with genetic distance (+0.39) and writing distance (+0.40); "
        "the score without goes with no distance."
    )
    assert describe_rank_correlations(table.iloc[:0]) == "No distance can be compared yet."
