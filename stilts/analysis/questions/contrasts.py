"""Weighted sums of conditions by language, where not every target has every language, and what is not recorded yet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import pandas as pd

from stilts.analysis.questions.common import Result, Rules, untested
from stilts.analysis.questions.crossed import Redrawable, effect_of
from stilts.analysis.wording import listed
from stilts.study.errors import UnknownName
from stilts.study.settings import SOURCE_LANGUAGE

Weights = Mapping[str, float]
"""Condition -> weight."""


def unseen(languages: Iterable[str], sources: Iterable[str]) -> list[str]:
    """Return the languages that are neither English nor a source language of any condition, in alphabetical order."""
    return sorted(set(languages) - {SOURCE_LANGUAGE, *sources})


def contrast(scores: pd.DataFrame, weights: Weights) -> pd.DataFrame:
    """Return a weighted sum of conditions for each language, averaged over the targets that the language has.

    Parameters
    ----------
    scores : DataFrame
        As `stilts.analysis.questions.common.outcomes` returns it.

    Returns
    -------
    DataFrame
        A row for each language, a column for each seed, in points. A language is left out of a target where one of the
        conditions or seeds is missing; without any scores it is empty.

    Raises
    ------
    UnknownName
        If a condition has no score at all.
    """
    return contrasts(scores, {"": weights})[""]


def contrasts(scores: pd.DataFrame, each: Mapping[str, Weights]) -> dict[str, pd.DataFrame]:
    """Return the contrast of each of several weights, by their name; see `contrast`."""
    if absent := missing(scores, added(*each.values())):
        raise UnknownName("condition with zero-shot scores", absent[0], set(scores["condition"].unique()))
    wide = scores.pivot(index=["target", "language", "seed"], columns="condition", values="score")
    return {name: _by_language(wide[list(weights)] * pd.Series(weights)) for name, weights in each.items()}


def _by_language(parts: pd.DataFrame) -> pd.DataFrame:
    summed = parts.sum(axis="columns", skipna=False)
    by_target = [part.droplevel("target").unstack("seed") for _, part in summed.groupby(level="target", sort=False)]
    whole = [part.dropna(axis="columns", how="all").dropna() for part in by_target]
    return pd.concat(whole).groupby(level=0).mean() if whole else pd.DataFrame()


def missing(scores: pd.DataFrame, conditions: Iterable[str]) -> list[str]:
    """Return the conditions that have no score."""
    known = set(scores["condition"].unique())
    return [name for name in dict.fromkeys(conditions) if name not in known]


class Scored(Redrawable, Protocol):
    """Evidence with a table of scores as `stilts.analysis.questions.common.outcomes` returns it."""

    @property
    def scores(self) -> pd.DataFrame:
        """The scores."""


def mean_effect(
    evidence: Scored, weights: Weights, languages: Sequence[str], rules: Rules, notes: Sequence[str] = ()
) -> Result:
    """Return the primary test of a weighted sum of conditions over languages, or why there is none yet."""
    if not weights:
        return untested("the study has no conditions for it")
    if absent := missing(evidence.scores, weights):
        return untested(f"nothing is recorded yet of {listed(absent)}")
    result = effect_of(evidence, lambda found: of_languages(contrast(found.scores, weights), languages), rules)
    return replace(result, notes=(*result.notes, *notes)) if result.known else result


def of_languages(table: pd.DataFrame, languages: Iterable[str]) -> pd.DataFrame:
    """Return the rows of some languages, those that a table has."""
    return table.loc[table.index.isin(list(languages))]


def sources_note(names: str) -> tuple[str]:
    """Return the note of a test that is of these source languages, which were chosen and not drawn."""
    return (f"the interval is of the source languages at hand ({names}) and says nothing of others",)


def added(*parts: Weights) -> dict[str, float]:
    """Return the sum of weights, condition by condition."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(part.get(name, 0.0) for part in parts) for name in names}


def evenly(names: Sequence[str], total: float = 1.0) -> dict[str, float]:
    """Return weights that share a total evenly among conditions."""
    return added(*({name: total / len(names)} for name in names))
