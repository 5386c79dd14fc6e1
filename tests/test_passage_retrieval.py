"""Passage retrieval: average precision, the dual encoder's loss, and a pool in several languages."""


import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from stilts.errors import StiltsError
from stilts.formats.base import Input
from stilts.formats.passage_retrieval import MAX_QUERY, TEMPERATURE, PassageRetrieval, check_pool
from stilts.metrics import score
from stilts.retrieval import rank, ranking_counts

FORM = PassageRetrieval()


# --- average precision -----------------------------------------------------------------------------------------------

IDS = st.sampled_from("abcdefgh")


def average_precision(ranked: list[str], gold: set[str], k: int) -> float:
    """By its definition: the precision among the first n, summed over the n where a right one stands first."""
    right = [n for n in range(1, min(k, len(ranked)) + 1) if ranked[n - 1] in gold - set(ranked[: n - 1])]
    return sum(len(gold & set(ranked[:n])) / n for n in right) / min(k, len(gold))


RANKINGS = st.lists(st.tuples(st.lists(IDS, max_size=9), st.sets(IDS, min_size=1)), min_size=1, max_size=5)


@given(RANKINGS, st.integers(1, 9))
def test_matches_are_average_precisions(drawn, k):
    ranked, gold = [list(each) for each in zip(*drawn, strict=True)]
    counts = ranking_counts(ranked, gold, k)
    assert counts.matches.tolist() == pytest.approx([average_precision(*each, k) for each in drawn])
    assert counts.predicted.tolist() == counts.gold.tolist() == [1.0] * len(drawn)
    assert score(counts) == pytest.approx(100 * np.mean([average_precision(*each, k) for each in drawn]))


def test_average_precision_by_hand():
    ranked = [list("axbyc"), list("xyzwv"), list("aaaab"), list("ab")]
    gold = ["abc", "abc", "ab", "abcdefgh"]
    assert ranking_counts(ranked, gold, 5).matches.tolist() == pytest.approx(
        [(1 + 2 / 3 + 3 / 5) / 3, 0, (1 + 2 / 5) / 2, 2 / 5]
    )


def test_with_one_right_candidate_it_is_the_reciprocal_rank():
    """The places of the right entity in the eleven languages of XTREME-R's mock submission, which scores 14.390252."""
    places = [16, 2, 12, 12, 4, 14, 19, 6, 13, 8, 9]
    ranked = [[str(i) for i in range(1, 21)]] * len(places)
    assert score(ranking_counts(ranked, [[str(place)] for place in places])) == pytest.approx(14.390252, abs=1e-6)
    assert ranking_counts([range(1, 30)], [[21]]).matches.tolist() == [0]


@pytest.mark.parametrize(
    ("ranked", "gold", "k", "message"),
    [
        ([], [], 20, "0 rankings for 0 queries"),
        ([["a"]], [["a"], ["b"]], 20, "1 rankings for 2 queries"),
        ([["a"]], [[]], 20, "no right candidate"),
        ([["a"]], [["a"]], 0, "must be 1 or more, not 0"),
    ],
)
def test_rankings_must_be_usable(ranked, gold, k, message):
    with pytest.raises(ValueError, match=message):
        ranking_counts(ranked, gold, k)


matrix = st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), min_size=1, max_size=7).map(np.array)


@given(matrix, matrix, st.integers(1, 9))
def test_rank_orders_by_cosine_and_then_by_row(queries, index, k):
    lengths = np.outer(np.linalg.norm(queries, axis=1), np.linalg.norm(index, axis=1))
    cosines = np.round(queries @ index.T / lengths, 9)
    expected = [sorted(range(len(index)), key=lambda i: (-row[i], i))[:k] for row in cosines]
    assert rank(queries, index, k).tolist() == expected


# --- the format ------------------------------------------------------------------------------------------------------

ANIMALS = ["cat", "dog", "cow", "pig", "fox", "owl", "ant", "bee"]
COLOURS = ["red", "blue", "green", "white"]


def pairs(number: int = 32) -> list[dict[str, str]]:
    """A question names an animal and a colour, and its passage numbers of theirs; no word is shared."""
    rows = []
    for i, animal in enumerate(ANIMALS):
        rows += [
            {"query": f"which {animal} is {colour} ?", "passage": f"{i} {i} {i} . {j + 20} {j + 20}"}
            for j, colour in enumerate(COLOURS)
        ]
    return rows[:number]


