"""Tokenisation of texts and words, from which all formats make their inputs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.study.errors import StiltsError
from stilts.tasks.coverage import check_covered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BLOCK = 1024  # rows tokenised at once; a tokenizer's output takes twenty times the memory of the ids


def cut_blocks(rows: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield blocks of `BLOCK` rows, each with the number of its first row."""
    for start in range(0, len(rows), BLOCK):
        yield start, rows[start : start + BLOCK]


def split_texts(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[Any], **options: Any) -> list[np.ndarray]:
    """Return the token ids of texts or (text, text) pairs, each as int32 of shape (tokens,).

    The options are passed to the tokenizer.

    Raises
    ------
    StiltsError
        If the encoder was not prepared for a text, see `stilts.tasks.coverage.check_covered`.
    """
    check_covered(tokenizer, (text for each in texts for text in ((each,) if isinstance(each, str) else each)))
    return [
        np.array(ids, dtype=np.int32)
        for _, block in cut_blocks(texts)
        for ids in tokenizer(list(block), **options)["input_ids"]
    ]


def find_special_tokens(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer adds before and after a text; StiltsError if it tokenises no text."""
    before, _, after = _layout(tokenizer, "a")
    return before, after


def find_pair_layout(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int], list[int]]:
    """Return the special tokens that a tokenizer adds before, between and after the two texts of a pair."""
    return _layout(tokenizer, "a", "a")


def _layout(tokenizer: "PreTrainedTokenizerFast", *texts: str) -> tuple[list[int], list[int], list[int]]:
    encoding = tokenizer(*texts)
    ids, sides = encoding["input_ids"], encoding.sequence_ids()
    own = [[place for place, side in enumerate(sides) if side == number] for number in range(len(texts))]
    if not all(own):
        raise StiltsError(f"the encoder's tokenizer {tokenizer.name_or_path} gives no token for the text 'a'")
    return ids[: own[0][0]], ids[own[0][-1] + 1 : own[-1][0]], ids[own[-1][-1] + 1 :]


def split_words(
    tokenizer: "PreTrainedTokenizerFast", sentences: Iterable[Sequence[str]]
) -> Iterator[list[list[int]]]:
    """Yield the token ids of each word of each sentence, as in running text.

    Some tokenizers mark the beginning of a word by the space before it (GPT-2, RoBERTa, ModernBERT, BLOOM, Qwen,
    Gemma) and would tokenise a single word as the continuation of another. For these, the words are joined by spaces,
    and each gets the tokens that begin in it or at the space before it. A word in which no token begins, because the
    previous word's last token covers it, is tokenised alone after a space. An empty word may have no token.

    Raises
    ------
    StiltsError
        If the encoder was not prepared for a word.
    """
    cut = _alone if takes_words_alone(tokenizer) else _in_text
    for words in sentences:
        check_covered(tokenizer, words)
        yield cut(tokenizer, words) if words else []


def takes_words_alone(tokenizer: "PreTrainedTokenizerFast") -> bool:
    """Return whether a tokenizer splits single words as in running text (BERT's and XLM-R's do)."""
    words = ("a", "a", "b")
    return _alone(tokenizer, words) == _in_text(tokenizer, words)


def _alone(tokenizer: "PreTrainedTokenizerFast", words: Sequence[str]) -> list[list[int]]:
    encoding = tokenizer(list(words), is_split_into_words=True, add_special_tokens=False)
    return _gathered(encoding["input_ids"], encoding.word_ids(), len(words))


def _in_text(tokenizer: "PreTrainedTokenizerFast", words: Sequence[str]) -> list[list[int]]:
    encoding = tokenizer(" ".join(words), add_special_tokens=False, return_offsets_mapping=True)
    lengths = np.array([len(word) + 1 for word in words[:-1]], dtype=int)
    begins = np.concatenate([[0], np.cumsum(lengths) - 1])  # of each word, including the space before it
    starts = np.array([start for start, _ in encoding["offset_mapping"]], dtype=int)
    found = _gathered(encoding["input_ids"], np.searchsorted(begins, starts, side="right") - 1, len(words))
    return [
        own or tokenizer(f" {word}" if word else word, add_special_tokens=False)["input_ids"]
        for own, word in zip(found, words, strict=True)
    ]


def _gathered(ids: Sequence[int], owners: Sequence[int], count: int) -> list[list[int]]:
    words: list[list[int]] = [[] for _ in range(count)]
    for token, owner in zip(ids, owners, strict=True):
        words[owner].append(token)
    return words
