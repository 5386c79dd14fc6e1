"""XTREME's official metrics, and counts per example from which they can be resampled.

Every metric of the study is a ratio of sums over examples: 100 * 2 * matches / (predicted + gold). `Counts` holds the
three terms, one row per example. Calling `score` on resampled rows therefore gives a resampled metric, whether it is
accuracy, question answering, tagging or mining. All scores are percentages (0 to 100).

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
    "Counts",
    "accuracy",
    "count_answers",
    "count_chunks",
    "count_classification",
    "count_exact_matches",
    "count_mined_pairs",
    "normalize_mlqa",
    "normalize_squad",
    "score",
    "token_accuracy",
]


@dataclass(frozen=True, eq=False)
class Counts:
    """The contribution of each example to a metric.

    Parameters
    ----------
    matches : float array (n,)
        Correct predictions: 1 or 0, the F1 of an answer, or the number of correct chunks or pairs.
    predicted : float array (n,)
        Predictions: 1, or the number of predicted chunks or pairs.
    gold : float array (n,)
        Gold answers: 1, or the number of gold chunks or pairs.

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
        """Return the counts of the given rows (integers), which may repeat as in a bootstrap sample."""
        rows = np.asarray(rows)
        return Counts(self.matches[rows], self.predicted[rows], self.gold[rows])


def score(counts: Counts) -> float:
    """Return the metric in percent: 100 * 2 * sum(matches) / (sum(predicted) + sum(gold)).

    The score is 0 if nothing is predicted and there is no gold answer, as in seqeval.

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
    """Return the counts of examples with one prediction and one gold answer each; their score is the mean match."""
    matches = np.fromiter(matches, dtype=float)
    return Counts(matches, np.ones_like(matches), np.ones_like(matches))


# --- classification and retrieval ------------------------------------------------------------------------------------


def count_classification(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> Counts:
    """Return the counts of a classification: one row per example, matches is 1 if the labels are equal, else 0.

    For retrieval (Tatoeba), the labels are the row numbers of the correct and of the nearest sentence.

    Parameters
    ----------
    gold, predicted : sequences of labels (n,)
        Aligned one to one and of the same type: the labels 1 and "1" differ.

    Raises
    ------
    ValueError
        If the lengths differ or are 0.
    """
    _check_aligned(gold, predicted, "labels")
    return _one_each(right == given for right, given in zip(gold, predicted, strict=True))


def accuracy(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """Return the percentage of equal labels (XNLI, PAWS-X, Tatoeba); see `count_classification`."""
    _check_aligned(gold, predicted, "labels")
    return 100 * sum(right == given for right, given in zip(gold, predicted, strict=True)) / len(gold)


# --- tagging ---------------------------------------------------------------------------------------------------------

Tags = Sequence[Sequence[str]]


class _Chunk(NamedTuple):
    """A span of one type. `sentence` is the number of the sentence in which it ends; begin and end count all tokens."""

    sentence: int
    type: str
    begin: int
    end: int


# How a tag's type is parsed. The rules agree on plain BIO tags. From part-of-speech tags the later rule removes the
# first letter, so that CCONJ and SCONJ are both "CONJ", and X has the type of "outside".
CHUNK_RULES: dict[str, Callable[[str], str]] = {
    "seqeval-0.0.12": lambda tag: tag.split("-")[-1],
    "seqeval-1.2.2": lambda tag: tag[1:].split("-", maxsplit=1)[-1] or "_",
}
DEFAULT_CHUNK_RULE = "seqeval-0.0.12"  # reproduces the value that XTREME's evaluate_test.py asserts


def _chunk_rule(name: str) -> Callable[[str], str]:
    if name not in CHUNK_RULES:
        raise ValueError(f"unknown chunk rule '{name}': known are {', '.join(CHUNK_RULES)}")
    return CHUNK_RULES[name]


def _ends(before: str, now: str, same_type: bool) -> bool:
    """Return whether a chunk ends before this tag, from the two tags' first letters (IOBES)."""
    return before in "ES" or (before in "BI" and now in "BSO") or (before not in "O." and not same_type)


def _starts(before: str, now: str, same_type: bool) -> bool:
    """Return whether a chunk starts at this tag, from the two tags' first letters (IOBES)."""
    return now in "BS" or (before in "ESO" and now in "EI") or (now not in "O." and not same_type)