def test_a_query_and_its_passage_are_cut_each_on_its_own():
    tokenizer = tiny.tokenizer()
    rows = [{"query": "why ? " * 200, "passage": "so . " * 200}, {"query": "a", "passage": "b c"}]
    long, short = FORM.encode(rows, tokenizer, 128)
    assert [len(ids) for ids in long.sequences] == [MAX_QUERY, 128]
    assert [ids.tolist() for ids in short.sequences] == tokenizer(["a", "b c"])["input_ids"]
    assert [part.example for part in (long, short)] == [0, 1]
    assert [len(ids) for ids in FORM.encode(rows, tokenizer, 64)[0].sequences] == [64, 64]
    (alone,) = FORM.encode([{"query": "a", "gold": ["1"]}], tokenizer, 64)
    assert [ids.tolist() for ids in alone.sequences] == tokenizer(["a"])["input_ids"]
    short, long = FORM.encode_pool(["b c", "why ? " * 200], tokenizer, 128)
    assert [ids.tolist() for ids in short.sequences] == tokenizer(["b c"])["input_ids"]
    assert [len(ids) for ids in long.sequences] == [128]


def unit(*angles: float) -> torch.Tensor:
    """Vectors of any length at these angles, in degrees."""
    radians = torch.deg2rad(torch.tensor(angles))
    return torch.stack([3 * radians.cos(), 3 * radians.sin()], dim=1)


def test_the_loss_is_the_cross_entropy_over_the_passages_of_the_batch():
    inputs = [Input(i, [0], None, alternatives=([i],)) for i in range(2)]
    logits = unit(0, 60, 90, 61)  # query 0, its passage, query 1, its passage
    cosines = np.cos(np.deg2rad([[60, 61], [30, 29]])) / TEMPERATURE
    expected = sum(np.log(np.exp(row - row[i]).sum()) for i, row in enumerate(cosines))
    assert FORM.loss(logits, inputs).item() == pytest.approx(expected, rel=1e-4)
    assert FORM.weight(inputs) == 2
    assert FORM.loss(unit(0, 90, 90, 0), inputs).item() == pytest.approx(2 / TEMPERATURE)


def test_a_passage_that_stands_twice_is_no_wrong_answer():
    logits = unit(0, 0, 80, 80, 10, 10)
    twins = [Input(i, [0], None, alternatives=(ids,)) for i, ids in enumerate([[7, 8], [5], [7, 8]])]
    others = [Input(i, [0], None, alternatives=([i],)) for i in range(3)]
    each = np.log(1 + np.exp((np.cos(np.deg2rad(10)) - 1) / TEMPERATURE))
    assert FORM.loss(logits, others).item() == pytest.approx(2 * each, rel=1e-4)
    assert FORM.loss(logits, twins).item() == pytest.approx(0, abs=1e-6)


def test_the_loss_of_a_part_of_a_batch_is_another():
    """Why training must leave batches whole."""
    assert FORM.whole_batches
    inputs = [Input(i, [0], None, alternatives=([i],)) for i in range(2)]
    logits = unit(0, 1, 2, 3)
    assert sum(FORM.loss(logits[2 * i : 2 * i + 2], inputs[i : i + 1]).item() for i in range(2)) == 0
    assert FORM.loss(logits, inputs).item() > 0.01


def test_outputs_are_the_vectors_of_each_input():
    both, one = Input(0, [0], None, alternatives=([1],)), Input(1, [0], None)
    logits = torch.arange(6.0).reshape(3, 2)
    assert [part.tolist() for part in FORM.outputs(logits, [both, one])] == [[[0, 1], [2, 3]], [[4, 5]]]
    assert [part.tolist() for part in FORM.outputs(logits, [one, both])] == [[[0, 1]], [[2, 3], [4, 5]]]


def test_the_dev_pool_holds_each_passage_once():
    rows = [{"query": q, "passage": p} for q, p in (("a", "x"), ("b", "y"), ("c", "x"))]
    x, y = unit(0)[0].numpy(), unit(90)[0].numpy()
    outputs = [np.stack([x, x]), np.stack([y, y]), np.stack([y, x])]
    predictions = FORM.decode(rows, [], outputs, ())
    assert predictions == ["0 1", "1 0", "1 0"]
    assert FORM.counts(rows, predictions, (), "en").matches.tolist() == [1, 1, 0.5]


def test_right_candidates_of_a_test_row_are_those_it_names():
    rows = [{"query": "a", "gold": ["en-1", "de-1"]}, {"query": "b", "gold": ["en-2"]}]
    counts = FORM.counts(rows, ["de-1 en-9 en-1", "en-1 en-2"], (), "de")
    assert counts.matches.tolist() == pytest.approx([(1 + 2 / 3) / 2, 0.5])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "a"], "2 candidates have only 1 different ids"),
        (["a", "b c"], "candidate id 'b c' is empty or holds white space"),
        (["b", "c"], "here: no candidate has the id 'a'"),
    ],
)
def test_a_pool_that_cannot_be_searched_is_named(ids, message):
    check_pool([{"gold": ["a"]}], ["a", "b"], "here")
    with pytest.raises(StiltsError, match=message):
        check_pool([{"gold": ["a"]}], ids, "here")
