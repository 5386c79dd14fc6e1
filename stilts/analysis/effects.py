"""Effects with intervals: what a condition gains over another, for other languages, other test items and other seeds.

Every score of the study is ``100 * 2 * sum(matches) / (sum(predicted) + sum(gold))`` over a language's test items, so
one bootstrap on two sums serves accuracy, chunk F1, SQuAD F1 and mining F1 alike. It draws languages and items. Seeds
are too few to be drawn: their part of the variance is that of the effect from seed to seed, and the interval is
Student's, with Satterthwaite's degrees of freedom, as in `stilts.analysis.questions.crossed`.
"""

import math
import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd

from stilts.analysis.bootstrap import UNTRAINED_SEED, Replicates, Sample
from stilts.analysis.wording import signed
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE

LEVEL = 0.95
Weights = Mapping[tuple[str, str], float]
"""(condition, target) -> weight in a linear contrast of scores."""


@dataclass(frozen=True)
class Estimate:
    """An effect in points with its interval and two-sided p-value, by Student's t.

    Attributes
    ----------
    value, low, high, p : float
    se, df : float
        Standard error and degrees of freedom.
    seeds : int
        Seeds behind it; 1 where the standard error says nothing of another seed's luck.
    """

    value: float
    low: float
    high: float
    p: float
    se: float = math.nan
    df: float = math.nan
    seeds: int = 1

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{signed(self.value)} [{signed(self.low)}, {signed(self.high)}]"


def estimate(sample: Sample, level: float = LEVEL) -> Estimate:
    """Return an effect with its interval and p-value.

    The variance has a part of languages and items, from the replicates; a part of the seeds, from the effect of each
    seed by itself; and the residual that both contain, which is subtracted once. The reference is Student's t with the
    degrees of freedom of `combine`. An effect of zero that never varies has p = 1.
    """
    of_rows, free_rows = float(np.nanvar(sample.draws)), max(len(sample.rows) - 1, 0) or math.inf
    return _estimate(sample.value, of_rows, free_rows, sample.seeds, sample.deviations, level)


def _estimate(
    value: float, of_rows: float, free_rows: float, seeds: pd.Series | None, deviations: pd.DataFrame | None,
    level: float,
) -> Estimate:
    """Return an effect from its variance by rows and from its value by seed; one seed or none says nothing of seeds."""
    count = 0 if seeds is None else len(seeds)
    if count < 2:
        return _t_interval(value, of_rows, free_rows, level, count)
    of_seeds = float(seeds.var()) / count
    variance, df = combine(of_rows, of_seeds, _residual(deviations), free_rows, count - 1)
    return _t_interval(value, variance, df, level, count)


def _residual(deviations: pd.DataFrame) -> float:
    """Return the variance that languages and seeds leave to a mean over both."""
    rows, seeds = deviations.shape
    if rows < 2:
        return 0.0
    left = deviations.sub(deviations.mean(axis="columns"), axis="index").to_numpy()
    return float((left**2).sum() * rows / (rows - 1) / (seeds * (seeds - 1)))


def combine(
    of_rows: float, of_seeds: float, residual: float, free_rows: float, free_seeds: float
) -> tuple[float, float]:
    """Return the variance of an effect over rows and seeds that cross, and its degrees of freedom.

    Satterthwaite's (1946), rounded down, but no fewer than those of the rows or of the seeds by themselves, and no more
    than rows and seeds have together, (rows - 1)(seeds - 1), where the seeds count.

    Parameters
    ----------
    of_rows, of_seeds : float
        Variance by rows (languages) and by seeds; both hold the residual.
    residual : float
    free_rows, free_seeds : float
        Degrees of freedom of either.
    """
    seeds_alone, rows_alone = max(of_seeds - residual, 0.0), max(of_rows - residual, 0.0)
    variance = max(rows_alone + seeds_alone + residual, of_rows)
    uncertain, least = of_rows**2 / free_rows, min(free_rows, free_seeds)
    if seeds_alone:
        uncertain += of_seeds**2 / free_seeds + residual**2 / (free_rows * free_seeds)
    df = math.floor(variance**2 / uncertain) if uncertain else free_rows * free_seeds
    return variance, float(min(max(df, least), free_rows * free_seeds))


def _t_interval(value: float, variance: float, df: float, level: float, seeds: int) -> Estimate:
    se, low, high, p = t_interval(value, variance, df, level)
    return Estimate(float(value), low, high, p, se, float(df), seeds)


