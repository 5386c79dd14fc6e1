"""Question 4: do adapters change what an intermediate task brings, and does the similarity of tasks predict it?

Ways of training (`SCHEMES`)
----------------------------
``full``       all weights in both phases
``then-full``  an adapter in phase 1, merged, then all weights
``continued``  an adapter in phase 1, which goes on in phase 2
``fresh``      an adapter in phase 1, merged, then a new one

The gain of a pair, in points
-----------------------------
The zero-shot score on a target after an intermediate task, minus the score of the same phase 2 without one: all weights
for ``full`` and ``then-full``, a fresh adapter for the other two. It is taken in languages besides English that every
condition was tested in, and paired by language and seed. A group of schemes (`GROUPS`) has the mean of their gains.

Pairs of the same task (`stilts.conditions.SAME`) are alike by construction. They are left out of every test, and shown
beside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
import pandas as pd

from stilts.analysis import count, in_order, listed, open_study
from stilts.conditions import is_same_task
from stilts.errors import StiltsError
from stilts.questions import chapters
from stilts.questions.chapters import Answer, Section
from stilts.questions.common import Result, Rules, Test, learned_outcomes, level_of, redrawn_outcomes, untested
from stilts.questions.matrices import (
    Orders,
    Relation,
    beyond_means,
    orders,
    predicted,
    relation,
    standardised,
)
from stilts.questions.models import effect_of
from stilts.records import Record, Store
from stilts.statistics import SOURCE_LANGUAGE, in_words, signed
from stilts.study import Study
from stilts.tasks import INTERMEDIATES, TARGETS, study_conditions

FULL = "full"
SCHEMES = (FULL, "then-full", "continued", "fresh")
ADAPTERS = SCHEMES[1:]
GROUPS: Mapping[str, tuple[str, ...]] = {**{name: (name,) for name in SCHEMES}, "adapters": ADAPTERS}
HEADLINE = "similarity-adapters"
COMBINED = "combined"
SLOPE_UNIT = "points for a standard deviation of similarity"
CORRELATION_UNIT = "hundredths of a correlation"
SMALLEST_CORRELATION = 30.0  # hundredths: a medium one by Cohen (1988)

Pair = tuple[str, str]
"""Intermediate task and target task."""


@dataclass(frozen=True)
class Evidence:
    """What the question is answered from.

    Attributes
    ----------
    intermediates, targets : tuple of str
        Tasks of the pairs that every scheme has, in the order of the registry.
    languages : tuple of str
    seeds : tuple of int
    gains : dict
        Scheme -> gains in points, float array of shape (intermediates, targets, languages, seeds), missing (NaN) where
        there are none. A target has the same languages in every scheme.
    similarity : DataFrame
        measure, intermediate, target, value: mean over seeds.
    redrawn : Evidence or None
        See `stilts.questions.models.Redrawable`.
    """

    intermediates: tuple[str, ...]
    targets: tuple[str, ...]
    languages: tuple[str, ...]
    seeds: tuple[int, ...]
    gains: Mapping[str, np.ndarray]
    similarity: pd.DataFrame
    redrawn: "Evidence | None" = None

    @property
    def schemes(self) -> list[str]:
        """Schemes that have gains."""
        return list(self.gains)

    @property
    def pairs(self) -> list[Pair]:
        """Pairs that every scheme has."""
        return [pair for pair in product(self.intermediates, self.targets) if self._has(pair)]

    @property
    def different(self) -> list[Pair]:
        """Pairs of two tasks."""
        return [pair for pair in self.pairs if not is_same_task([pair[0]], pair[1])]

    def _has(self, pair: Pair) -> bool:
        return all(not np.isnan(gains[self._place(pair)]).all() for gains in self.gains.values())

    def _place(self, pair: Pair) -> tuple[int, int]:
        return self.intermediates.index(pair[0]), self.targets.index(pair[1])

    def used(self, with_same: bool = False) -> np.ndarray:
        """Return which cells of the matrices are looked at, bool (intermediates, targets)."""
        found = np.zeros((len(self.intermediates), len(self.targets)), dtype=bool)
        for pair in self.pairs if with_same else self.different:
            found[self._place(pair)] = True
        return found

    def gain(self, group: str, pairs: Sequence[Pair]) -> pd.DataFrame:
        """Return a group's gain averaged over its schemes and over pairs, of shape (languages, seeds).

        Languages that one of the pairs was not tested in are left out, and seeds that one of them lacks.
        """
        mean = np.mean([self.gains[scheme][self._place(pair)] for scheme in GROUPS[group] for pair in pairs], axis=0)
        known = ~np.isnan(mean)
        table = pd.DataFrame(mean, index=pd.Index(self.languages, name="language"), columns=self.seeds)
        return table.loc[known.any(axis=1), known.any(axis=0)]

    def by_seed(self, group: str) -> np.ndarray:
        """Return a group's gains by seed, mean over languages, (seeds, intermediates, targets)."""
        mean = np.mean([self.gains[scheme] for scheme in GROUPS[group]], axis=0)
        known = ~np.isnan(mean)
        sums = np.where(known, mean, 0.0).sum(axis=2)
        means = np.divide(sums, known.sum(axis=2), out=np.full(sums.shape, np.nan), where=known.any(axis=2))
        return np.moveaxis(means, -1, 0)

    def matrix(self, group: str) -> np.ndarray:
        """Return a group's gains, mean over languages and seeds, (intermediates, targets); missing where no pair is."""
        return self.by_seed(group).mean(axis=0)

    @property
    def measures(self) -> list[str]:
        """Measures of similarity that have a value for every pair of two tasks."""
        used = self.used()
        return [name for name, values in self._measured.items() if used.any() and not np.isnan(values[used]).any()]

    def alike(self, measure: str, with_same: bool = False) -> np.ndarray:
        """Return a measure's values, or `combined`, (intermediates, targets).

        `combined` is the mean of the measures, each with mean 0 and standard deviation 1 over the cells looked at.
        """
        if measure == COMBINED:
            used = self.used(with_same)
            return np.mean([standardised(self.alike(name), used) for name in self.measures], axis=0)
        return self._measured[measure]

    @cached_property
    def _measured(self) -> dict[str, np.ndarray]:
        found = {}
        for measure, own in self.similarity.groupby("measure", sort=False):
            table = own.pivot(index="intermediate", columns="target", values="value")
            found[str(measure)] = table.reindex(index=self.intermediates, columns=self.targets).to_numpy(dtype=float)
        return found


