"""Tables of effects with intervals that generalise over languages, test items and seeds."""

import operator
from collections.abc import Collection, Mapping, Sequence
from functools import reduce

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import Replicates, Sample
from stilts.analysis.contrasts import Weights, average_weights, contrast_by_target, keep_shared_languages, weigh_gain
from stilts.analysis.correlations import estimate_correlation
from stilts.analysis.estimates import LEVEL, Estimate, correct_by_holm, estimate, tabulate_estimates
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE

GAIN = ("gain", "low", "high", "p", "excludes_zero")


def estimate_contrast(
    replicates: Mapping[str, Replicates], weights: Mapping[str, Weights], level: float = LEVEL
) -> Estimate:
    """Return a contrast of mean scores over languages other than English, summed over targets.

    Parameters
    ----------
    replicates : mapping
        Target -> replicates, from `stilts.analysis.bootstrap.resample`.
    weights : mapping
        Target -> weights of its conditions; `average_weights` returns those for a mean over targets.

    Raises
    ------
    UnknownName
        If a target or a condition has no runs.
    """
    parts = []
    for target, own in weights.items():
        if target not in replicates:
            raise UnknownName("target with zero-shot records", target, replicates)
        parts.append(replicates[target].mean(replicates[target].weights(own)))
    return estimate(_sum(parts), level)


def _sum(parts: Sequence[Sample]) -> Sample:
    return reduce(operator.add, parts)


def find_targets(replicates: Mapping[str, Replicates], conditions: Collection[str]) -> list[str]:
    """Return the targets that have all given conditions."""
    return [target for target, part in replicates.items() if set(conditions) <= set(part.conditions)]


