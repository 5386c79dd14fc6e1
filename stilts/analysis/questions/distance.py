"""Question 2: does a language that lies far from English lose more, and does intermediate training change that?

Three outcomes, kept apart, for each language and seed
------------------------------------------------------
`gap`
    English minus the language in points, averaged over the intermediate conditions: the degradation after intermediate
    training.
`relative`
    That gap in percent of what English scores above guessing: the share that is lost.
`change`
    The gap minus the gap without an intermediate task, in points: what intermediate training does to it. Negative is
    closer.

All are averaged over the targets. Where a language lacks a target, target and language are taken as additive, so that
a language is not far behind only because the targets that it has are hard ones.

A slope is for each standard deviation of the predictor over the languages at hand; the English score is the same for
all languages, so that its noise moves no slope of a gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import Replicates
from stilts.analysis.contrasts import Weights, add_weights, contrast_by_target, weigh_evenly
from stilts.analysis.languages.facts import DISTANCES, get_language, tabulate_languages
from stilts.analysis.opened import Analysis, sort_by_order
from stilts.analysis.questions.crossed import estimate_from_evidence
from stilts.analysis.questions.evidence import tabulate_outcomes
from stilts.analysis.questions.testing import Result, Rules, Test
from stilts.study.errors import StiltsError
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE
from stilts.tasks.registry import TARGETS

GAP, RELATIVE, CHANGE = "gap", "relative", "change"
OUTCOMES = (GAP, RELATIVE, CHANGE)
SHARE, FERTILITY = "pretraining text", "fertility"
CONTROLS = (SHARE, FERTILITY)
SMALLEST_SHARE = 0.1  # GiB: the table's own step; stands in for no text at all, which has no logarithm
PER_DEVIATION = "for a standard deviation"
LESS = " less"  # after the unit of a slope on pretraining text
UNITS = {GAP: f"points {PER_DEVIATION}", RELATIVE: f"percent {PER_DEVIATION}", CHANGE: f"points {PER_DEVIATION}"}


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    by_outcome : dict
        Outcome -> table of shape (languages, seeds).
    by_target : dict
        Outcome -> target -> such a table.
    lead : float
        Points that English scores above guessing after intermediate training, mean over targets and seeds.
    predictors : DataFrame
        A row for each language: its distances to English, `pretraining text` (logarithm to base 2 of GiB) and
        `fertility`; missing where nothing is known.
    conditions : tuple of str
        Intermediate conditions that are averaged.
    redrawn : Evidence or None
        See `stilts.analysis.questions.evidence.Redrawable`.
    """

    by_outcome: Mapping[str, pd.DataFrame]
    by_target: Mapping[str, Mapping[str, pd.DataFrame]]
    lead: float
    predictors: pd.DataFrame
    conditions: tuple[str, ...]
    redrawn: "Evidence | None" = None

    def outcome(self, name: str) -> pd.DataFrame:
        """Return one of `OUTCOMES`."""
        return self.by_outcome[name]

    @property
    def targets(self) -> list[str]:
        """Targets that are averaged."""
        return list(self.by_target[GAP])

    def of_target(self, target: str) -> "Evidence":
        """Return the evidence of one target alone; `lead` stays that of all."""
        own = {outcome: tables[target] for outcome, tables in self.by_target.items()}
        alone = {outcome: {target: table} for outcome, table in own.items()}
        return replace(self, by_outcome=own, by_target=alone, redrawn=self.redrawn and self.redrawn.of_target(target))

    @property
    def shared_languages(self) -> list[str]:
        """Languages that every target has."""
        return [code for code in self.languages if all(code in own.index for own in self.by_target[GAP].values())]

    @property
    def languages(self) -> list[str]:
        """Languages besides English that have an outcome."""
        return list(self.by_outcome[GAP].index)


# --- Evidence --------------------------------------------------------------------------------------------------------