# --- Evidence --------------------------------------------------------------------------------------------------------


def conditions_of(study: Study) -> dict[str, tuple[str, str | None]]:
    """Return the scheme and the intermediate task of a study's conditions, by name; None for a baseline.

    Conditions of several tasks or stages are left out.
    """
    single = (each for each in study_conditions(study) if len(each.all_tasks) <= 1)
    return {
        each.name: (FULL if each.adapters == "none" else each.adapters, each.tasks[0] if each.tasks else None)
        for each in single
    }


def gather(
    table: pd.DataFrame,
    conditions: Mapping[str, tuple[str, str | None]],
    similarity: pd.DataFrame,
    redrawn: pd.DataFrame | None = None,
) -> Evidence:
    """Return the evidence from outcomes.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.common.learned_outcomes` returns it; it may be empty.
    conditions : mapping
        Condition -> its scheme and its intermediate task, as `conditions_of` returns them. ``full`` and ``then-full``
        share the baseline of ``full``, the other two that of ``fresh``.
    similarity : DataFrame
        As `similarities` returns it.
    redrawn : DataFrame, optional
        As `stilts.questions.common.redrawn_outcomes` returns it.
    """
    known = table[table["condition"].isin(list(conditions)) & (table["language"] != SOURCE_LANGUAGE)]
    seeds, languages = (tuple(sorted(set(known[name]))) for name in ("seed", "language"))
    tasks = tuple(in_order({task for _, task in conditions.values() if task}, INTERMEDIATES))
    targets = tuple(in_order(set(known["target"]), TARGETS))
    scores = _cube(known, (list(conditions), targets, languages, seeds))
    gains = _gains(scores, conditions, tasks)
    shared = np.all([~np.isnan(each).all(axis=(2, 3)) for each in gains.values()], axis=0) if gains else None
    if shared is None or not shared.any():
        return Evidence((), (), (), (), {}, similarity)
    rows, columns = (np.flatnonzero(shared.any(axis=axis)) for axis in (1, 0))
    kept = {scheme: np.where(shared[..., None, None], each, np.nan)[rows][:, columns] for scheme, each in gains.items()}
    return Evidence(
        tuple(tasks[place] for place in rows), tuple(targets[place] for place in columns), languages, seeds, kept,
        similarity, None if redrawn is None else gather(redrawn, conditions, similarity),
    )  # fmt: skip