def estimate_gains(
    replicates: Mapping[str, Replicates],
    failed: Collection[tuple[str, str]] = (),
    set_aside: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Return one row for each condition and target that can be compared with the baseline.

    Parameters
    ----------
    failed : collection of (str, str)
        Condition and target of the cells that were not learned. If the baseline has not learned a target, no cell of
        the target counts as learned.
    set_aside : collection of (str, str)
        Condition and target of the cells that do not count for another reason, see `Analysis.set_aside`.

    Returns
    -------
    DataFrame
        condition, target, baseline_score, score (percent), gain, low, high (points), p, p_holm (corrected for all rows
        that count), excludes_zero, survives_holm (only rows that count), languages, seeds, learned, counts (whether it
        was learned and is not set aside).
    """
    rows, lost = [], set(failed)
    for target, part in replicates.items():
        means = dict(zip(part.conditions, part.scores[part.others].mean(axis=0), strict=True))
        for condition in _compared(part):
            effect = estimate_contrast(replicates, {target: weigh_gain(condition)})
            rows.append(
                {"condition": condition, "target": target}
                | {"baseline_score": means[BASELINE], "score": means[condition]}
                | effect.row("gain")
                | {"languages": len(part.others), "seeds": effect.seeds}
                | {"learned": not {(condition, target), (BASELINE, target)} & lost}
            )
    columns = ["condition", "target", "baseline_score", "score", *GAIN, "languages", "seeds", "learned"]
    table = pd.DataFrame(rows, columns=columns).astype({"learned": bool})
    aside = [(row.condition, row.target) in set_aside for row in table.itertuples()]
    table["counts"] = table["learned"] & ~np.array(aside, dtype=bool)
    corrected = correct_by_holm(table[table["counts"]])[["p_holm", "survives_holm"]]
    table = table.join(corrected.reindex(table.index))
    return table.assign(survives_holm=table["survives_holm"].eq(True))


def average_gains(replicates: Mapping[str, Replicates]) -> pd.DataFrame:
    """Return each condition's gain averaged over the targets that it and the baseline have.

    Parameters
    ----------
    replicates : mapping
        Only of what counts, see `stilts.analysis.learning.keep_counted`.

    Returns
    -------
    DataFrame
        condition, gain, low, high, p, p_holm, excludes_zero, survives_holm, targets (their number).
    """
    rows = [
        {"condition": condition}
        | estimate_contrast(replicates, average_weights(weigh_gain(condition), targets)).row("gain")
        | {"targets": len(targets)}
        for condition, targets in find_comparable_targets(replicates).items()
    ]
    return correct_by_holm(pd.DataFrame(rows, columns=["condition", *GAIN, "targets"]))


def find_comparable_targets(replicates: Mapping[str, Replicates]) -> dict[str, list[str]]:
    """Return for each condition the targets on which it can be compared with the baseline."""
    conditions = dict.fromkeys(name for part in replicates.values() for name in _compared(part))
    return {name: find_targets(replicates, [name, BASELINE]) for name in conditions}


def _compared(part: Replicates) -> list[str]:
    """Return the conditions of a target that can be compared with the baseline."""
    return [name for name in part.conditions if name != BASELINE] if BASELINE in part.conditions else []


def estimate_language_gains(replicates: Mapping[str, Replicates]) -> pd.DataFrame:
    """Return one row for each condition, target and language (with English); intervals are over items and seeds.

    Returns
    -------
    DataFrame
        condition, target, language, baseline_score, score (percent), gain, low, high (points).
    """
    rows = []
    for target, part in replicates.items():
        for condition in _compared(part):
            weights = part.weights(weigh_gain(condition))
            before, after = part.conditions.index(BASELINE), part.conditions.index(condition)
            for place, language in enumerate(part.languages):
                effect = estimate(part.language(place, weights))
                rows.append(
                    {"condition": condition, "target": target, "language": language}
                    | {"baseline_score": part.scores[place, before], "score": part.scores[place, after]}
                    | effect.row("gain")
                )
    columns = ["condition", "target", "language", "baseline_score", "score", "gain", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def average_language_gains(replicates: Mapping[str, Replicates]) -> pd.DataFrame:
    """Return each language's gain averaged over the comparable targets that have the language.

    Parameters
    ----------
    replicates : mapping
        Only of what counts, see `stilts.analysis.learning.keep_counted`.

    Returns
    -------
    DataFrame
        condition, language, gain, low, high (points, over items and seeds), targets (their number).
    """
    rows = []
    for condition, targets in find_comparable_targets(replicates).items():
        for language in sorted({name for target in targets for name in replicates[target].languages}):
            members = [replicates[target] for target in targets if language in replicates[target].languages]
            parts = [
                part.language(part.languages.index(language), part.weights(weigh_gain(condition)))
                for part in members
            ]
            effect = estimate(_sum(parts) * (1 / len(parts)))
            rows.append(
                {"condition": condition, "language": language} | effect.row("gain") | {"targets": len(members)}
            )
    return pd.DataFrame(rows, columns=["condition", "language", "gain", "low", "high", "targets"])


def average_baseline(cells: pd.DataFrame) -> pd.DataFrame:
    """Return language, baseline_score: the mean over targets, from one condition of `estimate_language_gains`."""
    return cells.groupby("language")["baseline_score"].mean().reset_index()


def pivot_language_gains(averages: pd.DataFrame) -> pd.DataFrame:
    """Return the gains of `average_language_gains`: language, targets, and a column per condition.

    Targets are their number, the most that a condition has: one that has not learned a target has fewer.
    """
    order = list(dict.fromkeys(averages["condition"]))
    wide = averages.pivot(index="language", columns="condition", values="gain")[order]
    wide.insert(0, "targets", averages.groupby("language")["targets"].max())
    return wide.reset_index().rename_axis(columns=None)


def estimate_english_gaps(replicates: Mapping[str, Replicates]) -> pd.DataFrame:
    """Return the gap between English and the other languages, for each target that is tested in English.

    Returns
    -------
    DataFrame
        condition, target, english, others (percent; the mean over the other languages), gap, gap_low, gap_high
        (points), and change, change_low, change_high: the gap minus the baseline's (missing for the baseline itself and
        for targets without a baseline run).

    Raises
    ------
    StiltsError
        If no target is tested in English.
    """
    rows = []
    for target, part in replicates.items():
        if SOURCE_LANGUAGE not in part.languages:
            continue
        english = part.scores[part.languages.index(SOURCE_LANGUAGE)]
        others = part.scores[part.others].mean(axis=0)
        for place, condition in enumerate(part.conditions):
            row = {"condition": condition, "target": target, "english": english[place], "others": others[place]}
            row |= _gap(part, {condition: 1.0}).ends("gap")
            if condition in _compared(part):
                row |= _gap(part, weigh_gain(condition)).ends("change")
            rows.append(row)
    if not rows:
        raise StiltsError("no target with records is tested in English; run a classification, tagging or QA target")
    columns = ["condition", "target", "english", "others", "gap", "gap_low", "gap_high", "change", "change_low",
               "change_high"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], float))


def _gap(part: Replicates, by_condition: Weights) -> Estimate:
    weights = part.weights(by_condition)
    english = part.language(part.languages.index(SOURCE_LANGUAGE), weights)
    return estimate(english + part.mean(weights) * -1)


def estimate_layer_profiles(scores: pd.DataFrame) -> pd.DataFrame:
    """Return retrieval accuracy by hidden layer, averaged over languages, with intervals over languages and seeds.

    Parameters
    ----------
    scores : DataFrame
        One row per run and language of one target: condition, target, seed, language, and layer_1, layer_2, ... in
        percent.

    Returns
    -------
    DataFrame
        condition, layer, score, low, high (percent), gain, gain_low, gain_high (points over the same layer of the
        baseline; missing for the baseline itself and if it has no run).
    """
    layers = sorted((name for name in scores.columns if name.startswith("layer_")), key=lambda name: int(name[6:]))
    shared = keep_shared_languages(scores)
    conditions = list(dict.fromkeys(scores["condition"]))
    rows = []
    for condition in conditions:
        for layer in layers:
            row = {"condition": condition, "layer": int(layer[6:])}
            row |= estimate_layer(shared, layer, {condition: 1.0}).row("score")
            if condition != BASELINE and BASELINE in conditions:
                row |= estimate_layer(shared, layer, weigh_gain(condition)).ends("gain")
            rows.append(row)
    columns = ["condition", "layer", "score", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], float))


def estimate_layer(scores: pd.DataFrame, layer: str, weights: Weights) -> Estimate:
    """Return a contrast of retrieval accuracy after one hidden layer, with its interval over languages and seeds.

    Parameters
    ----------
    scores : DataFrame
        Scores of one target, as for `estimate_layer_profiles`.
    layer : str
        Column of the layer: layer_1, layer_2, ...
    """
    (table,) = contrast_by_target(scores.assign(score=scores[layer]), weights).values()
    return tabulate_estimates(table.dropna())


def find_best_layers(profiles: pd.DataFrame) -> pd.DataFrame:
    """Return each condition's row of `estimate_layer_profiles` with the best score; of equal ones the lowest layer."""
    return profiles.loc[profiles.groupby("condition", sort=False)["score"].idxmax()].reset_index(drop=True)


