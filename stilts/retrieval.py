"""Finding a sentence by its vector: nearest neighbours, rankings, margin mining, and the threshold between.

The rules are those of XTREME's retrieval tasks: cosine nearest neighbour for Tatoeba; for BUCC margin-ratio scores over
k = 4 neighbours in both directions, the "max" strategy (Artetxe and Schwenk 2019, arXiv:1811.01136), and a threshold
chosen on the dev set. Vectors are those of whole sentences, one per row; how a model pools them is not decided here.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from stilts.metrics import Counts, Pair, classification_counts

__all__ = [
    "Candidate",
    "Threshold",
    "best_threshold",
    "mine",
    "nearest",
    "nearest_counts",
    "rank",
    "ranking_counts",
    "select",
]

NEIGHBOURS = 4  # BUCC's k
RANKED = 20  # XTREME-R's k: mAP@20 of LAReQA and Mewsli-X
_BLOCK_CELLS = 2**23  # similarities held at once: 64 MiB
_DECIMALS = 12  # above the rounding of a float64 product, below any difference between two float32 vectors


class Candidate(NamedTuple):
    """A mined pair and its margin score; source and target are row numbers, or whatever ids a caller put there."""

    source: Any
    target: Any
    score: float


class Threshold(NamedTuple):
    """The lowest score a mined pair must have, and the F1 in percent that this cut reached where it was chosen."""

    threshold: float
    f1: float


# --- nearest neighbours ----------------------------------------------------------------------------------------------


def _unit_rows(vectors: np.ndarray, name: str) -> np.ndarray:
    """Return float64 vectors of length 1; (n, dimensions)."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise ValueError(f"{name} must be a matrix of one vector per sentence, at least one, not {vectors.shape}")
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 0)))
    if bad.size:
        raise ValueError(f"{name} has {bad.size} vectors without a direction (zero or not finite), row {bad[0]} first")
    return vectors / norms


def _unit_pair(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    first, second = _unit_rows(first, names[0]), _unit_rows(second, names[1])
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"{names[0]} have {first.shape[1]} dimensions but {names[1]} have {second.shape[1]}")
    return first, second


