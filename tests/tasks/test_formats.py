"""Task formats: what is encoded is decoded again, nothing is dropped, padding changes nothing."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mirror import MIRROR, NONE_HERE

from stilts.models.encoders import load_tokenizer
from stilts.models.model import MultiTaskModel, build_model
from stilts.models.prepared import prepare_encoder
from stilts.sources.splits import load
from stilts.sources.suite import Request
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings
from stilts.tasks import metrics
from stilts.tasks.formats import (
    CLASSIFICATION,
    FORMATS,
    MASKED_LM,
    PASSAGE_RETRIEVAL,
    TAGGING,
    Classification,
    SpanQA,
    Tagging,
    span_qa,
)
from stilts.tasks.formats.base import Format, encode_split
from stilts.tasks.formats.evaluation import Split
from stilts.tasks.formats.heads import mean_pool
from stilts.tasks.formats.inputs import Input, group_by_example
from stilts.tasks.formats.tagging import IGNORED
from stilts.tasks.registry import INTERMEDIATES, TARGETS, Task, keep_suite
from stilts.training.loop import train
from stilts.training.prediction import compute_outputs, count_predictions, embed, predict
from stilts.workspace.resolution import SUITES

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
ODD_WORDS = ["", " ", "\u200b", "\u00ad", "🧑‍🌾", "שלום", "مرحبا", "नमस्ते", "打开", "a\u0301", "ﬁ…", "</s>",
             "<mask>", "𐎠", "\x00"]  # fmt: skip
WORDS = st.lists(st.sampled_from(ODD_WORDS) | TEXT, min_size=1, max_size=30)
TAGS = ["O", "B-a", "I-a", "B-b"]


def loud(index: int, count: int) -> list[float]:
    """Logits that leave no doubt."""
    return [9.0 if i == index else -9.0 for i in range(count)]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny.tokenizer()


# --- classification --------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 2)), min_size=1, max_size=5), st.booleans())
def test_gold_logits_of_sentences_are_decoded_to_their_labels(drawn, pairs):
    form, labels = Classification(), ["x", "y", "z"]
    rows = [{"sentence1": first, "sentence2": second, "label": label} for first, second, label in drawn]
    if not pairs:
        rows = [{"sentence1": row["sentence1"], "label": row["label"]} for row in rows]
    inputs = form.encode(rows, tiny.tokenizer(), 32)
    assert [part.example for part in inputs] == list(range(len(rows)))
    assert all(2 <= len(part.input_ids) <= 32 for part in inputs)
    logits = torch.tensor([loud(part.target, 3) for part in inputs])
    predictions = form.decode(rows, inputs, form.outputs(logits, inputs), labels)
    assert predictions == [labels[row["label"]] for row in rows]
    assert metrics.score(form.counts(rows, predictions, labels, "en")) == 100


def test_a_sentence_of_100_000_characters_is_cut_to_the_longest_input(tokenizer):
    pairs = [("ab " * 33_334, "c"), ("c", "ab " * 33_334), ("a", "b")]
    rows = [{"sentence1": first, "sentence2": second, "label": 0} for first, second in pairs]
    *long, short = (part.input_ids for part in Classification().encode(rows, tokenizer, 64))
    assert [len(ids) for ids in long] == [64, 64]
    assert short.tolist() == tokenizer("a", "b")["input_ids"]
    # The shorter sentence is whole, and so are the special tokens: <s> a </s></s> c </s>.
    c = tokenizer("c", add_special_tokens=False)["input_ids"]
    assert (long[0][0], long[0][-len(c) - 3 :].tolist()) == (0, [2, 2, *c, 2])
    assert (long[1][: len(c) + 3].tolist(), long[1][-1]) == ([0, *c, 2, 2], 2)


def test_the_loss_of_sentences_is_the_cross_entropy():
    inputs = [Input(i, [0], target) for i, target in enumerate([2, 0])]
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, 0.0]])
    expected = np.log(3) + np.log(1 + np.exp(-1) + np.exp(-2))
    assert Classification().loss(logits, inputs).item() == pytest.approx(expected)
    assert Classification().weight(inputs) == 2


# --- tagging ---------------------------------------------------------------------------------------------------------


def tag_logits(inputs: list[Input]) -> torch.Tensor:
    """Loud where a word has its tag, noise elsewhere; (inputs, longest, tags)."""
    longest = max(len(part.input_ids) for part in inputs)
    logits = torch.rand(len(inputs), longest, len(TAGS), generator=torch.Generator().manual_seed(0))
    for row, part in enumerate(inputs):
        for position, tag in enumerate(part.target):
            if tag != IGNORED:
                logits[row, position] = torch.tensor(loud(tag, len(TAGS)))
    return logits


def tagged(words: list[str]) -> dict:
    return {"tokens": words, "tags": [number % len(TAGS) for number in range(len(words))]}


def check_tagging(rows: list[dict], max_length: int) -> list[Input]:
    """Encode, decode gold logits, and hold the outcome to the gold tags of every word."""
    form, tokenizer = Tagging(), tiny.tokenizer()
    inputs = form.encode(rows, tokenizer, max_length)
    for part in inputs:
        assert len(part.input_ids) == len(part.target) <= max_length
        assert (part.input_ids[0], part.input_ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    predictions = form.decode(rows, inputs, form.outputs(tag_logits(inputs), inputs), TAGS)
    assert predictions == [" ".join(TAGS[tag] for tag in row["tags"]) for row in rows]
    assert metrics.score(form.counts(rows, predictions, TAGS, "en")) == 100
    return inputs


@given(st.lists(WORDS, min_size=1, max_size=3), st.integers(8, 40))
@example([ODD_WORDS, ["one"]], 32)
def test_no_word_loses_its_tag(sentences, max_length):
    rows = [tagged(["first", "second", *words]) for words in sentences]
    inputs = check_tagging(rows, max_length)
    for i, row in enumerate(rows):
        assert sum(tag != IGNORED for part in inputs if part.example == i for tag in part.target) == len(row["tokens"])


@pytest.mark.parametrize(
    "words",
    [["go", "x" * 100_000, "now"], ["go", "x " * 50_000, "now"], ["word"] * 5_000, ["\u200b"] * 5_000],
    ids=["one word", "one word with spaces", "5,000 words", "5,000 words without a subword"],
)
def test_no_word_of_a_very_long_sentence_loses_its_tag(words):
    check_tagging([tagged(words), tagged(["short"] * 4)], 128)


def test_a_short_sentence_is_encoded_as_the_tokenizer_does(tokenizer):
    words = ["Turn", "on", "the", "lights", "now"]
    (part,) = Tagging().encode([tagged(words)], tokenizer, 128)
    whole = tokenizer(words, is_split_into_words=True)
    firsts = [whole.word_ids().index(word) for word in range(len(words))]
    assert part.input_ids.tolist() == whole["input_ids"]
    assert part.detail.tolist() == firsts
    assert [part.target[i] for i in firsts] == [0, 1, 2, 3, 0]
    assert sum(tag != IGNORED for tag in part.target) == 5


def test_a_sentence_without_words_has_no_tags(tokenizer):
    form, rows = Tagging(), [tagged([]), tagged(["one", "two"])]
    inputs = form.encode(rows, tokenizer, 32)
    assert [part.example for part in inputs] == [1]
    assert form.decode(rows, inputs, form.outputs(tag_logits(inputs), inputs), TAGS) == ["", "O B-a"]


def test_the_loss_of_tags_is_over_words_alone():
    inputs = [Input(0, [0, 5, 6, 2], [IGNORED, 1, IGNORED, IGNORED]), Input(1, [0, 5, 2], [IGNORED, 0, IGNORED])]
    logits = torch.randn(2, 4, 2)
    logits[0, 1], logits[1, 1] = torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0])
    assert Tagging().loss(logits, inputs).item() == pytest.approx(np.log(2) + np.log(1 + np.exp(-1)))
    assert Tagging().weight(inputs) == 2


# --- question answering ----------------------------------------------------------------------------------------------


def question(context: str, answer: str, start: int | None = None, text: str = "where ?") -> dict:
    start = context.index(answer) if start is None else start
    return {"id": "q", "context": context, "question": text, "answers": {"text": [answer], "answer_start": [start]}}


def span_logits(inputs: list[Input]) -> torch.Tensor:
    """Loud at each target; (inputs, longest, 2)."""
    longest = max(len(part.input_ids) for part in inputs)
    return torch.tensor([[loud(place, longest) for place in part.target] for part in inputs]).transpose(1, 2)


def answers(rows: list[dict], max_length: int) -> list[str]:
    form = SpanQA()
    inputs = form.encode(rows, tiny.tokenizer(), max_length)
    assert all(len(part.input_ids) <= max_length for part in inputs)
    return form.decode(rows, inputs, form.outputs(span_logits(inputs), inputs), ())


PLAIN = st.text("abcdefgh", min_size=1, max_size=3)


@given(WORDS | st.just([]), st.lists(PLAIN, min_size=1, max_size=2), WORDS | st.just([]), st.integers(32, 64), TEXT)
@example(["word"] * 200, ["ab"], [], 32, "where ?")
@example([], ["ab"], ["word"] * 200, 32, "where ?")
@example(["word"] * 99, ["abc", "def"], ["word"] * 99, 33, "w " * 99)
def test_an_answer_is_found_from_gold_logits_wherever_it_lies(before, answer, after, max_length, text):
    # Plain neighbours: tokenizers 0.23 counts a character that it drops to the subword behind it, and where a text
    # begins with one (a control character), it shifts the offsets of the whole text.
    before = "".join(f"{word} " for word in ["so", *before, "so"]) if before else ""
    answer, after = " ".join(answer), " ".join(["so", *after]) if after else ""
    row = question(f"{before}{answer} {after}", answer, len(before), text)
    form = SpanQA()
    predictions = answers([row], max_length)
    assert predictions == [answer]
    if form.counts([row], [answer], (), "en").matches.all():  # an article alone counts as nothing
        assert metrics.score(form.counts([row], predictions, (), "en")) == 100
        assert metrics.score(form.exact_match([row], predictions, "en")) == 100


def test_windows_without_the_whole_answer_point_at_the_start(tokenizer):
    context = " ".join(f"w{number}" for number in range(60))
    inputs = SpanQA().encode([question(context, "w2 w3")], tokenizer, 32)
    assert len(inputs) > 5
    assert inputs[0].target > (0, 0)
    for part in inputs:
        held = context[part.detail.offsets[0, 0] : part.detail.offsets[-1, 1]]
        assert (part.target != (0, 0)) == ("w2 w3" in held)


def test_a_question_without_an_answer_points_at_the_start(tokenizer):
    row = {"id": "q", "context": "some words", "question": "?", "answers": {"text": [], "answer_start": []}}
    assert [part.target for part in SpanQA().encode([row], tokenizer, 32)] == [(0, 0)]


@pytest.mark.parametrize("answer", ["\u200bab", "ab\u200b", " ab ", "\u200bab cd\u200b"])
def test_an_answer_whose_outer_characters_have_no_subword_is_trained_on(answer, tokenizer):
    for context in (answer, f"one {answer} two", f"{'w ' * 50}{answer}", f"{answer}{' w' * 50}"):
        assert any(part.target != (0, 0) for part in SpanQA().encode([question(context, answer)], tokenizer, 48))


@given(TEXT, st.integers(32, 64), st.integers(1, 40))
@example("x" * 20, 32, 40)
@example("ﷺ", 32, 30)  # one character that becomes eighteen
@example("e\u0301", 32, 40)
def test_every_subword_of_a_context_is_read_whatever_is_asked(text, max_length, repeated):
    tokenizer, context = tiny.tokenizer(), "some words that follow each other " * 6
    inputs = SpanQA().encode([question(context, "words", text=text * repeated)], tokenizer, max_length)
    assert all(len(part.input_ids) <= max_length for part in inputs)
    read = {tuple(offset) for part in inputs for offset in part.detail.offsets.tolist()}
    assert read == set(tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"])


def test_a_question_and_a_context_of_100_000_characters():
    context = "word " * 20_000 + "answer"
    rows = [question(context, "answer"), question("answer here", "answer", text="why " * 25_000)]
    assert answers(rows, 128) == ["answer", "answer"]


def bert_windows(context: int, room: int, doc_stride: int) -> list[range]:
    """Windows of a context of so many subwords, as run_squad.py of BERT makes its `doc_spans`."""
    spans, start = [], 0
    while start < context:
        length = min(context - start, room)
        spans.append(range(start, start + length))
        if start + length == context:
            break
        start += min(length, doc_stride)
    return spans


def is_max_context(spans: list[range], number: int, position: int) -> bool:
    """`_check_is_max_context` of BERT's run_squad.py."""
    scores = [
        min(position - span[0], span[-1] - position) + 0.01 * len(span) if position in span else -1.0 for span in spans
    ]
    return scores.index(max(scores)) == number


