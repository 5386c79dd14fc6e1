"""The official numbers of XTREME, and one form of them, per example, from which every interval can be drawn again.

Every metric of the study is a ratio of sums over examples: 100 * 2 * matches / (predicted + gold). `Counts` holds the
three terms, one row per example, so that resampling examples and calling `score` gives a resampled metric, alike for
accuracy, question answering, tagging and mining. All scores are percentages (0 to 100).

The rules are those of the XTREME repository's evaluate.py (Hu et al. 2020, arXiv:2003.11080) and of the scorers it
builds on: seqeval for tagging, SQuAD v1.1 and MLQA for question answering.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "CHUNK_RULES",
    "DEFAULT_CHUNK_RULE",
    "MLQA_LANGUAGES",
    "ChunkScores",
    "Counts",
    "QAScores",
    "accuracy",
    "chunk_counts",
    "chunk_scores",
    "classification_counts",
    "exact_match_counts",
    "mining_counts",
    "mining_f1",
    "normalize_mlqa",
    "normalize_squad",
    "qa_counts",
    "qa_scores",
    "score",
    "token_accuracy",
]


@dataclass(frozen=True, eq=False)
class Counts:
    """What each example adds to a metric.

    Parameters
    ----------
    matches : float array (n,)
        What is right: 1 or 0, the F1 of an answer, the number of chunks or pairs found in both.
    predicted : float array (n,)
        What was predicted: 1, or a number of chunks or pairs.
    gold : float array (n,)
        What should have been: 1, or a number of chunks or pairs.

    Raises
    ------
    ValueError
        If the three are not vectors of one length.
    """

    matches: np.ndarray
    predicted: np.ndarray
    gold: np.ndarray

    def __post_init__(self):
        for name in ("matches", "predicted", "gold"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        shapes = (self.matches.shape, self.predicted.shape, self.gold.shape)
        if self.matches.ndim != 1 or len(set(shapes)) != 1:
            raise ValueError(f"matches, predicted and gold must be vectors of one length, not of shapes {shapes}")

    def __len__(self) -> int:
        return len(self.matches)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Counts":
        """Return the counts of the given rows (integers; repeats allowed, as a bootstrap sample has them)."""
        rows = np.asarray(rows)
        return Counts(self.matches[rows], self.predicted[rows], self.gold[rows])


def score(counts: Counts) -> float:
    """Return the metric in percent: 100 * 2 * sum(matches) / (sum(predicted) + sum(gold)).

    Nothing predicted where nothing was to be found scores 0, as in seqeval.

    Raises
    ------
    ValueError
        If there is no example.
    """
    if not len(counts):
        raise ValueError("a score needs at least one example, and there is none")
    total = counts.predicted.sum() + counts.gold.sum()
    return float(100 * 2 * counts.matches.sum() / total) if total else 0.0


def _check_aligned(gold: Sequence, predicted: Sequence, what: str) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold {what} but {len(predicted)} predicted: they must be aligned one to one")
    if not len(gold):
        raise ValueError(f"no gold {what}: a metric needs at least one")


def _one_each(matches: Iterable[float]) -> Counts:
    """Counts of examples that hold one prediction and one gold answer each; their score is the mean of the matches."""
    matches = np.fromiter(matches, dtype=float)
    return Counts(matches, np.ones_like(matches), np.ones_like(matches))


# --- classification and retrieval ------------------------------------------------------------------------------------


def classification_counts(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> Counts:
    """Return one row per example: matches 1 where the labels are equal, else 0; predicted and gold 1.

    Serves retrieval too: the labels are then the row numbers of the right and of the nearest sentence (Tatoeba).

    Parameters
    ----------
    gold, predicted : sequences of labels (n,)
        Aligned one to one, in one type: the label 1 and the label "1" differ.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    """
    _check_aligned(gold, predicted, "labels")
    return _one_each(right == given for right, given in zip(gold, predicted, strict=True))


def accuracy(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Return the share of equal labels in percent (XNLI, PAWS-X, Tatoeba); see `classification_counts`."""
    _check_aligned(gold, predicted, "labels")
    return 100 * sum(right == given for right, given in zip(gold, predicted, strict=True)) / len(gold)


# --- tagging ---------------------------------------------------------------------------------------------------------

Tags = Sequence[Sequence[str]]


class ChunkScores(NamedTuple):
    """Precision, recall and F1 over the chunks of a language, in percent."""

    precision: float
    recall: float
    f1: float


