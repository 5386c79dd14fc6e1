"""Search by sentence vectors: nearest neighbours, rankings, margin mining and its threshold.

The rules are those of XTREME's retrieval tasks: cosine nearest neighbour for Tatoeba; for BUCC margin-ratio scores over
k = 4 neighbours in both directions, the "max" strategy (Artetxe and Schwenk 2019, arXiv:1811.01136), and a threshold
chosen on the dev set. Vectors are those of whole sentences, one per row.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from stilts.tasks.metrics import Counts, Pair, count_classification

__all__ = [
    "Candidate",
    "Threshold",
    "count_nearest",
    "count_ranking",
    "find_best_threshold",
    "find_nearest",
    "mine",
    "rank",
    "select",
]

NEIGHBOURS = 4  # BUCC's k
RANKED = 20  # XTREME-R's k: mAP@20 of LAReQA and Mewsli-X
_BLOCK = 2048  # sentences per side in one block of similarities (32 MiB)
_DECIMALS = 12  # coarser than the rounding errors of a float64 product, finer than differences of float32 vectors


class Candidate(NamedTuple):
    """A mined pair and its margin score; source and target are row numbers or ids."""

    source: Any
    target: Any
    score: float


class Threshold(NamedTuple):
    """The lowest score of mined pairs that are kept, and the F1 in percent on the data where it was chosen."""

    threshold: float
    f1: float


# --- nearest neighbours ----------------------------------------------------------------------------------------------


class _Side(NamedTuple):
    """The sentence vectors of one side. They are normalised block by block, since all in float64 might not fit."""

    vectors: np.ndarray
    norms: np.ndarray

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the first row of each block, and its vectors."""
        for start in range(0, len(self.vectors), _BLOCK):
            part = slice(start, start + _BLOCK)
            yield start, np.asarray(self.vectors[part], dtype=np.float64) / self.norms[part, None]


def _side(vectors: np.ndarray, name: str) -> _Side:
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(f"{name} must be a matrix of one vector per sentence, at least one, not {vectors.shape}")
    parts = [vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK)]
    norms = np.concatenate([np.linalg.norm(np.asarray(part, dtype=np.float64), axis=1) for part in parts])
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        raise ValueError(f"{name} has {bad.size} vectors without a direction (zero or not finite), row {bad[0]} first")
    return _Side(vectors, norms)


