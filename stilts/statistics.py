"""Effects with intervals: what a condition gains over another, for other languages, other test items and other seeds.

Every score of the study is ``100 * 2 * sum(matches) / (sum(predicted) + sum(gold))`` over a language's test items, so
one bootstrap on two sums serves accuracy, chunk F1, SQuAD F1 and mining F1 alike. It draws languages and items. Seeds
are too few to be drawn: their part of the variance is that of the effect from seed to seed, and the interval is
Student's, with Satterthwaite's degrees of freedom, as in `stilts.questions.models`.
"""

import math
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
import pandas as pd

from stilts.errors import StiltsError, UnknownName
from stilts.records import Record, Store
from stilts.tasks import TARGETS

SOURCE_LANGUAGE = "en"
BASELINE = "none"
LEVEL = 0.95
UNTRAINED_SEED = 0
"""The seed of a run that has no training before it: it is the same for all."""

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
    numerators, denominators : tuple of arrays of shape (items of the language, runs)
        ``2 * matches`` and ``predicted + gold``, one array per language.
    items : tuple of arrays of shape (items of the language,)
        The number of the item that a row is a translation of; empty where no item stands in two languages.
    """

    target: str
    runs: tuple[tuple[str, int], ...]
    languages: tuple[str, ...]
    numerators: tuple[np.ndarray, ...]
    denominators: tuple[np.ndarray, ...]
    items: tuple[np.ndarray, ...] = ()

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
    return {target: align(target, runs, TARGETS[target].parallel) for target, runs in frames.items()}


def align(
    target: str, predictions: Mapping[tuple[str, int], pd.DataFrame], parallel: Literal["rows", "ids"] | None = None
) -> Counts:
    """Return the counts of one target from the predictions of its runs.

    Parameters
    ----------
    predictions : mapping
        (condition, seed) -> table with columns language, example, matches, predicted, gold; and item where it is noted.
    parallel : str, optional
        Whether languages share items, see `stilts.tasks.Task`. Where items are not noted, as in records from before,
        those of `rows` are told by the number of the example; of `ids` nothing is known then.
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
    items = frames[0].get("item", keys["example"] if parallel == "rows" else None)
    return Counts(
        target,
        tuple(predictions),
        tuple(map(str, languages)),
        tuple(np.split(numerators, starts[1:])),
        tuple(np.split(denominators, starts[1:])),
        tuple(np.split(items.to_numpy(), starts[1:])) if parallel and items is not None else (),
    )


