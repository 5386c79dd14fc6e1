"""Question 2: does a language that lies far from English lose more, and does intermediate training change that?

Two outcomes, kept apart, for each language and seed, in points
----------------------------------------------------------------
`gap`
    English minus the language, averaged over the intermediate conditions: the degradation after intermediate training.
`change`
    That gap minus the gap without an intermediate task: what intermediate training does to it. Negative is closer.

Both are averaged over the targets. Where a language lacks a target, target and language are taken as additive, so that
a language is not far behind only because the targets that it has are hard ones.

A slope is in points for each standard deviation of the distance over the languages at hand; the English score is the
same for all languages, so that its noise moves no slope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.contrasts import Weights, add_weights, contrast_by_target, weigh_evenly
from stilts.analysis.languages.facts import DISTANCES, get_language, tabulate_languages
from stilts.analysis.opened import Analysis, sort_by_order
from stilts.analysis.questions.crossed import effect_of
from stilts.analysis.questions.evidence import outcomes
from stilts.analysis.questions.testing import Result, Rules, Test
from stilts.study.errors import StiltsError
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE
from stilts.tasks.registry import TARGETS

GAP, CHANGE = "gap", "change"
OUTCOMES = (GAP, CHANGE)
SHARE, FERTILITY = "pretraining text", "fertility"
CONTROLS = (SHARE, FERTILITY)
SMALLEST_SHARE = 0.1  # GiB: the table's own step; stands in for no text at all, which has no logarithm
UNIT = "points for a standard deviation"


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    gap, change : DataFrame of shape (languages, seeds)
        The outcomes in points.
    by_target : dict
        Outcome -> target -> such a table.
    predictors : DataFrame
        A row for each language: its distances to English, `pretraining text` (logarithm to base 2 of GiB) and
        `fertility`; missing where nothing is known.
    conditions : tuple of str
        Intermediate conditions that are averaged.
    redrawn : Evidence or None
        See `stilts.analysis.questions.evidence.Redrawable`.
    """

    gap: pd.DataFrame
    change: pd.DataFrame
    by_target: Mapping[str, Mapping[str, pd.DataFrame]]
    predictors: pd.DataFrame
    conditions: tuple[str, ...]
    redrawn: "Evidence | None" = None

    def outcome(self, name: str) -> pd.DataFrame:
        """Return `gap` or `change`."""
        return {GAP: self.gap, CHANGE: self.change}[name]

    @property
    def targets(self) -> list[str]:
        """Targets that are averaged."""
        return list(self.by_target[GAP])

    @property
    def languages(self) -> list[str]:
        """Languages besides English that have an outcome."""
        return list(self.gap.index)


# --- Evidence --------------------------------------------------------------------------------------------------------


def gather(
    table: pd.DataFrame,
    encoder: str,
    conditions: Sequence[str] | None = None,
    redrawn: pd.DataFrame | None = None,
) -> Evidence:
    """Return the evidence from outcomes.

    Parameters
    ----------
    table : DataFrame
        As `stilts.analysis.questions.evidence.outcomes` returns it.
    encoder : str
        Whose tokenizer's fertility is the control.
    conditions : sequence of str or None
        Intermediate conditions to average; None for all that have the targets and seeds that the baseline has.
    redrawn : DataFrame, optional
        As `stilts.analysis.questions.evidence.redrawn_outcomes` returns it, against English.

    Raises
    ------
    StiltsError
        If there is no baseline or no intermediate condition, or no target that is tested in English.
    """
    known = set(table["condition"])
    chosen = tuple(conditions or _whole_conditions(table))
    if BASELINE not in known or not chosen:
        raise StiltsError(
            f"distance: needs condition '{BASELINE}' and an intermediate one with the same targets and seeds, found "
            f"scores of {', '.join(sorted(known)) or 'none'}"
        )
    english = table[table["language"] == SOURCE_LANGUAGE]
    targets = sort_by_order(dict.fromkeys(english["target"]), TARGETS)
    if not targets:
        raise StiltsError("distance: no target task with records is tested in English")
    own = _outcomes(table, targets, chosen)
    evidence = Evidence(**own, predictors=predictors(own[GAP].index, encoder), conditions=chosen)
    if redrawn is None:
        return evidence
    return replace(evidence, redrawn=replace(evidence, **_outcomes(redrawn, targets, chosen)))


def _outcomes(table: pd.DataFrame, targets: Sequence[str], conditions: Sequence[str]) -> dict[str, Any]:
    """Return `gap`, `change` and `by_target` of `Evidence` from outcomes."""
    tables = {name: contrast_by_target(table, own) for name, own in _weights(conditions).items()}
    gaps = {name: {target: gap_to_english(own[target]) for target in targets} for name, own in tables.items()}
    return {**{name: combine(own) for name, own in gaps.items()}, "by_target": gaps}


def _weights(conditions: Sequence[str]) -> dict[str, Weights]:
    """Return, for each outcome, the weights of the scores that its gap to English is taken of."""
    return {GAP: weigh_evenly(conditions), CHANGE: add_weights(weigh_evenly(conditions), {BASELINE: -1.0})}


