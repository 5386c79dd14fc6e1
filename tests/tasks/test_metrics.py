"""The official numbers: by hand, against seqeval where it is installed, and on XTREME's mock submission."""

import json
import os
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import mean
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.study.settings import ChunkRule, EvaluationSettings
from stilts.tasks import metrics
from stilts.tasks.formats import Tagging
from stilts.tasks.formats.evaluation import Split
from stilts.tasks.metrics import Counts, score

EARLY, LATE = "seqeval-0.0.12", "seqeval-1.2.2"


def rows(counts: Counts) -> tuple[list[float], list[float], list[float]]:
    return counts.matches.tolist(), counts.predicted.tolist(), counts.gold.tolist()


def score_chunks(gold: metrics.Tags, predicted: metrics.Tags, rule: str = metrics.DEFAULT_CHUNK_RULE) -> list[float]:
    """Precision, recall and F1 in percent."""
    counts = metrics.count_chunks(gold, predicted, rule)
    matches, of = counts.matches.sum(), (counts.predicted.sum(), counts.gold.sum())
    return [*(100 * matches / total if total else 0.0 for total in of), score(counts)]


def score_answers(golds: Sequence, predictions: Sequence, language: str | None = None) -> list[float]:
    """Exact match and F1 in percent."""
    counted = (metrics.count_exact_matches, metrics.count_answers)
    return [score(count(golds, predictions, language)) for count in counted]


def score_pairs(gold: Iterable, predicted: Iterable) -> float:
    return score(metrics.count_mined_pairs(gold, predicted))


# --- counts ----------------------------------------------------------------------------------------------------------


def test_score_is_twice_the_matches_over_predicted_and_gold():
    assert score(Counts([1, 0, 2], [2, 0, 2], [1, 1, 4])) == 60.0


def test_score_without_anything_predicted_or_gold_is_zero():
    assert score(Counts([0.0], [0.0], [0.0])) == 0.0


def test_take_repeats_and_reorders_rows():
    counts = Counts([1, 0, 2], [2, 0, 2], [1, 1, 4])
    assert rows(counts.take([2, 2, 0])) == ([2, 2, 1], [2, 2, 2], [4, 4, 1])


def test_score_of_no_example_is_an_error():
    with pytest.raises(ValueError, match="at least one example"):
        score(Counts([], [], []))


@pytest.mark.parametrize("columns", [([1], [1, 1], [1]), ([[1]], [[1]], [[1]]), (1, 1, 1)])
def test_counts_must_be_vectors_of_one_length(columns):
    with pytest.raises(ValueError, match="vectors of one length"):
        Counts(*columns)


# --- classification --------------------------------------------------------------------------------------------------

labels = st.sampled_from(["entailment", "neutral", "contradiction"])


def test_classification_counts_by_hand():
    assert rows(metrics.count_classification([0, 1, 2], np.array([0, 2, 2]))) == ([1, 0, 1], [1, 1, 1], [1, 1, 1])


@given(st.lists(st.tuples(labels, labels), min_size=1))
def test_score_of_classification_counts_is_accuracy(pairs):
    gold, predicted = zip(*pairs, strict=True)
    assert score(metrics.count_classification(gold, predicted)) == pytest.approx(metrics.accuracy(gold, predicted))


