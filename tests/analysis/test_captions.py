"""Each form of the sentences that captions begin with."""

import numpy as np
import pandas as pd
import pytest

from stilts.analysis import captions
from stilts.analysis.captions import NOTHING
from stilts.analysis.questions.order import describe_gains

UP, DOWN, UNCLEAR = (1.0, 3.0), (-3.0, -1.0), (-1.0, 1.0)


def rows(*intervals: tuple[float, float], **columns) -> pd.DataFrame:
    """Effects in the middle of intervals."""
    table = pd.DataFrame(intervals, columns=["low", "high"], dtype=float)
    return table.assign(gain=(table["low"] + table["high"]) / 2, **columns)


def cells(*intervals, same=(), lost=(), survive=True) -> pd.DataFrame:
    """Cells of a matrix; `same` and `lost` are the places of those of one kind and of those that do not count."""
    table = rows(*intervals, survives_holm=survive)
    return table.assign(same_task=table.index.isin(same), counts=~table.index.isin(lost))


@pytest.mark.parametrize("table, said", [
    (cells(), NOTHING),
    (cells(UP, lost=[0]), "No target task was learned in English and had room for an effect."),
    (cells(UP, DOWN, DOWN), "1 of 3 cells gains and 2 lose (after Holm's correction)."),
    (cells(UP, UP), "2 of 2 cells gain and none loses (after Holm's correction)."),
    (cells(DOWN, UP, lost=[1]), "None of 1 cell gains and 1 loses (after Holm's correction)."),
    (
        cells(UP, DOWN, survive=False),
        "None of 2 cells clearly gains or loses, though 2 intervals exclude zero (after Holm's correction).",
    ),
    (
        cells(UP, DOWN, UNCLEAR, survive=[True, False, False]),
        "1 of 3 cells gains and none loses, though 1 other interval excludes zero (after Holm's correction).",
    ),
    (
        cells(UP, DOWN, UNCLEAR, UP, same=[3]),
        "1 of 3 pairs of different tasks gains and 1 loses; 1 of 1 pair of the same task gains and none loses "
        "(after Holm's correction).",
    ),
    (cells(UNCLEAR, same=[0]), "None of 1 pair of the same task clearly gains or loses (after Holm's correction)."),
])  # fmt: skip
def test_a_matrix(table, said):
    assert captions.state_cells(table) == said


def test_a_matrix_of_differences_that_nothing_is_corrected_for():
    table = rows(UP, DOWN, UNCLEAR)
    assert captions.state_cells(table, "difference", captions.SIGNS, corrected=False) == (
        "1 of 3 differences lies above zero and 1 below it (95 % intervals, not corrected)."
    )
    assert captions.state_cells(rows(UNCLEAR), "difference", captions.SIGNS, corrected=False) == (
        "None of 1 difference lies clearly above or below zero (95 % intervals, not corrected)."
    )


@pytest.mark.parametrize("table, said", [
    (rows(), NOTHING),
    (rows((np.nan, np.nan)), NOTHING),
    (
        rows(UP, UNCLEAR, DOWN),
        "1 of 3 ways of training gains and 1 loses (95 % intervals, not corrected): A +2.0 points (+1.0 to +3.0); C "
        "−2.0 points (−3.0 to −1.0).",
    ),
    (
        rows(UNCLEAR),
        "None of 1 way of training clearly gains or loses (95 % intervals, not corrected): A 0.0 points (−1.0 to "
        "+1.0).",
    ),
    (rows(*5 * [UP]), "5 of 5 ways of training gain and none loses (95 % intervals, not corrected)."),
    (rows(*5 * [UNCLEAR]), "None of 5 ways of training clearly gains or loses (95 % intervals, not corrected)."),
])  # fmt: skip
def test_gains_of_named_rows(table, said):
    assert captions.state_gains(table, list("ABCDE")[: len(table)], "way of training") == said


def test_orders_are_judged_in_unseen_languages():
    table = rows(UP, DOWN, languages=["unseen", "English"], training=["English twice", "English twice"])
    assert describe_gains(table) == (
        "1 of 1 order of intermediate training gains and none loses in unseen languages (95 % intervals, not "
        "corrected): English twice +2.0 points (+1.0 to +3.0)."
    )
    assert describe_gains(table.iloc[1:]) == NOTHING