def gather(
    table: pd.DataFrame,
    encoder: str,
    conditions: Sequence[str] | None = None,
    redrawn: pd.DataFrame | None = None,
    guessed: Mapping[str, float] = MappingProxyType({}),
) -> Evidence:
    """Return the evidence from outcomes.

    Parameters
    ----------
    table : DataFrame
        As `stilts.analysis.questions.evidence.tabulate_outcomes` returns it.
    encoder : str
        Whose tokenizer's fertility is the control.
    conditions : sequence of str or None
        Intermediate conditions to average; None for all that have the targets and seeds that the baseline has.
    redrawn : DataFrame, optional
        As `stilts.analysis.questions.evidence.redraw_outcomes` returns it, against English.
    guessed : mapping, optional
        Target -> percent that guessing scores; 0 where it is not named.

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
    own = _outcomes(table, targets, chosen, guessed)
    codes = own["by_outcome"][GAP].index
    evidence = Evidence(**own, predictors=tabulate_predictors(codes, encoder), conditions=chosen)
    if redrawn is None:
        return evidence
    return replace(evidence, redrawn=replace(evidence, **_outcomes(redrawn, targets, chosen, guessed)))


def _outcomes(
    table: pd.DataFrame, targets: Sequence[str], conditions: Sequence[str], guessed: Mapping[str, float]
) -> dict[str, Any]:
    """Return `by_outcome`, `by_target` and `lead` of `Evidence` from outcomes."""
    tables = {name: contrast_by_target(table, own) for name, own in _weights(conditions).items()}
    by_target = {
        name: {target: measure_gap_to_english(own[target]) for target in targets} for name, own in tables.items()
    }
    leads = {target: tables[GAP][target].loc[SOURCE_LANGUAGE] - guessed.get(target, 0.0) for target in targets}
    by_target[RELATIVE] = {target: 100 * gap / leads[target] for target, gap in by_target[GAP].items()}
    return {
        "by_outcome": {name: combine(by_target[name]) for name in OUTCOMES},
        "by_target": by_target,
        "lead": float(np.mean([lead.mean() for lead in leads.values()])),
    }


def _weights(conditions: Sequence[str]) -> dict[str, Weights]:
    """Return, for each outcome, the weights of the scores that its gap to English is taken of."""
    return {GAP: weigh_evenly(conditions), CHANGE: add_weights(weigh_evenly(conditions), {BASELINE: -1.0})}


def keep_learned_targets(analysis: Analysis, least_lead: float = 0.0) -> pd.DataFrame:
    """Return the outcomes on targets that every condition of a study has learned in English.

    A gap averages conditions, so that a target which one of them has not learned would be one of other conditions.

    Parameters
    ----------
    least_lead : float
        Points above guessing that the English dev score, mean over seeds, must reach under every condition.
    """
    table, lost = tabulate_outcomes(analysis.records), {target for _, target in analysis.failed}
    lost |= set(find_narrow_targets(analysis.dev_scores, least_lead))
    return table[~table["target"].isin(lost)].reset_index(drop=True)


def find_narrow_targets(dev_scores: pd.DataFrame, least_lead: float) -> dict[str, float]:
    """Return the targets whose English dev score is too near to guessing under a condition, with the least lead.

    Parameters
    ----------
    dev_scores : DataFrame
        As `stilts.analysis.learning.tabulate_dev_scores` returns it.
    least_lead : float
        Points above guessing, mean over seeds.

    Returns
    -------
    dict
        Target -> its lowest lead over guessing among the conditions, in points.
    """
    leads = dev_scores["score"] - dev_scores["chance"]
    lowest = leads.groupby([dev_scores["target"], dev_scores["condition"]]).mean().groupby("target").min()
    narrow = {str(name): float(lead) for name, lead in lowest.items() if lead < least_lead}
    return {name: narrow[task.training_task] for name, task in TARGETS.items() if task.training_task in narrow}


def _whole_conditions(table: pd.DataFrame) -> list[str]:
    """Conditions with a score wherever the baseline has one; one that is recorded in part would tilt the average."""
    runs = {name: set(zip(part["target"], part["seed"], strict=True)) for name, part in table.groupby("condition")}
    whole = runs.get(BASELINE, set())
    return [name for name in dict.fromkeys(table["condition"]) if name != BASELINE and runs[name] >= whole]


def measure_gap_to_english(scores: pd.DataFrame) -> pd.DataFrame:
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


def tabulate_predictors(codes: Sequence[str], encoder: str) -> pd.DataFrame:
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


def tabulate_example_noise(replicates: Mapping[str, Replicates], evidence: Evidence) -> pd.DataFrame:
    """Return the variance that the choice of test examples gives each language's outcomes, in squared points.

    The noise of the English score is not in it: it is the same for all languages. Of a share it is that of the gap,
    over the mean lead of English.

    Returns
    -------
    DataFrame
        A row for each language; a column for each outcome.
    """
    weights = _weights(evidence.conditions)
    rows = {}
    for code in evidence.languages:
        members = [replicates[name] for name in evidence.targets if code in replicates[name].languages]
        rows[code] = {
            name: float(np.mean([_draws(part, code, chosen) for part in members], axis=0).var())
            for name, chosen in weights.items()
        }
    noise = pd.DataFrame.from_dict(rows, orient="index")
    noise[RELATIVE] = noise[GAP] * (100 / evidence.lead) ** 2
    return noise[list(OUTCOMES)]


def _draws(part: Replicates, code: str, weights: Weights) -> np.ndarray:
    return part.items[:, part.languages.index(code)] @ part.weights(weights)


# --- Tests -----------------------------------------------------------------------------------------------------------


def estimate_slope(
    evidence: Evidence, rules: Rules, outcome: str, distance: str, controls: Sequence[str] = ()
) -> Result:
    """Return the slope of an outcome on a distance or on the lack of pretraining text, with controls held constant.

    Less text is to the outcome what more distance is, so that every slope has the sign that its hypothesis speaks of.
    """
    chosen = standardise_predictors(evidence.predictors[[distance, *controls]])
    if distance == SHARE:
        chosen[SHARE] = -chosen[SHARE]
    result = estimate_from_evidence(
        evidence, lambda found: found.outcome(outcome), rules, predictors=chosen, coefficient=distance,
        expected=0 if outcome == CHANGE else 1, unit=UNITS[outcome] + (LESS if distance == SHARE else ""),
    )  # fmt: skip
    # The same effect as in points, as a share of what there is to lose.
    least = 100 * rules.smallest_effect / evidence.lead
    return replace(result, smallest_effect=least) if outcome == RELATIVE else result


def estimate_mean_outcome(evidence: Evidence, rules: Rules, outcome: str) -> Result:
    """Return the mean of an outcome over languages."""
    return estimate_from_evidence(evidence, lambda found: found.outcome(outcome), rules)


def standardise_predictors(table: pd.DataFrame) -> pd.DataFrame:
    """Return the complete rows of predictors with mean 0 and standard deviation 1; one that does not vary is zero."""
    kept = table.dropna()
    spread = kept.std(ddof=0)
    return (kept - kept.mean()) / spread.where(spread > 0, 1.0)


_SLOPES = {GAP: "slope of the gap", RELATIVE: "slope of the share lost", CHANGE: "slope of the change of the gap"}


def _test(outcome: str, distance: str, controls: Sequence[str] = ()) -> Test:
    predictor = f"less {SHARE}" if distance == SHARE else f"{distance} distance"
    held = f", {' and '.join(controls)} held constant" if controls else ""
    return Test(
        f"{_SLOPES[outcome]} on {predictor}{held}",
        partial(estimate_slope, outcome=outcome, distance=distance, controls=controls),
    )


TESTS: dict[str, Test] = {
    f"{outcome}-{distance}{suffix}": _test(outcome, distance, controls)
    for outcome in OUTCOMES
    for distance in DISTANCES
    for suffix, controls in (("", ()), ("-controlled", CONTROLS))
} | {f"{outcome}-text": _test(outcome, SHARE) for outcome in OUTCOMES}
"""`<outcome>-<distance>`, the same with `-controlled` for pretraining text and fertility held constant, and
`<outcome>-text` for the slope on less pretraining text by itself."""