@pytest.mark.parametrize("function", [metrics.accuracy, metrics.count_classification])
def test_labels_must_be_aligned_and_present(function):
    with pytest.raises(ValueError, match="2 gold labels but 1 predicted"):
        function(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no gold labels"):
        function([], [])


# --- tagging ---------------------------------------------------------------------------------------------------------

UPOS = ["ADJ", "ADP", "CCONJ", "DET", "INTJ", "NOUN", "PART", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"]
BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
IOBES = [*BIO, "S-PER", "E-PER", "E-LOC", "B", "I-date-time", "B-date-time", "."]


def tagged(tags: list[str], aligned: int = 2) -> st.SearchStrategy:
    """Lists of sentences, each a list of tokens, each with as many tags as sequences are to be aligned."""
    token = st.tuples(*[st.sampled_from(tags)] * aligned)
    return st.lists(st.lists(token, max_size=8), min_size=1, max_size=5)


def split(sentences: list[list[tuple[str, str]]]) -> tuple[list[list[str]], list[list[str]]]:
    return [[gold for gold, _ in s] for s in sentences], [[predicted for _, predicted in s] for s in sentences]


ANY_TAGGED = st.one_of(tagged(UPOS), tagged(BIO), tagged(IOBES))
BOTH_RULES = pytest.mark.parametrize("rule", [EARLY, LATE])


@BOTH_RULES
def test_chunk_counts_of_bio_by_hand(rule):
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["B-ORG", "B-ORG"], []]
    predicted = [["B-PER", "I-PER", "O", "B-PER"], ["I-LOC", "O"], ["B-ORG", "I-ORG"], []]
    assert rows(metrics.count_chunks(gold, predicted, rule)) == ([1, 0, 0, 0], [2, 1, 1, 0], [2, 0, 2, 0])


@BOTH_RULES
def test_chunks_do_not_reach_over_the_end_of_a_sentence(rule):
    tags = [["B-PER"], ["I-PER"]]
    assert rows(metrics.count_chunks(tags, tags, rule)) == ([1, 1], [1, 1], [1, 1])


@BOTH_RULES
def test_part_of_speech_tags_merge_with_equal_neighbours(rule):
    gold, predicted = [["NOUN", "NOUN", "SYM", "SYM"]], [["NOUN", "VERB", "SYM", "SYM"]]
    assert rows(metrics.count_chunks(gold, predicted, rule)) == ([2], [4], [3])
    assert metrics.token_accuracy(gold, predicted) == 75.0


def test_the_later_rule_takes_the_first_letter_off():
    gold, predicted = [["CCONJ", "NOUN"]], [["SCONJ", "NOUN"]]
    assert rows(metrics.count_chunks(gold, predicted, EARLY)) == ([1], [2], [2])
    assert rows(metrics.count_chunks(gold, predicted, LATE)) == ([2], [2], [2])


def test_chunk_scores_by_hand():
    gold = [["B-PER", "O", "B-LOC", "O", "B-ORG", "B-ORG"]]
    predicted = [["B-PER", "O", "B-PER", "O", "O", "O"]]
    assert score_chunks(gold, predicted) == pytest.approx((50.0, 25.0, 100 / 3))


def test_chunk_scores_without_any_chunk_are_zero():
    assert score_chunks([["O", "O"]], [["O", "O"]]) == [0.0, 0.0, 0.0]


@BOTH_RULES
@given(sentences=ANY_TAGGED)
def test_score_of_chunk_counts_is_micro_f1(rule, sentences):
    gold, predicted = split(sentences)
    precision, recall, f1 = score_chunks(gold, predicted, rule)
    assert len(metrics.count_chunks(gold, predicted, rule)) == len(gold)
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall) if precision else 0.0)


@given(tagged(BIO))
def test_sentences_of_bio_tags_count_alone_as_together(sentences):
    gold, predicted = split(sentences)
    alone = [metrics.count_chunks([g], [p]) for g, p in zip(gold, predicted, strict=True)]
    assert rows(metrics.count_chunks(gold, predicted)) == tuple(
        [getattr(counts, name)[0] for counts in alone] for name in ("matches", "predicted", "gold")
    )


@pytest.fixture(scope="module")
def seqeval():
    module = pytest.importorskip("seqeval.metrics")
    if f"seqeval-{version('seqeval')}" not in metrics.CHUNK_RULES:
        pytest.skip(f"no rule is that of seqeval {version('seqeval')}")
    return module


@given(sentences=ANY_TAGGED)
def test_chunk_scores_equal_the_installed_seqeval(seqeval, sentences):
    rule = f"seqeval-{version('seqeval')}"
    gold, predicted = split(sentences)
    ours = score_chunks(gold, predicted, rule)
    theirs = [100 * getattr(seqeval, name)(gold, predicted) for name in ("precision_score", "recall_score", "f1_score")]
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"], ["O"]], [["O"]], "2 gold sentences but 1 predicted"),
        ([], [], "no gold sentences"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 1 has 2 gold tags but 1 predicted"),
        ([["O", ""]], [["O", "O"]], "sentence 0 holds an empty tag"),
    ],
)
def test_tags_must_be_aligned_and_present(gold, predicted, message):
    for function in (metrics.count_chunks, metrics.token_accuracy):
        with pytest.raises(ValueError, match=message):
            function(gold, predicted)


