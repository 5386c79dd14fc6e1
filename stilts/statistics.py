"""Effects with intervals: what a condition gains over another, resampled over languages, examples and seeds.

Every score of the study is ``100 * 2 * sum(matches) / (sum(predicted) + sum(gold))`` over a language's examples, so one
bootstrap on two sums serves accuracy, chunk F1, SQuAD F1 and mining F1 alike.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stilts.errors import StiltsError, UnknownName
from stilts.records import Record, Store

SOURCE_LANGUAGE = "en"
BASELINE = "none"
LEVEL = 0.95

Weights = Mapping[tuple[str, str], float]
"""(condition, target) -> weight in a linear contrast of scores."""


@dataclass(frozen=True)
class Counts:
    """What the runs of one target got right, example by example, aligned over the runs.

    Attributes
    ----------
    target : str
    runs : tuple of (str, int)
        Condition and seed of each column.
    languages : tuple of str
    numerators, denominators : tuple of arrays of shape (examples of the language, runs)
        ``2 * matches`` and ``predicted + gold``, one array per language.
    """

    target: str
    runs: tuple[tuple[str, int], ...]
    languages: tuple[str, ...]
    numerators: tuple[np.ndarray, ...]
    denominators: tuple[np.ndarray, ...]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Conditions in the order of their first run."""
        return tuple(dict.fromkeys(condition for condition, _ in self.runs))

    @property
    def membership(self) -> np.ndarray:
        """Array of shape (runs, conditions): 1 where the run is one of the condition's."""
        return np.array([[float(run[0] == condition) for condition in self.conditions] for run in self.runs])


def read_counts(store: Store, records: Iterable[Record]) -> dict[str, Counts]:
    """Return the counts of all zero-shot runs among the records, by target.

    Raises
    ------
    StiltsError
        If two runs of a target were not evaluated on the same examples, or one has no predictions.
    """
    members: dict[str, list[Record]] = {}
    for record in records:
        if record.run.phase == "zero-shot":
            members.setdefault(str(record.run.target), []).append(record)
    frames = {
        target: {(run.run.condition, run.run.seed): store.predictions(run.id) for run in runs}
        for target, runs in members.items()
    }
    return {target: align(target, runs) for target, runs in frames.items()}


def align(target: str, predictions: Mapping[tuple[str, int], pd.DataFrame]) -> Counts:
    """Return the counts of one target from the predictions of its runs.

    Parameters
    ----------
    predictions : mapping
        (condition, seed) -> table with columns language, example, matches, predicted, gold.
    """
    frames = [frame.sort_values(["language", "example"], ignore_index=True) for frame in predictions.values()]
    keys = frames[0][["language", "example"]]
    for run, frame in zip(predictions, frames, strict=True):
        if not frame[["language", "example"]].equals(keys):
            first = next(iter(predictions))
            raise StiltsError(
                f"target '{target}': condition {run[0]}, seed {run[1]} was evaluated on other examples than condition "
                f"{first[0]}, seed {first[1]}; compare runs of one study only, and run again what an older suite made"
            )
    numerators = np.column_stack([2.0 * frame["matches"] for frame in frames])
    denominators = np.column_stack([frame["predicted"] + frame["gold"] for frame in frames]).astype(float)
    languages, starts = np.unique(keys["language"].to_numpy(dtype=str), return_index=True)
    return Counts(
        target,
        tuple(predictions),
        tuple(map(str, languages)),
        tuple(np.split(numerators, starts[1:])),
        tuple(np.split(denominators, starts[1:])),
    )