def test_gains_by_source_language():
    table = rows(UP, UNCLEAR, DOWN, UNCLEAR, source=["English", "English", "German", "Chinese"])
    assert captions.state_sources(table) == (
        "1 of 2 tasks in English gains and none loses; none of 1 task in German gains and 1 loses; none of 1 task in "
        "Chinese clearly gains or loses (95 % intervals, not corrected)."
    )
    assert captions.state_sources(table.iloc[:0]) == NOTHING


def test_gains_by_language():
    table = rows(UP, DOWN, UNCLEAR, language=["de", "fi", "en"])
    assert captions.state_languages(table) == (
        "1 of 2 languages besides English gains and 1 loses (95 % intervals, not corrected). German (+2.0) gains most, "
        "Finnish (−2.0) least; English (0.0)."
    )
    assert captions.state_languages(table.iloc[:2]).endswith("Finnish (−2.0) least.")
    assert captions.state_languages(table.iloc[2:]) == "There is no language besides English yet."


def test_gaps_to_english():
    table = pd.DataFrame(
        [
            ["none", "intent", 30.0, np.nan, np.nan, np.nan],
            ["none", "slots", 10.0, np.nan, np.nan, np.nan],
            ["nli", "intent", 25.0, -5.0, -7.0, -3.0],
            ["nli", "slots", 10.0, 0.0, -1.0, 1.0],
        ],
        columns=["condition", "target", "gap", "change", "change_low", "change_high"],
    )
    before = (
        "Without an intermediate task English is ahead by 20 points on average, most in Intents (30) and least in "
        "slots (10)."
    )
    say = captions.state_english_gaps
    assert say(table, {"intent": "Intents"}) == (
        "None of 2 comparisons widens the gap and 1 narrows it (95 % intervals, not corrected; chance alone gives "
        f"about 0). {before}"
    )
    assert say(table.drop(index=2), {"intent": "Intents"}) == (
        "None of 1 comparison clearly changes the gap (95 % intervals, not corrected; chance alone gives about 0). "
        f"{before}"
    )
    for missing in (table.iloc[:2], table.iloc[2:]):
        assert say(missing) == "No condition can be compared with the baseline yet."


def layers(*gains: float) -> pd.DataFrame:
    table = pd.DataFrame({"condition": "nli", "layer": range(1, len(gains) + 1), "gain": gains})
    return table.assign(gain_low=table["gain"] - 1, gain_high=table["gain"] + 1)


@pytest.mark.parametrize("table, said", [
    (layers(), "No condition can be compared with the baseline yet."),
    (layers(np.nan), "No condition can be compared with the baseline yet."),
    (
        layers(9.0, 3.0, -4.0),
        "1 of 1 condition gains and none loses at layer 2, as deep as the paper's; none of 1 gains and 1 loses at the "
        "last (95 % intervals, not corrected).",
    ),
    (
        layers(-4.0, 0.5),
        "None of 1 condition gains and 1 loses at layer 1, as deep as the paper's; none of 1 clearly gains or loses at "
        "the last (95 % intervals, not corrected).",
    ),
])  # fmt: skip
def test_layers(table, said):
    assert captions.state_layers(table) == said


def test_two_studies_that_agree_or_not():
    columns = ["gain_live", "low_live", "high_live", "gain_recorded", "low_recorded", "high_recorded"]
    table = pd.DataFrame([[2, 1, 3, 2, 1, 3], [-2, -3, -1, 4, 3, 5], [0, -1, 1, 1, 0, 2]], columns=columns, dtype=float)
    assert captions.state_agreement(table) == (
        "The intervals of the two studies overlap in 2 of 3 shared cells; gains differ by 2.3 points on average, and "
        "their correlation is −0.65. Where both exclude zero (2 cells), the sign agrees in 1."
    )
    assert captions.state_agreement(table.iloc[:1]) == (
        "The intervals of the two studies overlap in 1 of 1 shared cell; gains differ by 0.0 points on average. Where "
        "both exclude zero (1 cell), the sign agrees in 1."
    )
    assert captions.state_agreement(table.iloc[:0]) == NOTHING