class _Chunk(NamedTuple):
    """A span of one type; sentence is the number of the sentence that it ends in, begin and end count all tokens."""

    sentence: int
    type: str
    begin: int
    end: int


# How a tag's type is read. The rules agree on plain BIO tags. On part-of-speech tags the later one takes the first
# letter off, so that CCONJ and SCONJ are both "CONJ", and X has the type of "outside".
CHUNK_RULES: dict[str, Callable[[str], str]] = {
    "seqeval-0.0.12": lambda tag: tag.split("-")[-1],
    "seqeval-1.2.2": lambda tag: tag[1:].split("-", maxsplit=1)[-1] or "_",
}
DEFAULT_CHUNK_RULE = "seqeval-0.0.12"  # gives the value that evaluate_test.py of XTREME asserts


def _chunk_rule(name: str) -> Callable[[str], str]:
    if name not in CHUNK_RULES:
        raise ValueError(f"unknown chunk rule '{name}': known are {', '.join(CHUNK_RULES)}")
    return CHUNK_RULES[name]


def _ends(before: str, now: str, same_type: bool) -> bool:
    """Whether a chunk ends before this tag, from the two tags' first letters (IOBES)."""
    return before in "ES" or (before in "BI" and now in "BSO") or (before not in "O." and not same_type)


def _starts(before: str, now: str, same_type: bool) -> bool:
    """Whether a chunk starts at this tag, from the two tags' first letters (IOBES)."""
    return now in "BS" or (before in "ESO" and now in "EI") or (now not in "O." and not same_type)


def _chunks(sentences: Tags, type_of: Callable[[str], str]) -> Iterator[_Chunk]:
    """Yield the chunks of all sentences read as one line with an O behind each sentence, as seqeval reads them.

    One line and not sentence by sentence: under the later rule a sentence that starts with X is read differently after
    another one than on its own.
    """
    before, before_type, begin, position = "O", "", 0, 0
    for number, sentence in enumerate(sentences):
        for tag in (*sentence, "O"):
            now, now_type = tag[0], type_of(tag)
            same_type = now_type == before_type
            if _ends(before, now, same_type):
                yield _Chunk(number, before_type, begin, position - 1)
            if _starts(before, now, same_type):
                begin = position
            before, before_type, position = now, now_type, position + 1


def _check_tags(gold_tags: Tags, predicted_tags: Tags) -> None:
    _check_aligned(gold_tags, predicted_tags, "sentences")
    for number, (gold, predicted) in enumerate(zip(gold_tags, predicted_tags, strict=True)):
        if len(gold) != len(predicted):
            raise ValueError(f"sentence {number} has {len(gold)} gold tags but {len(predicted)} predicted ones")
        if "" in gold or "" in predicted:
            raise ValueError(f"sentence {number} holds an empty tag: every token needs one, 'O' if it is outside")


def chunk_counts(gold_tags: Tags, predicted_tags: Tags, rule: str = DEFAULT_CHUNK_RULE) -> Counts:
    """Return one row per sentence: its chunks found in both, its predicted chunks, its gold chunks.

    Parameters
    ----------
    gold_tags, predicted_tags : sequences of sentences of tags
        Aligned sentence by sentence and token by token. BIO tags, or part-of-speech tags, which XTREME scores as chunks
        as well: equal neighbours merge, so this is not token accuracy (`token_accuracy`).
    rule : str
        How seqeval reads a tag: "seqeval-0.0.12" (the default; the released XTREME scores) or "seqeval-1.2.2" (what a
        plain installation computes today). They differ on part-of-speech tags and on types that hold a hyphen.

    Raises
    ------
    ValueError
        If sentences or tokens are not aligned, a tag is empty, there is no sentence, or the rule is unknown.
    """
    type_of = _chunk_rule(rule)
    _check_tags(gold_tags, predicted_tags)
    gold, predicted = set(_chunks(gold_tags, type_of)), set(_chunks(predicted_tags, type_of))
    return Counts(*(_per_sentence(chunks, len(gold_tags)) for chunks in (gold & predicted, predicted, gold)))


def _per_sentence(chunks: set[_Chunk], sentences: int) -> np.ndarray:
    numbers = np.fromiter((chunk.sentence for chunk in chunks), dtype=int)
    return np.bincount(numbers, minlength=sentences)


