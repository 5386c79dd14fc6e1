"""The tests of question 4: differences of schemes, and what similarity of tasks brings, by permutation of tasks."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from stilts.analysis.questions.adapters import COMBINED, FULL, GROUPS, SCHEMES, Evidence, Pair
from stilts.analysis.questions.crossed import effect_of
from stilts.analysis.questions.permutations import Orders, Relation, beyond_means, orders, relation, standardised
from stilts.analysis.questions.testing import Result, Rules, Test, untested

SLOPE_UNIT = "points for a standard deviation of similarity"
CORRELATION_UNIT = "hundredths of a correlation"
SMALLEST_CORRELATION = 30.0  # hundredths: a medium one by Cohen (1988)


def scheme_difference(evidence: Evidence, rules: Rules, first: str, second: str) -> Result:
    """Return how much more the first scheme gains than the second, mean over pairs of two tasks."""
    missing = [name for name in (*GROUPS[first], *GROUPS[second]) if name not in evidence.schemes]
    if missing or not evidence.different:
        return untested(f"no gains of {' and '.join(missing)}" if missing else "no pair of two tasks has gains")
    pairs = evidence.different
    return effect_of(evidence, lambda found: found.gain(first, pairs) - found.gain(second, pairs), rules)


def mean_gain(evidence: Evidence, rules: Rules, group: str, pairs: Sequence[Pair]) -> Result:
    """Return a group's gain, mean over its schemes and over pairs."""
    return effect_of(evidence, lambda found: found.gain(group, pairs), rules)


def similarity_slope(
    evidence: Evidence, rules: Rules, group: str, measure: str = COMBINED, with_same: bool = False
) -> Result:
    """Return what a standard deviation of similarity beyond the means of tasks brings, by permutation of tasks."""
    if reason := why_too_few(evidence, GROUPS[group], measure):
        return untested(reason, SLOPE_UNIT, expected=1)
    used = evidence.used(with_same)
    found = relation_to(evidence, rules, beyond_means(evidence.matrix(group), used), measure, with_same)
    return _as_result(found, evidence, rules, SLOPE_UNIT)


def similarity_difference(evidence: Evidence, rules: Rules, first: str, second: str) -> Result:
    """Return by how much the first group's correlation with similarity exceeds the second's, in hundredths.

    Both gains are scaled to standard deviation 1, so that the slope of their difference is the difference of the two
    correlations; the tasks of the similarity are permuted for both at once.
    """
    if reason := why_too_few(evidence, (*GROUPS[first], *GROUPS[second]), COMBINED):
        return untested(reason, CORRELATION_UNIT, expected=1)
    used = evidence.used()
    ones = [standardised(beyond_means(evidence.matrix(group), used), used) for group in (first, second)]
    found = relation_to(evidence, rules, 100 * (ones[0] - ones[1]), COMBINED, False)
    return _as_result(found, evidence, rules, CORRELATION_UNIT, SMALLEST_CORRELATION)


def why_too_few(evidence: Evidence, schemes: Sequence[str], measure: str) -> str:
    """Return why similarity cannot be tested, "" if it can."""
    if missing := [name for name in schemes if name not in evidence.schemes]:
        return f"no gains of {' and '.join(missing)}"
    if not (evidence.measures if measure == COMBINED else measure in evidence.measures):
        return "similarity is not measured for every pair"
    free = int(evidence.used().sum()) - len(evidence.intermediates) - len(evidence.targets)
    if free < 1:
        return f"{len(evidence.different)} pairs are too few beside the means of their tasks"
    return ""


def relation_to(evidence: Evidence, rules: Rules, left: np.ndarray, measure: str, with_same: bool) -> Relation:
    """Return how a matrix of gains goes with a measure, among all orders of the tasks."""
    used = evidence.used(with_same)
    over = orders_of(evidence, rules, with_same)
    return relation(left, beyond_means(evidence.alike(measure, with_same), used), used, over, rules.level)


def orders_of(evidence: Evidence, rules: Rules, with_same: bool = False) -> Orders:
    """Return the orders of tasks that the permutation tests are over."""
    used = evidence.used(with_same)
    return _orders(used.tobytes(), used.shape, rules.resamples, rules.seed)


@lru_cache(maxsize=8)
def _orders(used: bytes, shape: tuple[int, int], draws: int, seed: int) -> Orders:
    cells = np.frombuffer(used, dtype=bool).reshape(shape)
    return orders(cells, draws, np.random.default_rng(seed))


def _as_result(
    found: Relation, evidence: Evidence, rules: Rules, unit: str, smallest: float | None = None
) -> Result:
    """Return a relation as the result of a test, with a power note where the orders allow a verdict at all."""
    coarse = 1 / found.orders >= (1 - rules.level) / rules.together(len(rules.tests))
    notes = (
        f"the {found.orders} orders of so few tasks allow no p-value below {1 / found.orders:.3f}, which the "
        "correction for all tests asks for",
    )
    return Result(
        found.slope,
        found.low,
        found.high,
        found.p,
        *(2 * (float("nan"),) if coarse else (found.se, found.df)),
        len(evidence.seeds),
        found.cells,
        unit=unit,
        row_kind="pair",
        expected=1,
        smallest_effect=smallest,
        method=f"permutation of tasks, {found.orders} orders",
        notes=notes if coarse else (),
    )


def _difference_test(first: str, second: str) -> Test:
    return lambda evidence, rules: scheme_difference(evidence, rules, first, second)


def _slope_test(group: str) -> Test:
    return lambda evidence, rules: similarity_slope(evidence, rules, group)


TESTS: dict[str, Test] = {
    **{
        f"{first}-minus-{second}": _difference_test(first, second)
        for place, second in enumerate(SCHEMES)
        for first in SCHEMES[place + 1 :]
    },
    "continued-minus-fresh": _difference_test("continued", "fresh"),
    **{f"similarity-{group}": _slope_test(group) for group in GROUPS},
    "similarity-adapters-minus-full": lambda evidence, rules: similarity_difference(evidence, rules, "adapters", FULL),
}
"""`<scheme>-minus-<scheme>`: mean gains; `similarity-<scheme or adapters>`; and the difference of two correlations."""
