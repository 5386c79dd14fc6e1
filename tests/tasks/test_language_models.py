"""Objectives of decoders and encoder-decoders: what is predicted from what, and that it is learned."""

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from stilts.models import scratch
from stilts.models.model import MultiTaskModel
from stilts.study.errors import StiltsError
from stilts.study.settings import ScratchSettings, TrainingSettings
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.base import EncodedSplit
from stilts.tasks.formats.span_corruption import SENTINEL
from stilts.tasks.metrics import score
from stilts.training.loop import train

TEXTS = [{"text": row["context"]} for row in tiny.qa_rows("en")]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """The tiny tokenizer with sentinel tokens."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.tokenizer().save_pretrained(folder)
    return scratch.make_tokenizer(AutoTokenizer.from_pretrained(folder))


def test_each_token_but_the_first_is_predicted_from_those_before(tokenizer):
    (part,) = FORMATS["causal_lm"].encode([{"text": "open the hall"}], tokenizer, 64)
    whole = tokenizer("open the hall")["input_ids"]
    assert part.input_ids.tolist() == whole
    assert part.target.tolist() == whole[1:]
    assert part.positions.tolist() == list(range(len(whole) - 1))


def restored(part, sentinels: set[int]) -> list[int]:
    """Put what is written in the places of the sentinels that are read."""
    spans: dict[int, list[int]] = {}
    for token in part.written.tolist():
        if token in sentinels:
            spans[token] = own = []
        else:
            own.append(token)
    return [inner for token in part.input_ids.tolist() for inner in spans.get(token, [token])]


@settings(deadline=None, max_examples=60)
@given(length=st.integers(2, 80), seed=st.integers(0, 99))
def test_what_is_written_fills_what_is_read(tokenizer, length, seed):
    ids = np.array([tokenizer.bos_token_id, *np.random.default_rng(seed).integers(10, 2000, length)], dtype=np.int32)
    (part,) = FORMATS["span_corruption"].predict([ids], tokenizer, [np.random.default_rng(seed)])
    sentinels = tokenizer.convert_tokens_to_ids([SENTINEL.format(number=number) for number in range(16)])
    used = [token for token in part.written.tolist() if token in sentinels]
    hidden = len(part.written) - len(used)
    assert restored(part, set(sentinels)) == ids.tolist()
    assert hidden == max(1, round(0.15 * length))
    assert used == sentinels[: 1 + max(1, round(hidden / 3))]
    assert part.written[-1] == used[-1]
    assert [token for token in part.input_ids.tolist() if token in sentinels] == used[:-1]
    assert part.input_ids[0] == tokenizer.bos_token_id
    assert part.target.tolist() == part.written.tolist()
    assert part.positions.tolist() == list(range(len(part.written)))


def test_spans_stand_anywhere_and_are_of_any_length(tokenizer):
    ids = np.arange(100, 160, dtype=np.int32)
    parts = FORMATS["span_corruption"].predict([ids] * 2000, tokenizer, map(np.random.default_rng, range(2000)))
    hidden = [np.isin(ids, part.written) for part in parts]
    share = np.mean(hidden, axis=0)
    assert share[[0, -1]].tolist() == [0, 1]
    assert share[5:50] == pytest.approx(np.full(45, 0.14), abs=0.06)
    lengths = {len(run) for one in hidden for run in "".join("x" if hide else " " for hide in one).split()}
    assert {1, 2, 3, 4, 5, 6} <= lengths


def test_a_text_has_the_same_spans_wherever_it_stands(tokenizer):
    form = FORMATS["span_corruption"]
    together = form.encode(TEXTS, tokenizer, 64)
    for row, part in zip(TEXTS, together, strict=True):
        (alone,) = form.encode([row], tokenizer, 64)
        assert (alone.input_ids.tolist(), alone.written.tolist()) == (part.input_ids.tolist(), part.written.tolist())


def test_too_few_sentinels_are_named(tokenizer):
    form = FORMATS["span_corruption"]
    with pytest.raises(StiltsError, match="not have the 2 sentinel tokens <extra_id_0> to <extra_id_1>"):
        form.encode(TEXTS[:1], tiny.tokenizer(), 64)
    with pytest.raises(StiltsError, match="not have the 51 sentinel tokens"):
        form.predict([np.arange(100, 1100)], tokenizer, [np.random.default_rng(0)])


@pytest.mark.parametrize(
    ("architecture", "parameters", "objective"),
    [("decoder", 39_000, "causal_lm"), ("encoder-decoder", 39_400, "span_corruption")],
)
def test_an_objective_is_learned_by_its_architecture(tokenizer, architecture, parameters, objective):
    sizes = ScratchSettings(
        architecture=architecture, hidden=32, layers=2, heads=2, parameters=parameters, positions=64, dropout=0
    )
    form = FORMATS[objective]
    model = MultiTaskModel(scratch.build(sizes, tokenizer), {"text": form.head(32, range(len(tokenizer)))})
    inputs = form.encode(TEXTS, tokenizer, 64)

    def accuracy() -> float:
        model.eval()
        outputs = [form.outputs(model.logits("text", [part]), [part])[0] for part in inputs]
        return score(form.counts(TEXTS, form.decode(TEXTS, inputs, outputs, ()), (), "en"))

    rates = {"learning_rate": 1e-2, "head_learning_rate": 1e-2, "train_embeddings": True, "precision": "fp32"}
    how = TrainingSettings(batch_size=8, epochs=30, evaluations=1, **rates)
    before = accuracy()
    train(model, {"text": EncodedSplit(FORMATS[objective], inputs)}, how, seed=1, dev_scores=lambda: {"text": 0.0})
    assert before < 10 < 50 < accuracy()
