"""Nearest neighbours and mining against plain loops over all pairs."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stilts.tasks import neighbours
from stilts.tasks.metrics import count_mined_pairs, score
from stilts.tasks.neighbours import Candidate, count_nearest, find_best_threshold, find_nearest, mine, select

# Small whole numbers: many vectors point the same way, so that ties are common.
vector = st.tuples(*[st.integers(-2, 2)] * 3).filter(any)
matrix = st.lists(vector, min_size=1, max_size=7).map(np.array)
positive_matrix = st.lists(st.tuples(*[st.integers(1, 9)] * 3), min_size=1, max_size=7).map(np.array)


def cosines(queries: np.ndarray, index: np.ndarray) -> list[list[float]]:
    """Rounded, so that equal directions tie here as well."""

    def cosine(a, b):
        return round(sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(a * a) * sum(b * b)), 12)

    return [[cosine(a, b) for b in index] for a in queries]


# --- nearest ---------------------------------------------------------------------------------------------------------


@given(matrix, matrix)
def test_nearest_is_the_first_of_the_greatest_cosines(queries, index):
    indices, scores = find_nearest(queries, index)
    expected = cosines(queries, index)
    assert indices.tolist() == [row.index(max(row)) for row in expected]
    assert scores.tolist() == pytest.approx([max(row) for row in expected], abs=1e-11)


def test_nearest_takes_the_lowest_row_of_equal_vectors():
    vectors = np.random.default_rng(1).normal(size=(5, 384)).astype(np.float32)
    index = np.concatenate([vectors, 3 * vectors, vectors])
    indices, scores = find_nearest(vectors, index)
    assert indices.tolist() == [0, 1, 2, 3, 4]
    assert scores == pytest.approx(np.ones(5))


def test_blocks_do_not_change_the_result(monkeypatch):
    source, target = np.random.default_rng(2).normal(size=(2, 23, 8))
    whole = find_nearest(source, target), mine(source, target)
    monkeypatch.setattr(neighbours, "_BLOCK", 3)
    in_blocks = find_nearest(source, target), mine(source, target)
    np.testing.assert_array_equal(in_blocks[0], whole[0])
    assert in_blocks[1] == whole[1]


def test_nearest_counts_default_to_aligned_files():
    assert count_nearest(np.array([0, 2, 2])).matches.tolist() == [1, 0, 1]
    assert count_nearest([0, 2, 2], gold=np.array([0, 2, 1])).matches.tolist() == [1, 1, 0]
    assert score(count_nearest([1, 0, 2, 3])) == 50.0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.empty((0, 2)), np.ones((1, 2)), r"at least one, not \(0, 2\)"),
        (np.ones((1, 2)), np.ones(2), r"one vector per sentence, at least one, not \(2,\)"),
        (np.ones((1, 2)), np.ones((1, 3)), "2 dimensions but .* have 3"),
        (np.array([[1.0, 0], [0, 0]]), np.ones((1, 2)), "1 vectors without a direction .*, row 1 first"),
        (np.ones((1, 2)), np.array([[np.nan, 1.0]]), "1 vectors without a direction"),
        (np.ones((1, 2)), np.array([[np.inf, 1.0]]), "1 vectors without a direction"),
    ],
)
def test_vectors_must_be_usable(first, second, message):
    for function in (find_nearest, mine):
        with pytest.raises(ValueError, match=message):
            function(first, second)


def test_counts_must_be_aligned():
    with pytest.raises(ValueError, match="2 gold labels but 1 predicted"):
        count_nearest([0], gold=[0, 1])
    with pytest.raises(ValueError, match="no gold labels"):
        count_nearest([])


# --- mining ----------------------------------------------------------------------------------------------------------


def nearest_places(row: list[float], k: int) -> list[int]:
    return sorted(range(len(row)), key=lambda column: (-row[column], column))[:k]


def brute_force(source: np.ndarray, target: np.ndarray, k: int) -> list[tuple[int, int, float]]:
    """Margin mining by the book: every proposal of both sides, taken from the greatest score down."""
    there, back = cosines(source, target), cosines(target, source)
    mean_of_source = [np.mean([row[j] for j in nearest_places(row, k)]) for row in there]
    mean_of_target = [np.mean([row[i] for i in nearest_places(row, k)]) for row in back]

    def margin(i, j):
        return there[i][j] / ((mean_of_source[i] + mean_of_target[j]) / 2)

    proposals = []
    for i, row in enumerate(there):
        proposals.append(min((-margin(i, j), rank, i, j) for rank, j in enumerate(nearest_places(row, k))))
    for j, row in enumerate(back):
        proposals.append(min((-margin(i, j), rank, i, j) for rank, i in enumerate(nearest_places(row, k))))
    taken, pairs = set(), []
    for negative_score, _, i, j in sorted(proposals, key=lambda p: (p[0], p[2], p[3])):
        if ("s", i) not in taken and ("t", j) not in taken:
            taken |= {("s", i), ("t", j)}
            pairs.append((i, j, -negative_score))
    return pairs


@given(st.integers(1, 8), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_mine_equals_brute_force(k, sources, targets, seed):
    rng = np.random.default_rng(seed)
    source, target = rng.uniform(0.1, 1, (sources, 4)), rng.uniform(0.1, 1, (targets, 4))
    mined, expected = mine(source, target, k), brute_force(source, target, k)
    assert [pair[:2] for pair in mined] == [pair[:2] for pair in expected]
    assert [pair.score for pair in mined] == pytest.approx([pair[2] for pair in expected])


@given(positive_matrix, positive_matrix)
def test_mined_pairs_use_each_sentence_once_best_first(source, target):
    mined = mine(source, target)
    assert mined
    assert len({pair.source for pair in mined}) == len({pair.target for pair in mined}) == len(mined)
    assert [pair.score for pair in mined] == sorted((pair.score for pair in mined), reverse=True)


@given(matrix, matrix)
def test_mine_is_defined_and_positive_for_any_directions(source, target):
    assert all(0 < pair.score < math.inf for pair in mine(source, target))


def test_mine_finds_shuffled_noisy_copies():
    rng = np.random.default_rng(3)
    target = rng.normal(size=(40, 16))
    order = rng.permutation(40)
    mined = mine(target[order] + 0.05 * rng.normal(size=(40, 16)), target)
    assert {(pair.source, pair.target) for pair in mined} == set(enumerate(order.tolist()))


def test_orthogonal_sides_give_no_pair():
    assert mine(np.array([[1.0, 0]]), np.array([[0, 1.0]])) == []


def test_mine_needs_a_neighbour():
    with pytest.raises(ValueError, match="k is the number of neighbours and must be 1 or more, not 0"):
        mine(np.ones((1, 2)), np.ones((1, 2)), k=0)


# --- thresholds ------------------------------------------------------------------------------------------------------

RIGHT, WRONG = Candidate("a", "a", 0.9), Candidate("b", "c", 0.5)


def test_threshold_lies_midway_below_the_best_cut():
    assert find_best_threshold([WRONG, RIGHT], [("a", "a"), ("b", "b")]) == pytest.approx((0.7, 200 / 3))


def test_last_candidate_may_be_the_best_cut():
    assert find_best_threshold([RIGHT], [("a", "a")]) == (0.9, 100.0)
    assert find_best_threshold([RIGHT, WRONG], [("b", "c")]) == pytest.approx((0.5, 200 / 3))


def test_candidates_of_one_score_are_not_cut_apart():
    tied = [RIGHT, Candidate("b", "c", 0.9)]
    assert find_best_threshold(tied, [("a", "a")]) == pytest.approx((0.9, 200 / 3))


def test_neighbouring_floats_are_still_cut_apart():
    low = 0.9
    for _ in range(2):  # of two neighbouring floats, rounding to even makes one midpoint the lower of the two
        high = math.nextafter(low, 1)
        candidates = [Candidate("a", "a", high), Candidate("b", "c", low)]
        threshold, f1 = find_best_threshold(candidates, [("a", "a")])
        assert f1 == 100.0
        assert select(candidates, threshold) == {("a", "a")}
        low = high


@pytest.mark.parametrize("candidates", [[], [WRONG]])
def test_nothing_right_gives_zero(candidates):
    assert find_best_threshold(candidates, [("a", "a")]) == (0.0, 0.0)


scored = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.floats(0.1, 3, allow_nan=False) | st.sampled_from([0.5, 1.0]),
    max_size=12,
).map(lambda scores: [Candidate(i, j, value) for (i, j), value in scores.items()])
golds = st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1)


def f1_of(gold, predicted) -> float:
    return score(count_mined_pairs(gold, predicted))


@given(scored, golds)
def test_threshold_reaches_the_best_f1_of_any_cut(candidates, gold):
    threshold, f1 = find_best_threshold(candidates, gold)
    cuts = [candidate.score for candidate in candidates]
    assert f1 == pytest.approx(max((f1_of(gold, select(candidates, cut)) for cut in cuts), default=0.0))
    assert f1_of(gold, select(candidates, threshold)) == pytest.approx(f1)


@given(scored, golds)
def test_order_of_candidates_does_not_matter(candidates, gold):
    assume(candidates)
    assert find_best_threshold(candidates[::-1], gold) == find_best_threshold(candidates, gold)


def test_thresholds_need_gold_pairs_and_each_candidate_once():
    with pytest.raises(ValueError, match="no gold pairs"):
        find_best_threshold([RIGHT], [])
    with pytest.raises(ValueError, match="2 candidates hold only 1 different pairs"):
        find_best_threshold([RIGHT, RIGHT], [("a", "a")])