def test_unknown_chunk_rule_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown chunk rule 'seqeval': known are seqeval-0.0.12, seqeval-1.2.2"):
        metrics.count_chunks([["O"]], [["O"]], rule="seqeval")


def test_studies_choose_among_the_chunk_rules():
    assert get_args(ChunkRule) == tuple(metrics.CHUNK_RULES)
    assert EvaluationSettings().chunk_rule == metrics.DEFAULT_CHUNK_RULE
    assert "chunk_rule" not in EvaluationSettings(chunk_rule=EARLY).model_dump()
    assert EvaluationSettings(chunk_rule=LATE).model_dump()["chunk_rule"] == LATE


@pytest.mark.parametrize(("rule", "expected"), [(EARLY, 50.0), (LATE, 100.0)])
def test_the_format_of_tagging_scores_by_a_rule(rule, expected):
    tags = ["CCONJ", "SCONJ", "NOUN"]
    rows = [{"tokens": ["and", "dogs"], "tags": [0, 2]}]
    assert score(Tagging(rule).counts(rows, ["SCONJ NOUN"], tags, "en")) == expected
    assert Tagging(rule).extra_scores(Split(rows, tags), ["SCONJ NOUN"]) == {"token_accuracy": 50.0}


def test_token_accuracy_needs_a_token():
    with pytest.raises(ValueError, match="no gold labels"):
        metrics.token_accuracy([[]], [[]])


# --- question answering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("The Cat, an  animal!", "cat animal"),
        ("die Katze", "die katze"),
        ("北京，2008年。", "北京，2008年。"),
        ("राम।", "राम।"),
        ("a", ""),
    ],
)
def test_normalize_squad(text, normalized):
    assert metrics.normalize_squad(text) == normalized


@pytest.mark.parametrize(
    ("language", "text", "normalized"),
    [
        ("en", "The “Cat” – a", "cat"),
        ("de", "Der Hund, einem", "hund"),
        ("es", "Los «gatos»", "gatos"),
        ("vi", "những con mèo", "con mèo"),
        ("hi", "राम। the", "राम the"),
        ("ar", "جمال البيت", "جم بيت"),
        ("zh", "北京Beijing大学，2008年", "北 京 beijing 大 学 2008 年"),
    ],
)
def test_normalize_mlqa(language, text, normalized):
    assert metrics.normalize_mlqa(text, language) == normalized


def test_qa_counts_by_hand():
    golds = [["the red door", "door"], ["left"], ["two words"], ["the"], ["x"]]
    predictions = ["a door", "right", "two", "a", None]
    assert rows(metrics.count_answers(golds, predictions)) == ([1, 0, 2 / 3, 0, 0], [1] * 5, [1] * 5)
    assert metrics.count_exact_matches(golds, predictions).matches.tolist() == [1, 0, 0, 1, 0]
    assert score_answers(golds, predictions) == pytest.approx((40.0, 100 / 3))


def test_chinese_answers_overlap_by_character_only_in_mlqa():
    assert score_answers([["北京大学"]], ["北京"]) == [0.0, 0.0]
    assert score_answers([["北京大学"]], ["北京"], language="zh") == pytest.approx((0.0, 200 / 3))


words = st.lists(st.sampled_from(["a", "the", "der", "red", "door", "北京", "大学", "!"]), max_size=4).map(" ".join)
answered = st.lists(st.tuples(st.lists(words, min_size=1, max_size=3), st.none() | words), min_size=1, max_size=6)


@given(answered, st.sampled_from([None, *metrics.MLQA_LANGUAGES]))
def test_scores_of_qa_counts_are_the_means_over_questions(questions, language):
    golds, predictions = zip(*questions, strict=True)
    for count in (metrics.count_exact_matches, metrics.count_answers):
        counts = count(golds, predictions, language)
        assert score(counts) == pytest.approx(100 * counts.matches.mean())