def test_verdicts_are_counted_by_group():
    first = ["supported", "cannot tell", "no effect that matters"]
    others = ["cannot tell", "contradicted", "could not be tested"]
    table = pd.DataFrame({"study": ["a", "a", "a", "b", "c", "c"], "verdict": first + others})
    assert captions.state_verdicts(table, "study", "part of a claim", {"a": "short commands"}) == (
        "On short commands 2 of 3 parts of a claim have an answer (1 supported, 1 no effect that matters); on b none "
        "of 1 part of a claim has an answer; on c 1 of 2 parts of a claim has an answer (1 contradicted)."
    )
    assert captions.state_verdicts(table.iloc[:0], "study", "test") == NOTHING


def test_tests_of_a_question():
    table = pd.DataFrame(
        [
            ["near", "Near languages lose less.", "supported", 2.0, 1.0, 3.0, "all above 0"],
            ["far", "Far languages lose more.", "cannot tell", 0.0, -1.0, 1.0, "the interval allows more than one"],
            ["both", "They differ.", "could not be tested", np.nan, np.nan, np.nan, "too few languages"],
        ],
        columns=["test", "hypothesis", "verdict", "estimate", "low", "high", "reason"],
    ).assign(unit="points")
    assert captions.state_tests(table, ["far", "near", "none of these"]) == (
        "Supported: near languages lose less, +2.0 points (+1.0 to +3.0). Cannot tell: far languages lose more, 0.0 "
        "points (−1.0 to +1.0)."
    )
    assert captions.state_tests(table, ["both"]) == "Could not be tested: they differ (too few languages)."
    assert captions.state_tests(table, []) == "The study tests nothing that this figure shows."


def test_the_best_kind_of_training_by_language():
    table = pd.DataFrame({"none": [1.0, 5.0, 2.0], "mixed": [3.0, 2.0, 4.0], "English last": [0.0, 1.0, 1.0]})
    assert captions.state_best_kind(table, ["none", "English last", "mixed"]) == (
        "Of 3 languages, F1 is highest in 2 with mixed, 1 with none, none with English last, which no test was made of."
    )
    assert captions.state_best_kind(table, []) == NOTHING
    assert captions.state_best_kind(table.iloc[:0], ["none"]) == NOTHING


def test_shares_of_computing():
    table = pd.DataFrame({"phase": ["target", "zero-shot", "target"], "seconds": [1800.0, 1800.0, 3600.0]})
    assert captions.state_costs(table) == (
        "Target training takes 75 % of 2.0 hours of computing, zero-shot evaluation 25 %."
    )
    assert captions.state_costs(table.iloc[1:2]) == "Zero-shot evaluation takes 100 % of 0.5 hours of computing."
    assert captions.state_costs(table.iloc[:0]) == NOTHING


def test_speeds_of_loops():
    table = pd.DataFrame(
        [["xtreme", 10.0, 80.0, 75.0, 85.0], ["stilts", 95.0, 90.0, 86.0, 94.0]],
        columns=["name", "examples_per_second", "dev_score", "dev_low", "dev_high"],
    )
    assert captions.state_throughput(table) == (
        "This study's loop is 9.5 times as fast as XTREME's scripts, each with the weights that it trains; its dev "
        "score lies inside the interval of 0 of 1 other."
    )
    same = table.assign(work="all", examples_per_second=[10.0, 40.0])
    assert captions.state_throughput(table, [same]).endswith(
        " of 1 other. Where all train the same weights, it is 4.0 times as fast with all weights trained."
    )
    assert captions.state_throughput(table.iloc[1:]) == NOTHING


def test_speeds_with_the_same_weights_are_those_of_the_loop_that_the_caption_names():
    """The fastest loop need not be the study's own, and the others are named once, by the first comparison."""
    columns = ["name", "examples_per_second", "dev_score", "dev_low", "dev_high"]
    rows = [["xtreme", 10.0, 80.0, 75.0, 85.0], ["stilts", 20.0, 90.0, 86.0, 94.0], ["plain", 80.0, 91.0, 85.0, 95.0]]
    table = pd.DataFrame(rows, columns=columns)
    same = table.iloc[[1, 0, 2]].assign(work="all", examples_per_second=[10.0, 20.0, 60.0])
    assert captions.state_throughput(table, [same]) == (
        "Plain Trainer is 8.0 times as fast as XTREME's scripts and 4.0 times as fast as this study's loop, each with "
        "the weights that it trains; its dev score lies inside the interval of 1 of 2 others. Where all train the same "
        "weights, it is 3.0 and 6.0 times as fast with all weights trained."
    )
