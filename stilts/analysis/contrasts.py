"""Contrasts: weighted sums of the scores of conditions, paired by target, language and seed.

Every effect of the study is a contrast: a gain is the score of a condition minus that of its baseline. The same weights
work for replicates (`stilts.analysis.effects.estimate_contrast`) and for tables of scores.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from stilts.study.errors import UnknownName
from stilts.study.runs import UNTRAINED_SEED
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE

Weights = Mapping[str, float]
"""Condition -> its weight in a contrast."""


# --- Weights ---------------------------------------------------------------------------------------------------------


def weigh_gain(condition: str, baseline: str = BASELINE) -> dict[str, float]:
    """Return the weights for a condition minus a baseline."""
    return {condition: 1.0, baseline: -1.0}


def weigh_evenly(names: Sequence[str], total: float = 1.0) -> dict[str, float]:
    """Return equal weights of conditions that sum to a total."""
    return add_weights(*({name: total / len(names)} for name in names))


def add_weights(*parts: Weights) -> dict[str, float]:
    """Return the sum of weights, condition by condition."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def scale_weights(weights: Weights, by: float) -> dict[str, float]:
    """Return weights times a factor."""
    return {name: weight * by for name, weight in weights.items()}


def average_weights(weights: Weights, targets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the weights by target for the mean of a contrast over targets."""
    share = {name: weight / len(targets) for name, weight in weights.items()}
    return dict.fromkeys(targets, share)


# --- Scores ----------------------------------------------------------------------------------------------------------


def contrast_by_target(scores: pd.DataFrame, weights: Weights) -> dict[str, pd.DataFrame]:
    """Return a contrast for each target that has all its conditions: a row for each language, a column for each seed.

    Parameters
    ----------
    scores : DataFrame
        condition, target, language, seed, score (percent).
    weights : mapping
        The scores of a condition without training are repeated for all seeds of the others.

    Returns
    -------
    dict of DataFrame
        Target -> points. A language is missing (NaN) if one of the conditions does not have it. A seed is left out if
        one of the conditions does not have it.

    Raises
    ------
    UnknownName
        If a condition has no scores.
    """
    if absent := find_missing(scores, weights):
        raise UnknownName("condition with zero-shot scores", absent[0], set(scores["condition"].unique()))
    kept = repeat_for_seeds(scores[scores["condition"].isin(list(weights))])
    found = {}
    for target, own in kept.groupby("target", sort=False):
        wide = own.pivot(index="language", columns=["condition", "seed"], values="score")
        if wide.columns.unique("condition").size == len(weights):
            summed = sum(weight * wide[name] for name, weight in weights.items())
            found[str(target)] = summed.dropna(axis="columns", how="all")
    return found


def repeat_for_seeds(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores in which conditions without training are repeated for every seed of the others."""
    untrained = scores.groupby(["condition", "target"])["seed"].transform("max") == UNTRAINED_SEED
    seeds = sorted(scores.loc[~untrained, "seed"].unique())
    if not seeds or not untrained.any():
        return scores
    return pd.concat([scores[~untrained], *(scores[untrained].assign(seed=seed) for seed in seeds)])


def contrast(scores: pd.DataFrame, weights: Weights) -> pd.DataFrame:
    """Return a contrast for each language, averaged over the language's targets; see `contrast_by_target`.

    Returns
    -------
    DataFrame
        A row for each language, a column for each seed, in points. A target does not count for a language if one of
        the conditions or seeds is missing. Seeds are those that all targets have.
    """
    whole = [table.dropna() for table in contrast_by_target(scores, weights).values()]
    counted = [table for table in whole if table.size]
    if not counted:
        return pd.DataFrame()
    return pd.concat(counted, join="inner").groupby(level=0).mean().dropna(how="all")


def find_missing(scores: pd.DataFrame, conditions: Iterable[str]) -> list[str]:
    """Return the conditions that have no scores."""
    known = set(scores["condition"].unique())
    return [name for name in dict.fromkeys(conditions) if name not in known]


def keep_shared_languages(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of each target in the languages that all its conditions were tested in."""
    conditions = scores.groupby("target")["condition"].transform("nunique")
    return scores[scores.groupby(["target", "language"])["condition"].transform("nunique") == conditions]


def keep_languages(table: pd.DataFrame, languages: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a table for some languages; languages without a row are ignored."""
    return table.loc[table.index.isin(list(languages))]


def find_unseen(languages: Iterable[str], sources: Iterable[str]) -> list[str]:
    """Return the languages that are neither English nor among the source languages, in alphabetical order."""
    return sorted(set(languages) - {SOURCE_LANGUAGE, *sources})