@given(st.integers(1, 120), st.integers(1, 20), st.integers(32, 90), st.integers(1, 100), st.integers(1, 2))
def test_windows_a_stride_apart_are_those_of_bert(tokenizer, words, asked, max_length, doc_stride, count):
    rows = [question(" ".join(["kitchen"] * (words + i)), "kitchen", 0, "where " * (asked + i)) for i in range(count)]
    inputs = SpanQA(doc_stride=doc_stride).encode(rows, tokenizer, max_length)
    found = group_by_example(count, inputs, inputs)
    for row, parts in zip(rows, found, strict=True):
        offsets = tokenizer(row["context"], add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        start = int((np.array(parts[0][0].input_ids) == tokenizer.sep_token_id).argmax())
        room = max_length - tokenizer.num_special_tokens_to_add(pair=True) - (start - 1)
        spans = bert_windows(len(offsets), room, doc_stride)
        assert [part.detail.offsets.tolist() for part, _ in parts] == [
            [list(offsets[place]) for place in span] for span in spans
        ]
        assert [part.detail.begins.tolist() for part, _ in parts] == [
            [is_max_context(spans, number, place) for place in span] for number, span in enumerate(spans)
        ]


def test_an_answer_begins_in_the_window_with_most_context_alone(tokenizer):
    context = " ".join(["kitchen"] * 60)
    rows = [question(context, "kitchen")]
    for doc_stride, expected in ((None, 1), (8, 2)):
        form = FORMATS["span_qa_mlqa"].with_options(doc_stride=doc_stride)
        inputs = form.encode(rows, tokenizer, 40)
        outputs = [np.zeros((1 + len(part.detail.positions), 2), np.float32) for part in inputs]
        outputs[0][-1] = 9, 1  # the last subword of the first window, which stands in others too
        outputs[1][16] = 3
        start, stop = inputs[expected - 1].detail.offsets[-1 if expected == 1 else 15].tolist()
        rows[0]["context"] = "".join(chr(0x4E00 + place) for place in range(len(context)))  # tells places apart
        assert form.decode(rows, inputs, outputs, ()) == [rows[0]["context"][start:stop]]
        rows[0]["context"] = context


def test_a_study_says_how_windows_are_laid(tokenizer):
    rows = [question(" ".join(["kitchen"] * 900), "kitchen")]
    counts = {stride: len(SpanQA(doc_stride=stride).encode(rows, tokenizer, 384)) for stride in (None, 128)}
    shared = [
        len({*map(tuple, one.detail.offsets.tolist())} & {*map(tuple, two.detail.offsets.tolist())})
        for one, two in pairwise(SpanQA(doc_stride=128).encode(rows, tokenizer, 384))
    ]
    assert counts[128] > counts[None]
    assert 230 < shared[0] < 250
    assert TrainingSettings().model_dump().keys() & {"doc_stride"} == set()
    assert TrainingSettings(doc_stride=128).model_dump()["doc_stride"] == 128


@pytest.mark.parametrize("context", ["", " "])
def test_a_context_without_a_subword_has_an_empty_answer(context):
    row = {"id": "q", "context": context, "question": "where ?", "answers": {"text": ["x"], "answer_start": [0]}}
    assert answers([row, question("an answer", "answer")], 32) == ["", "answer"]


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=span_qa.CANDIDATES))
def test_the_best_span_is_the_best_of_all_in_order(scores):
    scores = np.array(scores, dtype=np.float32)
    offsets = np.array([[3 * i, 3 * i + 2] for i in range(len(scores))])
    best = max(scores[i, 0] + scores[j, 1] for i in range(len(scores)) for j in range(i, len(scores)))
    score, start, stop = span_qa._best_span(scores, offsets)
    assert score == best
    assert scores[start // 3, 0] + scores[stop // 3, 1] == best
    assert start < stop


def test_an_answer_is_no_longer_than_thirty_subwords():
    scores = np.full((60, 2), -9.0, dtype=np.float32)
    scores[5, 0], scores[45, 1], scores[34, 1] = 9, 9, 1
    offsets = np.array([[i, i + 1] for i in range(60)])
    assert span_qa._best_span(scores, offsets) == (10.0, 5, 35)


def test_where_no_span_is_in_order_the_best_start_answers():
    scores = np.array([[-9.0, 9.0]] * 30 + [[9.0, -9.0]] * 30, dtype=np.float32)
    score, start, stop = span_qa._best_span(scores, np.array([[i, i + 1] for i in range(60)]))
    assert (score, start, stop) == (-np.inf, 30, 31)


def test_the_loss_of_spans_leaves_padding_out():
    short, long = Input(0, [0] * 3, (1, 2)), Input(1, [0] * 5, (0, 0))
    logits = torch.randn(2, 5, 2)
    alone = [SpanQA().loss(logits[:1, :3], [short]), SpanQA().loss(logits[1:], [long])]
    assert SpanQA().loss(logits, [short, long]).item() == pytest.approx(sum(alone).item(), rel=1e-5)
    assert SpanQA().weight([short, long]) == 4


# --- questions of MLQA and of SQuAD 2.0 ------------------------------------------------------------------------------


def golds(*texts: str) -> dict:
    return {"context": "", "answers": {"text": list(texts), "answer_start": [0] * len(texts)}}


def matches(form: SpanQA, rows: list[dict], given: list[str], language: str) -> tuple[list[float], list[float]]:
    """F1 and exact match of each answer."""
    overlap, exact = form.counts(rows, given, (), language), form.exact_match(rows, given, language)
    for counts in (overlap, exact):
        assert counts.predicted.tolist() == counts.gold.tolist() == [1.0] * len(rows)
    return overlap.matches.tolist(), exact.matches.tolist()


def test_mlqa_compares_answers_by_the_rules_of_their_language():
    rows, given = [golds("das alte Haus")], ["alte Haus"]
    squad, mlqa = SpanQA(), FORMATS["span_qa_mlqa"]
    assert matches(squad, rows, given, "de") == ([pytest.approx(0.8)], [0])
    assert matches(mlqa, rows, given, "de") == ([1], [1])
    assert matches(mlqa, rows, given, "es") == ([pytest.approx(0.8)], [0])
    assert matches(mlqa, [golds("北京大学")], ["北京"], "zh") == ([pytest.approx(2 / 3)], [0])
    assert matches(squad, [golds("北京大学")], ["北京"], "zh") == ([0], [0])
    with pytest.raises(ValueError, match="MLQA has no language 'sw'"):
        mlqa.counts(rows, given, (), "sw")


@pytest.mark.parametrize(
    "gold, given, f1, exact",
    [
        ((), "", 1, 1),
        ((), "the", 1, 1),  # nothing is left of it
        ((), "house", 0, 0),
        (("a house",), "", 0, 0),
        (("a house",), "house", 1, 1),
        (("old house", "house"), "House.", 1, 1),
        (("old house",), "house", 2 / 3, 0),
        (("the", "house"), "", 0, 0),  # a gold answer without words is none
        (("the",), "", 1, 1),
    ],
)
def test_squad_2_scores_answers_and_their_absence(gold, given, f1, exact):
    row = golds(*gold)
    assert matches(FORMATS["span_qa_null"], [row], [given], "en") == ([pytest.approx(f1)], [exact])


def test_squad_1_knows_no_question_without_an_answer():
    with pytest.raises(ValueError, match="question 0 needs a list of at least one gold answer"):
        SpanQA().counts([golds()], [""], (), "en")


HALVES = st.integers(-9, 9).map(lambda number: number / 2)
SCORES = st.lists(st.tuples(HALVES, HALVES), min_size=2, max_size=6)  # of the first token, then of the context's


@given(st.lists(SCORES, min_size=1, max_size=4))
@example([[(0.0, 0.0), (0.0, 0.0)]])
def test_a_question_is_unanswered_where_every_window_rates_nothing_above_the_best_span(windows):
    row = {"context": "abcdef"}
    inputs, scores = [], []
    for window in windows:
        offsets = np.array([[i, i + 1] for i in range(len(window) - 1)])
        inputs.append(Input(0, [0], (0, 0), span_qa.Window(np.arange(1, len(window)), offsets, True, True)))
        scores.append(np.array(window, dtype=np.float32))
    best = max(w[i][0] + w[j][1] for w in windows for i in range(1, len(w)) for j in range(i, len(w)))
    null = min(sum(window[0]) for window in windows)
    (plain,) = SpanQA().decode([row], inputs, scores, ())
    assert plain
    assert FORMATS["span_qa_null"].decode([row], inputs, scores, ()) == ["" if null > best else plain]


def test_unanswerable_questions_are_decoded_from_gold_logits(tokenizer):
    form, context = FORMATS["span_qa_null"], "some words that follow each other " * 20
    none = {"id": "q", "context": context, "question": "where ?", "answers": {"text": [], "answer_start": []}}
    rows = [none, question(context + "at the end", "the end")]
    inputs = form.encode(rows, tokenizer, 32)
    predictions = form.decode(rows, inputs, form.outputs(span_logits(inputs), inputs), ())
    assert predictions == ["", "the end"]
    assert matches(form, rows, predictions, "en") == ([1, 1], [1, 1])


# --- multiple choice -------------------------------------------------------------------------------------------------


def choose(prompt: str, choices: list[str], label: int | None = 0) -> dict:
    return {"prompt": prompt, "choices": choices, "label": label}


QUESTIONS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=2, max_size=5)), min_size=1, max_size=4)