def _sides(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> tuple[_Side, _Side]:
    sides = _side(first, names[0]), _side(second, names[1])
    dimensions = [side.vectors.shape[1] for side in sides]
    if dimensions[0] != dimensions[1]:
        raise ValueError(f"{names[0]} have {dimensions[0]} dimensions but {names[1]} have {dimensions[1]}")
    return sides


def _cosines(queries: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the cosines of normalised vectors, (queries, index).

    They are rounded, so that equal vectors tie whatever the summation order of the matrix product.
    """
    return np.round(queries @ index.T, _DECIMALS)


class _Nearest:
    """The k nearest neighbours seen so far: rows and cosines (n, k), nearest first. In a tie the first seen wins."""

    def __init__(self, count: int, k: int):
        self.rows = np.zeros((count, k), dtype=np.int64)
        self.cosines = np.full((count, k), -np.inf)

    def see(self, start: int, cosines: np.ndarray, first_row: int) -> None:
        """Add a block of cosines, whose rows begin at `start` and columns at `first_row`. Overwrites the block."""
        part, k = slice(start, start + len(cosines)), self.rows.shape[1]
        columns, values = _top(cosines, min(k, cosines.shape[1]))
        rows = np.concatenate([self.rows[part], columns + first_row], axis=1)
        values = np.concatenate([self.cosines[part], values], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, :k]
        self.rows[part] = np.take_along_axis(rows, best, axis=1)
        self.cosines[part] = np.take_along_axis(values, best, axis=1)


def _top(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and values of each row's k greatest cells, greatest first, the lowest column first in a tie.

    Overwrites the block. It runs argmax k times, since a partial sort would not keep the order of ties.
    """
    rows = np.arange(len(block))
    columns, values = [], []
    for _ in range(k):
        best = block.argmax(axis=1)
        columns.append(best)
        values.append(block[rows, best])
        block[rows, best] = -np.inf
    return np.stack(columns, axis=1), np.stack(values, axis=1)


def _neighbours(queries: _Side, index: _Side, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the index and cosines, (queries, k) each."""
    found = _Nearest(len(queries.vectors), k)
    for start, some in queries.blocks():
        for first_row, others in index.blocks():
            found.see(start, _cosines(some, others), first_row)
    return found.rows, found.cosines


def find_nearest(queries: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's nearest neighbour by cosine.

    Parameters
    ----------
    queries : array (n, dimensions)
        One sentence vector per row, not necessarily normalised. Tatoeba's queries are the English sentences.
    index : array (m, dimensions)
        The sentence vectors to search.

    Returns
    -------
    indices : int array (n,)
        Rows of the index; in a tie the lowest.
    scores : float array (n,)
        The cosines.

    Raises
    ------
    ValueError
        If a matrix is empty, the dimensions differ, or a vector is zero or not finite.
    """
    columns, cosines = _neighbours(*_sides(queries, index, ("queries", "index")), k=1)
    return columns[:, 0], cosines[:, 0]


def count_nearest(indices: Sequence[int] | np.ndarray, gold: Sequence[int] | np.ndarray | None = None) -> Counts:
    """Return the counts of a nearest-neighbour search: one row per query, matches is 1 if its neighbour is correct.

    Parameters
    ----------
    indices : ints (n,)
        Rows that `find_nearest` returned.
    gold : ints (n,), optional
        The correct rows of the index. By default, query i belongs to row i, as in aligned files.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    """
    return count_classification(range(len(indices)) if gold is None else gold, indices)


# --- ranking ---------------------------------------------------------------------------------------------------------


def rank(queries: np.ndarray, index: np.ndarray, k: int = RANKED) -> np.ndarray:
    """Return each query's k nearest neighbours by cosine, nearest first.

    Parameters
    ----------
    queries : array (n, dimensions)
        One vector per query, not necessarily normalised.
    index : array (m, dimensions)
        The vectors of all candidates.
    k : int
        Number of neighbours to return; all if the index has fewer.

    Returns
    -------
    int array (n, min(k, m))
        Rows of the index; in a tie the lowest first.

    Raises
    ------
    ValueError
        If a matrix is empty, the dimensions differ, a vector is zero or not finite, or k is below 1.
    """
    _check_k(k)
    columns, _ = _neighbours(*_sides(queries, index, ("queries", "index")), min(k, len(index)))
    return columns


def count_ranking(
    ranked: Sequence[Sequence[Hashable]], gold: Sequence[Collection[Hashable]], k: int = RANKED
) -> Counts:
    """Return the counts of a ranking, whose score is mAP@k: one row per query, matches is its average precision at k.

    Average precision is the sum of the precisions at those ranks 1..k that hold a relevant candidate, divided by
    min(k, number of relevant candidates). XTREME-R's utils_lareqa.py prints this for LAReQA with k = 20 (Roy et al.
    2020, arXiv:2004.05484). With one relevant candidate it is 1 / rank and the mean is MRR@k, which XTREME-R calls
    mAP@20 for Mewsli-X. A repeated candidate counts at its first rank only.

    Parameters
    ----------
    ranked : sequence of sequences of ids (n,)
        The candidates of each query, best first; those after the k-th are ignored.
    gold : sequence of collections of ids (n,)
        The relevant candidates of each query, at least one.

    Raises
    ------
    ValueError
        If the lengths differ or are 0, a query has no relevant candidate, or k is below 1.
    """
    _check_k(k)
    if len(ranked) != len(gold) or not len(gold):
        raise ValueError(f"{len(ranked)} rankings for {len(gold)} queries: each query needs one, and one there must be")
    precisions = np.array([_average_precision(*pair, k) for pair in zip(ranked, map(set, gold), strict=True)])
    return Counts(precisions, np.ones(len(gold)), np.ones(len(gold)))


def _average_precision(ranked: Sequence[Hashable], gold: set[Hashable], k: int) -> float:
    if not gold:
        raise ValueError("a query has no right candidate: it cannot be scored")
    found: set[Hashable] = set()
    total = 0.0
    for place, candidate in enumerate(ranked[:k], start=1):
        if candidate in gold and candidate not in found:
            found.add(candidate)
            total += len(found) / place
    return total / min(k, len(gold))


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k is the number of neighbours and must be 1 or more, not {k}")


# --- mining ----------------------------------------------------------------------------------------------------------


class _Direction(NamedTuple):
    """The neighbours of one side's sentences on the other side: rows and cosines (n, k), and their mean cosine (n,)."""

    rows: np.ndarray
    cosines: np.ndarray
    mean: np.ndarray


def _directions(source: _Side, target: _Side, k: int) -> tuple[_Direction, _Direction]:
    """Return the neighbours of the source side and those of the target side, from one pass over all pairs."""
    sizes = len(source.vectors), len(target.vectors)
    forward, backward = (_Nearest(own, min(k, other)) for own, other in (sizes, sizes[::-1]))
    for start, some in source.blocks():
        for first_row, others in target.blocks():
            cosines = _cosines(some, others)
            backward.see(first_row, cosines.T.copy(), start)
            forward.see(start, cosines, first_row)
    return tuple(_Direction(each.rows, each.cosines, each.cosines.mean(axis=1)) for each in (forward, backward))


def _best_by_margin(forward: _Direction, backward: _Direction) -> tuple[np.ndarray, np.ndarray]:
    """Return each sentence's neighbour with the greatest margin ratio, and that ratio; (n,) each.

    The ratio is a pair's cosine divided by the mean cosine of both sentences' neighbourhoods, or 0 if that mean is 0.
    """
    around = (forward.mean[:, None] + backward.mean[forward.rows]) / 2
    ratios = np.divide(forward.cosines, around, out=np.zeros_like(around), where=around != 0)
    best = ratios.argmax(axis=1)
    rows = np.arange(len(ratios))
    return forward.rows[rows, best], ratios[rows, best]


def mine(source: np.ndarray, target: np.ndarray, k: int = NEIGHBOURS) -> list[Candidate]:
    """Return the sentence pairs that are probably translations, best first, with each sentence in at most one pair.

    Every sentence of either side proposes its neighbour with the best margin ratio. Proposals are accepted from the
    greatest score down, unless one of the two sentences is already taken ("max"). Scores of 0 or less are discarded.

    Parameters
    ----------
    source : array (n, dimensions)
        One sentence vector per row.
    target : array (m, dimensions)
        The vectors of the other side.
    k : int
        The size of a sentence's neighbourhood on the other side; the whole side if it has fewer sentences.

    Returns
    -------
    list of Candidate
        Row numbers of source and target, and margin scores.

    Raises
    ------
    ValueError
        If a matrix is empty, the dimensions differ, a vector is zero or not finite, or k is below 1.
    """
    _check_k(k)
    forward, backward = _directions(*_sides(source, target, ("source", "target")), k)
    best_targets, forward_scores = _best_by_margin(forward, backward)
    best_sources, backward_scores = _best_by_margin(backward, forward)
    return _take_greedily(
        np.concatenate([np.arange(len(best_targets)), best_sources]),
        np.concatenate([best_targets, np.arange(len(best_sources))]),
        np.concatenate([forward_scores, backward_scores]),
    )


def _take_greedily(sources: np.ndarray, targets: np.ndarray, scores: np.ndarray) -> list[Candidate]:
    taken_sources, taken_targets, candidates = set(), set(), []
    order = np.lexsort((targets, sources, -scores))  # by score, ties by row numbers
    for source, target, score in zip(*(part[order].tolist() for part in (sources, targets, scores)), strict=True):
        if score > 0 and source not in taken_sources and target not in taken_targets:
            taken_sources.add(source)
            taken_targets.add(target)
            candidates.append(Candidate(source, target, score))
    return candidates


def select(candidates: Iterable[Candidate], threshold: float) -> set[Pair]:
    """Return the (source, target) pairs of the candidates with at least the threshold as score."""
    return {(candidate.source, candidate.target) for candidate in candidates if candidate.score >= threshold}


def find_best_threshold(candidates: Iterable[Candidate], gold_pairs: Iterable[Pair]) -> Threshold:
    """Return the threshold with the best F1 on these (dev) candidates; in a tie the one that keeps the fewest.

    The threshold is the midpoint of the scores on both sides of the cut, or the last score if everything is kept.
    Candidates of equal score are kept or dropped together, so the F1 is that of `select` with this threshold. If no
    candidate is correct, the threshold is 0 (all are kept) and the F1 is 0.

    Parameters
    ----------
    candidates : iterable of Candidate
        Mined pairs in any order, without duplicates.
    gold_pairs : iterable of (source, target)
        The correct pairs, in the candidates' ids.

    Raises
    ------
    ValueError
        If there is no gold pair or a candidate is given twice.
    """
    gold, ranked = set(gold_pairs), sorted(candidates, key=lambda candidate: -candidate.score)
    _check_tuning(gold, ranked)
    best, right = Threshold(0.0, 0.0), 0
    for kept, candidate in enumerate(ranked, start=1):
        right += (candidate.source, candidate.target) in gold
        f1 = 100 * 2 * right / (kept + len(gold))
        below = ranked[kept].score if kept < len(ranked) else candidate.score
        cut_here = below < candidate.score or kept == len(ranked)
        if cut_here and f1 > best.f1:
            best = Threshold(_between(candidate.score, below), f1)
    return best


def _check_tuning(gold: set[Pair], candidates: Sequence[Candidate]) -> None:
    if not gold:
        raise ValueError("no gold pairs: a threshold can be chosen only where there is something to find")
    different = len({(candidate.source, candidate.target) for candidate in candidates})
    if different != len(candidates):
        raise ValueError(f"{len(candidates)} candidates hold only {different} different pairs: give each pair once")


def _between(above: float, below: float) -> float:
    """Return the midpoint, or the upper score if the midpoint is rounded to the lower one."""
    midpoint = (above + below) / 2
    return midpoint if midpoint > below else above