@given(words, words, st.sampled_from([None, *metrics.MLQA_LANGUAGES]))
def test_one_more_gold_answer_never_lowers_a_score(gold, prediction, language):
    one = score_answers([[gold]], [prediction], language)
    two = score_answers([[gold, "door"]], [prediction], language)
    assert two[0] >= one[0]
    assert two[1] >= one[1]


@pytest.mark.parametrize(
    ("golds", "predictions", "language", "message"),
    [
        ([["a"]], ["a", "b"], None, "1 gold answers but 2 predicted"),
        ([], [], None, "no gold answers"),
        ([["a"], []], ["a", "b"], None, "question 1 needs a list of at least one gold answer"),
        (["a"], ["a"], None, "question 0 needs a list"),
        ([["a"]], [None], "fr", "MLQA has no language 'fr': known are ar, de, en, es, hi, vi, zh"),
    ],
)
def test_answers_must_be_aligned_and_present(golds, predictions, language, message):
    for function in (metrics.count_answers, metrics.count_exact_matches):
        with pytest.raises(ValueError, match=message):
            function(golds, predictions, language)


# --- mining ----------------------------------------------------------------------------------------------------------


def test_mining_counts_by_hand():
    gold, predicted = [("s1", "t1"), ("s2", "t2")], [("s2", "t2"), ("s1", "t9"), ("s1", "t1"), ("s2", "t2")]
    counts = metrics.count_mined_pairs(gold, predicted, sources=["s0", "s2", "s1"])
    assert rows(counts) == ([0, 1, 1], [0, 1, 2], [0, 1, 1])
    assert score(counts) == pytest.approx(80.0)


def test_nothing_mined_scores_zero():
    assert score_pairs([("s", "t")], []) == 0.0


pairs = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)))


@given(pairs.filter(bool), pairs)
def test_the_score_of_mining_counts_no_sentence_without_a_pair(gold, predicted):
    assert score(metrics.count_mined_pairs(gold, predicted, sources=range(7))) == score_pairs(gold, predicted)


def test_mining_needs_gold_pairs_and_known_sources():
    with pytest.raises(ValueError, match="no gold pairs"):
        metrics.count_mined_pairs([], [("s", "t")])
    with pytest.raises(ValueError, match="1 paired sources are not among the sources given, as 's'"):
        metrics.count_mined_pairs([("s", "t")], [], sources=["r"])
    with pytest.raises(ValueError, match="2 sources but only 1 different"):
        metrics.count_mined_pairs([("s", "t")], [], sources=["s", "s"])


# --- XTREME's mock submission ----------------------------------------------------------------------------------------

MOCK = Path(os.environ.get("STILTS_MOCK_XTREME", Path(__file__).parents[3] / "shared" / "mock_xtreme"))
PRINTED = 5.1e-7  # the official scores are given with six decimals
needs_mock = pytest.mark.skipif(not MOCK.is_dir(), reason="XTREME's mock submission is not here (STILTS_MOCK_XTREME)")
LANGUAGES = {"pawsx": 7, "xnli": 15, "panx": 40, "udpos": 33, "bucc2018": 4, "tatoeba": 36}
LANGUAGES |= {"xquad": 11, "mlqa": 7, "tydiqa": 9}


def read_lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]


def read_tags(path: Path) -> list[list[str]]:
    return [block.split("\n") for block in "\n".join(read_lines(path)).strip().split("\n\n")]


def read_pairs(path: Path) -> list[tuple[str, ...]]:
    return [tuple(line.split("\t")) for line in read_lines(path)]


def read_questions(path: Path) -> dict[str, list[str]]:
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    questions = [qa for article in articles for paragraph in article["paragraphs"] for qa in paragraph["qas"]]
    return {qa["id"]: [answer["text"] for answer in qa["answers"]] for qa in questions}


def mock_files(task: str) -> dict[str, tuple[Path, Path]]:
    """Label and prediction file of each language."""
    labels = {path.stem.removeprefix("test-"): path for path in (MOCK / "labels" / task).iterdir()}
    assert len(labels) == LANGUAGES[task]
    return {language: (path, MOCK / "predictions" / task / path.name) for language, path in labels.items()}


def mock_accuracy(task: str) -> float:
    return mean(metrics.accuracy(read_lines(g), read_lines(p)) for g, p in mock_files(task).values())