@given(QUESTIONS, st.data())
def test_the_right_choice_is_decoded_from_gold_logits(drawn, data):
    form = FORMATS["multiple_choice"]
    rows = [choose(prompt, own, data.draw(st.integers(0, len(own) - 1))) for prompt, own in drawn]
    inputs = form.encode(rows, tiny.tokenizer(), 64)
    assert [len(part.sequences) for part in inputs] == [len(row["choices"]) for row in rows]
    scores = [score for row in rows for score in loud(row["label"], len(row["choices"]))]
    outputs = form.outputs(torch.tensor(scores)[:, None], inputs)
    predictions = form.decode(rows, inputs, outputs, ())
    assert predictions == [str(row["label"]) for row in rows]
    assert metrics.score(form.counts(rows, predictions, (), "en")) == 100


@given(TEXT, st.lists(TEXT, min_size=2, max_size=4))
def test_a_choice_is_encoded_as_the_tokenizer_encodes_the_pair(prompt, choices):
    (part,) = FORMATS["multiple_choice"].encode([choose(prompt, choices)], tiny.tokenizer(), 128)
    pairs = tiny.tokenizer()([prompt] * len(choices), choices)["input_ids"]
    assert [list(ids) for ids in part.sequences] == pairs


def test_a_long_prompt_loses_its_beginning_and_a_choice_nothing(tokenizer):
    prompt, choices = "word " * 20_000 + "at the end", ["a", "some more words", "a " * 10_000]
    (part,) = FORMATS["multiple_choice"].encode([choose(prompt, choices)], tokenizer, 32)
    asked, *answers = tokenizer([prompt, *choices], add_special_tokens=False)["input_ids"]
    for ids, answer in zip(part.sequences[:2], answers, strict=False):
        room = 32 - 4 - len(answer)
        assert list(ids) == [0, *asked[-room:], 2, 2, *answer, 2]
    assert list(part.sequences[2]) == [0, 2, 2, *answers[2][:28], 2]