def t_interval(value: float, variance: float, df: float, level: float) -> tuple[float, float, float, float]:
    """Return standard error, ends of the interval and two-sided p-value by Student's t; `df` may be infinite."""
    from scipy.special import stdtr, stdtrit

    se = math.sqrt(variance)
    half = se * float(stdtrit(df, (1 + level) / 2))
    p = 2 * float(stdtr(df, -abs(value) / se)) if se else float(value == 0)
    return se, float(value - half), float(value + half), p


def contrast(replicates: Mapping[str, Replicates], weights: Weights, level: float = LEVEL) -> Estimate:
    """Return a weighted sum of mean scores over languages other than English.

    Parameters
    ----------
    replicates : mapping
        Target -> replicates, as `resample` returns.
    weights : mapping
        (condition, target) -> weight; a gain has +1 and -1.

    Raises
    ------
    UnknownName
        If a target or a condition has no runs.
    """
    by_target: dict[str, dict[str, float]] = {}
    for (condition, target), weight in weights.items():
        by_target.setdefault(target, {})[condition] = weight
    parts = []
    for target, by_condition in by_target.items():
        if target not in replicates:
            raise UnknownName("target with zero-shot records", target, replicates)
        parts.append(replicates[target].mean(replicates[target].weights(by_condition)))
    return estimate(_sum(parts), level)


def _sum(parts: Sequence[Sample]) -> Sample:
    return reduce(operator.add, parts)


def gain_weights(condition: str, targets: Sequence[str], baseline: str = BASELINE) -> dict[tuple[str, str], float]:
    """Return the contrast "condition minus baseline, averaged over targets"."""
    share = 1 / len(targets)
    return {(name, target): sign * share for target in targets for name, sign in ((condition, 1), (baseline, -1))}