@dataclass(frozen=True)
class Sample:
    """A weighted sum of scores, with all that its standard error is made of; samples add up.

    Attributes
    ----------
    value : float
        Observed, in points.
    draws : array of shape (replicates,)
        The same with languages and items drawn anew; seeds as they are.
    rows : tuple of str
        Languages that are drawn; none for the score of one language.
    seeds : Series or None
        Seed -> observed value of that seed alone; None where no training, and so no seed, stands behind it.
    deviations : DataFrame or None
        What each language (row) adds to the value of each seed (column), about the mean over languages.
    """

    value: float
    draws: np.ndarray
    rows: tuple[str, ...] = ()
    seeds: pd.Series | None = None
    deviations: pd.DataFrame | None = None

    def __add__(self, other: "Sample") -> "Sample":
        value, rows = self.value + other.value, tuple(dict.fromkeys((*self.rows, *other.rows)))
        if self.seeds is None or other.seeds is None:
            seeded, constant = (other, self) if self.seeds is None else (self, other)
            seeds = None if seeded.seeds is None else seeded.seeds + constant.value
            return Sample(value, self.draws + other.draws, rows, seeds, seeded.deviations)
        seeds = (self.seeds + other.seeds).dropna()  # of the seeds that both have
        deviations = self.deviations.add(other.deviations, fill_value=0.0)[seeds.index]
        return Sample(value, self.draws + other.draws, rows, seeds, deviations)

    def __mul__(self, factor: float) -> "Sample":
        seeds = None if self.seeds is None else self.seeds * factor
        deviations = None if self.deviations is None else self.deviations * factor
        return Sample(self.value * factor, self.draws * factor, self.rows, seeds, deviations)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Replicates:
    """Scores of one target in percent: observed, and with items and languages drawn anew.

    Attributes
    ----------
    target : str
    runs : tuple of (str, int)
        Condition and seed of each run.
    conditions, languages : tuple of str
    scores : array of shape (languages, conditions)
        Observed, averaged over seeds.
    items : array of shape (replicates, languages, conditions)
        The same with the language's items drawn anew.
    run_scores : array of shape (languages, runs)
        Observed, each run apart.
    times_drawn : array of shape (replicates, languages)
        How often each language is drawn; 0 for English.
    shares_items : bool
        Whether languages have items that are translations of one another, which are drawn together.
    """

    target: str
    runs: tuple[tuple[str, int], ...]
    conditions: tuple[str, ...]
    languages: tuple[str, ...]
    scores: np.ndarray
    items: np.ndarray
    run_scores: np.ndarray
    times_drawn: np.ndarray
    shares_items: bool = False

    @property
    def seeds(self) -> dict[str, int]:
        """Condition -> number of seeds."""
        return {name: len(self._seeds_of(name)) for name in self.conditions}

    @property
    def others(self) -> list[int]:
        """Places of the languages other than English."""
        return [place for place, language in enumerate(self.languages) if language != SOURCE_LANGUAGE]

    def only(self, conditions: Sequence[str]) -> "Replicates":
        """Return the replicates of some of the conditions."""
        kept = [place for place, name in enumerate(self.conditions) if name in conditions]
        runs = [place for place, (name, _) in enumerate(self.runs) if name in conditions]
        return replace(
            self,
            runs=tuple(self.runs[place] for place in runs),
            conditions=tuple(self.conditions[place] for place in kept),
            scores=self.scores[:, kept],
            items=self.items[:, :, kept],
            run_scores=self.run_scores[:, runs],
        )

    def weights(self, by_condition: Mapping[str, float]) -> np.ndarray:
        """Return weights as an array of shape (conditions,); UnknownName for a condition without runs."""
        for condition in by_condition:
            if condition not in self.conditions:
                raise UnknownName(f"condition of target '{self.target}'", condition, self.conditions)
        return np.array([by_condition.get(condition, 0.0) for condition in self.conditions])

    def language(self, place: int, weights: np.ndarray) -> Sample:
        """Return a weighted sum of one language's scores."""
        by_seed = self._by_seed(weights)
        seeds = None if by_seed is None else by_seed.iloc[place]
        nothing = None if by_seed is None else by_seed.iloc[:0]
        return Sample(float(self.scores[place] @ weights), self.items[:, place] @ weights, (), seeds, nothing)

    def mean(self, weights: np.ndarray) -> Sample:
        """Return the same for the mean over languages other than English, with languages drawn anew as well.

        Languages' observed values spread more than the languages themselves do, by the noise of their items. To draw
        both languages and items without counting that noise twice, the observed values are first drawn together by as
        much as the noise of each language apart explains (Davison and Hinkley 1997, section 3.8). What the items that
        languages share do to all of them alike stays in the mean of the noise.
        """
        observed = self.scores[self.others] @ weights
        noise = self.items[:, self.others] @ weights - observed
        centre = observed.mean()
        drawn_together = centre + _shrinkage(observed, noise) * (observed - centre)
        times = self.times_drawn[:, self.others]
        count = times.sum(axis=1)  # 0 where a replicate drew no language of this target: it then says nothing
        drawn = np.divide(times @ drawn_together, count, out=np.full(len(times), np.nan), where=count > 0)
        rows = tuple(self.languages[place] for place in self.others)
        by_seed = self._by_seed(weights)
        if by_seed is None:
            return Sample(float(centre), drawn + noise.mean(axis=1), rows)
        table = by_seed.iloc[self.others]
        deviations = (table - table.mean()) / len(table)
        return Sample(float(centre), drawn + noise.mean(axis=1), rows, table.mean(), deviations)

    def _by_seed(self, weights: np.ndarray) -> pd.DataFrame | None:
        """Return a weighted sum of scores, a row for each language, a column for each seed that all conditions have.

        A condition without any training is the same for all seeds; None where there is no other.
        """
        used = [name for name, weight in zip(self.conditions, weights, strict=True) if weight]
        trained = [name for name in used if self._seeds_of(name) != {UNTRAINED_SEED}]
        if not trained:
            return None
        seeds = sorted(set.intersection(*map(self._seeds_of, trained)))
        columns = {run: self.run_scores[:, place] for place, run in enumerate(self.runs)}
        share = dict(zip(self.conditions, weights, strict=True))
        values = {
            seed: sum(share[name] * columns[name, seed if name in trained else UNTRAINED_SEED] for name in used)
            for seed in seeds
        }
        return pd.DataFrame(values, index=list(self.languages))

    def _seeds_of(self, condition: str) -> set[int]:
        return {seed for name, seed in self.runs if name == condition}


