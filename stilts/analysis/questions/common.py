"""What the five questions share: the table of outcomes, the result of a test, and the table of tests with verdicts.

How a verdict is reached
------------------------
A question's tests stand in its study file. Each gives an effect with its standard error; `stilts.analysis.verdicts`
judges all the tests of the file together. Intervals are each test's own, not corrected.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.estimates import Estimate
from stilts.analysis.opened import Analysis
from stilts.analysis.verdicts import Hypothesis, Kind, Measurement, Verdict, judge, no_room
from stilts.analysis.wording import count, in_words, p_text
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record, tidy
from stilts.study.settings import SOURCE_LANGUAGE, QuestionSettings, Study
from stilts.tasks.registry import TARGETS
from stilts.workspace.checkout import workspace
from stilts.workspace.notebooks.markup import plain

POINTS = "points"
POWER = 0.8  # of four of five tries
QUANTILES = 2000  # of the estimated standard error
REDRAWN = 400  # draws of test items that tell how alike they move the rows of a table
OUTCOME_COLUMNS = ("condition", "target", "language", "seed", "score", "n")


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

    @property
    def tests_together(self) -> int:
        """Number of tests that p-values are corrected for: 1 without correction."""
        return max(len(self.tests), 1) if self.corrects else 1

    def generator(self) -> np.random.Generator:
        """Return a fresh random generator; each starts in the same state."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class Result(Estimate):
    """The outcome of one test: an effect, in `unit`, whose p-value is two-sided and before any correction.

    All numbers are missing (NaN) where the records do not allow the test; `se` and `df` are so for a test of another
    kind than a t-test, which has no power note.

    Attributes
    ----------
    rows : int
        Languages (or what else `row_kind` says) behind it.
    test, hypothesis : str
        Filled in by `run_tests`.
    unit : str
    row_kind : str
        What the rows are, in the singular.
    expected : int
        Sign of the effect that the hypothesis says: 1, -1, or 0 for either.
    smallest_effect : float or None
        In the result's unit, where that is not points.
    method : str
        How it was tested, in a few words.
    notes : tuple of str
        What a reader must know: cells left out, what the interval does not cover, why there is no estimate.
    obstacle : str
        Why the effect, though it has numbers, cannot test the hypothesis: a floor, a ceiling, nothing learned.
    basis : object
        What `stilts.analysis.questions.crossed.checks` computes the effect from again by other methods; None where
        there is none.
    """

    rows: int = 0
    test: str = ""
    hypothesis: str = ""
    unit: str = POINTS
    row_kind: str = "language"
    expected: int = 0
    smallest_effect: float | None = None
    method: str = ""
    notes: tuple[str, ...] = ()
    obstacle: str = ""
    basis: Any = field(default=None, repr=False, compare=False)

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


Test = Callable[[Any, Rules], Result]
"""A test of a question: its evidence and the rules -> the result."""


def untested(reason: str, unit: str = POINTS, expected: int = 0) -> Result:
    """Return the result of a test that the records do not allow, with the reason."""
    return Result(*4 * (float("nan"),), seeds=0, unit=unit, expected=expected, notes=(reason,))


def study_with_question(name: str) -> Study:
    """Return a study; StiltsError if its file has no block `question`, UnknownName if there is none of that name."""
    settings = workspace().study(name)
    if settings.question is None:
        raise StiltsError(f"study '{name}' has no question: its file lacks the block `question` with its tests")
    return settings


def outcomes(records: Iterable[Record]) -> pd.DataFrame:
    """Return the zero-shot scores of records: condition, target, language, seed, score (percent) and n (examples)."""
    table = tidy(records)[list(OUTCOME_COLUMNS)]
    return table.astype({"seed": int, "score": float, "n": float}).reset_index(drop=True)


def redrawn_outcomes(
    table: pd.DataFrame, analysis: Analysis, *, against_english: bool = False
) -> pd.DataFrame | None:
    """Return outcomes as they would be with other test items, where rows of a table share these.

    Items that are translations of one another are drawn together for all languages; and where every row is measured
    against English, the items of English are shared by all. What no two rows share stays as it is: its noise is in what
    sets the rows apart.

    Parameters
    ----------
    table : DataFrame
        As `outcomes` returns it.
    analysis : Analysis
        Of the same records.
    against_english : bool
        Whether rows are gaps to English.

    Returns
    -------
    DataFrame or None
        condition, target, language, seed (the number of the draw), score (mean over the seeds of the condition); None
        where no items are shared.
    """
    kept = table[["condition", "target", "language"]].drop_duplicates()
    targets = list(kept["target"].unique())
    parallel = [target for target in targets if TARGETS[target].parallel]  # of others no replicates are needed
    if not targets or not (against_english or any(analysis.replicates[target].shares_items for target in parallel)):
        return None
    drawn = [_redrawn(analysis.replicates[target], against_english) for target in targets]
    return kept.merge(pd.concat(drawn), on=["condition", "target", "language"])