@dataclass(frozen=True)
class Replicates:
    """Scores of one target in percent: observed, and what the bootstrap needs to draw means and differences of them.

    Attributes
    ----------
    target : str
    conditions, languages : tuple of str
    seeds : dict
        Condition -> number of seeds.
    scores : array of shape (languages, conditions)
        Observed, averaged over seeds.
    examples : array of shape (replicates, languages, conditions)
        The same with the language's examples drawn anew.
    seed_scores : array of shape (languages, runs)
        Observed, each run apart.
    seed_shifts : array of shape (replicates, runs)
        Share of a run in its condition's mean when seeds are drawn anew, minus its share in the observed mean.
    membership : array of shape (runs, conditions)
    times_drawn : array of shape (replicates, languages)
        How often each language is drawn; 0 for English.
    """

    target: str
    conditions: tuple[str, ...]
    languages: tuple[str, ...]
    seeds: Mapping[str, int]
    scores: np.ndarray
    examples: np.ndarray
    seed_scores: np.ndarray
    seed_shifts: np.ndarray
    membership: np.ndarray
    times_drawn: np.ndarray

    @property
    def others(self) -> list[int]:
        """Places of the languages other than English."""
        return [place for place, language in enumerate(self.languages) if language != SOURCE_LANGUAGE]

    def weights(self, by_condition: Mapping[str, float]) -> np.ndarray:
        """Return weights as an array of shape (conditions,); UnknownName for a condition without runs."""
        for condition in by_condition:
            if condition not in self.conditions:
                raise UnknownName(f"condition of target '{self.target}'", condition, self.conditions)
        return np.array([by_condition.get(condition, 0.0) for condition in self.conditions])

    def language(self, place: int, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Return a weighted sum of one language's scores: observed, and with examples and seeds drawn anew."""
        observed = float(self.scores[place] @ weights)
        shifts = self.seed_shifts @ (self.seed_scores[place] * (self.membership @ weights))
        return observed, self.examples[:, place] @ weights + shifts

    def mean(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the same for the mean over languages other than English, with languages drawn anew as well.

        Languages' observed values spread more than the languages themselves do, by the noise of their examples. To draw
        both languages and examples without counting that noise twice, the observed values are first drawn together by
        as much as the noise explains (Davison and Hinkley 1997, section 3.8). A language that is drawn k times stands
        for k draws of its examples, whose noise adds up as the square root of k.
        """
        observed = self.scores[self.others] @ weights
        noise = self.examples[:, self.others] @ weights - observed
        centre = observed.mean()
        drawn_together = centre + _shrinkage(observed, noise) * (observed - centre)
        times = self.times_drawn[:, self.others]
        sums = times @ drawn_together + (np.sqrt(times) * noise).sum(axis=1)
        count = times.sum(axis=1)  # 0 where a replicate drew no language of this target: it then says nothing
        means = np.divide(sums, count, out=np.full_like(sums, np.nan), where=count > 0)
        shifts = self.seed_shifts @ (self.seed_scores[self.others].mean(axis=0) * (self.membership @ weights))
        return float(centre), means + shifts


def _shrinkage(observed: np.ndarray, noise: np.ndarray) -> float:
    """Return the factor on the languages' deviations that gives replicates of the mean the variance of the mean."""
    if len(observed) < 2 or not observed.var():
        return 1.0
    excess = observed.var(ddof=1) - noise.var(axis=0).mean()
    return float(np.sqrt(max(excess, 0.0) / observed.var()))


def resample(
    counts: Mapping[str, Counts], resamples: int, generator: np.random.Generator
) -> dict[str, Replicates]:
    """Draw the bootstrap replicates from which every interval of the study is read.

    Each replicate draws languages other than English with replacement, the same ones for every target; within each
    language of a target, examples with replacement, the same ones for every condition and seed, so that differences
    stay paired; and, for each condition apart, one seed fewer than there are, which makes up for the small number of
    seeds (Rao and Wu 1988). A condition with one seed keeps it: its interval says nothing of that seed's luck.

    Parameters
    ----------
    counts : mapping
        Target -> counts.
    resamples : int
        Number of replicates.
    generator : numpy Generator
        The same state gives the same replicates.

    Raises
    ------
    StiltsError
        If no target has predictions in a language other than English.
    """
    names = sorted({name for part in counts.values() for name in part.languages if name != SOURCE_LANGUAGE})
    if not names:
        raise StiltsError("no predictions in a language other than English: nothing to take an interval over")
    drawn_of = dict(zip(names, _times_drawn(len(names), resamples, generator).T, strict=True))
    return {target: _resample_target(counts[target], drawn_of, resamples, generator) for target in sorted(counts)}


def _times_drawn(count: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of `count` things is drawn in `count` draws with replacement; shape (resamples, count)."""
    drawn = generator.integers(count, size=(resamples, count)) + count * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(float)


def _resample_target(
    counts: Counts, drawn_of: Mapping[str, np.ndarray], resamples: int, generator: np.random.Generator
) -> Replicates:
    membership = counts.membership
    seeds = membership.sum(axis=0)
    seed_scores, examples = [], []
    for numerator, denominator in zip(counts.numerators, counts.denominators, strict=True):
        drawn = _times_drawn(len(numerator), resamples, generator)
        seed_scores.append(_percent(numerator.sum(axis=0), denominator.sum(axis=0)))
        examples.append(_percent(drawn @ numerator, drawn @ denominator) @ (membership / seeds))
    return Replicates(
        counts.target,
        counts.conditions,
        counts.languages,
        dict(zip(counts.conditions, map(int, seeds), strict=True)),
        np.stack(seed_scores) @ (membership / seeds),
        np.stack(examples, axis=1),
        np.stack(seed_scores),
        _seed_shifts(membership, resamples, generator),
        membership,
        np.stack([drawn_of.get(language, np.zeros(resamples)) for language in counts.languages], axis=1),
    )


def _percent(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Ratio times 100; 0 where nothing was predicted and nothing was there, as the metrics have it."""
    return 100 * np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _seed_shifts(membership: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    shifts = np.zeros((resamples, len(membership)))
    for column in membership.T:
        runs = np.flatnonzero(column)
        if len(runs) > 1:
            share = np.full(len(runs), 1 / len(runs))
            shifts[:, runs] = generator.multinomial(len(runs) - 1, share, size=resamples) / (len(runs) - 1) - share
    return shifts


@dataclass(frozen=True)
class Estimate:
    """An effect in points, its percentile interval, and the p-value of a Wald test with the bootstrap's spread."""

    value: float
    low: float
    high: float
    p: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{signed(self.value)} [{signed(self.low)}, {signed(self.high)}]"


def signed(value: float, decimals: int = 1) -> str:
    """Write a number with its sign, a true minus among them; what is rounded to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def in_words(value: float, low: float, high: float, unit: str = "points") -> str:
    """Write an effect and its interval for a sentence, as in "+1.2 points (-0.3 to +2.7)"."""
    return f"{signed(value)} {unit} ({signed(low)} to {signed(high)})"


def estimate(value: float, replicates: np.ndarray, level: float = LEVEL) -> Estimate:
    """Return an effect with its interval from its replicates, an array of shape (replicates,).

    The interval is the percentile interval. The p-value is two-sided, from the normal distribution with the replicates'
    standard deviation: unlike a count of replicates it has no smallest value, which a correction for many comparisons
    would run into. An effect of zero that never varies has p = 1.
    """
    low, high = np.nanquantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    spread = float(np.nanstd(replicates))
    p = math.erfc(abs(value) / spread / math.sqrt(2)) if spread else float(value == 0)
    return Estimate(float(value), float(low), float(high), float(p))


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
    return estimate(sum(value for value, _ in parts), np.sum([draws for _, draws in parts], axis=0), level)


def gain_weights(condition: str, targets: Sequence[str], baseline: str = BASELINE) -> dict[tuple[str, str], float]:
    """Return the contrast "condition minus baseline, averaged over targets"."""
    share = 1 / len(targets)
    return {(name, target): sign * share for target in targets for name, sign in ((condition, 1), (baseline, -1))}


def gains(replicates: Mapping[str, Replicates], baseline: str = BASELINE, level: float = LEVEL) -> pd.DataFrame:
    """Return one row for each condition and target that can be compared with the baseline.

    Returns
    -------
    DataFrame
        condition, target, baseline_score, score (percent), gain, low, high (points), p, p_holm (corrected for all the
        rows), excludes_zero, survives_holm, languages, seeds.
    """
    rows = []
    for target, part in replicates.items():
        means = dict(zip(part.conditions, part.scores[part.others].mean(axis=0), strict=True))
        for condition in _compared(part, baseline):
            effect = contrast(replicates, gain_weights(condition, [target], baseline), level)
            rows.append(
                {"condition": condition, "target": target}
                | {"baseline_score": means[baseline], "score": means[condition]}
                | _as_row(effect)
                | {"languages": len(part.others), "seeds": part.seeds[condition]}
            )
    return with_holm(pd.DataFrame(rows), level)


def average_gains(
    replicates: Mapping[str, Replicates],
    targets: Sequence[str] | None = None,
    baseline: str = BASELINE,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return each condition's gain averaged over targets, over those alone that all conditions and the baseline have.

    Returns
    -------
    DataFrame
        condition, gain, low, high, p, p_holm, excludes_zero, survives_holm, targets (their number).
    """
    common, conditions = comparable(replicates, targets, baseline)
    rows = [
        {"condition": condition}
        | _as_row(contrast(replicates, gain_weights(condition, common, baseline), level))
        | {"targets": len(common)}
        for condition in conditions
    ]
    return with_holm(pd.DataFrame(rows), level)


def comparable(
    replicates: Mapping[str, Replicates], targets: Sequence[str] | None = None, baseline: str = BASELINE
) -> tuple[list[str], list[str]]:
    """Return the targets and the conditions that can be averaged: conditions of any target, targets that have them all.

    Raises StiltsError where no target has them all.
    """
    chosen = [target for target in (targets or replicates) if target in replicates]
    compared = {target: _compared(replicates[target], baseline) for target in chosen}
    conditions = list(dict.fromkeys(name for names in compared.values() for name in names))
    common = [target for target in chosen if set(compared[target]) == set(conditions) and conditions]
    if not common:
        raise StiltsError(f"no target has records of '{baseline}' and of all other conditions; run the study's rest")
    return common, conditions


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
                effect = estimate(*part.language(place, weights), level)
                rows.append(
                    {"condition": condition, "target": target, "language": language}
                    | {"baseline_score": part.scores[place, before], "score": part.scores[place, after]}
                    | {"gain": effect.value, "low": effect.low, "high": effect.high}
                )
    return pd.DataFrame(rows)


def average_language_gains(
    replicates: Mapping[str, Replicates],
    targets: Sequence[str] | None = None,
    baseline: str = BASELINE,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return each language's gain averaged over the comparable targets that it takes part in.

    Returns
    -------
    DataFrame
        condition, language, gain, low, high (points, over examples and seeds), targets (their number).
    """
    common, conditions = comparable(replicates, targets, baseline)
    languages = sorted({language for target in common for language in replicates[target].languages})
    rows = []
    for condition in conditions:
        for language in languages:
            members = [replicates[target] for target in common if language in replicates[target].languages]
            parts = [
                part.language(part.languages.index(language), part.weights({condition: 1, baseline: -1}))
                for part in members
            ]
            values, draws = zip(*parts, strict=True)
            effect = estimate(np.mean(values), np.mean(draws, axis=0), level)
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


def english_gaps(
    replicates: Mapping[str, Replicates], baseline: str = BASELINE, level: float = LEVEL
) -> pd.DataFrame:
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
    english, english_draws = part.language(part.languages.index(SOURCE_LANGUAGE), weights)
    others, others_draws = part.mean(weights)
    return estimate(english - others, english_draws - others_draws, level)


def layer_profiles(
    scores: pd.DataFrame,
    resamples: int,
    generator: np.random.Generator,
    baseline: str = BASELINE,
    level: float = LEVEL,
) -> pd.DataFrame:
    """Return retrieval accuracy by hidden layer, averaged over languages, with intervals over languages.

    Parameters
    ----------
    scores : DataFrame
        One row per run and language: condition, language, and layer_1, layer_2, ... in percent.

    Returns
    -------
    DataFrame
        condition, layer, score, low, high (percent), gain, gain_low, gain_high (points over the baseline's same layer;
        missing for the baseline and where it has no run).
    """
    layers = sorted((name for name in scores.columns if name.startswith("layer_")), key=lambda name: int(name[6:]))
    means = scores.groupby(["condition", "language"])[layers].mean()  # over seeds
    table = means.unstack("condition").dropna()  # languages that every condition has
    drawn = generator.multinomial(len(table), np.full(len(table), 1 / len(table)), size=resamples) / len(table)
    values = {(layer, condition): table[(layer, condition)].to_numpy() for layer, condition in table.columns}
    conditions = list(dict.fromkeys(scores["condition"]))
    rows = []
    for condition in conditions:
        for layer in layers:
            score = values[layer, condition]
            compared = condition != baseline and baseline in conditions
            gain = score - values[layer, baseline] if compared else np.full_like(score, np.nan)
            rows.append(
                {"condition": condition, "layer": int(layer[6:])}
                | _mean_interval(("score", "low", "high"), score, drawn, level)
                | _mean_interval(("gain", "gain_low", "gain_high"), gain, drawn, level)
            )
    return pd.DataFrame(rows)


def _mean_interval(names: Sequence[str], values: np.ndarray, drawn: np.ndarray, level: float) -> dict[str, float]:
    low, high = np.quantile(drawn @ values, [(1 - level) / 2, (1 + level) / 2])
    return dict(zip(names, (float(values.mean()), float(low), float(high)), strict=True))


def best_layers(profiles: pd.DataFrame) -> pd.DataFrame:
    """Return the row of `layer_profiles` with the highest score for each condition; of equal ones the lowest layer."""
    return profiles.loc[profiles.groupby("condition", sort=False)["score"].idxmax()].reset_index(drop=True)


def seed_spread(scores: pd.DataFrame, baseline: str = BASELINE) -> pd.DataFrame:
    """Return the mean score of each seed over languages other than English, and its spread over seeds.

    Parameters
    ----------
    scores : DataFrame
        As `stilts.records.tidy` returns it.

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
