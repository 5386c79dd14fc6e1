"""The tests of a question: the rules by which they are done, their results, and what a design could have seen.

A question's tests stand in its study file. Each gives an effect with its standard error; `stilts.analysis.verdicts`
judges all the tests of the file together. Intervals are each test's own, not corrected.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from stilts.analysis.estimates import Estimate
from stilts.analysis.questions.evidence import Level
from stilts.analysis.verdicts import Hypothesis, Kind, Measurement, explain_no_room, judge
from stilts.analysis.wording import count, join_names
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import QuestionSettings

POINTS = "points"
POWER = 0.8  # of four of five tries
QUANTILES = 2000  # of the estimated standard error


@dataclass(frozen=True)
class Rules:
    """By which rules a question's tests are done and judged.

    Attributes
    ----------
    tests : dict
        Test id -> hypothesis in words.
    level : float
        Of intervals; one minus the size of the tests together.
    correction : str
        `holm`, or `none`.
    resamples, seed : int
        Replicates of a bootstrap or a permutation test, and the state that draws them.
    smallest_effect : float
        In points: an effect below it does not matter.
    """

    tests: Mapping[str, str] = field(default_factory=dict)
    level: float = 0.95
    resamples: int = 2000
    seed: int = 0
    smallest_effect: float = 2.0
    correction: str = "holm"

    @classmethod
    def of(cls, question: QuestionSettings, seed: int = 0) -> "Rules":
        """Return the rules that a study file's block `question` states; `seed` is the generator's state."""
        return cls(
            dict(question.tests), question.level, question.resamples, seed, question.smallest_effect,
            question.correction,
        )  # fmt: skip

    @property
    def corrects(self) -> bool:
        """Whether p-values are corrected for the number of tests."""
        return self.correction == "holm"

    def together(self, tests: int) -> int:
        """Return how many of so many tests p-values are corrected for: all of them, or 1 without correction."""
        return max(tests, 1) if self.corrects else 1

    def generator(self) -> np.random.Generator:
        """Return a fresh random generator; each starts in the same state."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Result(Estimate):
    """The outcome of one test: an effect, in `unit`, whose p-value is two-sided and before any correction.

    All numbers are missing (NaN) where the records do not allow the test; `se` and `df` are so, too, where it has no
    power note. A permutation test has them for that note and for bounds other than zero, see
    `stilts.analysis.questions.permutations.Relation`.

    Attributes
    ----------
    rows : int
        Languages (or what else `row_kind` says) behind it.
    test, hypothesis, effect : str
        Filled in by `run_tests`: the test's id, what the study's file says, and what the number is (`Test.effect`).
    unit : str
    row_kind : str
        What the rows are, in the singular.
    expected : int
        Sign of the effect that the hypothesis says: 1, -1, or 0 for either.
    smallest_effect : float or None
        In the result's unit, where that is not points.
    is_t_test : bool
        Whether the p-value is that of a t-test by `se` and `df`; if not, it stands by itself, as a permutation test's.
    method : str
        How it was tested, in a few words.
    notes : tuple of str
        What a reader must know: cells left out, what the interval does not cover, why there is no estimate.
    obstacle : str
        Why the effect, though it has numbers, cannot test the hypothesis: a floor, a ceiling, nothing learned.
    basis : object
        What `stilts.analysis.questions.crossed.tabulate_checks` computes the effect from again by other methods; None
        where there is none.
    """

    rows: int = 0
    test: str = ""
    hypothesis: str = ""
    effect: str = ""
    unit: str = POINTS
    row_kind: str = "language"
    expected: int = 0
    smallest_effect: float | None = None
    is_t_test: bool = False
    method: str = ""
    notes: tuple[str, ...] = ()
    obstacle: str = ""
    basis: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, found: Estimate, rows: int, **more: Any) -> "Result":
        """Return an estimate from so many rows as the result of a test; `more` are the other attributes."""
        return cls(found.value, found.low, found.high, found.p, found.se, found.df, found.seeds, rows, **more)

    @property
    def known(self) -> bool:
        """Whether the records allowed the test."""
        return not np.isnan(self.value)

    @property
    def based_on(self) -> str:
        """How many languages (or other rows) and seeds it rests on: "43 languages, 3 seeds"."""
        return f"{count(self.rows, self.row_kind)}, {count(self.seeds, 'seed')}"

    def __str__(self) -> str:
        return super().__str__() if self.known else "not tested"


@dataclass(frozen=True)
class Test:
    """A test of a question.

    Attributes
    ----------
    effect : str
        What its number is, in words, so that a reader can tell its sign: "English last minus English first".
    estimate : callable
        From the question's evidence and the rules, the result.
    """

    effect: str
    estimate: Callable[[Any, Rules], Result]


def make_untested(reason: str, unit: str = POINTS, expected: int = 0) -> Result:
    """Return the result of a test that the records do not allow, with the reason."""
    return Result(*4 * (float("nan"),), seeds=0, unit=unit, expected=expected, notes=(reason,))


def make_unrecorded(conditions: Sequence[str], expected: int = 0) -> Result:
    """Return the result of a test for which these conditions lack scores."""
    return make_untested(f"no score that counts is recorded of {join_names(conditions)}", expected=expected)


def note_sources(names: str) -> tuple[str]:
    """Return the note of a test that is of these source languages, which were chosen and not drawn."""
    return (f"the interval is of the source languages at hand ({names}) and says nothing of others",)


def add_obstacle(result: Result, rules: Rules, level: Level | None) -> Result:
    """Return a result with the obstacle, where it has none, that its effect has no room between floor and ceiling."""
    if level is None or result.obstacle or not result.unit.startswith(POINTS):
        return result
    return replace(result, obstacle=explain_no_room(_hypothesis(result, rules), level.score, level.guessed))