@given(st.lists(st.lists(HALVES, min_size=2, max_size=5), min_size=1, max_size=4), st.data())
def test_the_loss_of_choices_is_over_the_own_choices_of_each_question(scores, data):
    form = FORMATS["multiple_choice"]
    inputs = []
    for number, own in enumerate(scores):
        label = data.draw(st.integers(0, len(own) - 1))
        inputs.append(Input(number, [0], label, alternatives=([0],) * (len(own) - 1)))
    logits = torch.tensor([[score] for own in scores for score in own], requires_grad=True)
    loss = form.loss(logits, inputs)
    expected = [
        np.log(np.exp(own).sum()) - own[part.target] for own, part in zip(map(np.array, scores), inputs, strict=True)
    ]
    assert loss.item() == pytest.approx(sum(expected), rel=1e-5, abs=1e-5)
    assert form.weight(inputs) == len(scores)
    loss.backward()
    assert torch.isfinite(logits.grad).all()
    assert [output.tolist() for output in form.outputs(logits.detach(), inputs)] == scores


@pytest.mark.parametrize("label", [-1, None])
def test_a_question_without_a_label_is_predicted_and_nothing_else(label, tokenizer):
    form, rows = FORMATS["multiple_choice"], [choose("is it ?", ["yes", "no"]), choose("is it ?", ["yes"], label)]
    inputs = form.encode(rows, tokenizer, 32)
    assert form.decode(rows, inputs, [np.array([0.0, 1.0]), np.array([0.0])], ()) == ["1", "0"]
    with pytest.raises(StiltsError, match="without a label cannot be trained on"):
        form.loss(torch.zeros(3, 1), inputs)
    with pytest.raises(StiltsError, match="row 1 has no label"):
        form.counts(rows, ["1", "0"], (), "en")


