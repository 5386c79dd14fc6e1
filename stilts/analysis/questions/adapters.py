"""Question 4: do adapters change what an intermediate task brings, and does the similarity of tasks predict it?

Ways of training (`SCHEMES`)
----------------------------
``full``       fine-tuning in both phases
``then-full``  an adapter in phase 1, merged, then fine-tuning
``continued``  an adapter in phase 1, which goes on in phase 2
``fresh``      an adapter in phase 1, merged, then a new one

The gain of a pair, in points
-----------------------------
The zero-shot score on a target after an intermediate task, minus the score of the same phase 2 without one: fine-tuning
for ``full`` and ``then-full``, a fresh adapter for the other two. It is taken in languages besides English that every
condition was tested in, and paired by language and seed. A group of schemes (`GROUPS`) has the mean of their gains.

Pairs of the same task (`stilts.tasks.registry.Task.same_as`) are alike by construction. They are left out of every test
but `same-task`, and shown beside.

How alike the tasks of a pair are is set by design where a study has intermediate tasks that ask the same or something
else (inference, paraphrase) of the same or of other texts (commands, written sentences): see `MATCHES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from itertools import product

import numpy as np
import pandas as pd

from stilts.analysis.conditions import is_same_task
from stilts.analysis.contrasts import keep_shared_languages
from stilts.analysis.opened import sort_by_order
from stilts.analysis.questions.crossed import estimate_from_evidence
from stilts.analysis.questions.permutations import (
    Orders,
    Relation,
    count_degrees_of_freedom,
    estimate_relation,
    make_orders,
    remove_means,
    standardise_matrix,
)
from stilts.analysis.questions.testing import Result, Rules, Test, make_untested
from stilts.analysis.wording import WAY_TITLES
from stilts.study.records import Record, Store
from stilts.study.runs import SimilarityRunSettings
from stilts.study.settings import SOURCE_LANGUAGE, Study, strip_language
from stilts.tasks.registry import INTERMEDIATES, TARGETS, resolve_conditions

FULL = "full"
SCHEMES = (FULL, "then-full", "continued", "fresh")
ADAPTERS = SCHEMES[1:]
GROUPS: Mapping[str, tuple[str, ...]] = {**{name: (name,) for name in SCHEMES}, "adapters": ADAPTERS}
COMBINED = "combined"
MATCHES: Mapping[str, tuple[bool, bool]] = {
    "task-match": (True, False), "domain-match": (False, True), "same-task": (True, True),
}  # fmt: skip
"""Test -> whether its pairs ask the same, and of the same texts; pairs with no match are what it sets them against."""
NO_MATCH = (False, False)
MATCH_TITLES = {
    NO_MATCH: "differs in both",
    MATCHES["task-match"]: "asks the same",
    MATCHES["domain-match"]: "of the same texts",
    MATCHES["same-task"]: "the same task",
}
"""Whether intermediate and target task ask the same, and of the same texts -> the pair in words."""

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
        See `stilts.analysis.questions.evidence.Redrawable`.
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

    def matching(self, match: tuple[bool, bool]) -> dict[str, list[Pair]]:
        """Return target -> its pairs that match so in what is asked and in the texts; see `MATCHES`."""
        found: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            if find_match(pair) == match:
                found.setdefault(pair[1], []).append(pair)
        return found

    def of_target(self, target: str) -> "Evidence":
        """Return the evidence of one target alone."""
        place = self.targets.index(target)
        gains = {scheme: own[:, [place]] for scheme, own in self.gains.items()}
        return replace(self, targets=(target,), gains=gains, redrawn=self.redrawn and self.redrawn.of_target(target))

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
            return np.mean([standardise_matrix(self.alike(name), used) for name in self.measures], axis=0)
        return self._measured[measure]

    @cached_property
    def _measured(self) -> dict[str, np.ndarray]:
        found = {}
        for measure, own in self.similarity.groupby("measure", sort=False):
            table = own.pivot(index="intermediate", columns="target", values="value")
            found[str(measure)] = table.reindex(index=self.intermediates, columns=self.targets).to_numpy(dtype=float)
        return found


def find_match(pair: Pair) -> tuple[bool, bool] | None:
    """Return whether both tasks of a pair ask the same, and of the same texts; None if one has no known kind."""
    intermediate, target = pair
    first, second = INTERMEDIATES[strip_language(intermediate)].kind, TARGETS[target].kind
    return (first.asks == second.asks, first.texts == second.texts) if first and second else None


# --- Evidence --------------------------------------------------------------------------------------------------------


def list_conditions(study: Study) -> dict[str, tuple[str, str | None]]:
    """Return the scheme and the intermediate task of a study's conditions, by name; None for a baseline.

    Conditions of several tasks or stages are left out.
    """
    single = (each for each in resolve_conditions(study) if len(each.all_tasks) <= 1)
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
        As `stilts.analysis.questions.evidence.tabulate_learned_outcomes` returns it; it may be empty.
    conditions : mapping
        Condition -> its scheme and its intermediate task, as `list_conditions` returns them. ``full`` and ``then-full``
        share the baseline of ``full``, the other two that of ``fresh``.
    similarity : DataFrame
        As `average_similarities` returns it.
    redrawn : DataFrame, optional
        As `stilts.analysis.questions.evidence.redraw_outcomes` returns it.
    """
    known = table[table["condition"].isin(list(conditions)) & (table["language"] != SOURCE_LANGUAGE)]
    seeds, languages = (tuple(sorted(set(known[name]))) for name in ("seed", "language"))
    tasks = tuple(sort_by_order({task for _, task in conditions.values() if task}, INTERMEDIATES))
    targets = tuple(sort_by_order(set(known["target"]), TARGETS))
    scores = _cube(keep_shared_languages(known), (list(conditions), targets, languages, seeds))
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
    """Return scores by condition, target, language and seed, missing (NaN) where there are none."""
    scores = np.full([len(axis) for axis in axes], np.nan)
    names = ("condition", "target", "language", "seed")
    places = [pd.Index(list(axis)).get_indexer(table[name]) for axis, name in zip(axes, names, strict=True)]
    scores[tuple(places)] = table["score"].to_numpy(dtype=float)
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