def _cube(table: pd.DataFrame, axes: tuple[Sequence, Sequence[str], Sequence[str], Sequence[int]]) -> np.ndarray:
    """Return scores by condition, target, language and seed; a language that a condition was not tested in is missing
    in the target for all conditions that have the target."""
    scores = np.full([len(axis) for axis in axes], np.nan)
    names = ("condition", "target", "language", "seed")
    places = [pd.Index(list(axis)).get_indexer(table[name]) for axis, name in zip(axes, names, strict=True)]
    scores[tuple(places)] = table["score"].to_numpy(dtype=float)
    tested = ~np.isnan(scores).all(axis=3)  # condition, target, language
    untested_somewhere = (tested.any(axis=2, keepdims=True) & ~tested).any(axis=0)
    scores[:, untested_somewhere] = np.nan
    return scores


def _gains(
    scores: np.ndarray, conditions: Mapping[str, tuple[str, str | None]], tasks: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return each scheme's gains over its baseline, (tasks, targets, languages, seeds); none of schemes without any."""
    place = {of: number for number, of in enumerate(conditions.values())}
    gains = {}
    for scheme in SCHEMES:
        baseline = (FULL if scheme in (FULL, "then-full") else "fresh", None)
        found = np.full((len(tasks), *scores.shape[1:]), np.nan)
        for row, task in enumerate(tasks):
            if baseline in place and (scheme, task) in place:
                found[row] = scores[place[scheme, task]] - scores[place[baseline]]
        if not np.isnan(found).all():
            gains[scheme] = found
    return gains


def similarities(records: Sequence[Record], store: Store) -> pd.DataFrame:
    """Return the similarity of tasks that records of phase `measure` hold, mean over seeds.

    Columns: measure, intermediate, target, value; no row where nothing was measured.
    """
    found = [record for record in records if record.run.settings.get("measure", {}).get("kind") == "similarity"]
    columns = ["measure", "intermediate", "target", "value"]
    if not found:
        return pd.DataFrame(columns=columns).astype({"value": float})
    table = pd.concat([store.table(record.id) for record in found], ignore_index=True)
    return table.groupby(columns[:3], sort=False, as_index=False)["value"].mean()


# --- Tests of schemes ------------------------------------------------------------------------------------------------


def scheme_difference(evidence: Evidence, rules: Rules, first: str, second: str) -> Result:
    """Return how much more the first scheme gains than the second, mean over pairs of two tasks."""
    missing = [name for name in (*GROUPS[first], *GROUPS[second]) if name not in evidence.schemes]
    if missing or not evidence.different:
        return untested(f"no gains of {' and '.join(missing)}" if missing else "no pair of two tasks has gains")
    pairs = evidence.different
    return effect_of(evidence, lambda found: found.gain(first, pairs) - found.gain(second, pairs), rules)


def mean_gain(evidence: Evidence, rules: Rules, group: str, pairs: Sequence[Pair]) -> Result:
    """Return a group's gain, mean over its schemes and over pairs."""
    return effect_of(evidence, lambda found: found.gain(group, pairs), rules)


# --- Tests of similarity ---------------------------------------------------------------------------------------------


def similarity_slope(
    evidence: Evidence, rules: Rules, group: str, measure: str = COMBINED, with_same: bool = False
) -> Result:
    """Return what a standard deviation of similarity beyond the means of tasks brings, by permutation of tasks."""
    if reason := _not_enough(evidence, GROUPS[group], measure):
        return untested(reason, SLOPE_UNIT, expected=1)
    used = evidence.used(with_same)
    found = _related(evidence, rules, beyond_means(evidence.matrix(group), used), measure, with_same)
    return _as_result(found, evidence, rules, SLOPE_UNIT)


def similarity_difference(evidence: Evidence, rules: Rules, first: str, second: str) -> Result:
    """Return by how much the first group's correlation with similarity exceeds the second's, in hundredths.

    Both gains are scaled to standard deviation 1, so that the slope of their difference is the difference of the two
    correlations; the tasks of the similarity are permuted for both at once.
    """
    if reason := _not_enough(evidence, (*GROUPS[first], *GROUPS[second]), COMBINED):
        return untested(reason, CORRELATION_UNIT, expected=1)
    used = evidence.used()
    ones = [standardised(beyond_means(evidence.matrix(group), used), used) for group in (first, second)]
    found = _related(evidence, rules, 100 * (ones[0] - ones[1]), COMBINED, False)
    return _as_result(found, evidence, rules, CORRELATION_UNIT, SMALLEST_CORRELATION)


def _not_enough(evidence: Evidence, schemes: Sequence[str], measure: str) -> str:
    """Return why similarity cannot be tested, "" if it can."""
    if missing := [name for name in schemes if name not in evidence.schemes]:
        return f"no gains of {' and '.join(missing)}"
    if not (evidence.measures if measure == COMBINED else measure in evidence.measures):
        return "similarity is not measured for every pair"
    free = int(evidence.used().sum()) - len(evidence.intermediates) - len(evidence.targets)
    if free < 1:
        return f"{len(evidence.different)} pairs are too few beside the means of their tasks"
    return ""


def _related(evidence: Evidence, rules: Rules, left: np.ndarray, measure: str, with_same: bool) -> Relation:
    used = evidence.used(with_same)
    over = orders_of(evidence, rules, with_same)
    return relation(left, beyond_means(evidence.alike(measure, with_same), used), used, over, rules.level)


def orders_of(evidence: Evidence, rules: Rules, with_same: bool = False) -> Orders:
    """Return the orders of tasks that the permutation tests are over."""
    used = evidence.used(with_same)
    return _orders(used.tobytes(), used.shape, rules.resamples, rules.seed)


@lru_cache(maxsize=8)
def _orders(used: bytes, shape: tuple[int, int], draws: int, seed: int) -> Orders:
    cells = np.frombuffer(used, dtype=bool).reshape(shape)
    return orders(cells, draws, np.random.default_rng(seed))


def _as_result(
    found: Relation, evidence: Evidence, rules: Rules, unit: str, smallest: float | None = None
) -> Result:
    """Return a relation as the result of a test, with a power note where the orders allow a verdict at all."""
    coarse = 1 / found.orders >= (1 - rules.level) / rules.tests_together
    notes = (
        f"the {found.orders} orders of so few tasks allow no p-value below {1 / found.orders:.3f}, which the "
        "correction for all tests asks for",
    )
    return Result(
        found.slope,
        found.low,
        found.high,
        found.p,
        found.cells,
        len(evidence.seeds),
        unit=unit,
        row_kind="pair",
        expected=1,
        se=float("nan") if coarse else found.se,
        df=float("nan") if coarse else found.df,
        smallest_effect=smallest,
        method=f"permutation of tasks, {found.orders} orders",
        notes=notes if coarse else (),
    )


def _difference_test(first: str, second: str) -> Test:
    return lambda evidence, rules: scheme_difference(evidence, rules, first, second)


def _slope_test(group: str) -> Test:
    return lambda evidence, rules: similarity_slope(evidence, rules, group)


TESTS: dict[str, Test] = {
    **{
        f"{first}-minus-{second}": _difference_test(first, second)
        for place, second in enumerate(SCHEMES)
        for first in SCHEMES[place + 1 :]
    },
    "continued-minus-fresh": _difference_test("continued", "fresh"),
    **{f"similarity-{group}": _slope_test(group) for group in GROUPS},
    "similarity-adapters-minus-full": lambda evidence, rules: similarity_difference(evidence, rules, "adapters", FULL),
}
"""`<scheme>-minus-<scheme>`: mean gains; `similarity-<scheme or adapters>`; and the difference of two correlations."""


# --- Tables ----------------------------------------------------------------------------------------------------------


def scheme_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return each scheme's mean gain, over pairs of two tasks and over pairs of the same task.

    Columns: group (the scheme), gain, low, high, p (not corrected), languages, same_gain, same_low, same_high.
    """
    alike = [pair for pair in evidence.pairs if is_same_task([pair[0]], pair[1])]
    rows = []
    for scheme in evidence.schemes if evidence.different else ():
        result = mean_gain(evidence, rules, scheme, evidence.different)
        beside = mean_gain(evidence, rules, scheme, alike) if alike else untested("no such pair")
        rows.append(
            {"group": scheme, "gain": result.estimate, "low": result.low, "high": result.high, "p": result.p}
            | {"languages": result.rows, "same_gain": beside.estimate}
            | {"same_low": beside.low, "same_high": beside.high}
        )
    columns = ["group", "gain", "low", "high", "p", "languages", "same_gain", "same_low", "same_high"]
    return pd.DataFrame(rows, columns=columns)


def language_gains(evidence: Evidence) -> pd.DataFrame:
    """Return each scheme's gain in each language, mean over pairs of two tasks and seeds: group, language, gain."""
    rows = [
        {"group": scheme, "language": code, "gain": value}
        for scheme in (evidence.schemes if evidence.different else ())
        for code, value in evidence.gain(scheme, evidence.different).mean(axis=1).items()
    ]
    return pd.DataFrame(rows, columns=["group", "language", "gain"])


def pair_gains(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return the gain of every scheme and pair with its interval over languages and seeds, and how alike the tasks are.

    Columns: scheme, intermediate, target, same, gain, low, high, excludes_zero, one for each measure, and `combined`
    (missing for pairs of the same task).
    """
    alike = {name: evidence.alike(name) for name in (*evidence.measures, COMBINED) if evidence.measures}
    rows = []
    for scheme in evidence.schemes:
        for first, second in evidence.pairs:
            result = mean_gain(evidence, rules, scheme, [(first, second)])
            row, column = evidence.intermediates.index(first), evidence.targets.index(second)
            values = {name: float(matrix[row, column]) for name, matrix in alike.items()}
            if is_same_task([first], second) and values:
                values[COMBINED] = np.nan
            rows.append(
                {"scheme": scheme, "intermediate": first, "target": second, "same": is_same_task([first], second)}
                | {"gain": result.estimate, "low": result.low, "high": result.high}
                | {"excludes_zero": result.low > 0 or result.high < 0, **values}
            )
    columns = ["scheme", "intermediate", "target", "same", "gain", "low", "high", "excludes_zero", *alike]
    return pd.DataFrame(rows, columns=columns)


def beyond_means_points(evidence: Evidence) -> pd.DataFrame:
    """Return gain and similarity of each pair of two tasks beyond the means of its tasks, for the figure.

    Columns: group (`full`, `adapters`), intermediate, target, similarity (standard deviations), gain (points).
    """
    columns = ["group", "intermediate", "target", "similarity", "gain"]
    groups = [group for group in (FULL, "adapters") if not _not_enough(evidence, GROUPS[group], COMBINED)]
    if not groups:
        return pd.DataFrame(columns=columns)
    used = evidence.used()
    alike = standardised(beyond_means(evidence.alike(COMBINED), used), used)
    rows = [
        (group, evidence.intermediates[row], evidence.targets[column], alike[row, column], gain[row, column])
        for group in groups
        for gain in [beyond_means(evidence.matrix(group), used)]
        for row, column in np.argwhere(used)
    ]
    return pd.DataFrame(rows, columns=columns)


def agreement(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return how far the measures agree on which pairs are alike, over pairs of two tasks.

    Returns
    -------
    DataFrame
        first, second (measures), rank (Spearman's correlation of the matrices), p, beyond_means (Pearson's, without
        the means of tasks), p_beyond_means. The p-values are of permutations of tasks, not corrected.
    """
    columns = ["first", "second", "rank", "p", "beyond_means", "p_beyond_means"]
    names, used = evidence.measures, evidence.used()
    if not names:
        return pd.DataFrame(columns=columns)
    over = orders_of(evidence, rules)
    rows = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            matrices = [evidence.alike(name) for name in (first, second)]
            ranks = relation(*(_ranked(matrix, used) for matrix in matrices), used, over)
            left = relation(*(beyond_means(matrix, used) for matrix in matrices), used, over)
            rows.append((first, second, ranks.r, ranks.p, left.r, left.p))
    return pd.DataFrame(rows, columns=columns)


def _ranked(matrix: np.ndarray, used: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranks = np.zeros(used.shape)
    ranks[used] = rankdata(matrix[used])
    return ranks


def by_measure(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return what each measure says of the gain of each scheme, and of all adapters; none of it corrected.

    Columns: group, measure, same_pairs (whether pairs of the same task are among them), slope, low, high, r, p, pairs.
    """
    columns = ["group", "measure", "same_pairs", "slope", "low", "high", "r", "p", "pairs"]
    rows = []
    for group, schemes in GROUPS.items():
        if _not_enough(evidence, schemes, COMBINED):
            continue
        for with_same in (False, True) if len(evidence.different) < len(evidence.pairs) else (False,):
            left = beyond_means(evidence.matrix(group), evidence.used(with_same))
            for measure in (COMBINED, *evidence.measures):
                if with_same and np.isnan(evidence.alike(measure, True)[evidence.used(True)]).any():
                    continue
                found = _related(evidence, rules, left, measure, with_same)
                rows.append((group, measure, with_same, found.slope, found.low, found.high, found.r, found.p,
                             found.cells))  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def reliability(evidence: Evidence) -> pd.DataFrame:
    """Return how much of the differences between pairs is the luck of seeds, for each group.

    Returns
    -------
    DataFrame
        group, spread (standard deviation over pairs of two tasks of the mean gain beyond the means of tasks, points),
        noise (that which seeds alone give it), share (of the variance that is not noise; 0 where noise explains all).
        With one seed the last two are missing.
    """
    used = evidence.used()
    rows = []
    for group, schemes in GROUPS.items():
        if not evidence.different or any(name not in evidence.schemes for name in schemes):
            continue
        left = np.stack([beyond_means(matrix, used)[used] for matrix in evidence.by_seed(group)])
        variance = float(left.mean(axis=0).var())
        noise = float(left.var(axis=0, ddof=1).mean() / len(left)) if len(left) > 1 else np.nan
        share = max(1 - noise / variance, 0.0) if variance else np.nan
        rows.append({"group": group, "spread": variance**0.5, "noise": noise**0.5, "share": share})
    return pd.DataFrame(rows, columns=["group", "spread", "noise", "share"])


# --- Prediction ------------------------------------------------------------------------------------------------------


HELD_OUT = ("pair", "intermediate", "target")


def prediction(evidence: Evidence, rules: Rules) -> pd.DataFrame:
    """Return how well similarity predicts the gain of pairs that were not seen, against means of tasks alone.

    Each pair, or all pairs of an intermediate or of a target task, are left out in turn and predicted from the others:
    by means of rows and columns, and by these and a slope on similarity. Intervals draw intermediate and target tasks.

    Returns
    -------
    DataFrame
        group, held_out (pair, intermediate or target), measure, error_means and error (root mean square in points,
        without and with similarity), r2, low, high (share of the squared error that similarity takes away; negative
        where it adds to it), rank (Spearman's correlation of predicted and observed gains, with similarity).
    """
    columns = ["group", "held_out", "measure", "error_means", "error", "r2", "low", "high", "rank"]
    used = evidence.used()
    rows = []
    for group in (FULL, "adapters"):
        if _not_enough(evidence, GROUPS[group], COMBINED):
            continue
        gain = evidence.matrix(group)
        for held_out in HELD_OUT:
            plain = cross_validated(gain, None, used, held_out)
            for measure in (COMBINED, *evidence.measures):
                found = cross_validated(gain, evidence.alike(measure), used, held_out)
                rows.append({"group": group, "held_out": held_out, "measure": measure,
                             **_skill(gain, plain, found, used, rules)})  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def cross_validated(gain: np.ndarray, predictor: np.ndarray | None, used: np.ndarray, held_out: str) -> np.ndarray:
    """Return every cell's prediction from those that are not left out with it, (intermediates, targets).

    Parameters
    ----------
    held_out : str
        `pair`, `intermediate` (a whole row) or `target` (a whole column).
    """
    found = np.full(gain.shape, np.nan)
    for mask in _folds(used, held_out):
        found[mask & used] = predicted(gain, predictor, used, mask)
    return found


def _folds(used: np.ndarray, held_out: str) -> list[np.ndarray]:
    rows, columns = np.indices(used.shape)
    if held_out == "intermediate":
        return [rows == place for place in range(used.shape[0])]
    if held_out == "target":
        return [columns == place for place in range(used.shape[1])]
    return [(rows == row) & (columns == column) for row, column in np.argwhere(used)]


def _skill(
    gain: np.ndarray, plain: np.ndarray, found: np.ndarray, used: np.ndarray, rules: Rules
) -> dict[str, float]:
    from scipy.stats import spearmanr

    errors = [np.where(used, (gain - each) ** 2, 0.0) for each in (plain, found)]
    generator = rules.generator()
    drawn = [generator.multinomial(size, np.full(size, 1 / size), size=rules.resamples) for size in used.shape]
    sums = [np.einsum("br,rc,bc->b", drawn[0], each, drawn[1]) for each in errors]
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = np.where(sums[0] > 0, 1 - sums[1] / sums[0], np.nan)
    low, high = np.nanquantile(draws, [(1 - rules.level) / 2, (1 + rules.level) / 2])
    means = [each.sum() / used.sum() for each in errors]
    r2 = 1 - means[1] / means[0] if means[0] else np.nan
    varies = gain[used].std() > 0 and found[used].std() > 0
    rank = float(spearmanr(gain[used], found[used]).statistic) if varies else np.nan
    return {"error_means": means[0] ** 0.5, "error": means[1] ** 0.5, "r2": float(r2), "low": float(low),
            "high": float(high), "rank": rank}  # fmt: skip


# --- Sentences -------------------------------------------------------------------------------------------------------


def design_text(evidence: Evidence) -> str:
    """Say which pairs there are, and what the gains are averages of."""
    if not evidence.pairs:
        return "There are no gains yet."
    tested = [len(evidence.gain(evidence.schemes[0], [pair])) for pair in evidence.pairs]
    fewest, most, seeds = min(tested), max(tested), len(evidence.seeds)
    alike = [f"{first} before {second}" for first, second in evidence.pairs if is_same_task([first], second)]
    said = f" Of the same task twice, and left out of the tests: {', '.join(alike)}." if alike else ""
    span = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"{len(evidence.intermediates)} intermediate tasks ({listed(evidence.intermediates)}) before "
        f"{len(evidence.targets)} target tasks ({listed(evidence.targets)}), in {count(evidence.schemes, 'way')} "
        f"({listed(evidence.schemes)}); each gain is over {span} languages besides English and {seeds} "
        f"seed{'' if seeds == 1 else 's'}.{said}"
    )


def schemes_text(table: pd.DataFrame) -> str:
    """Say what each way of training gains over pairs of two tasks."""
    if table.empty:
        return "There is nothing to compare yet."
    rows = table.to_dict("records")
    said = [f"{in_words(row['gain'], row['low'], row['high'])} with `{row['group']}`" for row in rows]
    return f"Over pairs of two different tasks, the gain of intermediate training is {', '.join(said)}."


def agreement_text(table: pd.DataFrame) -> str:
    """Say how far each two measures agree."""
    if table.empty:
        return "There are not two measures to compare yet."
    said = [
        f"`{row['first']}` and `{row['second']}` by {signed(row['rank'], 2)} (p {row['p']:.3f})"
        for row in table.to_dict("records")
    ]
    return f"Over pairs of two tasks the measures correlate by rank: {', '.join(said)}."


def prediction_text(table: pd.DataFrame) -> str:
    """Say what similarity adds to the means of tasks, for pairs and for tasks that were not seen."""
    rows = table[table["measure"] == COMBINED]
    if rows.empty:
        return "There is nothing to predict yet."
    lines = [
        f"- `{row['group']}`, unseen {row['held_out']}: the error goes from {row['error_means']:.1f} to "
        f"{row['error']:.1f} points, {_percent(row['r2'])} of its square taken away ({_percent(row['low'])} to "
        f"{_percent(row['high'])})."
        for row in rows.to_dict("records")
    ]
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %".replace("-", "\N{MINUS SIGN}")


# --- The answer ------------------------------------------------------------------------------------------------------


def answer(section: Section, beside: Study | None = None) -> Answer:
    """Answer the question from the records of an opened study, of which there may be none yet.

    Parameters
    ----------
    section : Section
        Of a study with conditions with adapters, and a measure of similarity.
    beside : Study or None
        Whose records of full fine-tuning stand beside, where the study has none of its own: of the same encoder, suite
        and training.

    Raises
    ------
    StiltsError
        If the two studies differ in anything else that scores depend on.
    """
    other = open_study(beside.name, section.rules.resamples, section.rules.seed).records if beside else ()
    return from_records(section, beside, other)


def from_records(section: Section, beside: Study | None, other: Sequence[Record]) -> Answer:
    """Answer the question from the records of a section, and those of the study that stands beside it."""
    analysis = section.analysis
    records, conditions = list(analysis.records), conditions_of(section.settings)
    if beside is not None:
        check_comparable(section.settings, beside)
        full = {name: of for name, of in conditions_of(beside).items() if of[0] == FULL}
        wanted, there = set(section.settings.targets), {record.id for record in records}
        found = [each for each in other if each.run.condition in full and each.run.target in wanted]
        records += [record for record in found if record.id not in there]
        conditions = full | conditions
    joined = replace(analysis, records=tuple(records))
    table = learned_outcomes(records, joined.failed)
    measured = similarities(analysis.phase("measure"), analysis.store)
    evidence = gather(table, conditions, measured, redrawn_outcomes(table, joined))
    text = schemes_text(scheme_gains(evidence, section.rules)) if evidence.different else ""
    level = level_of(table, [name for name, (_, task) in conditions.items() if task is None], joined.floors)
    return chapters.answer(section, evidence, TESTS, HEADLINE, text, level=level)


def check_comparable(first: Study, second: Study) -> None:
    """Check that two studies differ in nothing that a score depends on but conditions and languages.

    Raises
    ------
    StiltsError
        If they do; says in what.
    """
    for what, one, other in (
        ("encoder", first.encoder, second.encoder),
        ("data", first.data, second.data),
        ("seeds", first.seeds, second.seeds),
        ("intermediate_training", first.intermediate_training, second.intermediate_training),
        ("evaluation.examples", first.evaluation.examples, second.evaluation.examples),
        *((f"training of {task}", first.training("target", task), second.training("target", task))
          for task in first.targets),
    ):  # fmt: skip
        if one != other:
            raise StiltsError(f"studies '{first.name}' and '{second.name}' differ in {what}: {one} and {other}")