def _chunks(sentences: Tags, type_of: Callable[[str], str]) -> Iterator[_Chunk]:
    """Yield the chunks of all sentences, concatenated with an O after each one, as seqeval does.

    Sentence by sentence would differ: under the later rule, the parse of a sentence that starts with X depends on the
    sentence before it.
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


def count_chunks(gold_tags: Tags, predicted_tags: Tags, rule: str = DEFAULT_CHUNK_RULE) -> Counts:
    """Return the counts of a tagging: one row per sentence with its correct, predicted and gold chunks.

    Parameters
    ----------
    gold_tags, predicted_tags : sequences of sentences of tags
        Aligned sentence by sentence and token by token. BIO tags, or part-of-speech tags, which XTREME scores as chunks
        too: equal neighbours merge, so this is not token accuracy (`token_accuracy`).
    rule : str
        How seqeval parses a tag: "seqeval-0.0.12" (the default; gives the released XTREME scores) or "seqeval-1.2.2"
        (the current release). They differ on part-of-speech tags and on types with a hyphen.

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


def token_accuracy(gold_tags: Tags, predicted_tags: Tags) -> float:
    """Return the percentage of tokens with the correct tag; XTREME's "accuracy" for POS is a chunk F1 instead.

    Raises
    ------
    ValueError
        If sentences or tokens are not aligned, a tag is empty, or there is no token.
    """
    _check_tags(gold_tags, predicted_tags)
    return accuracy([tag for tags in gold_tags for tag in tags], [tag for tags in predicted_tags for tag in tags])


# --- question answering ----------------------------------------------------------------------------------------------

# The articles that MLQA removes (Lewis et al. 2020, arXiv:1910.07475); Hindi and Chinese have none. The Arabic one is
# removed inside words too, as in the official scorer.
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


def normalize_squad(text: str) -> str:
    """Return an answer as normalised by SQuAD v1.1; XQuAD and TyDiQA use this in every language.

    The text is lower-cased, ASCII punctuation ("，" and "।" stay) and English articles are removed, and white space is
    collapsed.
    """
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(_ARTICLES["en"], " ", bare).split())


def normalize_mlqa(text: str, language: str) -> str:
    """Return an answer as normalised by MLQA: without Unicode punctuation and the articles of the language.

    Chinese characters are separated by spaces, so that the F1 counts characters there and words elsewhere.

    Parameters
    ----------
    text : str
        An answer.
    language : str
        The language of the context, one of `MLQA_LANGUAGES`.

    Raises
    ------
    ValueError
        If MLQA does not have the language.
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
    """Return the word F1 of two normalised answers; 0 if both are empty, as in the official scorer."""
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
    """Return one row per question: the best comparison with any gold answer, 0 for an unanswered question."""
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
    normalize_mlqa("", language)  # reject an unknown language even if no question was answered
    return lambda text: normalize_mlqa(text, language)


def count_answers(
    gold_answers: Sequence[Sequence[str]], predictions: Sequence[str | None], language: str | None = None
) -> Counts:
    """Return the counts of answers: one row per question, matches is its best word F1 with any gold answer.

    Parameters
    ----------
    gold_answers : sequence of sequences of str (n,)
        The gold answers of each question, at least one.
    predictions : sequence of str or None (n,)
        One answer per question; None for an unanswered question, which scores 0.
    language : str, optional
        Language of the context, for MLQA's normalisation. By default SQuAD v1.1's is used (XQuAD, TyDiQA).

    Raises
    ------
    ValueError
        If the lengths differ or are 0, a question has no gold answer, or MLQA does not have the language.
    """
    return _best_over_golds(gold_answers, predictions, language, _answer_f1)


def count_exact_matches(
    gold_answers: Sequence[Sequence[str]], predictions: Sequence[str | None], language: str | None = None
) -> Counts:
    """Return one row per question: matches is 1 if the normalised answer equals a gold answer; see `count_answers`."""
    return _best_over_golds(gold_answers, predictions, language, _exact_match)


# --- mining ----------------------------------------------------------------------------------------------------------

Pair = tuple[Any, Any]  # (source id, target id), both hashable


def count_mined_pairs(
    gold_pairs: Iterable[Pair], predicted_pairs: Iterable[Pair], sources: Sequence[Hashable] | None = None
) -> Counts:
    """Return the counts of mined pairs: one row per source sentence with its correct, predicted and gold pairs.

    Parameters
    ----------
    gold_pairs, predicted_pairs : iterables of (source id, target id)
        Taken as sets: a repeated pair counts once.
    sources : sequence of ids, optional
        All source sentences in the order of the rows, including those without a pair. It is needed if the counts of
        several models are compared row by row. By default, the sorted sources of the given pairs.

    Raises
    ------
    ValueError
        If there is no gold pair, a source is given twice, or a pair's source is not among the sources.
    """
    gold, predicted = set(gold_pairs), set(predicted_pairs)
    if not gold:
        raise ValueError("no gold pairs: mining needs at least one to find")
    row_of = _rows(sources, gold | predicted)
    return Counts(*(_per_source(pairs, row_of) for pairs in (gold & predicted, predicted, gold)))


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