def average_similarities(records: Sequence[Record], store: Store) -> pd.DataFrame:
    """Return the similarity of tasks that records of phase `measure` hold, mean over seeds.

    Columns: measure, intermediate, target, value; no row where nothing was measured.
    """
    found = [record for record in records if isinstance(record.run.settings, SimilarityRunSettings)]
    columns = ["measure", "intermediate", "target", "value"]
    if not found:
        return pd.DataFrame(columns=columns).astype({"value": float})
    table = pd.concat([store.table(record.id) for record in found], ignore_index=True)
    return table.groupby(columns[:3], sort=False, as_index=False)["value"].mean()


# --- Tests -----------------------------------------------------------------------------------------------------------


SLOPE_UNIT = "points for a standard deviation of similarity"
CORRELATION_UNIT = "hundredths of a correlation"
SMALLEST_CORRELATION = 30.0  # hundredths: a medium one by Cohen (1988)


def compare_schemes(evidence: Evidence, rules: Rules, first: str, second: str) -> Result:
    """Return how much more the first scheme gains than the second, mean over pairs of two tasks."""
    missing = [name for name in (*GROUPS[first], *GROUPS[second]) if name not in evidence.schemes]
    if missing or not evidence.different:
        return make_untested(f"no gains of {' and '.join(missing)}" if missing else "no pair of two tasks has gains")
    pairs = evidence.different
    return estimate_from_evidence(evidence, lambda found: found.gain(first, pairs) - found.gain(second, pairs), rules)


def estimate_mean_gain(evidence: Evidence, rules: Rules, group: str, pairs: Sequence[Pair]) -> Result:
    """Return a group's gain, mean over its schemes and over pairs."""
    return estimate_from_evidence(evidence, lambda found: found.gain(group, pairs), rules)


def compare_matches(evidence: Evidence, rules: Rules, match: str, first: str, second: str | None = None) -> Result:
    """Return how much more pairs gain that match than pairs that match in nothing, mean over targets with both.

    Parameters
    ----------
    match : str
        One of `MATCHES`.
    first : str
        Scheme or group of schemes.
    second : str, optional
        Group whose difference is subtracted.
    """
    groups, expected = ({first: 1, second: -1}, 0) if second else ({first: 1}, 1)
    if missing := [name for group in groups for name in GROUPS[group] if name not in evidence.schemes]:
        return make_untested(f"no gains of {' and '.join(missing)}", expected=expected)
    alike, unlike = evidence.matching(MATCHES[match]), evidence.matching(NO_MATCH)
    targets = [target for target in alike if target in unlike]
    if not targets:
        return make_untested(
            "no target has gains of pairs that match so and of pairs that do not match", expected=expected
        )

    def gain(found: Evidence, group: str, pairs: Mapping[str, list[Pair]]) -> pd.DataFrame:
        return sum(found.gain(group, pairs[target]) for target in targets) / len(targets)

    def difference(found: Evidence) -> pd.DataFrame:
        return sum(sign * (gain(found, group, alike) - gain(found, group, unlike)) for group, sign in groups.items())

    return estimate_from_evidence(evidence, difference, rules, expected=expected)


def estimate_similarity_slope(evidence: Evidence, rules: Rules, group: str) -> Result:
    """Return what a standard deviation of similarity beyond the means of tasks brings, by permutation of tasks."""
    if reason := explain_too_few(evidence, GROUPS[group]):
        return make_untested(reason, SLOPE_UNIT, expected=1)
    left = remove_means(evidence.matrix(group), evidence.used())
    found = relate_gains(evidence, rules, left, COMBINED, with_same=False)
    return _as_result(found, evidence, rules, SLOPE_UNIT)


