"""Bootstrap replicates of a study's scores, in which languages and test items are resampled.

Every score of the study is ``100 * 2 * sum(matches) / (sum(predicted) + sum(gold))`` over a language's test items, so
one bootstrap on two sums serves accuracy, chunk F1, SQuAD F1 and mining F1.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record, Store
from stilts.study.runs import UNTRAINED_SEED
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.registry import TARGETS


@dataclass(frozen=True)
class AlignedCounts:
    """Counts of matches and predictions for each example of one target, aligned over its runs.

    Attributes
    ----------
    target : str
    runs : tuple of (str, int)
        Condition and seed of each column.
    languages : tuple of str
    numerators, denominators : tuple of arrays of shape (items of the language, runs)
        ``2 * matches`` and ``predicted + gold``, one array per language.
    items : tuple of arrays of shape (items of the language,)
        Number of the item that a row is a translation of; empty if languages share no items.
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
        """Array of shape (runs, conditions): 1 where the run belongs to the condition, else 0."""
        return np.array([[float(run[0] == condition) for condition in self.conditions] for run in self.runs])


def read_counts(store: Store, records: Iterable[Record]) -> dict[str, AlignedCounts]:
    """Return the counts of all zero-shot runs among the records, by target.

    Raises
    ------
    StiltsError
        If two runs of a target were evaluated on different examples, or a run has no predictions.
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
) -> AlignedCounts:
    """Return the counts of one target from the predictions of its runs.

    Parameters
    ----------
    predictions : mapping
        (condition, seed) -> table with columns language, example, matches, predicted, gold, and optionally item.
    parallel : str, optional
        How languages share items, see `stilts.tasks.registry.Task`. Older records have no column item: then items of
        `rows` are identified by the number of the example, and those of `ids` are unknown.
    """
    frames = [frame.sort_values(["language", "example"], ignore_index=True) for frame in predictions.values()]
    keys = frames[0][["language", "example"]]
    for run, frame in zip(predictions, frames, strict=True):
        if not frame[["language", "example"]].equals(keys):
            first = next(iter(predictions))
            raise StiltsError(
                f"target '{target}': condition {run[0]}, seed {run[1]} was evaluated on other examples than condition "
                f"{first[0]}, seed {first[1]}; compare runs of one study only, and repeat runs of an older suite"
            )
    numerators = np.column_stack([2.0 * frame["matches"] for frame in frames])
    denominators = np.column_stack([frame["predicted"] + frame["gold"] for frame in frames]).astype(float)
    languages, starts = np.unique(keys["language"].to_numpy(dtype=str), return_index=True)
    items = frames[0].get("item", keys["example"] if parallel == "rows" else None)
    return AlignedCounts(
        target,
        tuple(predictions),
        tuple(map(str, languages)),
        tuple(np.split(numerators, starts[1:])),
        tuple(np.split(denominators, starts[1:])),
        tuple(np.split(items.to_numpy(), starts[1:])) if parallel and items is not None else (),
    )


@dataclass(frozen=True)
class Sample:
    """A weighted sum of scores, with the components of its standard error; samples can be added.

    Attributes
    ----------
    value : float
        Observed value in points.
    draws : array of shape (replicates,)
        Values in the replicates, with languages and items resampled but not seeds.
    rows : tuple of str
        Languages that are resampled; empty for the score of one language.
    seeds : Series or None
        Seed -> observed value of that seed; None if there is no training, and so no seed.
    deviations : DataFrame or None
        Contribution of each language (row) to the value of each seed (column), relative to the mean over languages.
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
        seeds = (self.seeds + other.seeds).dropna()  # the seeds that both have
        deviations = self.deviations.add(other.deviations, fill_value=0.0)[seeds.index]
        return Sample(value, self.draws + other.draws, rows, seeds, deviations)

    def __mul__(self, factor: float) -> "Sample":
        seeds = None if self.seeds is None else self.seeds * factor
        deviations = None if self.deviations is None else self.deviations * factor
        return Sample(self.value * factor, self.draws * factor, self.rows, seeds, deviations)

    __rmul__ = __mul__