def test_a_label_that_no_choice_has_is_named(tokenizer):
    with pytest.raises(StiltsError, match="row 1: label is 2, but its 2 choices are numbered 0 to 1"):
        FORMATS["multiple_choice"].encode(
            [choose("", ["a", "b", "c"], 2), choose("", ["a", "b"], 2)], tokenizer, 32
        )


# --- masked language modelling ---------------------------------------------------------------------------------------

LONG_TEXT = " ".join(f"{verb} the {place} now" for place in tiny.PLACES["en"] for verb in tiny.VERBS["en"])


@given(st.lists(TEXT | st.sampled_from(ODD_WORDS) | st.just(LONG_TEXT), min_size=1, max_size=5), st.integers(8, 64))
def test_masked_tokens_are_decoded_from_gold_logits(texts, max_length):
    form, tokenizer = FORMATS["mlm"], tiny.tokenizer()
    rows = [{"text": text} for text in texts]
    whole = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    inputs = form.encode(rows, tokenizer, max_length)
    ordinary = {i: sum(token not in tokenizer.all_special_ids for token in ids) for i, ids in enumerate(whole)}
    assert [part.example for part in inputs] == [i for i, count in ordinary.items() if count]
    for part in inputs:
        true = np.array(whole[part.example])
        assert len(part.positions) == max(1, round(0.15 * ordinary[part.example]))
        assert part.target.tolist() == true[part.positions].tolist()
        assert not set(part.target.tolist()) & set(tokenizer.all_special_ids)
        others = np.setdiff1d(np.arange(len(true)), part.positions)
        assert part.input_ids[others].tolist() == true[others].tolist()
    if inputs:
        gold = torch.nn.functional.one_hot(torch.tensor(np.concatenate([part.target for part in inputs])).long())
        predictions = form.decode(rows, inputs, form.outputs(gold.float(), inputs), ())
        counts = form.counts(rows, predictions, (), "en")
        assert counts.gold.tolist() == [max(1, round(0.15 * n)) if n else 0 for n in ordinary.values()]
        assert metrics.score(counts) == 100