def _redrawn(part: Replicates, against_english: bool) -> pd.DataFrame:
    shared = [part.shares_items or against_english and name == SOURCE_LANGUAGE for name in part.languages]
    scores = np.where(np.array(shared)[:, None], part.items[:REDRAWN], part.scores)
    axes = [range(1, len(scores) + 1), part.languages, part.conditions]
    index = pd.MultiIndex.from_product(axes, names=["seed", "language", "condition"])
    return pd.DataFrame({"score": scores.ravel()}, index=index).reset_index().assign(target=part.target)


def sources_note(names: str) -> tuple[str]:
    """Return the note of a test that is of these source languages, which were chosen and not drawn."""
    return (f"the interval is of the source languages at hand ({names}) and says nothing of others",)


def with_redrawn_scores(evidence: Any, analysis: Analysis) -> Any:
    """Return evidence that has a table `scores`, with the same of redrawn items as its `redrawn`."""
    drawn = redrawn_outcomes(evidence.scores, analysis)
    return evidence if drawn is None else replace(evidence, redrawn=replace(evidence, scores=drawn))


def learned_outcomes(records: Collection[Record], failed: Collection[tuple[str, str]]) -> pd.DataFrame:
    """Return the `outcomes` of records, without the conditions and targets of the cells that were not learned."""
    table = outcomes(records)
    kept = [pair not in failed for pair in zip(table["condition"], table["target"], strict=True)]
    return table.loc[kept].reset_index(drop=True)


@dataclass(frozen=True)
class Level:
    """What models score before what a question is about, and what guessing would, in percent."""

    score: float
    guessed: float


def level_of(table: pd.DataFrame, baselines: Sequence[str], floors: Mapping[str, float]) -> Level | None:
    """Return the level of conditions in languages other than English, mean over targets; None without their scores.

    Parameters
    ----------
    table : DataFrame
        As `outcomes` returns it.
    floors : mapping
        Target -> what guessing scores; 0 where it is not named.
    """
    rows = table[table["condition"].isin(list(baselines)) & (table["language"] != SOURCE_LANGUAGE)]
    by_target = rows.groupby("target")["score"].mean()
    if by_target.empty:
        return None
    return Level(float(by_target.mean()), float(np.mean([floors.get(str(target), 0.0) for target in by_target.index])))


def with_room(result: Result, rules: Rules, level: Level | None) -> Result:
    """Return a result with the obstacle, where it has none, that its effect has no room between floor and ceiling."""
    if level is None or result.obstacle or not result.unit.startswith(POINTS):
        return result
    return replace(result, obstacle=no_room(_hypothesis(result, rules), level.score, level.guessed))


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
        results.append(replace(tests[name](evidence, rules), test=name, hypothesis=hypothesis))
    return results


def smallest_effect(result: Result, rules: Rules) -> float | None:
    """Return the smallest effect that matters in the result's unit, None where nothing says it."""
    if result.smallest_effect is not None:
        return result.smallest_effect
    return rules.smallest_effect if result.unit.startswith(POINTS) else None


