"""Scores of a study by target and language: without intermediate task, after the best single one, after all."""

from typing import TYPE_CHECKING

import numpy as np

from stilts.analysis import published
from stilts.analysis.conditions import choose_by_dev, list_single_tasks
from stilts.analysis.estimates import estimate
from stilts.analysis.languages.facts import get_language, sort_by_distance
from stilts.analysis.opened import Analysis
from stilts.study.settings import BASELINE
from stilts.tasks.registry import MULTI, TARGETS

if TYPE_CHECKING:
    import pandas as pd

MAJORITY = "most frequent label"
GAIN = f"{MULTI} \N{MINUS SIGN} {BASELINE}"


def find_best_single(analysis: Analysis, target: str) -> tuple[str, str] | None:
    """Return the best single intermediate task for a target, and the scores that it was chosen by; None without one.

    It is the task with the best English dev score, mean over seeds; the target's own task stands for choice too. A
    target without training has no dev scores, so the task with the best mean test score is chosen, which is biased
    upwards. A condition of one seed beside others of several does not stand for choice.
    """
    part = analysis.replicates.get(target)
    known = {name for name in part.conditions if (name, target) not in analysis.single_seeds} if part else set()
    singles = [name for name in list_single_tasks(analysis.conditions) if name in known]
    if not singles:
        return None
    tasks = {name: analysis.conditions[name] for name in singles}
    if chosen := choose_by_dev(analysis.dev_scores, target, tasks, same_task=True):
        return chosen, "English dev"
    means = part.scores[part.others].mean(axis=0)
    return max(singles, key=lambda name: means[part.conditions.index(name)]), "test"


def _shown(analysis: Analysis, target: str) -> dict[str, str]:
    """Return the conditions in a target's table: heading of the column -> condition."""
    part = analysis.replicates[target]
    chosen = find_best_single(analysis, target)
    heads = {BASELINE: BASELINE} | ({f"best single ({chosen[0]})": chosen[0]} if chosen else {}) | {MULTI: MULTI}
    return {head: name for head, name in heads.items() if name in part.conditions}


def tabulate_language_scores(analysis: Analysis, target: str) -> "pd.DataFrame":
    """Return a target's scores by language: their mean, then English, then the others by syntactic distance.

    Returns
    -------
    DataFrame
        language, n (test examples), and a column for each condition (percent, mean over seeds). If answers are labels:
        the share of the most frequent label, and balanced accuracy for each condition (percent). The gain of `multi`
        with its interval over items and seeds (points). If there are published scores by language: a column with the
        name of the model. The first row is the mean over all languages, including English, as in XTREME, without an
        interval. The table is empty if the target has no record.
    """
    import pandas as pd

    part = analysis.replicates.get(target)
    if part is None:
        return pd.DataFrame(columns=["language", "n", BASELINE])
    order = sort_by_distance(part.languages)
    places = [part.languages.index(code) for code in order]
    scores = analysis.scores[analysis.scores["target"] == target]
    counts = scores.groupby("language")["n"].first()
    table = pd.DataFrame({"language": [f"{get_language(code).name} ({code})" for code in order]})
    table["n"] = [int(counts[code]) for code in order]
    for head, name in _shown(analysis, target).items():
        table[head] = part.scores[places, part.conditions.index(name)]
    for head, column in _beside_accuracy(analysis, target).items():
        table[head] = column.reindex(order).to_numpy()
    if {BASELINE, MULTI} <= set(part.conditions):
        effects = [estimate(part.language(place, part.weights({MULTI: 1, BASELINE: -1}))) for place in places]
        table[GAIN] = [effect.value for effect in effects]
        table["low"], table["high"] = ([getattr(effect, end) for effect in effects] for end in ("low", "high"))
    if series := published.find_language_scores(target):
        table[series.name] = [series.languages[target].get(code, np.nan) for code in order]
    means = {column: table[column].mean() for column in table.columns[2:] if column not in ("low", "high")}
    first = pd.DataFrame([{"language": "mean", "n": table["n"].sum(), **means}])
    return pd.concat([first, table], ignore_index=True)[list(table.columns)]


def _beside_accuracy(analysis: Analysis, target: str) -> "dict[str, pd.Series]":
    """Return the share of the most frequent label by language, and the balanced accuracy of the shown conditions.

    Empty if answers are not labels, or if this was not recorded.
    """
    scores = analysis.scores[analysis.scores["target"] == target][["run", "condition", "language"]]
    noted = scores.merge(analysis.guessing, on=["run", "language"])
    if noted.empty:
        return {}
    balanced = noted.groupby(["condition", "language"])["balanced"].mean()
    shown = {head: balanced[name] for head, name in _shown(analysis, target).items() if name in balanced}
    return {MAJORITY: noted.groupby("language")["majority"].first()} | {
        f"{head}, balanced": column for head, column in shown.items()
    }


def tabulate_target_averages(analysis: Analysis) -> "pd.DataFrame":
    """Return one row per target: the mean over its languages, including English, and published test averages.

    Returns
    -------
    DataFrame
        target, metric, languages (their number), n (total number of test examples), none, best single (percent), which,
        chosen on, multi, and a column for each published series with averages.
    """
    import pandas as pd

    rows = []
    for target, part in analysis.replicates.items():
        means = dict(zip(part.conditions, part.scores.mean(axis=0), strict=True))
        which, chosen_on = find_best_single(analysis, target) or (None, None)
        n = analysis.scores[analysis.scores["target"] == target].groupby("language")["n"].first().sum()
        rows.append(
            {"target": target, "metric": TARGETS[target].metric, "languages": len(part.languages), "n": int(n)}
            | {BASELINE: means.get(BASELINE), "best single": means.get(which), "which": which, "chosen on": chosen_on}
            | {MULTI: means.get(MULTI)}
            | {series.name: series.averages.get(target) for series in published.read_averages()}
        )
    columns = ["target", "metric", "languages", "n", BASELINE, "best single", "which", "chosen on", MULTI]
    names = [series.name for series in published.read_averages()]
    table = pd.DataFrame(rows, columns=[*columns, *names])
    return table.astype(dict.fromkeys([BASELINE, "best single", MULTI, *names], float))