def test_of_the_tokens_that_are_predicted_four_fifths_are_hidden(tokenizer):
    rows = [{"text": f"{number} {LONG_TEXT}"} for number in range(2000)]
    whole = tokenizer([row["text"] for row in rows])["input_ids"]
    shown, true, places = [], [], []
    for part in FORMATS["mlm"].encode(rows, tokenizer, 256):
        shown += part.input_ids[part.positions].tolist()
        true += part.target.tolist()
        places += (part.positions / len(part.input_ids)).tolist()
    shown, true = np.array(shown), np.array(true)
    masked, kept = shown == tokenizer.mask_token_id, shown == true
    tokens = sum(map(len, whole)) - 2 * len(whole)
    assert len(shown) / tokens == pytest.approx(0.15, abs=0.003)
    assert masked.mean() == pytest.approx(0.8, abs=0.01)
    assert kept.mean() == pytest.approx(0.1, abs=0.01)
    replaced = shown[~masked & ~kept]
    assert len(set(replaced)) > 500
    assert not set(replaced.tolist()) & set(tokenizer.all_special_ids)
    assert np.histogram(places, bins=4, range=(0, 1))[0] / len(places) == pytest.approx([0.25] * 4, abs=0.02)


def test_a_text_has_the_same_mask_wherever_it_stands(tokenizer):
    form, rows = FORMATS["mlm"], [{"text": f"{LONG_TEXT} {number}"} for number in range(3)]
    for row, part in zip(rows, form.encode(rows, tokenizer, 256), strict=True):
        (alone,) = form.encode([row], tokenizer, 256)
        assert alone.input_ids.tolist() == part.input_ids.tolist()
        assert alone.positions.tolist() == part.positions.tolist()
    assert len({tuple(part.positions.tolist()) for part in form.encode(rows, tokenizer, 256)}) == 3


def test_the_loss_of_masked_tokens_is_the_cross_entropy():
    inputs = [Input(0, [0, 5, 6], np.array([1, 0]), positions=np.array([1, 2])),
              Input(1, [0, 5], np.array([2]), positions=np.array([1]))]  # fmt: skip
    logits = torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    expected = np.log(3) + np.log(1 + np.exp(-1) + np.exp(-2)) + np.log(1 + 2 * np.exp(-1))
    form = FORMATS["mlm"]
    assert form.loss(logits, inputs).item() == pytest.approx(expected)
    assert form.weight(inputs) == 3
    assert [output.tolist() for output in form.outputs(logits, inputs)] == [[0, 0], [2]]
    rows = [{"text": ""}] * 3
    predictions = form.decode(rows, inputs, form.outputs(logits, inputs), ())
    assert predictions == ["0:1 0:0", "2:2", ""]
    counts = form.counts(rows, predictions, (), "en")
    assert (counts.matches.tolist(), counts.gold.tolist()) == ([1, 1, 0], [2, 1, 0])


def test_masked_tokens_are_decoded_by_the_input_embeddings_which_a_checkpoint_holds_once(model):
    names = {name for name in model.state_dict() if name.startswith("heads.mlm.")}
    assert names == {f"heads.mlm.{name}" for name in ("dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias")}
    embeddings = model.encoder.get_input_embeddings().weight
    part = Input(0, [0, 9, 9, 2], np.array([9]), positions=np.array([1]))
    model.train()
    FORMATS["mlm"].loss(logits_of(model, "mlm", [part]), [part]).backward()
    assert embeddings.grad[100].abs().sum() > 0  # a token that no input holds learns as an answer
    model.zero_grad()


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A checkpoint of XLM-R's form with its head for masked tokens."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    torch.manual_seed(0)
    size = {"vocab_size": len(tiny.tokenizer()), "max_position_embeddings": 130, "pad_token_id": 1, **tiny.ENCODER}
    checkpoint = XLMRobertaForMaskedLM(XLMRobertaConfig(**size)).eval()
    torch.nn.init.normal_(checkpoint.lm_head.bias)
    folder = tmp_path_factory.mktemp("pretrained") / "checkpoint"
    checkpoint.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder, checkpoint


@pytest.mark.parametrize("trim", [False, True])
@torch.inference_mode()
def test_the_head_of_a_public_checkpoint_is_gone_on_with(pretrained, trim, tmp_path):
    source, checkpoint = pretrained
    prepare_encoder(str(source), [LONG_TEXT], tmp_path / "prepared", trim=trim)
    small, whole = load_tokenizer(str(tmp_path / "prepared")), tiny.tokenizer()
    assert (len(small) < len(whole)) == trim
    mine = build_model(tmp_path / "prepared", {"mlm": (MASKED_LM, ())}, seed=1).eval()
    ids = small([LONG_TEXT])["input_ids"][0]
    part = Input(0, ids, None, positions=np.arange(len(ids)))
    expected = checkpoint(input_ids=torch.tensor([whole(LONG_TEXT)["input_ids"]])).logits[0]
    kept = [whole.convert_tokens_to_ids(token) for token in small.convert_ids_to_tokens(range(len(small)))]
    torch.testing.assert_close(logits_of(mine, "mlm", [part]), expected[:, kept], atol=1e-4, rtol=1e-4)


def test_an_encoder_without_a_head_for_masked_tokens_gets_a_new_one(encoder, tmp_path):
    prepare_encoder(str(encoder), [], tmp_path / "prepared", trim=False)
    head = build_model(tmp_path / "prepared", {"mlm": (MASKED_LM, ())}, seed=1).heads["mlm"]
    assert head.bias.tolist() == [0] * len(tiny.tokenizer())


# --- all formats -----------------------------------------------------------------------------------------------------