def verdicts(results: Sequence[Result], rules: Rules) -> pd.DataFrame:
    """Return one row for each test, judged together with the others, and the power note.

    Returns
    -------
    DataFrame
        test, hypothesis, estimate, low, high, unit, p, p_holm (of the decision that comes closest, corrected), verdict,
        reason, based on, detectable (the effect that this design would find in four of five tries), smallest effect,
        method. A test that the records do not allow has no numbers, and no part in the correction.
    """
    judged = judge([(_hypothesis(each, rules), _measurement(each)) for each in results], rules.level, rules.corrects)
    together = judged_together(results, rules)
    rows = [
        {"test": result.test, "hypothesis": result.hypothesis, "unit": result.unit, "method": result.method}
        | result.row("estimate")
        | {"p_holm": judgement.p, "verdict": str(judgement.verdict), "reason": judgement.reason}
        | {"based on": result.based_on, "detectable": detectable(result, rules, together)}
        | {"smallest effect": smallest_effect(result, rules)}
        for result, judgement in zip(results, judged, strict=True)
    ]
    columns = ["test", "hypothesis", "estimate", "low", "high", "unit", "p", "p_holm", "verdict", "reason", "based on",
               "detectable", "smallest effect", "method"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype({"smallest effect": float})


def _hypothesis(result: Result, rules: Rules) -> Hypothesis:
    kind = {1: Kind.ABOVE, -1: Kind.BELOW, 0: Kind.DIFFERS}[result.expected]
    return Hypothesis(kind, smallest_effect(result, rules))


def _measurement(result: Result) -> Measurement:
    """Return a result as it is judged; one of no t-test by the normal distribution that its interval implies."""
    se, df, is_t_test = result.se, result.df, result.basis is not None
    if np.isnan(se):
        se, df = (result.high - result.low) / (2 * NormalDist().inv_cdf(0.975)), float("inf")
    unknown = "" if result.known else "; ".join(result.notes) or "the records do not allow the test"
    if result.known and not np.isfinite([result.low, result.high]).all():
        unknown = f"{result.based_on} allow no interval"
    p = None if is_t_test or not result.known else result.p
    return Measurement(result.value, se, df, result.seeds, unknown or result.obstacle, p=p)


def judged_together(results: Sequence[Result], rules: Rules) -> int:
    """Return the number of tests that p-values are corrected for: those that could be made; 1 without correction."""
    made = [result for result in results if not _measurement(result).obstacle]
    return max(len(made), 1) if rules.corrects else 1


def detectable(result: Result, rules: Rules, together: int) -> float:
    """Return the effect that the test's design finds with 80 percent power after correction; NaN without a t-test.

    Parameters
    ----------
    together : int
        As `judged_together` returns it.
    """
    if np.isnan(result.se) or np.isnan(result.df):
        return float("nan")
    return detectable_effect(result.se, result.df, rules.level, together)


def power_note(results: Sequence[Result], rules: Rules) -> str:
    """Say of each test which effect its design could have seen, beside the smallest one that matters."""
    lines, together = [], judged_together(results, rules)
    for result in results:
        seen, smallest = detectable(result, rules, together), smallest_effect(result, rules)
        if np.isnan(seen):
            lines.append(f"- `{result.test}`: no power can be reckoned for it.")
            continue
        line = f"- `{result.test}` would find an effect of {seen:.1f} {result.unit} in four of five tries"
        if smallest is not None:
            fine = "fine enough" if seen <= smallest else "too coarse"
            line += f": {fine} for {smallest:.1f}, the smallest that matters"
        lines.append(line + ".")
    if not lines:
        return "No test was chosen."
    lines.append(
        "\nThis takes the observed spread over languages and seeds for the true one, and the strictest step of the "
        f"correction for the {count(together, 'test')} that could be made."
    )
    return "\n".join(lines)


def caveats(results: Sequence[Result]) -> str:
    """Say what the tests left out or do not cover, each note once with the tests that it is of."""
    tests: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            tests.setdefault(note, []).append(f"`{result.test}`")
    return "\n".join(f"- {', '.join(names)}: {note}." for note, names in tests.items()) or "Nothing was left out."


def answers(table: pd.DataFrame) -> str:
    """Say of each row of `verdicts` its hypothesis, effect, corrected p-value and verdict.

    A reason for which none of the tests could be made is said once, before them.
    """
    reason, rows = shared_obstacle(table), table.to_dict("records")
    if reason:
        said = [f"- *{row['hypothesis']}* {effect}".rstrip() for row in rows for effect in [_effect(row)]]
        return "\n".join([f"None of the {len(rows)} tests could be made: {reason}.", "", *said])
    return "\n".join(f"- {_answer(row)}" for row in rows) or "No test was chosen."


def shared_obstacle(table: pd.DataFrame) -> str:
    """Return the reason for which none of several tests could be made, "" where one could or reasons differ."""
    if len(table) > 1 and set(table["verdict"]) == {Verdict.UNTESTABLE} and table["reason"].nunique() == 1:
        return str(table["reason"].iloc[0])
    return ""


def _answer(row: Mapping[str, Any]) -> str:
    start = f"*{plain(row['hypothesis'])}* **{row['verdict'].capitalize()}**"
    if np.isnan(row["estimate"]):
        return f"{start}: {row['reason']}."
    return f"{start}: {_effect(row)}; {row['reason']}."


def _effect(row: Mapping[str, Any]) -> str:
    """Say an effect and what it is from, "" where there is none."""
    return "" if np.isnan(row["estimate"]) else f"{_corrected(row)}, from {row['based on']}"


def _corrected(row: Mapping[str, Any]) -> str:
    said = in_words(row["estimate"], row["low"], row["high"], row["unit"])
    return said if np.isnan(row["p_holm"]) else f"{said}, corrected p {p_text(row['p_holm'])}"


def effect_text(row: Mapping[str, Any]) -> str:
    """Say the effect of a row of `verdicts` with its interval, and why the verdict is what it is."""
    return f"{_corrected(row)}; {row['reason']}"


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return `verdicts` for readers: p-values that are not zero; without the hypotheses, which `answers` has."""
    columns = ["test", "estimate", "low", "high", "unit", "verdict", "based on", "detectable", "smallest effect"]
    found = table[columns].copy()
    for place, (name, title) in enumerate((("p", "p"), ("p_holm", "p (corrected)"))):
        found.insert(5 + place, title, [p_text(value) for value in table[name]])
    return found


def detectable_effect(se: float, df: float, level: float = 0.95, tests: int = 1, power: float = POWER) -> float:
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
    size = optimize.brentq(lambda size: achieved_power(size, df, critical) - power, 0, 2 * critical + 10)
    return float(size * se)


def achieved_power(size: float, df: float, critical: float) -> float:
    """Return the chance that |t| exceeds a critical value when the true effect is `size` standard errors.

    The normal distribution's chance, averaged over the quantiles of the estimated standard error: scipy's noncentral t
    has no value for some large sizes.
    """
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    bounds = critical * np.sqrt(stats.chi2.ppf(shares, df) / df)
    return float((stats.norm.sf(bounds - size) + stats.norm.cdf(-bounds - size)).mean())