def mock_chunks(task: str, rule: str) -> dict[str, list[float]]:
    return {x: score_chunks(read_tags(g), read_tags(p), rule) for x, (g, p) in mock_files(task).items()}


def means(scores: dict) -> list[float]:
    """Mean of each metric over the languages."""
    return [mean(column) for column in zip(*scores.values(), strict=True)]


def mock_qa(task: str) -> list[float]:
    scores = {}
    for language, (labels, predictions) in mock_files(task).items():
        golds, answers = read_questions(labels), json.loads(predictions.read_text(encoding="utf-8"))
        scores[language] = score_answers(
            list(golds.values()), [answers.get(name) for name in golds], language if task == "mlqa" else None
        )
    return means(scores)


def mock_mining() -> float:
    return mean(score_pairs(read_pairs(g), read_pairs(p)) for g, p in mock_files("bucc2018").values())


@needs_mock
@pytest.mark.parametrize(("task", "official"), [("pawsx", 51.428571), ("xnli", 30.666667), ("tatoeba", 53.611111)])
def test_mock_accuracy(task, official):
    assert mock_accuracy(task) == pytest.approx(official, abs=PRINTED)


@needs_mock
@pytest.mark.parametrize(
    ("task", "rule", "official"),
    [
        ("panx", EARLY, [54.729167, 62.75, 57.507937]),
        ("panx", LATE, [54.729167, 62.75, 57.507937]),
        ("udpos", EARLY, [71.022326, 69.549821, 70.217460]),
        ("udpos", LATE, [71.218329, 69.713978, 70.398058]),
    ],
)
def test_mock_tagging(task, rule, official):
    assert means(mock_chunks(task, rule)) == pytest.approx(official, abs=PRINTED)


@needs_mock
def test_mock_languages_whose_tagging_depends_on_the_rule():
    early, late = mock_chunks("udpos", EARLY), mock_chunks("udpos", LATE)
    differing = {x: (round(early[x][2], 3), round(late[x][2], 3)) for x in early if early[x] != late[x]}
    assert differing == {
        "ar": (53.097, 53.571),
        "de": (82.051, 81.579),
        "el": (72.050, 72.500),
        "it": (71.429, 72.289),
        "pt": (92.308, 93.506),
        "vi": (58.621, 62.069),
    }


@needs_mock
@pytest.mark.parametrize(
    ("task", "official"),
    [("xquad", [77.272727, 79.958678]), ("mlqa", [57.142857, 81.768707]), ("tydiqa", [88.888889, 97.222222])],
)
def test_mock_question_answering(task, official):
    assert mock_qa(task) == pytest.approx(official, abs=PRINTED)


@needs_mock
def test_mock_mining():
    assert mock_mining() == pytest.approx(55.0, abs=PRINTED)


@needs_mock
@pytest.mark.parametrize(("rule", "tagging", "overall"), [(EARLY, 63.862698, 62.173199), (LATE, 63.952997, 62.193265)])
def test_mock_groups(rule, tagging, overall):
    tasks = {
        "classification": [mock_accuracy("pawsx"), mock_accuracy("xnli")],
        "tagging": [means(mock_chunks(task, rule))[2] for task in ("panx", "udpos")],
        "qa": [mean(mock_qa(task)) for task in ("xquad", "mlqa", "tydiqa")],
        "retrieval": [mock_mining(), mock_accuracy("tatoeba")],
    }
    groups = {"classification": 41.047619, "tagging": tagging, "qa": 80.375680, "retrieval": 54.305556}
    assert {group: mean(values) for group, values in tasks.items()} == pytest.approx(groups, abs=PRINTED)
    assert mean(value for values in tasks.values() for value in values) == pytest.approx(overall, abs=PRINTED)


# --- an independent reference in exact fractions ---------------------------------------------------------------------
# Written from the rules in words, with other means than the package: no regular expressions, no floats.

EXACT = 1e-9
ARTICLES = {
    "en": {"a", "an", "the"},
    "de": {"ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"},
    "es": {"un", "una", "unos", "unas", "el", "la", "los", "las"},
    "vi": {"của", "là", "cái", "chiếc", "những"},
    "hi": set(),
    "zh": set(),
    "ar": set(),
}