def compare_correlations(evidence: Evidence, rules: Rules, first: str, second: str) -> Result:
    """Return by how much the first group's correlation with similarity exceeds the second's, in hundredths.

    Both gains are scaled to standard deviation 1, so that the slope of their difference is the difference of the two
    correlations; the tasks of the similarity are permuted for both at once.
    """
    if reason := explain_too_few(evidence, (*GROUPS[first], *GROUPS[second])):
        return make_untested(reason, CORRELATION_UNIT, expected=1)
    used = evidence.used()
    ones = [standardise_matrix(remove_means(evidence.matrix(group), used), used) for group in (first, second)]
    found = relate_gains(evidence, rules, 100 * (ones[0] - ones[1]), COMBINED, False)
    return _as_result(found, evidence, rules, CORRELATION_UNIT, SMALLEST_CORRELATION)


def explain_too_few(evidence: Evidence, schemes: Sequence[str]) -> str:
    """Return why similarity cannot be tested, "" if it can."""
    if missing := [name for name in schemes if name not in evidence.schemes]:
        return f"no gains of {' and '.join(missing)}"
    if not evidence.measures:
        return "similarity is not measured for every pair"
    if count_degrees_of_freedom(evidence.used()) < 1:
        return f"{len(evidence.different)} pairs are too few beside the means of their tasks"
    return ""


def relate_gains(evidence: Evidence, rules: Rules, left: np.ndarray, measure: str, with_same: bool) -> Relation:
    """Return how a matrix of gains goes with a measure, among all orders of the tasks."""
    used = evidence.used(with_same)
    over = make_task_orders(evidence, rules, with_same)
    return estimate_relation(left, remove_means(evidence.alike(measure, with_same), used), used, over, rules.level)


def make_task_orders(evidence: Evidence, rules: Rules, with_same: bool = False) -> Orders:
    """Return the orders of tasks that the permutation tests are over."""
    used = evidence.used(with_same)
    return _orders(used.tobytes(), used.shape, rules.resamples, rules.seed)


@lru_cache(maxsize=8)
def _orders(used: bytes, shape: tuple[int, int], draws: int, seed: int) -> Orders:
    cells = np.frombuffer(used, dtype=bool).reshape(shape)
    return make_orders(cells, draws, np.random.default_rng(seed))


def _as_result(
    found: Relation, evidence: Evidence, rules: Rules, unit: str, smallest: float | None = None
) -> Result:
    """Return a relation as the result of a test, with a power note where the orders allow a verdict at all."""
    coarse = 1 / found.orders >= (1 - rules.level) / rules.together(len(rules.tests))
    notes = (
        f"the {found.orders} orders of so few tasks allow no p-value below {1 / found.orders:.3f}, which the "
        "correction for all tests asks for",
    )
    if coarse:
        found = replace(found, se=float("nan"), df=float("nan"))
    return Result.of(
        replace(found, seeds=len(evidence.seeds)), found.cells, unit=unit, row_kind="pair", expected=1,
        smallest_effect=smallest, method=f"permutation of tasks, {found.orders} orders", notes=notes if coarse else (),
    )  # fmt: skip


def _test_schemes(first: str, second: str) -> Test:
    words = f"gain, {WAY_TITLES[first]} minus {WAY_TITLES[second]}"
    return Test(words, partial(compare_schemes, first=first, second=second))


def _test_matches(match: str, first: str, second: str | None = None) -> Test:
    less = f" minus the same with {WAY_TITLES[second]}" if second else ""
    words = f"gain, {MATCH_TITLES[MATCHES[match]]} minus {MATCH_TITLES[NO_MATCH]} ({WAY_TITLES[first]}){less}"
    return Test(words, partial(compare_matches, match=match, first=first, second=second))


TESTS: dict[str, Test] = {
    **{f"{first}-minus-{second}": _test_schemes(first, second)
       for place, second in enumerate(SCHEMES) for first in SCHEMES[place + 1 :]},
    **{f"{match}-{scheme}": _test_matches(match, scheme) for match in MATCHES for scheme in SCHEMES},
    **{f"{match}-{scheme}-minus-full": _test_matches(match, scheme, FULL) for match in MATCHES for scheme in ADAPTERS},
    "continued-minus-fresh": _test_schemes("continued", "fresh"),
    **{f"similarity-{group}": Test(f"slope of the gain on similarity ({WAY_TITLES[group]})",
                                   partial(estimate_similarity_slope, group=group))
       for group in GROUPS},
    "similarity-adapters-minus-full": Test("correlation of gain and similarity, adapters minus fine-tuning",
                                           partial(compare_correlations, first="adapters", second=FULL)),
}  # fmt: skip
"""`<scheme>-minus-<scheme>`: mean gains; `<match>-<scheme>`, and the difference of two of these;
`similarity-<scheme or adapters>`, and the difference of two correlations."""
