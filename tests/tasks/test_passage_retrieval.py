"""Passage retrieval: average precision, the dual encoder's loss, and a pool in several languages."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from stilts.models.model import build_model, pad
from stilts.phases.runner import complete
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.suite import Table, write_suite
from stilts.sources.xtreme.passages import make_pair_piece, make_pool_piece, make_query_piece
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.passage_retrieval import MAX_QUERY, TEMPERATURE, PassageRetrieval, check_pool
from stilts.tasks.metrics import score
from stilts.tasks.neighbours import count_ranking, rank
from stilts.training.loop import train
from stilts.training.prediction import compute_outputs, count_predictions
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, resolve

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
    counts = count_ranking(ranked, gold, k)
    assert counts.matches.tolist() == pytest.approx([average_precision(*each, k) for each in drawn])
    assert counts.predicted.tolist() == counts.gold.tolist() == [1.0] * len(drawn)
    assert score(counts) == pytest.approx(100 * np.mean([average_precision(*each, k) for each in drawn]))


def test_average_precision_by_hand():
    ranked = [list("axbyc"), list("xyzwv"), list("aaaab"), list("ab")]
    gold = ["abc", "abc", "ab", "abcdefgh"]
    assert count_ranking(ranked, gold, 5).matches.tolist() == pytest.approx(
        [(1 + 2 / 3 + 3 / 5) / 3, 0, (1 + 2 / 5) / 2, 2 / 5]
    )


def test_with_one_right_candidate_it_is_the_reciprocal_rank():
    """The places of the right entity in the eleven languages of XTREME-R's mock submission, which scores 14.390252."""
    places = [16, 2, 12, 12, 4, 14, 19, 6, 13, 8, 9]
    ranked = [[str(i) for i in range(1, 21)]] * len(places)
    assert score(count_ranking(ranked, [[str(place)] for place in places])) == pytest.approx(14.390252, abs=1e-6)
    assert count_ranking([range(1, 30)], [[21]]).matches.tolist() == [0]


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
        count_ranking(ranked, gold, k)


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
    short, long = FORM.encode([{"passage": "b c"}, {"passage": "why ? " * 200}], tokenizer, 128)
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


# --- a model that learns ---------------------------------------------------------------------------------------------

TRAINING = tiny.TRAINING | {"train_embeddings": True}


def test_a_dual_encoder_learns_made_pairs(encoder):
    rows = pairs()
    model = build_model(encoder, {"lareqa": (FORM, ())}, seed=0)
    assert list(model.heads["lareqa"].parameters()) == []
    data = {"lareqa": tiny.encoded("passage_retrieval", rows)}

    def found() -> float:
        return score(count_predictions(model, "lareqa", data["lareqa"], batch_tokens=512, precision="fp32"))

    before = found()
    settings = TrainingSettings(**TRAINING | {"epochs": 30, "batch_size": 16})
    outcome = train(model, data, settings, seed=1, dev_scores=lambda: {"lareqa": found()})
    assert before < 30 < 80 < outcome.best_score
    assert found() == pytest.approx(outcome.best_score)


@torch.inference_mode()
def test_a_vector_does_not_depend_on_its_batch(encoder):
    model = build_model(encoder, {"lareqa": (FORM, ())}, seed=0)
    pool = [{"passage": "a"}, {"passage": "b c " * 20}]
    inputs = [*FORM.encode(pairs(9), tiny.tokenizer(), 64), *FORM.encode(pool, tiny.tokenizer(), 64)]
    options = {"precision": "fp32"}
    few, many = (
        compute_outputs(model, "lareqa", FORM, inputs, batch_tokens=most, **options) for most in (32, 10_000)
    )
    assert [vectors.shape for vectors in few] == [(2, 32)] * 9 + [(1, 32)] * 2
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    hidden = model.encoder(*pad(inputs[-1:], 1, model.device)).last_hidden_state[0]
    np.testing.assert_allclose(few[-1][0], hidden.mean(0), atol=1e-5)


# --- a study with a pool in two languages ----------------------------------------------------------------------------

NUMBERS = {
    "en": ["one", "two", "three", "four", "five", "six"],
    "de": ["eins", "zwei", "drei", "vier", "fünf", "sechs"],
}