def percent(share: Fraction) -> float:
    return float(100 * share)


def reference_accuracy(gold: Sequence[str], predicted: Sequence[str]) -> Fraction:
    return Fraction(sum(map(str.__eq__, gold, predicted)), len(gold))


def reference_f1(gold: set, predicted: set) -> Fraction:
    return Fraction(2 * len(gold & predicted), len(gold) + len(predicted)) if gold or predicted else Fraction(0)


def named_entities(tags: Sequence[str]) -> Iterable[tuple[int, int, str]]:
    """A chunk goes on with I- of its type; anything else but O starts one."""
    begin = None
    for position, tag in enumerate([*tags, "O"]):
        goes_on = begin is not None and tag == f"I-{tags[begin][2:]}"
        if begin is not None and not goes_on:
            yield begin, position, tags[begin][2:]
            begin = None
        if tag != "O" and not goes_on:
            begin = position


def runs_of_equal_tags(tags: Sequence[str]) -> Iterable[tuple[int, int, str]]:
    """Neighbours with the same part of speech are one chunk, but SCONJ and SYM, whose S reads as "single"."""
    position = 0
    for tag, run in groupby(tags):
        length = len(list(run))
        step = 1 if tag.startswith("S") else length
        for begin in range(position, position + length, step):
            yield begin, begin + step, tag
        position += length


def reference_chunk_f1(gold: list[list[str]], predicted: list[list[str]], chunks) -> Fraction:
    return reference_f1(
        *({(i, *chunk) for i, tags in enumerate(side) for chunk in chunks(tags)} for side in (gold, predicted))
    )


def reference_words(text: str, language: str | None) -> list[str]:
    """Words of an answer as SQuAD (language None) or MLQA compares them."""
    dropped = string.punctuation if language is None else [c for c in text if unicodedata.category(c)[0] == "P"]
    bare = "".join(c for c in text.lower() if c not in dropped and c not in string.punctuation)
    if language == "ar":
        bare = bare.replace("ال", " ")
    if language == "zh":
        bare = "".join(f" {c} " if "\u4e00" <= c <= "\u9fa5" else c for c in bare)
    runs = ("".join(run) for _, run in groupby(bare, lambda c: c.isalnum() or c == "_"))
    return "".join(" " if run in ARTICLES[language or "en"] else run for run in runs).split()


def reference_answer(golds: Sequence[str], answer: str | None, language: str | None) -> tuple[Fraction, Fraction]:
    """Exact match and F1, each the best over the gold answers; nothing for a missing answer."""
    if answer is None:
        return Fraction(0), Fraction(0)
    given, each = reference_words(answer, language), []
    for gold in golds:
        words = reference_words(gold, language)
        shared = sum((Counter(words) & Counter(given)).values())
        f1 = Fraction(2 * shared, len(words) + len(given)) if shared else Fraction(0)
        each.append((Fraction(words == given), f1))
    return max(exact for exact, _ in each), max(f1 for _, f1 in each)


def reference_qa(golds: dict, answers: dict, language: str | None) -> list[float]:
    scores = [reference_answer(golds[name], answers.get(name), language) for name in golds]
    return [percent(sum(column) / len(golds)) for column in zip(*scores, strict=True)]


def our_qa(golds: dict, answers: dict, language: str | None) -> list[float]:
    return score_answers(list(golds.values()), [answers.get(name) for name in golds], language)


@needs_mock
@pytest.mark.parametrize("task", ["pawsx", "xnli", "tatoeba"])
def test_mock_accuracy_of_each_language_is_exact(task):
    for gold, predicted in mock_files(task).values():
        pair = read_lines(gold), read_lines(predicted)
        assert metrics.accuracy(*pair) == pytest.approx(percent(reference_accuracy(*pair)), abs=EXACT)
        assert score(metrics.count_classification(*pair)) == pytest.approx(metrics.accuracy(*pair), abs=EXACT)