def _shrinkage(observed: np.ndarray, noise: np.ndarray) -> float:
    """Return the factor on the languages' deviations that gives replicates of the mean the variance of the mean."""
    if len(observed) < 2 or not observed.var():
        return 1.0
    excess = observed.var(ddof=1) - noise.var(axis=1, ddof=1).mean()
    return float(np.sqrt(max(excess, 0.0) / observed.var()))


def resample(counts: Mapping[str, Counts], resamples: int, generator: np.random.Generator) -> dict[str, Replicates]:
    """Draw the bootstrap replicates from which every interval of the study is read.

    Each replicate draws languages other than English with replacement, the same ones for every target; and of each
    language of a target, items with replacement, the same ones for every condition and seed, so that differences stay
    paired. Items that are translations of one another are drawn together for all languages.

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
    share = counts.membership / counts.membership.sum(axis=0)
    run_scores, items = [], []
    parts = zip(counts.numerators, counts.denominators, _items_drawn(counts, resamples, generator), strict=True)
    for numerator, denominator, drawn in parts:
        run_scores.append(_percent(numerator.sum(axis=0), denominator.sum(axis=0)))
        items.append(_percent(drawn @ numerator, drawn @ denominator) @ share)
    return Replicates(
        counts.target,
        counts.runs,
        counts.conditions,
        counts.languages,
        np.stack(run_scores) @ share,
        np.stack(items, axis=1),
        np.stack(run_scores),
        np.stack([drawn_of.get(language, np.zeros(resamples)) for language in counts.languages], axis=1),
        bool(counts.items),
    )


def _items_drawn(counts: Counts, resamples: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield for each language how often each of its items is drawn, an array of shape (resamples, items)."""
    if not counts.items:
        for numerator in counts.numerators:
            yield _times_drawn(len(numerator), resamples, generator)
        return
    together = np.unique(np.concatenate(counts.items))
    drawn = _times_drawn(len(together), resamples, generator)
    for own in counts.items:
        yield drawn[:, np.searchsorted(together, own)]


def _percent(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Ratio times 100; 0 where nothing was predicted and nothing was there, as the metrics have it."""
    return 100 * np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


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


def signed(value: float, decimals: int = 1) -> str:
    """Write a number with its sign, a true minus among them; what is rounded to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")


def in_words(value: float, low: float, high: float, unit: str = "points") -> str:
    """Write an effect and its interval for a sentence, as in "+1.2 points (-0.3 to +2.7)"."""
    return f"{signed(value)} {unit} ({signed(low)} to {signed(high)})"


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