def run_tests(tests: Mapping[str, Test], evidence: Any, rules: Rules) -> list[Result]:
    """Return the results of exactly the tests that the rules name, in their order.

    Raises
    ------
    UnknownName
        If the study file names a test that the question's module does not have.
    """
    results = []
    for name, hypothesis in rules.tests.items():
        if name not in tests:
            raise UnknownName("test of the question", name, tests)
        found = tests[name].estimate(evidence, rules)
        results.append(replace(found, test=name, hypothesis=hypothesis, effect=tests[name].effect))
    return results


def find_smallest_effect(result: Result, rules: Rules) -> float | None:
    """Return the smallest effect that matters in the result's unit, None where nothing says it."""
    if result.smallest_effect is not None:
        return result.smallest_effect
    return rules.smallest_effect if result.unit.startswith(POINTS) else None


def tabulate_verdicts(results: Sequence[Result], rules: Rules) -> pd.DataFrame:
    """Return one row for each test, judged together with the others, and the power note.

    Returns
    -------
    DataFrame
        test, hypothesis, asks (as `stilts.analysis.verdicts.Kind`), effect (what the number is), estimate, low, high,
        unit, p, p_holm (of the decision that comes closest, corrected), verdict, reason, based on, detectable (the
        effect that this design would find with 80 percent power; missing for a test that could not be made), smallest
        effect, method. A test that the records do not allow has no numbers, and no part in the correction.
    """
    pairs = [(_hypothesis(each, rules), _measurement(each, rules)) for each in results]
    judged = judge(pairs, rules.level, rules.corrects)
    together = rules.together(sum(not measured.obstacle for _, measured in pairs))
    rows = [
        {"test": result.test, "hypothesis": result.hypothesis, "asks": str(hypothesis.kind), "effect": result.effect}
        | {"unit": result.unit, "method": result.method}
        | result.row("estimate")
        | {"p_holm": judgement.p, "verdict": str(judgement.verdict), "reason": judgement.reason}
        | {"based on": result.based_on}
        | {"detectable": np.nan if measured.obstacle else find_detectable_effect(result, rules, together)}
        | {"smallest effect": find_smallest_effect(result, rules)}
        for result, (hypothesis, measured), judgement in zip(results, pairs, judged, strict=True)
    ]
    columns = ["test", "hypothesis", "asks", "effect", "estimate", "low", "high", "unit", "p", "p_holm", "verdict",
               "reason", "based on", "detectable", "smallest effect", "method"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype({"smallest effect": float})


def _hypothesis(result: Result, rules: Rules) -> Hypothesis:
    kind = {1: Kind.ABOVE, -1: Kind.BELOW, 0: Kind.DIFFERS}[result.expected]
    return Hypothesis(kind, find_smallest_effect(result, rules))


def _measurement(result: Result, rules: Rules) -> Measurement:
    """Return a result as it is judged; one without a standard error by the normal distribution of its interval."""
    se, df = result.se, result.df
    if np.isnan(se):
        se, df = (result.high - result.low) / (2 * NormalDist().inv_cdf((1 + rules.level) / 2)), float("inf")
    unknown = "" if result.known else "; ".join(result.notes) or "the records do not allow the test"
    if result.known and not np.isfinite([result.low, result.high]).all():
        unknown = f"{result.based_on} allow no interval"
    p = None if result.is_t_test or not result.known else result.p
    return Measurement(result.value, se, df, result.seeds, unknown or result.obstacle, p=p)


def find_detectable_effect(result: Result, rules: Rules, together: int) -> float:
    """Return the effect that the test's design finds with 80 percent power after correction.

    NaN without a standard error, and with one seed, whose standard error has nothing of the spread between seeds in it.
    For a permutation test it is what a t-test by the test's standard error and degrees of freedom would find.

    Parameters
    ----------
    together : int
        Of the tests that could be made, as `Rules.together` returns it.
    """
    if np.isnan(result.se) or np.isnan(result.df) or result.seeds == 1:
        return float("nan")
    return solve_for_power(result.se, result.df, rules.level, together)


def solve_for_power(se: float, df: float, level: float = 0.95, tests: int = 1, power: float = POWER) -> float:
    """Return the smallest true effect that a two-sided t-test finds with so much power, in the unit of `se`.

    Assumes that the observed standard error is the true one, and that of
    several tests this one has to pass the strictest step of Holm's correction.

    Parameters
    ----------
    se, df : float
        Standard error of the estimate and degrees of freedom of its t reference.
    level : float
        One minus the size of the test.
    tests : int
        Tests that Holm's correction is for.

    Raises
    ------
    StiltsError
        If `se` is negative or `df` is not above zero.
    """
    if se < 0 or df <= 0:
        raise StiltsError(f"power: needs a standard error of 0 or more and degrees of freedom above 0, got {se}, {df}")
    critical = stats.t.isf((1 - level) / tests / 2, df)
    size = optimize.brentq(lambda size: compute_power(size, df, critical) - power, 0, 2 * critical + 10)
    return float(size * se)


def compute_power(size: float, df: float, critical: float) -> float:
    """Return the chance that |t| exceeds a critical value when the true effect is `size` standard errors.

    The normal distribution's chance, averaged over the quantiles of the estimated standard error: scipy's noncentral t
    has no value for some large sizes.
    """
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    bounds = critical * np.sqrt(stats.chi2.ppf(shares, df) / df)
    return float((stats.norm.sf(bounds - size) + stats.norm.cdf(-bounds - size)).mean())