@needs_mock
@pytest.mark.parametrize(("task", "chunks"), [("panx", named_entities), ("udpos", runs_of_equal_tags)])
def test_mock_tagging_of_each_language_is_exact(task, chunks):
    for gold, predicted in mock_files(task).values():
        pair = read_tags(gold), read_tags(predicted)
        expected = percent(reference_chunk_f1(*pair, chunks))
        assert score(metrics.count_chunks(*pair, EARLY)) == pytest.approx(expected, abs=EXACT)


@needs_mock
@pytest.mark.parametrize("task", ["panx", "udpos"])
def test_mock_tagging_of_each_language_is_that_of_the_installed_seqeval(seqeval, task):
    for gold, predicted in mock_files(task).values():
        pair = read_tags(gold), read_tags(predicted)
        theirs = [100 * getattr(seqeval, f"{name}_score")(*pair) for name in ("precision", "recall", "f1")]
        assert score_chunks(*pair, f"seqeval-{version('seqeval')}") == pytest.approx(theirs, abs=EXACT)


@needs_mock
@pytest.mark.parametrize("task", ["xquad", "mlqa", "tydiqa"])
def test_mock_answers_of_each_language_are_exact(task):
    for language, (labels, predictions) in mock_files(task).items():
        golds, answers = read_questions(labels), json.loads(predictions.read_text(encoding="utf-8"))
        rules = language if task == "mlqa" else None
        assert our_qa(golds, answers, rules) == pytest.approx(reference_qa(golds, answers, rules), abs=EXACT)


@needs_mock
def test_mock_mining_of_each_language_is_exact():
    for gold, predicted in mock_files("bucc2018").values():
        pair = read_pairs(gold), read_pairs(predicted)
        expected = pytest.approx(percent(reference_f1(*map(set, pair))), abs=EXACT)
        assert score_pairs(*pair) == expected


@pytest.mark.parametrize(("tags", "chunks"), [(BIO, named_entities), (UPOS, runs_of_equal_tags)])
def test_chunk_f1_is_exact_on_any_tags(tags, chunks):
    @given(tagged(tags))
    def check(sentences):
        pair = split(sentences)
        expected = percent(reference_chunk_f1(*pair, chunks))
        assert score(metrics.count_chunks(*pair, EARLY)) == pytest.approx(expected, abs=EXACT)

    check()


@given(tagged(UPOS).filter(lambda sentences: any(sentences)))
def test_token_accuracy_is_exact_on_any_tags(sentences):
    gold, predicted = ([tag for tags in side for tag in tags] for side in split(sentences))
    expected = percent(reference_accuracy(gold, predicted))
    assert metrics.token_accuracy(*split(sentences)) == pytest.approx(expected, abs=EXACT)


# Articles, punctuation of several scripts, digits, words that are nothing once normalised, no letters with two cases.
PIECES = ["the", "a", "der", "los", "những", "ال", "جمال", "البيت", "राम", "।", "北京", "大学", "，", "2008", "年",
          "Tür", "ไทย", "«", "—", "!", "x-y", "🙂", ""]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=5).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)
questions = st.dictionaries(st.integers(0, 9), st.lists(texts, min_size=1, max_size=3), min_size=1, max_size=6)


@given(questions, st.dictionaries(st.integers(0, 12), st.none() | texts), st.sampled_from([None, *ARTICLES]))
def test_answers_are_exact_on_awkward_text_missing_and_unasked_ids(golds, answers, language):
    assert our_qa(golds, answers, language) == pytest.approx(reference_qa(golds, answers, language), abs=EXACT)


@given(questions, st.sampled_from([None, *ARTICLES]))
def test_unanswered_questions_score_nothing_and_stay_in_the_denominator(golds, language):
    nobody = our_qa(golds, {}, language)
    first = next(iter(golds))
    one = our_qa(golds, {first: golds[first][0]}, language)
    assert nobody == [0.0, 0.0]
    assert one[0] == pytest.approx(100 / len(golds), abs=EXACT)


some_pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)))


@given(some_pairs.filter(bool), some_pairs)
def test_pairs_given_twice_and_sentences_with_several_partners_count_as_sets(gold, predicted):
    expected = pytest.approx(percent(reference_f1(set(gold), set(predicted))), abs=EXACT)
    assert score_pairs(gold, predicted) == expected
    assert score(metrics.count_mined_pairs(gold * 2, predicted * 2, range(6))) == expected