def measure_seed_spread(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean score over languages other than English, and its standard deviation over seeds.

    Parameters
    ----------
    scores : DataFrame
        From `stilts.study.records.tabulate_scores`.

    Returns
    -------
    DataFrame
        condition, target, seeds, mean, sd (percent points, over seeds; missing for one seed).
    """
    others = scores[scores["language"] != SOURCE_LANGUAGE]
    by_seed = others.groupby(["condition", "target", "seed"], sort=False)["score"].mean()
    table = by_seed.groupby(["condition", "target"], sort=False).agg(["count", "mean", "std"]).reset_index()
    return table.rename(columns={"count": "seeds", "std": "sd"})


def pair_gains(live: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of `estimate_gains` that two studies share: condition, target, and gain, low, high of each."""
    columns = ["condition", "target", "gain", "low", "high"]
    return live[columns].merge(recorded[columns], on=["condition", "target"], suffixes=("_live", "_recorded"))


def correlate_ranks(
    values: pd.DataFrame,
    measures: Sequence[str],
    by: Sequence[str],
    resamples: int,
    generator: np.random.Generator,
) -> pd.DataFrame:
    """Return Spearman's rank correlation of each measure with each other column, with an interval over languages.

    Parameters
    ----------
    values : DataFrame
        One row per language, with the columns named in `measures` and `by`; rows with missing values are left out.

    Returns
    -------
    DataFrame
        by, measure, rho, low, high, languages (their number). Constant columns are left out.
    """
    rows = []
    for column in by:
        for measure in measures:
            table = values[[column, measure]].dropna()
            if min(table.nunique()) < 2:
                continue
            known = table.to_numpy(dtype=float)
            rho, low, high = estimate_correlation(known, resamples, generator, LEVEL, "rank")
            rows.append(
                {"by": column, "measure": measure, "rho": rho, "low": low, "high": high}
                | {"languages": len(table)}
            )
    return pd.DataFrame(rows, columns=["by", "measure", "rho", "low", "high", "languages"])