def test_counts_are_those_of_the_official_metrics():
    rng = np.random.default_rng(0)
    rows = [{"label": int(label)} for label in rng.integers(0, 3, 50)]
    guesses = [tiny.NLI[guess] for guess in rng.integers(0, 3, 50)]
    gold = [tiny.NLI[row["label"]] for row in rows]
    assert metrics.score(Classification().counts(rows, guesses, tiny.NLI, "de")) == metrics.accuracy(gold, guesses)
    rows = [{"tags": rng.integers(0, 4, length).tolist()} for length in rng.integers(1, 9, 50)]
    guesses = [" ".join(TAGS[tag] for tag in rng.integers(0, 4, len(row["tags"]))) for row in rows]
    gold = [[TAGS[tag] for tag in row["tags"]] for row in rows]
    chunks = metrics.score(metrics.count_chunks(gold, [guess.split() for guess in guesses]))
    assert metrics.score(Tagging().counts(rows, guesses, TAGS, "de")) == chunks
    rows = [{"answers": {"text": ["the old house", "house"], "answer_start": [0, 8]}}] * 3
    guesses, gold = ["old", "House.", ""], [row["answers"]["text"] for row in rows]
    overlap, exact = (count(gold, guesses) for count in (metrics.count_answers, metrics.count_exact_matches))
    assert metrics.score(SpanQA().counts(rows, guesses, (), "de")) == metrics.score(overlap)
    assert metrics.score(SpanQA().exact_match(rows, guesses, "de")) == metrics.score(exact)


def test_formats_stand_under_their_names():
    assert {name: FORMATS[name].name for name in FORMATS} == {name: name for name in FORMATS}


def choice_rows() -> list[dict]:
    """Which of two to four places is named; the right one at each number."""
    rows = []
    for number, (_, place, _) in enumerate(tiny.commands("en")):
        others = [other for other in tiny.PLACES["en"] if other != place][: 1 + number % 3]
        label = number % (len(others) + 1)
        prompt = tiny.sentence("en", tiny.commands("en")[number])
        rows.append(choose(prompt, [*others[:label], place, *others[label:]], label))
    return rows


ROWS = {
    "classification": (tiny.nli_rows("en"), tiny.NLI),
    "tagging": (tiny.slot_rows("en"), tiny.TAGS),
    "span_qa": (tiny.qa_rows("en"), ()),
    "span_qa_mlqa": (tiny.qa_rows("en"), ()),
    "span_qa_null": (tiny.qa_rows("en"), ()),
    "multiple_choice": (choice_rows(), ()),
    "mlm": ([{"text": row["context"]} for row in tiny.qa_rows("en")], ()),
}


def logits_of(model: MultiTaskModel, name: str, inputs: list[Input]) -> torch.Tensor:
    return model.logits(name, inputs)


@pytest.fixture(scope="module")
def model(encoder) -> MultiTaskModel:
    return build_model(encoder, {name: (FORMATS[name], labels) for name, (_, labels) in ROWS.items()}, seed=0)


@pytest.mark.parametrize("name", ROWS)
@torch.inference_mode()
def test_padding_changes_no_logit(name, model, tokenizer):
    rows, _ = ROWS[name]
    inputs = FORMATS[name].encode(rows, tokenizer, 64)
    assert len({len(part.input_ids) for part in inputs}) > 3
    model.eval()
    together = iter(logits_of(model, name, inputs))
    for part in inputs:
        for alone in logits_of(model, name, [part]):
            own = next(together)
            if own.dim() == 2:  # a logit for each token: leave out padding
                own, alone = own[: part.longest], alone[: part.longest]
            torch.testing.assert_close(own, alone, atol=1e-5, rtol=1e-5)
    assert next(together, None) is None


@pytest.mark.parametrize("name", ROWS)
def test_predictions_come_in_the_order_of_the_rows_whatever_the_batches(name, model, tokenizer):
    rows, labels = ROWS[name]
    done = []
    model.train()
    options = {"precision": "fp32", "progress": done.append}
    whole = tiny.encoded(name, rows, labels)
    few = predict(model, name, whole, batch_tokens=64, **options)
    assert sum(done) == len(whole.inputs)
    assert len(done) > 5
    assert not model.training
    assert predict(model, name, whole, batch_tokens=10**6, **options) == few
    single = [tiny.encoded(name, [row], labels) for row in rows[:5]]
    assert [predict(model, name, each, batch_tokens=64, precision="fp32")[0] for each in single] == few[:5]


def test_heads_have_an_output_for_each_label(model):
    shapes = {
        name: tuple(logits_of(model, name, [Input(0, [0, 9, 9, 2], None, positions=chosen)]).shape)
        for name in ROWS
        for chosen in [np.array([1, 2, 2]) if name == "mlm" else None]
    }
    masked = {"mlm": (3, model.encoder.config.vocab_size)}
    spans = dict.fromkeys(("span_qa", "span_qa_mlqa", "span_qa_null"), (1, 4, 2))
    assert shapes == {"classification": (1, 3), "tagging": (1, 4, 3), "multiple_choice": (1, 1), **spans, **masked}


