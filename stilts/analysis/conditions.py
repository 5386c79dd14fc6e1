"""Kinds of intermediate conditions: conditions of English tasks, their counterparts, and comparisons between them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.contrasts import Weights, add_weights, average_weights, weigh_evenly, weigh_gain
from stilts.analysis.effects import estimate_contrast, find_targets
from stilts.analysis.estimates import correct_by_holm
from stilts.study.settings import strip_language
from stilts.tasks.registry import INTERMEDIATES, MULTI, TARGETS

if TYPE_CHECKING:
    import pandas as pd

LANGUAGE_MODEL = "mlm"
MIXED, TRANSLATED = "multilingual language modelling mixed in", "data in other languages"
Tasks = Mapping[str, tuple[str, ...]]
"""Condition -> its intermediate tasks, as in `Analysis.conditions`."""


@dataclass(frozen=True)
class Counterpart:
    """Two conditions that are compared.

    Attributes
    ----------
    condition, against : str
    change : str
        How `condition` differs from `against`.
    """

    condition: str
    against: str
    change: str

    def __str__(self) -> str:
        return f"{self.condition} \N{MINUS SIGN} {self.against}"


def is_same_task(tasks: Iterable[str], target: str) -> bool:
    """Return whether one of some intermediate tasks is the same task as a target, on the same or other rows."""
    names = set(map(strip_language, tasks)) & set(INTERMEDIATES)
    return any(target in INTERMEDIATES[name].same_as for name in names)


def find_english(task: str) -> str | None:
    """Return the English task that a multilingual one translates or has the kind of; None of another task."""
    name = strip_language(task)
    return INTERMEDIATES[name].english if name in INTERMEDIATES else None


def choose_best(scores: Mapping[str, Collection[float]]) -> str | None:
    """Return the condition with the best mean of its scores by seed, the first of equal ones; None without any."""
    # Not the best single score: that would be of the condition with the luckiest seed.
    return max(scores, key=lambda name: mean(scores[name]), default=None)


def choose_by_dev(scores: "pd.DataFrame", target: str, tasks: Tasks, *, same_task: bool) -> str | None:
    """Return the condition with the best English dev score of a target, mean over seeds; None without such a score.

    A target that is trained as another task has the dev score of that task. Of equal scores the first is chosen.

    Parameters
    ----------
    scores : DataFrame
        condition, target, score: see `stilts.analysis.learning.tabulate_dev_scores`.
    tasks : mapping
        The conditions to choose from, with their intermediate tasks.
    same_task : bool
        Whether conditions with the target's own task stand for choice.
    """
    usable = [name for name, own in tasks.items() if same_task or not is_same_task(own, target)]
    rows = scores[(scores["target"] == TARGETS[target].training_task) & scores["condition"].isin(usable)]
    return choose_best(rows.groupby("condition", sort=False)["score"].agg(list).to_dict())


def list_english_conditions(tasks: Tasks) -> list[str]:
    """Return the conditions that only have English tasks of the published kinds."""
    english = {name for name, task in INTERMEDIATES.items() if task.in_multi}  # `qa.de` is none of them
    return [name for name, own in tasks.items() if own and set(own) <= english]


def list_single_tasks(tasks: Tasks) -> list[str]:
    """Return the conditions with a single English task."""
    return [name for name in list_english_conditions(tasks) if len(tasks[name]) == 1]


def pair_with_english(tasks: Tasks) -> list[Counterpart]:
    """Return each condition with multilingual language modelling or translated data, and its English counterpart.

    Conditions without an English counterpart in the study are left out.
    """
    by_tasks = {frozenset(own): name for name, own in tasks.items()}
    pairs = []
    for name, own in tasks.items():
        english = frozenset(find_english(task) or task for task in own if task != LANGUAGE_MODEL)
        against = by_tasks.get(english)
        if against is not None and against != name and english:
            pairs.append(Counterpart(name, against, _change(own)))
    return pairs


def _change(tasks: Sequence[str]) -> str:
    changes = [MIXED] if LANGUAGE_MODEL in tasks else []
    changes += [TRANSLATED] if any(map(find_english, tasks)) else []
    return ", ".join(changes)


def list_comparisons(tasks: Tasks) -> dict[tuple[str, str], Weights]:
    """Return the comparisons on the page of conditions: (name, change) -> weights of the conditions in the difference.

    These are each counterpart against its English condition, and all tasks together against the mean of the single
    ones, which needs no choice of a best task.
    """
    found = {(str(pair), pair.change): weigh_gain(pair.condition, pair.against) for pair in pair_with_english(tasks)}
    singles = list_single_tasks(tasks)
    if MULTI in tasks and singles:
        change = "all English tasks together, against the mean of the single ones"
        found[f"{MULTI} \N{MINUS SIGN} single tasks", change] = add_weights({MULTI: 1.0}, weigh_evenly(singles, -1.0))
    return found


def estimate_differences(replicates: Mapping[str, Replicates], tasks: Tasks) -> "pd.DataFrame":
    """Return one row for each comparison and target that has all its conditions.

    Returns
    -------
    DataFrame
        comparison, change, target, difference, low, high (points), p, p_holm (corrected for all rows),
        excludes_zero, survives_holm, languages (their number).
    """
    rows = [
        {"comparison": name, "change": change, "target": target, "languages": len(replicates[target].others)}
        | estimate_contrast(replicates, {target: weights}).row("difference")
        for (name, change), weights in list_comparisons(_keep_counted(tasks, replicates)).items()
        for target in find_targets(replicates, weights)
    ]
    return _table(rows, ["target", "languages"])


def average_differences(replicates: Mapping[str, Replicates], tasks: Tasks) -> "pd.DataFrame":
    """Return the rows of `estimate_differences` averaged over targets, with their number as column targets."""
    rows = [
        {"comparison": name, "change": change, "targets": len(targets)}
        | estimate_contrast(replicates, average_weights(weights, targets)).row("difference")
        for (name, change), weights in list_comparisons(_keep_counted(tasks, replicates)).items()
        if (targets := find_targets(replicates, weights))
    ]
    return _table(rows, ["targets"])


def _keep_counted(tasks: Tasks, replicates: Mapping[str, Replicates]) -> Tasks:
    """Return the conditions that count on any target, in their order."""
    counted = {name for part in replicates.values() for name in part.conditions}
    return {name: own for name, own in tasks.items() if name in counted}


def _table(rows: list[dict[str, Any]], more: list[str]) -> "pd.DataFrame":
    import pandas as pd

    columns = ["comparison", "change", "difference", "low", "high", "p", "excludes_zero", *more]
    return correct_by_holm(pd.DataFrame(rows, columns=columns))