ASKED = {"en": "where is", "de": "wo ist"}


def query(language: str, number: int) -> str:
    return f"{ASKED[language]} {number + 10} ?"


def passage(language: str, number: int) -> str:
    return f"{NUMBERS[language][number]} {number + 10} {number + 10}"


def tables():
    """English pairs; of each number a query in both languages, whose passages in both are right."""
    rows = [{"query": query("en", number), "passage": passage("en", number)} for number in range(6)]
    for split in ("train", "validation"):
        yield Table(*make_pair_piece("lareqa", split, rows)[1:])
    for language in NUMBERS:
        queries = [
            {"id": f"{number}", "query": query(language, number), "gold": [f"en-{number}", f"de-{number}"]}
            for number in range(6)
        ]
        yield Table(*make_query_piece("lareqa", language, queries)[1:])
    pool = [
        {"id": f"{language}-{number}", "passage": passage(language, number), "lang": language}
        for language in NUMBERS
        for number in range(6)
    ]
    yield Table(*make_pool_piece("lareqa", pool)[1:])


def source(made) -> SimpleNamespace:
    def build(folder, request, report=None):
        return write_suite(made(), folder, {"fingerprint": "abc"}, POCKET_CARD)

    rows = [row for each in tables() for row in each.rows.to_pylist()]
    texts = [text for row in rows for name, text in row.items() if name in ("query", "passage")]
    return SimpleNamespace(
        fingerprint=lambda *settings: "abc", build=build, texts=lambda folder: texts, missing=lambda task: None,
        left_out=lambda request: {},
    )  # fmt: skip


def run_study(folder: Path, encoder: Path, made=tables, **changes):
    """Do all runs of a study of LAReQA; return here, plan, and the records in the plan's order."""
    settings = {
        "data": {"suite": "xtreme"},
        "intermediates": ["none"],
        "targets": ["lareqa"],
        "target_training": TRAINING | {"batch_size": 6, "epochs": 40},
        "evaluation": {"examples": 5},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "xtreme", lambda data: source(made))
        here = tiny.checkout(folder, encoder, **settings | changes)
        study = here.study("tiny")
        prepare(resolve(study, here))
        plan = resolve(study, here)
        return here, plan, [complete(run, plan) for run in plan.runs]


def test_a_study_ranks_the_pool_of_all_languages(tmp_path, encoder):
    here, plan, (trained, evaluated) = run_study(tmp_path, encoder)
    assert trained.metrics["en"]["n"] == 6
    assert trained.metrics["en"]["score"] > 60
    assert {language: own["n"] for language, own in evaluated.metrics.items()} == {"de": 5, "en": 5}
    predictions = here.store().predictions(plan.runs[1].id)
    for language, own in predictions.groupby("language", observed=True):
        ranked = [prediction.split() for prediction in own["prediction"]]
        assert {len(each) for each in ranked} == {12}
        assert all({name[:3] for name in each} == {"en-", "de-"} for each in ranked)
        counts = count_ranking(ranked, [[f"en-{number}", f"de-{number}"] for number in range(5)])
        np.testing.assert_allclose(own["matches"], counts.matches, rtol=1e-6)
        assert evaluated.metrics[language]["score"] == pytest.approx(score(counts))
    assert evaluated.metrics["en"]["score"] > 60
    assert evaluated.provenance.examples == 2 * 5 + 12


def test_the_pool_stays_whole_where_one_language_is_evaluated(tmp_path, encoder):
    _, _, (_, both) = run_study(tmp_path / "both", encoder)
    _, _, (_, one) = run_study(tmp_path / "one", encoder, evaluation={"examples": 5, "languages": ["de"]})
    assert one.metrics == {"de": both.metrics["de"]}


def test_a_right_candidate_that_the_pool_lacks_is_named(tmp_path, encoder):
    def lacking():
        *others, pool = tables()
        yield from others
        yield pool._replace(rows=pool.rows.slice(1))

    with pytest.raises(StiltsError, match=r"task 'lareqa': no candidate has the id 'en-0'"):
        run_study(tmp_path, encoder, lacking)