def chunk_scores(gold_tags: Tags, predicted_tags: Tags, rule: str = DEFAULT_CHUNK_RULE) -> ChunkScores:
    """Return micro precision, recall and F1 over all chunks in percent (PAN-X, UDPOS); see `chunk_counts`."""
    counts = chunk_counts(gold_tags, predicted_tags, rule)
    return _precision_recall_f1(counts.matches.sum(), counts.predicted.sum(), counts.gold.sum())


def _precision_recall_f1(matches: float, predicted: float, gold: float) -> ChunkScores:
    """Return the three in percent, 0 where a ratio has nothing below its line."""
    precision = matches / predicted if predicted else 0.0
    recall = matches / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if matches else 0.0
    return ChunkScores(float(100 * precision), float(100 * recall), float(100 * f1))


def token_accuracy(gold_tags: Tags, predicted_tags: Tags) -> float:
    """Return the share of tokens with the right tag in percent: what XTREME's POS "accuracy" is not.

    Raises
    ------
    ValueError
        If sentences or tokens are not aligned, a tag is empty, or there is no token.
    """
    _check_tags(gold_tags, predicted_tags)
    return accuracy([tag for tags in gold_tags for tag in tags], [tag for tags in predicted_tags for tag in tags])


# --- question answering ----------------------------------------------------------------------------------------------

# The articles that MLQA removes (Lewis et al. 2020, arXiv:1910.07475); Hindi and Chinese have none. The Arabic one goes
# wherever it stands, inside words too, as in the official scorer.
_ARTICLES = {
    "ar": r"ال",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "hi": None,
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "zh": None,
}
MLQA_LANGUAGES = tuple(_ARTICLES)
_HAN = re.compile(r"([\u4e00-\u9fa5])")


class QAScores(NamedTuple):
    """Exact match and F1 of a language's answers, in percent."""

    exact_match: float
    f1: float


def normalize_squad(text: str) -> str:
    """Return an answer as SQuAD v1.1 compares it, the form of XQuAD and TyDiQA in every language.

    Lower case; without ASCII punctuation (and only that: "，" and "।" stay) and English articles; single spaces.
    """
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(_ARTICLES["en"], " ", bare).split())


def normalize_mlqa(text: str, language: str) -> str:
    """Return an answer as MLQA compares it: all Unicode punctuation and the language's own articles removed.

    Chinese characters are split, so that F1 counts characters there and words elsewhere.

    Parameters
    ----------
    text : str
        An answer.
    language : str
        The language of the context, one of `MLQA_LANGUAGES`.

    Raises
    ------
    ValueError
        If MLQA has no such language.
    """
    if language not in _ARTICLES:
        raise ValueError(f"MLQA has no language '{language}': known are {', '.join(MLQA_LANGUAGES)}")
    bare = "".join(character for character in text.lower() if not _is_punctuation(character))
    if _ARTICLES[language]:
        bare = re.sub(_ARTICLES[language], " ", bare)
    if language == "zh":
        bare = _HAN.sub(r" \1 ", bare)
    return " ".join(bare.split())


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _answer_f1(gold: str, predicted: str) -> float:
    """F1 of the words of two normalised answers; 0 where both are empty, as in the official scorer."""
    gold_words, predicted_words = gold.split(), predicted.split()
    common = (Counter(gold_words) & Counter(predicted_words)).total()
    return 2 * common / (len(gold_words) + len(predicted_words)) if common else 0.0


def _exact_match(gold: str, predicted: str) -> float:
    return float(gold == predicted)


def _best_over_golds(
    gold_answers: Sequence[Sequence[str]],
    predictions: Sequence[str | None],
    language: str | None,
    compare: Callable[[str, str], float],
) -> Counts:
    """One row per question: the best comparison with any gold answer, 0 for an unanswered question."""
    _check_aligned(gold_answers, predictions, "answers")
    normalized = _normalizer(language)
    rows = []
    for number, (golds, prediction) in enumerate(zip(gold_answers, predictions, strict=True)):
        if isinstance(golds, str) or not len(golds):
            raise ValueError(f"question {number} needs a list of at least one gold answer, not {golds!r}")
        answer = None if prediction is None else normalized(prediction)
        rows.append(0.0 if answer is None else max(compare(normalized(gold), answer) for gold in golds))
    return _one_each(rows)