def test_heads_begin_as_the_seed_says(encoder):
    heads = {"intent": (CLASSIFICATION, ["a", "b"])}
    one, same, other = (build_model(encoder, heads, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    differing = {name for name in one if not torch.equal(one[name], other[name])}
    assert differing == {"heads.intent.project.weight", "heads.intent.project.bias"}


def test_the_encoder_alone_is_taken_from_another_model(encoder, model):
    heads = {"intent": (CLASSIFICATION, ["a", "b"])}
    target = build_model(encoder, heads, seed=1)
    head = {name: value.clone() for name, value in target.state_dict().items() if name.startswith("heads.")}
    changed = {name: value + 1 for name, value in model.state_dict().items()}
    target.load_encoder(changed)
    state = target.state_dict()
    assert all(torch.equal(state[name], changed[name]) for name in state if name.startswith("encoder."))
    assert all(torch.equal(state[name], head[name]) for name in head)
    changed.pop("encoder.embeddings.word_embeddings.weight")
    with pytest.raises(RuntimeError, match="word_embeddings"):
        target.load_encoder(changed)


# --- from rows to scores ---------------------------------------------------------------------------------------------


def passage_rows() -> list[dict]:
    """The query names a place in German, its passage in English."""
    pairs = zip(tiny.PLACES["de"], tiny.PLACES["en"], strict=True)
    return [{"query": german, "passage": f"open the {english} now"} for german, english in pairs]


# All but the objectives of decoders and encoder-decoders, see test_language_models.py.
LEARNT = {**ROWS, "passage_retrieval": (passage_rows(), ())}
# Two tasks that ask for tokens of which the random embeddings know nothing.
LEARNING = {"mlm": {"train_embeddings": True, "epochs": 12}, "passage_retrieval": {"train_embeddings": True}}


@torch.inference_mode()
def mean_loss(model: MultiTaskModel, name: str, form: Format, inputs: list[Input]) -> float:
    model.eval()
    return form.loss(logits_of(model, name, inputs).float(), inputs).item() / form.weight(inputs)


@pytest.mark.parametrize("name", LEARNT)
def test_every_format_learns_its_rows_and_scores_its_predictions(name, encoder, tokenizer):
    form, (rows, labels) = FORMATS[name], LEARNT[name]
    learner = build_model(encoder, {name: (form, labels)}, seed=1)
    split = tiny.encoded(name, rows, labels)
    inputs = split.inputs
    assert form.weight(inputs) > 0
    before = mean_loss(learner, name, form, inputs)
    settings = TrainingSettings(**tiny.TRAINING | {"epochs": 6, "evaluations": 1} | LEARNING.get(name, {}))
    outcome = train(learner, {name: split}, settings, seed=1, dev_scores=lambda: {name: 0.0})
    after = mean_loss(learner, name, form, inputs)
    assert after < 0.8 * before
    assert outcome.tokens == settings.epochs * sum(part.tokens for part in inputs)
    predictions = predict(learner, name, split, batch_tokens=512, precision="fp32")
    counts = form.counts(rows, predictions, labels, "en")
    assert len(predictions) == len(counts) == len(rows)
    assert all(isinstance(prediction, str) for prediction in predictions)
    assert 10 < metrics.score(counts) <= 100


SPLITS = ("train", "validation", "test")
BENCHMARK = {
    name: task for registry in (INTERMEDIATES, TARGETS) for name, task in keep_suite(registry, "xtreme").items()
}


@pytest.fixture(scope="module")
def benchmark_suite(tmp_path_factory):
    """A few real rows of each task in English, German and Chinese."""
    if not MIRROR.is_dir():
        pytest.skip(NONE_HERE)
    sizes = dict.fromkeys(("train", "intermediate_train", "validation", "test", "retrieval", "mining"), 4)
    folder = tmp_path_factory.mktemp("suite") / "xtreme"
    return SUITES["xtreme"](MIRROR).build(folder, Request(0, sizes, ["de", "zh"]), report=lambda line: None)


def few_rows(suite: Path, task: Task) -> dict[tuple[str, str], Split]:
    """What the suite holds of a task, by language and split; test sets that ask for a pool are no rows of a format."""
    splits = SPLITS[:2] if task.format == PASSAGE_RETRIEVAL else SPLITS
    places = {(suite / task.config_for(language) / split): (language, split) for language in ("en", "de", "zh")
              for split in splits}  # fmt: skip
    held = {place: key for place, key in places.items() if any(place.parent.glob(f"{place.name}-*.parquet"))}
    return {(language, split): load(suite, task, language, split, 4) for language, split in held.values()}


@pytest.mark.parametrize("name", [name for name, task in BENCHMARK.items() if task.trained])
def test_real_rows_of_the_benchmark_go_through_their_format(name, benchmark_suite, encoder, tokenizer):
    task = BENCHMARK[name]
    form, splits = task.format, few_rows(benchmark_suite, task)
    if not splits:
        pytest.skip(f"the mirror holds nothing of {name}")
    labels = next(iter(splits.values())).labels
    model = build_model(encoder, {name: (task.format, labels)}, seed=1)
    for (_, split), held in splits.items():
        assert held.labels == labels
        encoded = encode_split(form, held, tokenizer, 128)
        assert max(part.longest for part in encoded.inputs) <= 128
        if split != "test":
            assert 0 < mean_loss(model, name, form, encoded.inputs) < 100
        counts = count_predictions(model, name, encoded, batch_tokens=2048, precision="fp32")
        assert 0 <= metrics.score(counts) <= 100


# --- sentence vectors ------------------------------------------------------------------------------------------------


def test_the_mean_is_over_the_tokens_that_the_mask_holds():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [99.0, 99.0]], [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert mean_pool(hidden, mask).tolist() == [[2.0, 4.0], [2.0, 2.0]]


def test_sentence_vectors_are_the_same_alone_and_in_any_batch(model, tokenizer):
    texts = ["one", "a much longer sentence with many words", "", "打开 the lights", "x" * 100_000]
    ids = tokenizer(texts, truncation=True, max_length=64)["input_ids"]
    together = embed(model.encoder, ids, [0, 1, 2, -1], batch_tokens=10**6, precision="fp32")
    assert together.shape == (4, 5, 32)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together[2], together[3])
    for number, own in enumerate(ids):
        alone = embed(model.encoder, [own], [0, 1, 2, -1], batch_tokens=64, precision="fp32")
        np.testing.assert_allclose(together[:, number], alone[:, 0], atol=1e-5)


@torch.inference_mode()
def test_sentence_vectors_are_means_of_hidden_states(model, tokenizer):
    model.eval()
    ids = [tokenizer("turn it on")["input_ids"]]
    states = model.encoder(input_ids=torch.tensor(ids), output_hidden_states=True).hidden_states
    vectors = embed(model.encoder, ids, [1, 2], batch_tokens=64, precision="fp32")
    np.testing.assert_allclose(vectors[:, 0], [states[layer][0].mean(0).numpy() for layer in (1, 2)], atol=1e-5)


def test_outputs_of_no_input_are_none(model):
    assert compute_outputs(model, "tagging", TAGGING, [], batch_tokens=64, precision="fp32") == []