@dataclass(frozen=True)
class Replicates:
    """Scores of one target in percent: observed, and in replicates with resampled items and languages.

    Attributes
    ----------
    target : str
    runs : tuple of (str, int)
        Condition and seed of each run.
    conditions, languages : tuple of str
    scores : array of shape (languages, conditions)
        Observed scores, averaged over seeds.
    items : array of shape (replicates, languages, conditions)
        The same scores with the language's items resampled.
    run_scores : array of shape (languages, runs)
        Observed scores of each run.
    times_drawn : array of shape (replicates, languages)
        How often each language is drawn; 0 for English.
    shares_items : bool
        Whether languages share items (translations of one another), which are then drawn together.
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
        """Indices of the languages other than English."""
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
        """Return weights as an array of shape (conditions,). Raises UnknownName for a condition without runs."""
        for condition in by_condition:
            if condition not in self.conditions:
                raise UnknownName(f"condition of target '{self.target}'", condition, self.conditions)
        return np.array([by_condition.get(condition, 0.0) for condition in self.conditions])

    def language(self, place: int, weights: np.ndarray) -> Sample:
        """Return a weighted sum of one language's scores."""
        by_seed = self._by_seed(weights)
        seeds = None if by_seed is None else by_seed.iloc[place]
        nothing = None if by_seed is None else by_seed.iloc[:0]
        value = float(self._observed(weights, by_seed)[place])
        noise = (self.items[:, place] - self.scores[place]) @ weights
        return Sample(value, value + noise, (), seeds, nothing)

    def mean(self, weights: np.ndarray) -> Sample:
        """Return a weighted sum of scores averaged over languages other than English, with languages resampled as well.

        Conditions are compared over the seeds that all of them have; the noise of items is that of all their seeds.

        Observed values of languages vary more than their true values, because of the noise of items. To resample both
        languages and items without counting that noise twice, the observed values are first shrunk towards their mean,
        by the variance that the noise within languages explains (Davison and Hinkley 1997, section 3.8). Noise of
        shared items, which affects all languages alike, remains in the mean of the noise.
        """
        by_seed = self._by_seed(weights)
        observed = self._observed(weights, by_seed)[self.others]
        noise = (self.items[:, self.others] - self.scores[self.others]) @ weights
        centre = observed.mean()
        drawn_together = centre + _shrinkage(observed, noise) * (observed - centre)
        times = self.times_drawn[:, self.others]
        count = times.sum(axis=1)  # 0 if a replicate drew no language of this target; its value is then missing
        drawn = np.divide(times @ drawn_together, count, out=np.full(len(times), np.nan), where=count > 0)
        rows = tuple(self.languages[place] for place in self.others)
        if by_seed is None:
            return Sample(float(centre), drawn + noise.mean(axis=1), rows)
        table = by_seed.iloc[self.others]
        deviations = (table - table.mean()) / len(table)
        return Sample(float(centre), drawn + noise.mean(axis=1), rows, table.mean(), deviations)

    def _by_seed(self, weights: np.ndarray) -> pd.DataFrame | None:
        """Return a weighted sum of scores: a row for each language, a column for each seed that all conditions have.

        A condition without training has the same score for all seeds. Returns None if there is no other condition.
        """
        used = [name for name, weight in zip(self.conditions, weights, strict=True) if weight]
        trained = self._trained(used)
        if not trained:
            return None
        seeds = self.shared_seeds(used)
        columns = {run: self.run_scores[:, place] for place, run in enumerate(self.runs)}
        share = dict(zip(self.conditions, weights, strict=True))
        values = {
            seed: sum(share[name] * columns[name, seed if name in trained else UNTRAINED_SEED] for name in used)
            for seed in seeds
        }
        return pd.DataFrame(values, index=list(self.languages))

    def _observed(self, weights: np.ndarray, by_seed: pd.DataFrame | None) -> np.ndarray:
        """Return a weighted sum of observed scores of each language, over the seeds that all conditions have.

        Conditions without a seed in common are summed over the seeds of each.
        """
        paired = by_seed is not None and by_seed.shape[1] > 0
        return by_seed.to_numpy().mean(axis=1) if paired else self.scores @ weights

    def shared_seeds(self, conditions: Iterable[str]) -> list[int]:
        """Return the seeds that all of some conditions have; those without training, which have none, left out."""
        trained = self._trained(conditions)
        return sorted(set.intersection(*map(self._seeds_of, trained))) if trained else []

    def average(self, condition: str, seeds: Collection[int]) -> float:
        """Return a condition's mean score over languages other than English and some seeds, over all if it has none."""
        places = [place for place, (name, seed) in enumerate(self.runs) if name == condition and seed in seeds]
        places = places or [place for place, (name, _) in enumerate(self.runs) if name == condition]
        return float(self.run_scores[self.others][:, places].mean())

    def _trained(self, conditions: Iterable[str]) -> list[str]:
        return [name for name in conditions if self._seeds_of(name) != {UNTRAINED_SEED}]

    def _seeds_of(self, condition: str) -> set[int]:
        return {seed for name, seed in self.runs if name == condition}


def _shrinkage(observed: np.ndarray, noise: np.ndarray) -> float:
    """Return the factor for the languages' deviations with which replicates have the variance of the mean."""
    if len(observed) < 2 or not observed.var():
        return 1.0
    excess = observed.var(ddof=1) - noise.var(axis=1, ddof=1).mean()
    return float(np.sqrt(max(excess, 0.0) / observed.var()))


def resample(
    counts: Mapping[str, AlignedCounts], resamples: int, generator: np.random.Generator
) -> dict[str, Replicates]:
    """Return bootstrap replicates of the scores of each target; the study's intervals are based on them.

    Each replicate draws languages other than English with replacement, the same ones for every target. For each
    language of a target it draws items with replacement, the same ones for every condition and seed, so that
    differences are paired. Items that are translations of one another are drawn together for all languages.

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
        raise StiltsError("no predictions in a language other than English, so there is no interval to compute")
    drawn_of = dict(zip(names, _times_drawn(len(names), resamples, generator).T, strict=True))
    return {target: _resample_target(counts[target], drawn_of, resamples, generator) for target in sorted(counts)}


def _times_drawn(count: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Return how often each of `count` elements is drawn in `count` draws with replacement, (resamples, count)."""
    drawn = generator.integers(count, size=(resamples, count)) + count * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count).astype(float)


def _resample_target(
    counts: AlignedCounts, drawn_of: Mapping[str, np.ndarray], resamples: int, generator: np.random.Generator
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


def _items_drawn(counts: AlignedCounts, resamples: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
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
    """Return the ratio times 100; 0 if the denominator is 0, as in the metrics."""
    return 100 * np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