def gains(
    replicates: Mapping[str, Replicates],
    failed: Collection[tuple[str, str]] = (),
    baseline: str = BASELINE,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return one row for each condition and target that can be compared with the baseline.

    Parameters
    ----------
    failed : collection of (str, str)
        Condition and target of the cells that were not learned: no correction counts them, and none survives it. Where
        the baseline has not learned a target, none of its cells counts.

    Returns
    -------
    DataFrame
        condition, target, baseline_score, score (percent), gain, low, high (points), p, p_holm (corrected for all the
        rows that were learned), excludes_zero, survives_holm, languages, seeds, learned.
    """
    rows, lost = [], set(failed)
    for target, part in replicates.items():
        means = dict(zip(part.conditions, part.scores[part.others].mean(axis=0), strict=True))
        for condition in _compared(part, baseline):
            effect = contrast(replicates, gain_weights(condition, [target], baseline), level)
            rows.append(
                {"condition": condition, "target": target}
                | {"baseline_score": means[baseline], "score": means[condition]}
                | _as_row(effect)
                | {"languages": len(part.others), "seeds": effect.seeds}
                | {"learned": not {(condition, target), (baseline, target)} & lost}
            )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    corrected = with_holm(table[table["learned"]], level)[["p_holm", "survives_holm"]]
    table = table.join(corrected.reindex(table.index))
    return table.assign(survives_holm=table["survives_holm"].eq(True))


def average_gains(
    replicates: Mapping[str, Replicates], baseline: str = BASELINE, level: float = LEVEL
) -> pd.DataFrame:
    """Return each condition's gain averaged over the targets that it and the baseline have.

    Parameters
    ----------
    replicates : mapping
        Of what was learned: a condition's average is over the targets that it has learned.

    Returns
    -------
    DataFrame
        condition, gain, low, high, p, p_holm, excludes_zero, survives_holm, targets (their number).
    """
    rows = [
        {"condition": condition}
        | _as_row(contrast(replicates, gain_weights(condition, targets, baseline), level))
        | {"targets": len(targets)}
        for condition, targets in comparable(replicates, baseline).items()
    ]
    return with_holm(pd.DataFrame(rows), level)


def comparable(replicates: Mapping[str, Replicates], baseline: str = BASELINE) -> dict[str, list[str]]:
    """Return for each condition the targets on which it can be compared with the baseline."""
    found: dict[str, list[str]] = {}
    for target, part in replicates.items():
        for condition in _compared(part, baseline):
            found.setdefault(condition, []).append(target)
    return found


def _compared(part: Replicates, baseline: str) -> list[str]:
    """Conditions of a target that can be compared with the baseline."""
    return [name for name in part.conditions if name != baseline] if baseline in part.conditions else []


def _as_row(effect: Estimate) -> dict[str, float | bool]:
    return {
        "gain": effect.value,
        "low": effect.low,
        "high": effect.high,
        "p": effect.p,
        "excludes_zero": effect.excludes_zero,
    }


def with_holm(table: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Add p_holm and survives_holm: Holm's step-down correction (1979) of the column p for all rows of the table."""
    from statsmodels.stats.multitest import multipletests

    if table.empty:
        return table
    survives, corrected, *_ = multipletests(table["p"], alpha=1 - level, method="holm")
    return table.assign(p_holm=corrected, survives_holm=survives)


def language_gains(
    replicates: Mapping[str, Replicates], baseline: str = BASELINE, level: float = LEVEL
) -> pd.DataFrame:
    """Return one row for each condition, target and language, English among them; intervals over examples and seeds.

    Returns
    -------
    DataFrame
        condition, target, language, baseline_score, score (percent), gain, low, high (points).
    """
    rows = []
    for target, part in replicates.items():
        for condition in _compared(part, baseline):
            weights = part.weights({condition: 1, baseline: -1})
            before, after = part.conditions.index(baseline), part.conditions.index(condition)
            for place, language in enumerate(part.languages):
                effect = estimate(part.language(place, weights), level)
                rows.append(
                    {"condition": condition, "target": target, "language": language}
                    | {"baseline_score": part.scores[place, before], "score": part.scores[place, after]}
                    | {"gain": effect.value, "low": effect.low, "high": effect.high}
                )
    return pd.DataFrame(rows)


def average_language_gains(
    replicates: Mapping[str, Replicates], baseline: str = BASELINE, level: float = LEVEL
) -> pd.DataFrame:
    """Return each language's gain averaged over the comparable targets that it takes part in.

    Parameters
    ----------
    replicates : mapping
        Of what was learned.

    Returns
    -------
    DataFrame
        condition, language, gain, low, high (points, over items and seeds), targets (their number).
    """
    rows = []
    for condition, targets in comparable(replicates, baseline).items():
        for language in sorted({name for target in targets for name in replicates[target].languages}):
            members = [replicates[target] for target in targets if language in replicates[target].languages]
            parts = [
                part.language(part.languages.index(language), part.weights({condition: 1, baseline: -1}))
                for part in members
            ]
            effect = estimate(_sum(parts) * (1 / len(parts)), level)
            rows.append(
                {"condition": condition, "language": language, "gain": effect.value, "low": effect.low}
                | {"high": effect.high, "targets": len(members)}
            )
    return pd.DataFrame(rows)


def baseline_by_language(cells: pd.DataFrame) -> pd.DataFrame:
    """Return language, baseline_score: the mean over targets of the rows of one condition of `language_gains`."""
    return cells.groupby("language")["baseline_score"].mean().reset_index()


def by_language_and_condition(averages: pd.DataFrame) -> pd.DataFrame:
    """Return the gains of `average_language_gains`: language, targets (their number), and a column per condition."""
    order = list(dict.fromkeys(averages["condition"]))
    wide = averages.pivot(index=["language", "targets"], columns="condition", values="gain")[order]
    return wide.reset_index().rename_axis(columns=None)


def english_gaps(replicates: Mapping[str, Replicates], baseline: str = BASELINE, level: float = LEVEL) -> pd.DataFrame:
    """Return how far English is ahead of the other languages, for each target that is tested in English too.

    Returns
    -------
    DataFrame
        condition, target, english, others (percent; the mean over the other languages), gap, gap_low, gap_high
        (points), and change, change_low, change_high: the gap minus the baseline's (missing for the baseline itself and
        where the target has no baseline run).

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
            gap = _gap(part, {condition: 1}, level)
            change = dict.fromkeys(("change", "change_low", "change_high"), np.nan)
            if condition in _compared(part, baseline):
                effect = _gap(part, {condition: 1, baseline: -1}, level)
                change = {"change": effect.value, "change_low": effect.low, "change_high": effect.high}
            rows.append(
                {"condition": condition, "target": target, "english": english[place], "others": others[place]}
                | {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}
                | change
            )
    if not rows:
        raise StiltsError("no target with records is tested in English; run a classification, tagging or QA target")
    return pd.DataFrame(rows)


def _gap(part: Replicates, by_condition: Mapping[str, float], level: float) -> Estimate:
    weights = part.weights(by_condition)
    english = part.language(part.languages.index(SOURCE_LANGUAGE), weights)
    return estimate(english + part.mean(weights) * -1, level)


def layer_profiles(scores: pd.DataFrame, baseline: str = BASELINE, level: float = LEVEL) -> pd.DataFrame:
    """Return retrieval accuracy by hidden layer, averaged over languages, with intervals over languages and seeds.

    Parameters
    ----------
    scores : DataFrame
        One row per run and language: condition, seed, language, and layer_1, layer_2, ... in percent.

    Returns
    -------
    DataFrame
        condition, layer, score, low, high (percent), gain, gain_low, gain_high (points over the baseline's same layer;
        missing for the baseline and where it has no run).
    """
    layers = sorted((name for name in scores.columns if name.startswith("layer_")), key=lambda name: int(name[6:]))
    tables = {layer: seed_tables(scores, layer) for layer in layers}
    conditions = list(dict.fromkeys(scores["condition"]))
    rows = []
    for condition in conditions:
        for layer in layers:
            score = estimate_table(tables[layer][condition], level)
            row = {"condition": condition, "layer": int(layer[6:]), "score": score.value}
            row |= {"low": score.low, "high": score.high}
            if condition != baseline and baseline in conditions:
                gain = estimate_table(difference(tables[layer][condition], tables[layer][baseline]), level)
                row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            rows.append(row)
    columns = ["condition", "layer", "score", "low", "high", "gain", "gain_low", "gain_high"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[2:], float))


def seed_tables(scores: pd.DataFrame, column: str = "score") -> dict[str, pd.DataFrame]:
    """Return for each condition a column of scores: a row for each language that all have, a column for each seed."""
    tables = {
        str(condition): own.pivot(index="language", columns="seed", values=column).dropna()
        for condition, own in scores.groupby("condition", sort=False)
    }
    shared = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    return {condition: table.loc[shared] for condition, table in tables.items()}


def difference(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return what one condition is ahead of another, seed by seed; one without training is the same for all seeds."""
    if list(other.columns) == [UNTRAINED_SEED]:
        return one.sub(other[UNTRAINED_SEED], axis="index")
    return (one - other).dropna(axis="columns", how="all")


def estimate_table(table: pd.DataFrame, level: float = LEVEL) -> Estimate:
    """Return the mean of a table of languages (rows) and seeds (columns) with its interval, both meant as drawn.

    As `estimate`, with the items of a language among what sets it apart from others.
    """
    rows = len(table)
    of_rows = float(table.mean(axis="columns").var()) / rows if rows > 1 else 0.0
    deviations = (table - table.mean()) / rows
    return _estimate(table.to_numpy().mean(), of_rows, rows - 1 or math.inf, table.mean(), deviations, level)


def best_layers(profiles: pd.DataFrame) -> pd.DataFrame:
    """Return the row of `layer_profiles` with the highest score for each condition; of equal ones the lowest layer."""
    return profiles.loc[profiles.groupby("condition", sort=False)["score"].idxmax()].reset_index(drop=True)


def seed_spread(scores: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Return the mean score of each seed over languages other than English, and its spread over seeds.

    Parameters
    ----------
    scores : DataFrame
        As `stilts.study.records.tidy` returns it.

    Returns
    -------
    DataFrame
        condition, target, seeds, mean, sd (percent points, over seeds; missing for one seed).
    """
    others = scores[scores["language"] != SOURCE_LANGUAGE]
    by_seed = others.groupby(["condition", "target", "seed"], sort=False)["score"].mean()
    table = by_seed.groupby(["condition", "target"], sort=False).agg(["count", "mean", "std"]).reset_index()
    return table.rename(columns={"count": "seeds", "std": "sd"})


def paired_gains(live: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of `gains` that two studies share: condition, target, and gain, low, high of either."""
    columns = ["condition", "target", "gain", "low", "high"]
    return live[columns].merge(recorded[columns], on=["condition", "target"], suffixes=("_live", "_recorded"))


def rank_correlations(
    values: pd.DataFrame,
    measures: Sequence[str],
    by: Sequence[str],
    resamples: int,
    generator: np.random.Generator,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return Spearman's rank correlation of each measure with each other column, with an interval over languages.

    Parameters
    ----------
    values : DataFrame
        One row per language, with the columns named in `measures` and `by`; gaps leave their row out.

    Returns
    -------
    DataFrame
        by, measure, rho, low, high, languages (their number). A column that does not vary is left out.
    """
    rows = []
    for column in by:
        for measure in measures:
            table = values[[column, measure]].dropna()
            if min(table.nunique()) < 2:
                continue
            first, second = table.to_numpy(dtype=float).T
            drawn = generator.integers(len(table), size=(resamples, len(table)))
            low, high = np.nanquantile(_spearman(first[drawn], second[drawn]), [(1 - level) / 2, (1 + level) / 2])
            rows.append(
                {"by": column, "measure": measure, "rho": float(_spearman(first, second)), "low": low, "high": high}
                | {"languages": len(table)}
            )
    return pd.DataFrame(rows, columns=["by", "measure", "rho", "low", "high", "languages"])


def _spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlation of the ranks along the last axis, ties at their mean rank; NaN where either does not vary."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    first, second = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    scale = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    return np.divide((first * second).sum(axis=-1), scale, out=np.full_like(scale, np.nan), where=scale > 0)
