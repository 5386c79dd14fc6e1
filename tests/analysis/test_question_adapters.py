"""Question 4 on faked scores: known gains and a known pull of similarity are found, and none where none was planted."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import faked_study
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redrawing import redraw
from scipy import stats

from stilts.analysis.conditions import is_same_task
from stilts.analysis.opened import Analysis
from stilts.analysis.questions.adapters import (
    FULL,
    SCHEMES,
    TESTS,
    average_similarities,
    find_match,
    gather,
    list_conditions,
)
from stilts.analysis.questions.adapters_answer import (
    answer_question,
    describe_agreement,
    describe_design,
    describe_matches,
    describe_schemes,
    tabulate_agreement,
    tabulate_match_gains,
    tabulate_match_language_gains,
    tabulate_measures,
    tabulate_pair_gains,
    tabulate_points_beyond_means,
    tabulate_scheme_gains,
)
from stilts.analysis.questions.chapters import Section
from stilts.analysis.questions.evidence import OUTCOME_COLUMNS
from stilts.analysis.questions.permutations import (
    estimate_relation,
    make_orders,
    remove_means,
    standardise_matrix,
)
from stilts.analysis.questions.sentences import describe_by_target
from stilts.analysis.questions.testing import Rules, run_tests, tabulate_verdicts
from stilts.analysis.wording import format_effect
from stilts.publish.figures.questions import draw_group_gains, draw_scheme_matrices, draw_similarity_scatter
from stilts.study.errors import StiltsError
from stilts.study.records import Store
from stilts.study.settings import Study
from stilts.workspace.checkout import Checkout

ROOT = Path(__file__).parents[2]
TASKS = {"nli": "command-nli", "para": "command-para", "qa": "command-qa", "intent": "intent", "slots": "slots",
         "dates": "dates"}  # fmt: skip
CODES = ["ar", "de", "fi", "hi", "ru", "th"]
CONDITIONS = {
    "none": (FULL, None), "none-fresh": ("fresh", None), **{task: (FULL, task) for task in TASKS},
    **{f"{task}-{scheme}": (scheme, task) for task in TASKS for scheme in SCHEMES[1:]},
}  # fmt: skip
CHOSEN = ("then-full-minus-full", "fresh-minus-full", "continued-minus-fresh", "similarity-full", "similarity-adapters",
          "similarity-adapters-minus-full")  # fmt: skip
RULES = Rules(dict.fromkeys(CHOSEN, "A hypothesis."), resamples=100)
FAKES = 200
FEWEST, MOST = stats.binom.ppf([0.0005, 0.9995], FAKES, 0.05)
DIAGONAL = ~np.eye(6, dtype=bool)


def likeness(generator) -> pd.DataFrame:
    """Fake similarities: each pair has a likeness, which three measures on different scales blur a little."""
    alike = generator.normal(size=(6, 6)) + 3 * np.eye(6)
    rows = [
        (measure, first, second, scale * (alike[i, j] + generator.normal(0, 0.3)))
        for measure, scale in (("text", 0.2), ("fisher", 0.05), ("gradient", 0.1))
        for i, first in enumerate(TASKS)
        for j, second in enumerate(TASKS.values())
    ]
    return pd.DataFrame(rows, columns=["measure", "intermediate", "target", "value"])


def scores(generator, similarity, gains=None, pulls=None, noise=2.0) -> pd.DataFrame:
    """Fake scores: with each scheme intermediate training gains so many points, and `pulls` points more for a standard
    deviation of similarity; tasks, pairs, languages, seeds and runs have a luck of their own."""
    gains, pulls = gains or {}, pulls or {}
    text = similarity.groupby(["intermediate", "target"], sort=False)["value"].sum().to_numpy().reshape(6, 6)
    pull = standardise_matrix(text, DIAGONAL)
    main = generator.normal(0, 3, (6, 1)) + generator.normal(0, 3, (1, 6)) + generator.normal(0, noise, (6, 6))
    level = generator.normal(50, 8, (6, len(CODES)))
    own = {scheme: generator.normal(0, 1, len(CODES)) for scheme in SCHEMES}
    rows = []
    for (condition, (scheme, task)), seed in product(CONDITIONS.items(), (1, 2, 3)):
        for place, target in enumerate(TASKS.values()):
            values = level[place] + generator.normal(0, 1.5, len(CODES))
            if task is not None:
                cell = list(TASKS).index(task), place
                values = values + main[cell] + gains.get(scheme, 0) + pulls.get(scheme, 0) * pull[cell] + own[scheme]
            rows += [(condition, target, *each, 30.0) for each in zip(CODES, [seed] * 6, values, strict=True)]
    return pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))


def empty() -> pd.DataFrame:
    return pd.DataFrame(columns=list(OUTCOME_COLUMNS))


@pytest.fixture(scope="module")
def evidence():
    generator = np.random.default_rng(3)
    alike = likeness(generator)
    pulls = {"then-full": 6.0, "continued": 6.0, "fresh": 6.0}
    table = scores(generator, alike, {FULL: 4.0, "then-full": 1.0, "continued": 2.0, "fresh": 2.0}, pulls)
    return gather(table, CONDITIONS, alike)


# --- Similarity by design --------------------------------------------------------------------------------------------

MATCHED = {"nli": "commands", "para": "commands", "mnli": "sentences", "qqp": "sentences"}
MATCHED_CONDITIONS = {
    "none": (FULL, None), "none-fresh": ("fresh", None), **{task: (FULL, task) for task in MATCHED},
    **{f"{task}-fresh": ("fresh", task) for task in MATCHED},
}  # fmt: skip
MATCH_TESTS = ("task-match-full", "task-match-fresh", "task-match-fresh-minus-full", "domain-match-full",
               "domain-match-fresh", "domain-match-fresh-minus-full", "same-task-full")  # fmt: skip


def matched_scores(by_task, by_domain, of_task, left_out=()) -> pd.DataFrame:
    """Scores with known gains by scheme: of the same thing asked, of the same texts, and of each intermediate task."""
    generator = np.random.default_rng(0)
    asks = {"nli": "command-nli", "mnli": "command-nli", "para": "command-para", "qqp": "command-para"}
    rows = []
    for (condition, (scheme, task)), target in product(MATCHED_CONDITIONS.items(), ("command-nli", "command-para")):
        gain = 0.0
        if task:
            gain = of_task[task] + by_task[scheme] * (asks[task] == target)
            gain += by_domain[scheme] * (MATCHED[task] == "commands")
        if (condition, target) not in left_out:
            rows += [(condition, target, code, seed, 60 + gain + generator.normal(0, 0.5), 30.0)
                     for code, seed in product(CODES, (1, 2, 3))]  # fmt: skip
    return pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))


def matched_evidence(**more):
    of_task = {"nli": 1.0, "para": 4.0, "mnli": -3.0, "qqp": 2.0}
    table = matched_scores({FULL: 6.0, "fresh": 2.0}, {FULL: 1.0, "fresh": 3.0}, of_task, **more)
    return gather(table, MATCHED_CONDITIONS, pd.DataFrame(columns=["measure", "intermediate", "target", "value"]))


def test_what_a_match_brings_is_told_apart_from_what_each_task_brings():
    found = run_tests(TESTS, matched_evidence(), Rules(dict.fromkeys(MATCH_TESTS, "A hypothesis.")))
    # Of inference in written sentences and of paraphrases in them, one matches each target: what they bring in any case
    # cancels. Commands gain 3 more than written sentences in any case, which no match can be told apart from.
    expected = [6, 2, -4, 1 + 3, 3 + 3, 2, 6 + 1 + 3]
    assert [each.value for each in found] == pytest.approx(expected, abs=0.5)
    assert [each.expected for each in found] == [1, 1, 0, 1, 1, 0, 1]
    assert {(each.rows, each.seeds) for each in found} == {(6, 3)}
    assert all(each.low < value < each.high for each, value in zip(found, expected, strict=True))


def test_what_a_match_brings_is_said_by_target():
    found, rules = matched_evidence(), Rules({"task-match-full": "A hypothesis."})
    test = TESTS["task-match-full"]
    halves = [test.estimate(found.of_target(target), rules) for target in found.targets]
    assert [each.value for each in halves] == pytest.approx([6 - 3 - 2, 6 + 2 + 3], abs=0.5)
    said = [
        f"{title} {format_effect(each.value, each.low, each.high, '')}"
        for title, each in zip(("Inference", "Paraphrases"), halves, strict=True)
    ]
    assert describe_by_target(found, rules, test) == f"By target, uncorrected: {'; '.join(said)}."
    assert describe_by_target(found.of_target("command-nli"), rules, test) == ""


def test_a_target_without_both_kinds_of_pairs_is_in_no_match():
    halved = matched_evidence(left_out=[("qqp", "command-nli"), ("qqp-fresh", "command-nli")])
    first, domain = run_tests(TESTS, halved, Rules({"task-match-full": "h", "domain-match-full": "h"}))
    assert first.value == pytest.approx(6 + 2 - -3, abs=0.5)  # of command-para alone: qqp, where mnli does not match
    assert domain.value == pytest.approx(1 + 1 - -3, abs=0.5)
    none = matched_evidence(left_out=list(product(MATCHED_CONDITIONS, ["command-para"]))
                            + [("qqp", "command-nli"), ("qqp-fresh", "command-nli")])  # fmt: skip
    (result,) = run_tests(TESTS, none, Rules({"task-match-full": "h"}))
    assert result.notes == ("no target has gains of pairs that match so and of pairs that do not match",)
    (result,) = run_tests(TESTS, matched_evidence(), Rules({"task-match-continued-minus-full": "h"}))
    assert (result.notes, result.expected) == (("no gains of continued",), 0)


def test_pairs_match_by_what_they_ask_and_of_which_texts():
    assert [find_match(pair) for pair in (("mnli", "command-nli"), ("para", "command-nli"), ("qa", "command-nli"))] == [
        (True, False), (False, True), None
    ]  # fmt: skip


def test_gains_by_match():
    table = tabulate_match_gains(matched_evidence(), RULES)
    assert table[["group", "scheme", "asks_the_same", "of_such_texts", "pairs"]].to_numpy().tolist() == [
        [f"{match}, {way}", scheme, asks, texts, 2]
        for match, asks, texts in (("differs in both", "no", "no"), ("asks the same", "yes", "no"),
                                   ("of the same texts", "no", "yes"), ("the same task", "yes", "yes"))
        for scheme, way in ((FULL, "fine-tuning"), ("fresh", "adapter, then a new one"))
    ]  # fmt: skip
    assert table["gain"].tolist() == pytest.approx([-0.5, -0.5, 5.5, 1.5, 3.5, 5.5, 9.5, 7.5], abs=0.5)
    languages = tabulate_match_language_gains(matched_evidence())
    means = languages.groupby("group", sort=False)["gain"].mean()
    assert means.to_dict() == pytest.approx(dict(zip(table["group"], table["gain"], strict=True)))
    nothing = gather(empty(), CONDITIONS, likeness(np.random.default_rng(0)))
    assert tabulate_match_gains(nothing, RULES).empty
    assert tabulate_match_language_gains(nothing).empty


def test_gains_by_match_are_said():
    rows = [("asks the same, fine-tuning", "yes", "no", 5.5, 4.0, 7.0),
            ("the same task, fine-tuning", "yes", "yes", 9, 8, 10),
            ("of the same texts, fine-tuning", "no", "yes", -1.0, -2.0, 0.5)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["group", "asks_the_same", "of_such_texts", "gain", "low", "high"])
    assert describe_matches(table) == (
        "Gain of intermediate training over pairs of two different tasks: asks the same, fine-tuning +5.5 points (+4.0 "
        "to +7.0); of the same texts, fine-tuning −1.0 points (−2.0 to +0.5)."
    )


# --- Permutations of tasks -------------------------------------------------------------------------------------------


def test_orders_keep_the_cells_that_are_used_in_place():
    joint = make_orders(DIAGONAL, 100, np.random.default_rng(0))
    assert (len(joint), joint.all) == (720, True)
    assert (joint.rows == joint.columns).all()  # pairs of the same task stay on the diagonal
    assert (joint.rows[0] == np.arange(6)).all()
    free = make_orders(np.ones((3, 4), dtype=bool), 100, np.random.default_rng(0))
    assert len(free) == 6 * 24
    assert len(np.unique(np.hstack([free.rows, free.columns]), axis=0)) == len(free)
    drawn = make_orders(np.ones((6, 6), dtype=bool), 50, np.random.default_rng(0))
    assert (len(drawn), drawn.all) == (51, False)
    assert (drawn.columns[0] == np.arange(6)).all()
    with pytest.raises(StiltsError, match="at most 8 on one side, not 9"):
        make_orders(np.ones((9, 9), dtype=bool), 50, np.random.default_rng(0))
    many = make_orders(np.ones((1, 66), dtype=bool), 50, np.random.default_rng(0))  # 66! has 64 twos: 0 in 64 bits
    assert (len(many), many.all) == (51, False)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**20 - 1))
def test_any_set_of_cells_is_kept(bits):
    used = (bits >> np.arange(20) & 1).astype(bool).reshape(5, 4)
    found = make_orders(used, 20, np.random.default_rng(0))
    assert (found.applied(used) == used).all()
    assert (found.rows[0] == np.arange(5)).all()
    assert (found.columns[0] == np.arange(4)).all()


def test_beyond_means_takes_off_what_rows_and_columns_say():
    generator = np.random.default_rng(0)
    left = generator.normal(size=(6, 6))
    additive = generator.normal(size=(6, 1)) + generator.normal(size=(1, 6))
    assert remove_means(additive, DIAGONAL) == pytest.approx(np.zeros((6, 6)), abs=1e-12)
    found = remove_means(left + additive, DIAGONAL)
    assert found == pytest.approx(remove_means(left, DIAGONAL), abs=1e-12)
    assert found.sum(axis=0) == pytest.approx(np.zeros(6), abs=1e-12)
    assert not found[~DIAGONAL].any()


def test_a_perfect_relation_is_found_and_its_interval_is_its_size():
    alike = np.random.default_rng(0).normal(size=(6, 6))
    over = make_orders(DIAGONAL, 100, np.random.default_rng(0))
    found = estimate_relation(5 * standardise_matrix(alike, DIAGONAL), alike, DIAGONAL, over)
    assert (found.value, found.r, found.low, found.high) == pytest.approx((5, 1, 5, 5))
    assert (found.p, found.cells, found.df) == (pytest.approx(1 / 720), 30, 18)
    with pytest.raises(StiltsError, match="without any variation"):
        estimate_relation(alike, np.ones((6, 6)), DIAGONAL, over)


def test_intervals_hold_the_true_size_as_often_as_they_say_and_agree_with_the_test():
    generator = np.random.default_rng(1)
    over = make_orders(DIAGONAL, 100, generator)
    covered = 0
    for _ in range(FAKES):
        alike = standardise_matrix(remove_means(generator.normal(size=(6, 6)), DIAGONAL), DIAGONAL)
        gain = remove_means(2 * alike + generator.normal(0, 3, (6, 6)), DIAGONAL)
        found = estimate_relation(gain, alike, DIAGONAL, over)
        covered += found.low <= 2 <= found.high
        assert (found.p > 0.05) == (found.low <= 0 <= found.high)
    assert FEWEST <= FAKES - covered <= MOST


def test_with_too_few_orders_an_interval_has_no_ends():
    used = np.ones((2, 3), dtype=bool)
    generator = np.random.default_rng(0)
    found = estimate_relation(*generator.normal(size=(2, 2, 3)), used, make_orders(used, 100, generator))
    assert (found.orders, found.low, found.high) == (12, -np.inf, np.inf)


# --- Evidence --------------------------------------------------------------------------------------------------------


def test_gains_are_over_the_baseline_of_the_same_phase_2_in_shared_languages():
    rows = [
        ("none", "slots", 50), ("none-fresh", "slots", 40), ("nli", "slots", 60), ("nli-then-full", "slots", 55),
        ("nli-continued", "slots", 47), ("nli-fresh", "slots", 41),
    ]  # fmt: skip
    table = pd.DataFrame(
        [(name, target, code, 1, score, 30.0) for name, target, score in rows for code in ("de", "en")]
        + [(name, "slots", "fr", 1, 99.0, 30.0) for name in ("none", "nli")],  # not tested with adapters
        columns=list(OUTCOME_COLUMNS),
    )
    found = gather(table, CONDITIONS, likeness(np.random.default_rng(0)))
    assert found.schemes == list(SCHEMES)
    gains = {scheme: found.gain(scheme, [("nli", "slots")])[1].to_dict() for scheme in SCHEMES}
    assert gains == {FULL: {"de": 10}, "then-full": {"de": 5}, "continued": {"de": 7}, "fresh": {"de": 1}}
    assert found.pairs == [("nli", "slots")]
    assert not is_same_task(["nli"], "slots")
    assert is_same_task(["slots", "squad"], "xquad")
    assert is_same_task(["squad.de"], "xquad")


def test_conditions_are_the_study_files():
    here = Checkout(ROOT)
    four = dict.fromkeys(("adapters", "adapters-pilot", "adapters-paper"), SCHEMES)
    for name, schemes in {"adapters-matched": (FULL, "fresh"), **four}.items():
        study = here.study(name)
        found = list_conditions(study)
        assert (found["none"], found["none-fresh"]) == ((FULL, None), ("fresh", None))
        tasks = {task for scheme, task in found.values() if scheme == "fresh" and task}
        assert {*product(schemes, tasks), (FULL, None), ("fresh", None)} <= set(found.values())
        chosen = MATCH_TESTS[:-1] if name == "adapters-matched" else CHOSEN
        assert set(study.question.tests) == set(chosen) <= TESTS.keys()


def test_nothing_recorded_gives_empty_tables_and_tests_without_numbers():
    found = gather(empty(), CONDITIONS, average_similarities([], Store(ROOT / "no-such-folder")))
    assert not any(result.known for result in run_tests(TESTS, found, RULES))
    for make in (
        tabulate_scheme_gains,
        tabulate_pair_gains,
        tabulate_agreement,
        tabulate_measures,
    ):
        assert make(found, RULES).empty, make
    assert tabulate_points_beyond_means(found).empty
    assert describe_schemes(tabulate_scheme_gains(found, RULES)) == "There is nothing to compare yet."
    assert describe_design(found) == "There are no gains yet."
    for figure in (
        draw_scheme_matrices(tabulate_pair_gains(found, RULES)),
        draw_similarity_scatter(tabulate_points_beyond_means(found)),
    ):
        assert figure.texts[0].get_text() == "nothing to compare yet"


def test_without_similarity_schemes_are_compared_all_the_same(evidence):
    found = gather(empty(), CONDITIONS, evidence.similarity.iloc[:0])
    some = replace(evidence, similarity=found.similarity)
    results = {result.test: result for result in run_tests(TESTS, some, RULES)}
    assert results["fresh-minus-full"].known
    assert results["similarity-full"].notes == ("similarity is not measured for every pair",)
    assert "combined" not in tabulate_pair_gains(some, RULES)


# --- Known effects ---------------------------------------------------------------------------------------------------


def test_known_effects_are_found_with_sign_and_size(evidence):
    found = {result.test: result for result in run_tests(TESTS, evidence, RULES)}
    truth = {"then-full-minus-full": -3, "fresh-minus-full": -2, "continued-minus-fresh": 0, "similarity-adapters": 6}
    for name, size in truth.items():
        assert found[name].value == pytest.approx(size, abs=1.3), name
    assert found["similarity-full"].value == pytest.approx(0, abs=1.5)
    assert found["similarity-adapters-minus-full"].value > 40
    table = tabulate_verdicts(list(found.values()), RULES).set_index("test")["verdict"]
    assert table[["similarity-adapters", "similarity-adapters-minus-full"]].tolist() == ["supported", "supported"]
    assert table["similarity-full"] != "yes"
    assert (found["similarity-adapters"].rows, found["similarity-adapters"].row_kind) == (30, "pair")


def test_without_an_effect_tests_are_positive_about_as_often_as_they_say():
    """The tasks differ in what they gain and the similarities differ too, but one says nothing of the other."""
    generator = np.random.default_rng(5)
    positive = dict.fromkeys(CHOSEN, 0)
    for _ in range(FAKES):
        alike = likeness(generator)
        for result in run_tests(TESTS, gather(scores(generator, alike), CONDITIONS, alike), RULES):
            positive[result.test] += result.p < 0.05
    assert all(count <= MOST for count in positive.values()), positive
    assert sum(positive.values()) / len(CHOSEN) >= FEWEST / 2, positive


def test_equal_pulls_are_no_difference():
    """Similarity predicts both alike: the test of the difference must stay quiet as often as it says."""
    generator = np.random.default_rng(6)
    over = make_orders(DIAGONAL, 100, generator)
    positive = 0
    for _ in range(FAKES):
        alike = standardise_matrix(remove_means(generator.normal(size=(6, 6)), DIAGONAL), DIAGONAL)
        both = [remove_means(2 * alike + generator.normal(0, 2, (6, 6)), DIAGONAL) for _ in range(2)]
        ones = [standardise_matrix(each, DIAGONAL) for each in both]
        positive += estimate_relation(ones[0] - ones[1], alike, DIAGONAL, over).p < 0.05
    assert positive <= MOST


# --- Tables ----------------------------------------------------------------------------------------------------------


def test_tables_hold_what_was_planted(evidence):
    table = tabulate_scheme_gains(evidence, RULES)
    assert table["group"].tolist() == list(SCHEMES)
    assert table["gain"].diff().iloc[1] == pytest.approx(-3, abs=1)
    assert "points (" in describe_schemes(table)
    pairs = tabulate_pair_gains(evidence, RULES)
    assert len(pairs) == 4 * 36
    assert pairs["same"].sum() == 4 * 6
    assert pairs.loc[pairs["same"], "combined"].isna().all()
    agreed = tabulate_agreement(evidence, RULES)
    assert agreed[["first", "second"]].to_numpy().tolist() == [["text", "fisher"], ["text", "gradient"],
                                                               ["fisher", "gradient"]]  # fmt: skip
    assert (agreed["rank"] > 0.6).all()
    assert (agreed["p"] < 0.05).all()
    assert describe_agreement(agreed).startswith("Over pairs of two tasks the measures correlate by rank: `text` and")
    measured = tabulate_measures(evidence, RULES)
    adapters = measured[(measured["group"] == "adapters") & ~measured["same_pairs"]]
    assert adapters["measure"].tolist() == ["combined", "text", "fisher", "gradient"]
    assert (adapters["slope"] > 3).all()
    assert set(measured["pairs"]) == {30, 36}
    assert "Of the same task twice, and left out of the tests: nli before command-nli" in describe_design(evidence)


def test_figures(evidence):
    figure = draw_scheme_matrices(tabulate_pair_gains(evidence, RULES))
    assert [axis.get_title() for axis in figure.axes[:4]] == list(SCHEMES)
    scatter = draw_similarity_scatter(tabulate_points_beyond_means(evidence))
    assert [axis.get_title() for axis in scatter.axes] == [FULL, "adapters"]
    matched = matched_evidence()
    table = tabulate_match_gains(matched, RULES)
    means = draw_group_gains(tabulate_match_language_gains(matched), table, "how the tasks match")
    assert [label.get_text() for label in means.axes[0].get_yticklabels()] == table["group"].tolist()


# --- From records ----------------------------------------------------------------------------------------------------


def test_from_records_to_the_answer(tmp_path, monkeypatch):
    tasks = ("nli", "qa", "slots")
    study = Study(
        name="lora", title="A faked study", encoder={"name": "multilingual-e5-small"}, seeds=(1, 2, 3),
        targets=["intent", "dates", "command-para"], measures={"similarity": {}},
        intermediates=[
            "none", *tasks, {"name": "none-fresh", "tasks": [], "adapters": "fresh"},
            *({"name": f"{task}-{scheme}", "tasks": [task], "adapters": scheme}
              for task in tasks for scheme in SCHEMES[1:]),
        ],
        question={"number": 4, "text": "?", "tests": dict(RULES.tests), "headline": CHOSEN[4], "resamples": 100},
    )  # fmt: skip
    for task in tasks:
        monkeypatch.setitem(faked_study.EFFECTS, task, 0.0)
        monkeypatch.setitem(faked_study.EFFECTS, f"{task}-then-full", 0.15)
    here = Checkout(tmp_path, runs=tmp_path / "runs")
    faked_study.write(here.store(), study, languages=("en", "de", "fi", "hi", "sw", "tr"))
    analysis = Analysis(here, study, tuple(here.store()), True, 100, 0)
    found = answer_question(Section(analysis, Rules.of(study.question)))
    results = {result.test: result for result in found.results}
    assert results["then-full-minus-full"].value == pytest.approx(15, abs=4)
    assert results["then-full-minus-full"].rows == 5
    assert results["continued-minus-fresh"].value == pytest.approx(0, abs=4)
    assert results["similarity-full"].method == "permutation of tasks, 36 orders"
    assert "allow no p-value below 0.028" in results["similarity-full"].notes[0]
    assert found.learned.effect == results["similarity-adapters"]
    assert found.evidence.measures == ["text", "fisher", "gradient"]
    assert found.learned.text.startswith(
        "Over pairs of two different tasks, in the 5 languages that all their targets have, the gain of intermediate "
    )


def test_items_that_languages_share_widen_the_interval_of_a_difference():
    """Redrawn test items move all languages alike, which their spread does not show."""
    generator = np.random.default_rng(3)
    alike = likeness(generator)
    table = scores(generator, alike)
    alone, wider = (
        TESTS["fresh-minus-full"].estimate(gather(table, CONDITIONS, alike, moved), Rules())
        for moved in (None, redraw(table, generator, spread=60.0))
    )
    assert wider.value == alone.value
    assert wider.high - wider.low > 2 * (alone.high - alone.low)
