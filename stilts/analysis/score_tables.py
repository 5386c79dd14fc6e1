"""Scores of a study by condition and target, and the difference between two of its conditions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stilts.analysis.conditions import is_same_task
from stilts.analysis.contrasts import average_weights, weigh_gain
from stilts.analysis.effects import estimate_contrast, find_targets
from stilts.analysis.opened import Analysis, sort_by_order
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE
from stilts.tasks.registry import TARGETS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Score:
    """The zero-shot score of a condition on a target.

    Attributes
    ----------
    condition, target : str
    score : float
        Percent; the mean over languages and seeds.
    languages, seeds : int
        How many of each the mean is over; a condition without any training has one seed.
    learned : bool
        Whether the target was learned in English, see `stilts.analysis.learning.RULE`.
    language : str or None
        The only language; None for the mean over all but English.
    fewer_seeds : bool
        Whether another condition has more seeds on the target, so that the two means are not of the same ones.
    """

    condition: str
    target: str
    score: float
    languages: int
    seeds: int
    learned: bool
    language: str | None = None
    fewer_seeds: bool = False


@dataclass(frozen=True)
class Difference:
    """How much two conditions differ on a target.

    Attributes
    ----------
    target : str or None
        None for a mean over targets that count under both conditions.
    first, second : float or None
        Scores in percent, averaged over languages other than English and the seeds that both have; None for a mean.
    difference, low, high : float
        First minus second with its 95 % interval, in points.
    p : float
        Two-sided, not corrected for the number of targets.
    targets, languages, seeds : int
        How many of each it rests on.
    learned : bool
        Whether both conditions have learned the target in English.
    same_task : bool
        Whether an intermediate task of one of the conditions is the target's own; of a mean, whether it has such a one.
    uncounted : str
        Why the target is in no mean; "" if it is.
    """

    target: str | None
    first: float | None
    second: float | None
    difference: float
    low: float
    high: float
    p: float
    targets: int
    languages: int
    seeds: int
    learned: bool
    same_task: bool = False
    uncounted: str = ""


def average_scores(analysis: Analysis, *, by_language: bool = False) -> list[Score]:
    """Return the scores of each condition and target: the mean over languages besides English, or each language's.

    Raises
    ------
    StiltsError
        If there is no score in a language other than English, and not each language's is asked for.
    """
    scores = analysis.scores
    if by_language:
        groups = _group(scores, ["condition", "target", "language"])
        return _finish(analysis, [_score(analysis, *key[:2], part, key[2]) for key, part in groups])
    others = scores[scores["language"] != SOURCE_LANGUAGE]
    if others.empty:
        raise StiltsError(
            f"study '{analysis.study}' has no score in a language other than English; `--by language` shows English"
        )
    return _finish(analysis, [_score(analysis, *key, part) for key, part in _group(others, ["condition", "target"])])


def _group(scores: "pd.DataFrame", columns: list[str]) -> Iterable[tuple[tuple[str, ...], "pd.DataFrame"]]:
    return scores.groupby(columns, sort=False)


def _score(analysis: Analysis, condition: str, target: str, part: "pd.DataFrame", language: str | None = None) -> Score:
    languages, seeds = part["language"].nunique(), part["seed"].nunique()
    learned = (condition, target) not in analysis.failed
    return Score(condition, target, float(part["score"].mean()), languages, seeds, learned, language)


def _finish(analysis: Analysis, scores: list[Score]) -> list[Score]:
    """Return scores with those of fewer seeds marked, ordered by condition, target and language's code."""
    most: dict[str, int] = {}
    for each in scores:
        most[each.target] = max(each.seeds, most.get(each.target, 0))
    scores = [replace(each, fewer_seeds=_varies(each) and each.seeds < most[each.target]) for each in scores]
    by_language = sorted(scores, key=lambda each: each.language or "")
    by_target = sort_by_order(by_language, TARGETS, lambda each: each.target)
    return sort_by_order(by_target, analysis.conditions, lambda each: each.condition)


def _varies(score: Score) -> bool:
    """Return whether a score depends on the seed: a target without training does not under the baseline."""
    return score.condition != BASELINE or TARGETS[score.target].trained


def compare_conditions(analysis: Analysis, first: str, second: str, target: str | None = None) -> list[Difference]:
    """Return the difference between two conditions on each target that both have, and then their mean.

    Intervals are those of the book: over languages, test items and seeds, see `stilts.analysis.estimates`. A mean is
    over the targets that count under both conditions; it is left out where fewer than two do. Where the intermediate
    task of a condition is a target's own, there is one more, over the other targets.

    Parameters
    ----------
    target : str, optional
        Compare on this target alone.

    Raises
    ------
    UnknownName
        If a condition, or the target, has no zero-shot records.
    StiltsError
        If the two conditions are the same, or have no target in common.
    """
    for name in (first, second):
        if name not in set(analysis.scores["condition"]):
            known = sort_by_order(set(analysis.scores["condition"]), analysis.conditions)
            raise UnknownName(f"condition with zero-shot records of study '{analysis.study}'", name, known)
    if first == second:
        raise StiltsError(f"both conditions are '{first}'; name two different ones")
    shared = find_targets(analysis.replicates, (first, second))
    if not shared:
        raise StiltsError(f"conditions '{first}' and '{second}' have no target in common")
    if target is not None and target not in shared:
        raise UnknownName(f"target that both '{first}' and '{second}' were tested on", target, shared)
    rows = [_difference(analysis, first, second, name) for name in shared if target in (None, name)]
    counted = [row for row in rows if not row.uncounted]
    others = [row for row in counted if not row.same_task]
    means = [counted] if len(others) == len(counted) else [counted, others]
    return [*rows, *(_mean(analysis, first, second, part) for part in means if len(part) > 1)]


def _difference(analysis: Analysis, first: str, second: str, target: str) -> Difference:
    part = analysis.replicates[target]
    seeds = part.shared_seeds((first, second))
    found = estimate_contrast(analysis.replicates, {target: weigh_gain(first, second)})
    cells = [(name, target) for name in (first, second)]
    tasks = [task for name in (first, second) for task in analysis.conditions.get(name, ())]
    return Difference(
        target, part.average(first, seeds), part.average(second, seeds), found.value, found.low, found.high, found.p, 1,
        len(part.others), found.seeds, not set(cells) & analysis.failed.keys(), is_same_task(tasks, target),
        next((analysis.uncounted[cell] for cell in cells if cell in analysis.uncounted), ""),
    )  # fmt: skip


def _mean(analysis: Analysis, first: str, second: str, rows: list[Difference]) -> Difference:
    targets = [str(row.target) for row in rows]
    found = estimate_contrast(analysis.replicates, average_weights(weigh_gain(first, second), targets))
    tested = [analysis.replicates[name] for name in targets]
    languages = {part.languages[place] for part in tested for place in part.others}
    return Difference(
        None, None, None, found.value, found.low, found.high, found.p, len(targets), len(languages), found.seeds, True,
        any(row.same_task for row in rows),
    )  # fmt: skip
