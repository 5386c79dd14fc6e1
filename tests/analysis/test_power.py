"""What a question's tests can see, and how many seeds it takes to see the smallest effect that matters."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tiny_checkout import ENCODER, study_settings, write_checkout

from stilts.analysis.questions.crossed import estimate_effect, project
from stilts.analysis.questions.power import MOST_SEEDS, expect_hours_per_seed, reckon_power
from stilts.analysis.questions.testing import Result, Rules, make_untested, solve_for_power
from stilts.workspace.resolution import open_plan

RULES = Rules(tests={"first": "one", "second": "two"}, correction="none")
SEEDS = [1, 2, 3]


def table(rows: int = 12, by_row: float = 1.0, by_seed: float = 2.0, residual: float = 1.0) -> pd.DataFrame:
    """Return differences with these standard deviations between rows, between seeds and of both together."""
    generator = np.random.default_rng(0)
    parts = by_row * generator.normal(size=(rows, 1)), by_seed * generator.normal(size=(1, 3))
    values = sum(parts) + residual * generator.normal(size=(rows, 3))
    return pd.DataFrame(values, index=[f"l{number}" for number in range(rows)], columns=SEEDS)


def predictors(of: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"far": np.linspace(-1, 1, len(of))}, index=of.index)


TABLES = {
    "mean": estimate_effect(table(), RULES),
    "slope": estimate_effect(table(), RULES, predictors(table()), "far"),
    "redrawn": estimate_effect(
        table(), RULES, redrawn=table().dot(np.ones((3, 50))) + np.random.default_rng(1).normal(size=50)
    ),
    "one row": estimate_effect(table(rows=1), RULES),
    "seeds alone": estimate_effect(table(by_row=0.0, residual=0.1), RULES),
}


@pytest.mark.parametrize("result", TABLES.values(), ids=TABLES)
def test_the_seeds_at_hand_give_the_test_itself(result):
    variance, df = project(result.basis, len(SEEDS))
    assert (math.sqrt(variance), df) == pytest.approx((result.se, result.df))


@pytest.mark.parametrize("result", TABLES.values(), ids=TABLES)
def test_more_seeds_leave_what_rows_alone_bring(result):
    variances = [project(result.basis, seeds)[0] for seeds in (3, 6, 12, 10**9)]
    assert variances == sorted(variances, reverse=True)
    assert variances[0] - variances[1] == pytest.approx(2 * (variances[1] - variances[2]))
    assert variances[0] - variances[3] == pytest.approx(2 * (variances[0] - variances[1]))


def test_the_seeds_that_are_needed_are_the_fewest_that_see_enough():
    result = replace(estimate_effect(table(), RULES), test="first")
    rules = replace(RULES, smallest_effect=3.0)
    (found,) = reckon_power([result], rules, hours_per_seed=0.5)
    seen = [solve_for_power(*root(*project(result.basis, seeds))) for seeds in range(3, 40)]
    assert (found.test, found.unit, found.smallest_effect, found.seeds) == ("first", "points", 3.0, 3)
    assert found.detectable == pytest.approx(seen[0])
    assert found.seeds_needed == next(seeds for seeds, size in enumerate(seen, 3) if size <= 3.0) > 3
    assert (found.hours_more, found.note) == ((found.seeds_needed - 3) * 0.5, "")


def root(variance: float, df: float) -> tuple[float, float]:
    return math.sqrt(variance), df


def test_more_tests_together_need_more_seeds():
    first, second = (replace(estimate_effect(table(), RULES), test=name) for name in ("first", "second"))
    rules = Rules(RULES.tests, smallest_effect=3.0)
    (alone,) = reckon_power([first], rules, 1.0)
    assert reckon_power([first, second], rules, 1.0)[0].seeds_needed > alone.seeds_needed


def test_what_is_seen_already_needs_no_more():
    (found,) = reckon_power([estimate_effect(table(), RULES)], replace(RULES, smallest_effect=50.0), 1.0)
    assert (found.seeds_needed, found.hours_more, found.note) == (3, 0.0, "")


NOTES = {
    "rows": (
        estimate_effect(table(by_row=30.0), RULES),
        f"{MOST_SEEDS} seeds are not enough: the languages at hand spread too much",
    ),
    "floor": (
        replace(estimate_effect(table(), RULES), obstacle="the models score at the floor"),
        "no number of seeds is enough: the models score at the floor",
    ),
    "one seed": (estimate_effect(table()[[1]], RULES), "one seed shows no spread between seeds"),
    "other kind": (
        Result(1.0, -1.0, 3.0, 0.3, se=2.0, df=5.0, seeds=3),
        "the test is of a kind whose variance does not fall into parts",
    ),
    "unit": (Result(1.0, -1.0, 3.0, 0.3, seeds=3, unit="shares"), "the study does not say which effect matters"),
    "untested": (make_untested("nothing is recorded"), "nothing is recorded"),
}


@pytest.mark.parametrize("result, note", NOTES.values(), ids=NOTES)
def test_where_no_number_of_seeds_is_known_it_says_why(result, note):
    (found,) = reckon_power([result], RULES, 1.0)
    assert (found.seeds_needed, found.hours_more, found.note) == (None, None, note)


def test_one_seed_sees_nothing_that_can_be_told():
    one, three = (estimate_effect(part, RULES) for part in (table()[[1]], table()))
    found = reckon_power([one, three], RULES, 1.0)
    assert [math.isnan(each.detectable) for each in found] == [True, False]


def test_one_more_seed_takes_what_the_plan_expects(tmp_path):
    settings = study_settings(ENCODER, intermediates=["none", "nli"], targets=["intent", "ui-retrieval"], seeds=SEEDS)
    settings["data"] = {"suite": "pocket"}
    plan = open_plan(write_checkout(tmp_path / "checkout", settings), "tiny")
    # of each seed: an intermediate training, two of the target, two tests of it, and the retrieval of `nli`
    assert expect_hours_per_seed(plan) == pytest.approx((45 + 2 * 30 + 3 * 20) / 3600)