def _normalizer(language: str | None) -> Callable[[str], str]:
    if language is None:
        return normalize_squad
    normalize_mlqa("", language)  # an unknown language must not pass because no question was answered
    return lambda text: normalize_mlqa(text, language)


def qa_counts(
    gold_answers: Sequence[Sequence[str]], predictions: Sequence[str | None], language: str | None = None
) -> Counts:
    """Return one row per question: matches is the best word F1 with any of its gold answers; predicted and gold 1.

    Parameters
    ----------
    gold_answers : sequence of sequences of str (n,)
        The gold answers of each question, at least one.
    predictions : sequence of str or None (n,)
        One answer per question; None where a question was not answered, which scores 0.
    language : str, optional
        Left out: SQuAD v1.1's normalisation (XQuAD, TyDiQA). Given: MLQA's, for the language of the context.

    Raises
    ------
    ValueError
        If the lengths differ or are 0, a question has no gold answer, or MLQA has no such language.
    """
    return _best_over_golds(gold_answers, predictions, language, _answer_f1)


def exact_match_counts(
    gold_answers: Sequence[Sequence[str]], predictions: Sequence[str | None], language: str | None = None
) -> Counts:
    """Return one row per question: matches is 1 if the answer equals a gold answer once normalised; see `qa_counts`."""
    return _best_over_golds(gold_answers, predictions, language, _exact_match)


def qa_scores(
    gold_answers: Sequence[Sequence[str]], predictions: Sequence[str | None], language: str | None = None
) -> QAScores:
    """Return exact match and F1 in percent (XQuAD, TyDiQA; MLQA with its language); see `qa_counts`."""
    exact = exact_match_counts(gold_answers, predictions, language)
    overlap = qa_counts(gold_answers, predictions, language)
    return QAScores(float(100 * exact.matches.mean()), float(100 * overlap.matches.mean()))


# --- mining ----------------------------------------------------------------------------------------------------------

Pair = tuple[Any, Any]  # (source id, target id), both hashable


def mining_counts(
    gold_pairs: Iterable[Pair], predicted_pairs: Iterable[Pair], sources: Sequence[Hashable] | None = None
) -> Counts:
    """Return one row per source sentence: its right pairs, its predicted pairs, its gold pairs.

    Parameters
    ----------
    gold_pairs, predicted_pairs : iterables of (source id, target id)
        Taken as sets: a pair given twice counts once.
    sources : sequence of ids, optional
        The source sentences in the order of the rows, those without any pair included; give it wherever the counts of
        several models are compared row by row. Left out: the sources of the given pairs, sorted.

    Raises
    ------
    ValueError
        If there is no gold pair, a source is given twice, or a pair's source is not among the sources.
    """
    gold, predicted = set(gold_pairs), set(predicted_pairs)
    _check_gold_pairs(gold)
    row_of = _rows(sources, gold | predicted)
    return Counts(*(_per_source(pairs, row_of) for pairs in (gold & predicted, predicted, gold)))


def _check_gold_pairs(gold: set[Pair]) -> None:
    if not gold:
        raise ValueError("no gold pairs: mining needs at least one to find")


def _rows(sources: Sequence[Hashable] | None, pairs: set[Pair]) -> dict[Hashable, int]:
    used = {source for source, _ in pairs}
    ordered = sorted(used) if sources is None else list(sources)
    row_of = {source: row for row, source in enumerate(ordered)}
    if len(row_of) != len(ordered):
        raise ValueError(f"{len(ordered)} sources but only {len(row_of)} different ones: each must be given once")
    if unknown := used - row_of.keys():
        raise ValueError(f"{len(unknown)} paired sources are not among the sources given, as {next(iter(unknown))!r}")
    return row_of


def _per_source(pairs: set[Pair], row_of: dict[Hashable, int]) -> np.ndarray:
    rows = np.fromiter((row_of[source] for source, _ in pairs), dtype=int)
    return np.bincount(rows, minlength=len(row_of))


def mining_f1(gold_pairs: Iterable[Pair], predicted_pairs: Iterable[Pair]) -> float:
    """Return the F1 of the two sets of (source id, target id) pairs in percent (BUCC); 0 if nothing was predicted.

    Raises
    ------
    ValueError
        If there is no gold pair.
    """
    gold, predicted = set(gold_pairs), set(predicted_pairs)
    _check_gold_pairs(gold)
    return _precision_recall_f1(len(gold & predicted), len(predicted), len(gold)).f1