def learned_targets(analysis: Analysis) -> pd.DataFrame:
    """Return the outcomes on targets that every condition of a study has learned in English.

    A gap averages conditions, so that a target which one of them has not learned would be one of other conditions.
    """
    table, failed = outcomes(analysis.records), {target for _, target in analysis.failed}
    return table[~table["target"].isin(failed)].reset_index(drop=True)


def _whole_conditions(table: pd.DataFrame) -> list[str]:
    """Conditions with a score wherever the baseline has one; one that is recorded in part would tilt the average."""
    runs = {name: set(zip(part["target"], part["seed"], strict=True)) for name, part in table.groupby("condition")}
    whole = runs.get(BASELINE, set())
    return [name for name in dict.fromkeys(table["condition"]) if name != BASELINE and runs[name] >= whole]


def gap_to_english(scores: pd.DataFrame) -> pd.DataFrame:
    """English minus every other language, by seed."""
    return scores.loc[SOURCE_LANGUAGE] - scores.drop(index=SOURCE_LANGUAGE)


def combine(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the mean over targets of tables of shape (languages, seeds), targets and languages taken as additive.

    With every language in every target it is the plain mean. A language is left out of a target where a seed is
    missing. Seeds are those that all targets have.

    Raises
    ------
    StiltsError
        If the targets cannot be set beside each other, because too few languages take part in several.
    """
    long = pd.concat({name: part.dropna() for name, part in parts.items()}, names=["target", "language"], join="inner")
    target, target_names = pd.factorize(long.index.get_level_values("target"))
    place, names = pd.factorize(long.index.get_level_values("language"), sort=True)
    design = np.hstack([np.eye(len(target_names))[target], np.eye(len(names))[place]])
    if np.linalg.matrix_rank(design) < len(target_names) + len(names) - 1:
        raise StiltsError(f"targets {', '.join(map(str, target_names))} share too few languages to be averaged")
    solved = np.linalg.lstsq(design, long.to_numpy(), rcond=None)[0]
    values = solved[len(target_names) :] + solved[: len(target_names)].mean(axis=0)
    return pd.DataFrame(values, index=pd.Index(names, name="language"), columns=long.columns)


def predictors(codes: Sequence[str], encoder: str) -> pd.DataFrame:
    """Return the distances to English and the controls of languages, a row each, by code.

    A language that CC-100 does not list counts with the smallest size that its table can show, 0.1 GiB.
    """
    from stilts.analysis.languages.fertility import read_fertility

    codes = list(codes)
    table = tabulate_languages(codes).set_index("code")[list(DISTANCES)]
    sizes = pd.Series({code: get_language(code).cc100 for code in codes}, dtype=float)
    table[SHARE] = np.log2(sizes.clip(lower=SMALLEST_SHARE))
    table[FERTILITY] = pd.Series(read_fertility(encoder), dtype=float).reindex(codes)
    return table


def example_noise(replicates: Mapping[str, Replicates], evidence: Evidence) -> pd.DataFrame:
    """Return the variance that the choice of test examples gives each language's outcomes, in squared points.

    The noise of the English score is not in it: it is the same for all languages.

    Returns
    -------
    DataFrame
        A row for each language; columns `gap` and `change`.
    """
    weights = _weights(evidence.conditions)
    rows = {}
    for code in evidence.languages:
        members = [replicates[name] for name in evidence.targets if code in replicates[name].languages]
        rows[code] = {
            name: float(np.mean([_draws(part, code, chosen) for part in members], axis=0).var())
            for name, chosen in weights.items()
        }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(OUTCOMES))


def _draws(part: Replicates, code: str, weights: Weights) -> np.ndarray:
    return part.items[:, part.languages.index(code)] @ part.weights(weights)


# --- Tests -----------------------------------------------------------------------------------------------------------


def slope(evidence: Evidence, rules: Rules, outcome: str, distance: str, controls: Sequence[str] = ()) -> Result:
    """Return the slope of an outcome on a distance, with controls held constant if there are any."""
    expected = 1 if outcome == GAP else 0
    chosen = standardised(evidence.predictors[[distance, *controls]])
    return effect_of(
        evidence, lambda found: found.outcome(outcome), rules, predictors=chosen, coefficient=distance,
        expected=expected, unit=UNIT,
    )  # fmt: skip


def mean_outcome(evidence: Evidence, rules: Rules, outcome: str) -> Result:
    """Return the mean of an outcome over languages."""
    return effect_of(evidence, lambda found: found.outcome(outcome), rules)


def standardised(table: pd.DataFrame) -> pd.DataFrame:
    """Return the complete rows of predictors with mean 0 and standard deviation 1; one that does not vary is zero."""
    kept = table.dropna()
    spread = kept.std(ddof=0)
    return (kept - kept.mean()) / spread.where(spread > 0, 1.0)


TESTS: dict[str, Test] = {
    f"{outcome}-{distance}{suffix}": partial(slope, outcome=outcome, distance=distance, controls=controls)
    for outcome in OUTCOMES
    for distance in DISTANCES
    for suffix, controls in (("", ()), ("-controlled", CONTROLS))
}
"""`<outcome>-<distance>`, and the same with `-controlled` for pretraining text and fertility held constant."""