def _similarity_blocks(queries: np.ndarray, index: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the cosines of some queries with the whole index at a time, so that memory does not grow with the queries.

    Rounded, so that equal vectors tie whatever the order of summation of the matrix product was.
    """
    rows = max(1, _BLOCK_CELLS // len(index))
    for start in range(0, len(queries), rows):
        yield np.round(queries[start : start + rows] @ index.T, _DECIMALS)


def _top(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and values of each row's k greatest cells, greatest first, the lowest column first in a tie.

    Overwrites the block. k rounds of argmax: a partial sort would not keep the order of ties.
    """
    rows = np.arange(len(block))
    columns, values = [], []
    for _ in range(k):
        best = block.argmax(axis=1)
        columns.append(best)
        values.append(block[rows, best])
        block[rows, best] = -np.inf
    return np.stack(columns, axis=1), np.stack(values, axis=1)


def _neighbours(queries: np.ndarray, index: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of the index and cosines, (len(queries), k) each, of vectors of length 1."""
    parts = [_top(block, k) for block in _similarity_blocks(queries, index)]
    columns, cosines = zip(*parts, strict=True)
    return np.concatenate(columns), np.concatenate(cosines)


def nearest(queries: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each query's nearest neighbour by cosine.

    Parameters
    ----------
    queries : array (n, dimensions)
        One sentence vector per row, of any length. Tatoeba's queries are the English sentences.
    index : array (m, dimensions)
        The sentence vectors to search.

    Returns
    -------
    indices : int array (n,)
        Rows of the index; of equally near ones the lowest.
    scores : float array (n,)
        The cosines.

    Raises
    ------
    ValueError
        If a matrix is empty, the dimensions differ, or a vector is zero or not finite.
    """
    columns, cosines = _neighbours(*_unit_pair(queries, index, ("queries", "index")), k=1)
    return columns[:, 0], cosines[:, 0]


def nearest_counts(indices: Sequence[int] | np.ndarray, gold: Sequence[int] | np.ndarray | None = None) -> Counts:
    """Return one row per query, matches 1 where its nearest neighbour is the right one.

    Parameters
    ----------
    indices : ints (n,)
        What `nearest` found.
    gold : ints (n,), optional
        The right rows of the index. Left out: query i belongs to row i, as in aligned files.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    """
    return classification_counts(range(len(indices)) if gold is None else gold, indices)


# --- ranking ---------------------------------------------------------------------------------------------------------


def rank(queries: np.ndarray, index: np.ndarray, k: int = RANKED) -> np.ndarray:
    """Return each query's k nearest neighbours by cosine, nearest first.

    Parameters
    ----------
    queries : array (n, dimensions)
        One vector per query, of any length.
    index : array (m, dimensions)
        The vectors of all candidates.
    k : int
        How many are kept; all where the index holds fewer.

    Returns
    -------
    int array (n, min(k, m))
        Rows of the index; of equally near ones the lowest first.

    Raises
    ------
    ValueError
        If a matrix is empty, the dimensions differ, a vector is zero or not finite, or k is below 1.
    """
    _check_k(k)
    columns, _ = _neighbours(*_unit_pair(queries, index, ("queries", "index")), min(k, len(index)))
    return columns


def ranking_counts(
    ranked: Sequence[Sequence[Hashable]], gold: Sequence[Collection[Hashable]], k: int = RANKED
) -> Counts:
    """Return one row per query: matches is its average precision at k; predicted and gold 1. Their score is mAP@k.

    Average precision is the sum of the precisions at the ranks 1..k that hold a right candidate, over min(k, number of
    right ones): what XTREME-R's utils_lareqa.py prints for LAReQA with k = 20 (Roy et al. 2020, arXiv:2004.05484). With
    one right candidate it is 1 / rank, so that the mean is MRR@k: what XTREME-R calls mAP@20 for Mewsli-X. A candidate
    that is ranked twice counts where it stands first.

    Parameters
    ----------
    ranked : sequence of sequences of ids (n,)
        The candidates of each query, best first; those after the k-th do not count.
    gold : sequence of collections of ids (n,)
        The right candidates of each query, at least one.

    Raises
    ------
    ValueError
        If the lengths differ or are 0, a query has no right candidate, or k is below 1.
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


def _direction(queries: np.ndarray, index: np.ndarray, k: int) -> _Direction:
    rows, cosines = _neighbours(queries, index, min(k, len(index)))
    return _Direction(rows, cosines, cosines.mean(axis=1))


def _best_by_margin(forward: _Direction, backward: _Direction) -> tuple[np.ndarray, np.ndarray]:
    """Return each sentence's neighbour with the greatest margin ratio, and that ratio; (n,) each.

    The ratio is a pair's cosine over the mean cosine of both sentences' neighbourhoods. It is 0 where that mean is 0.
    """
    around = (forward.mean[:, None] + backward.mean[forward.rows]) / 2
    ratios = np.divide(forward.cosines, around, out=np.zeros_like(around), where=around != 0)
    best = ratios.argmax(axis=1)
    rows = np.arange(len(ratios))
    return forward.rows[rows, best], ratios[rows, best]


def mine(source: np.ndarray, target: np.ndarray, k: int = NEIGHBOURS) -> list[Candidate]:
    """Return the pairs of sentences that look like translations, best first, each sentence in one pair at most.

    Every sentence of either side proposes its neighbour with the best margin ratio; proposals are taken from the
    greatest score down unless one of the two sentences is taken already ("max"). Scores of 0 or less are left out.

    Parameters
    ----------
    source : array (n, dimensions)
        One sentence vector per row.
    target : array (m, dimensions)
        The vectors of the other side.
    k : int
        The size of a sentence's neighbourhood on the other side; the whole side where that is smaller.

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
    source, target = _unit_pair(source, target, ("source", "target"))
    forward, backward = _direction(source, target, k), _direction(target, source, k)
    best_targets, forward_scores = _best_by_margin(forward, backward)
    best_sources, backward_scores = _best_by_margin(backward, forward)
    return _take_greedily(
        np.concatenate([np.arange(len(source)), best_sources]),
        np.concatenate([best_targets, np.arange(len(target))]),
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
    """Return the (source, target) pairs of the candidates whose score is the threshold or more."""
    return {(candidate.source, candidate.target) for candidate in candidates if candidate.score >= threshold}


def best_threshold(candidates: Iterable[Candidate], gold_pairs: Iterable[Pair]) -> Threshold:
    """Return the cut with the best F1 on these (dev) candidates; of equally good cuts the one that keeps least.

    The threshold is the midpoint of the scores on both sides of the cut; where everything is kept, the last score.
    Candidates of one score are kept or cut together, so the F1 is what `select` with this threshold gives. Where no
    candidate is right, no cut is better than another: threshold 0 (all are kept) and F1 0.

    Parameters
    ----------
    candidates : iterable of Candidate
        Mined pairs in any order, each once.
    gold_pairs : iterable of (source, target)
        The right pairs, in the candidates' ids.

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
    """Return the midpoint, or the upper score where the two are so near that the midpoint is the lower one."""
    midpoint = (above + below) / 2
    return midpoint if midpoint > below else above
