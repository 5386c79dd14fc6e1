"""What every task format shares: an encoder input, and the promise that a format keeps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stilts.study.errors import StiltsError
from stilts.study.settings import Heads
from stilts.tasks.coverage import check_covered
from stilts.tasks.metrics import Counts

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerFast

Row = Mapping[str, Any]

BLOCK = 1024  # rows that are tokenised at once: a tokenizer's own output takes twenty times the memory of the ids


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One sequence that goes through the encoder; a long example becomes several.

    Token ids are kept as arrays: a million inputs as lists of Python's integers do not fit beside a model.

    Attributes
    ----------
    example : int
        Row of the split that this input is a part of.
    input_ids : int32 array (tokens,)
        With special tokens, at most the maximal length; given as any sequence.
    target : Any
        What the head is trained on; its form is the format's.
    detail : Any
        What decoding needs besides the head's output.
    alternatives : tuple of int32 arrays
        Further sequences that are scored against the first one: the other choices of a multiple-choice question.
    positions : int32 array (chosen,), optional
        The tokens of the first sequence that alone go through the head; all where it is None.
    ends : int32 array (tokens,), optional
        For each token of the first sequence, where its word ends: the token whose state stands for it with a model that
        reads from left to right. None: each stands for itself.
    written : int32 array (written,), optional
        What an encoder-decoder is to write when it has read the first sequence; `positions` are then among these.
    """

    example: int
    input_ids: np.ndarray
    target: Any
    detail: Any = None
    alternatives: tuple[np.ndarray, ...] = ()
    positions: np.ndarray | None = None
    ends: np.ndarray | None = None
    written: np.ndarray | None = None

    def __post_init__(self):
        object.__setattr__(self, "input_ids", np.asarray(self.input_ids, dtype=np.int32))
        others = tuple(np.asarray(sequence, dtype=np.int32) for sequence in self.alternatives)
        object.__setattr__(self, "alternatives", others)

    @property
    def sequences(self) -> tuple[np.ndarray, ...]:
        """All that goes through the encoder, a row of a padded batch each."""
        return (self.input_ids, *self.alternatives)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(map(len, self.sequences))

    @property
    def tokens(self) -> int:
        """Tokens of all sequences, and of what is to be written."""
        return sum(map(len, self.sequences)) + (0 if self.written is None else len(self.written))


class Format(Protocol):
    """A shape that a task can have: from rows to encoder inputs, and from the head's outputs back to predictions."""

    name: str
    columns: tuple[str, ...]
    label_column: str | None
    # Whether `loss` compares the inputs of a batch with each other, so that no batch may be cut; False where left out.
    whole_batches: bool = False

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """Return the encoder inputs of all rows, in their order."""

    def head(self, hidden_size: int, labels: Sequence[str], style: Heads = "mean") -> "nn.Module":
        """Return a new head: (sequences, tokens, hidden), mask (sequences, tokens) -> logits.

        For inputs that have `positions`: (chosen, hidden), embeddings (vocabulary, hidden) -> (chosen, vocabulary). Of
        the style "pooler" that of a whole input takes what the pooler makes of it: (sequences, hidden) -> logits. A
        format whose head is of one style alone passes over the other.
        """

    def loss(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "torch.Tensor":
        """Return the summed loss of inputs; divided by the sum of their `weight`, it is the mean loss of a batch."""

    def weight(self, inputs: Sequence[Input]) -> int:
        """Return the number of terms that `loss` sums: inputs, tagged or masked tokens, span ends."""

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "list[np.ndarray]":
        """Return what decoding needs of each input's logits, without padding."""

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: "Sequence[np.ndarray]", labels: Sequence[str]
    ) -> list[str]:
        """Return one prediction per row, as text."""

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Return what each row adds to the metric."""


def blocks(rows: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield rows in pieces of `BLOCK`, each with the number of its first row."""
    for start in range(0, len(rows), BLOCK):
        yield start, rows[start : start + BLOCK]


def subwords(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[Any], **options: Any) -> list[np.ndarray]:
    """Return the token ids of texts, or of (text, text) pairs, each (tokens,) of int32; options as the tokenizer's.

    Raises
    ------
    StiltsError
        If the encoder was not prepared for a text, see `stilts.tasks.coverage.check_covered`.
    """
    check_covered(tokenizer, (text for each in texts for text in ((each,) if isinstance(each, str) else each)))
    return [
        np.array(ids, dtype=np.int32)
        for _, block in blocks(texts)
        for ids in tokenizer(list(block), **options)["input_ids"]
    ]


def special_tokens(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer sets before and after a text; StiltsError if it cuts none up."""
    before, _, after = _layout(tokenizer, "a")
    return before, after


def pair_layout(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int], list[int]]:
    """Return the special tokens that a tokenizer sets before, between and after the two texts of a pair."""
    return _layout(tokenizer, "a", "a")


def _layout(tokenizer: "PreTrainedTokenizerFast", *texts: str) -> tuple[list[int], list[int], list[int]]:
    encoding = tokenizer(*texts)
    ids, sides = encoding["input_ids"], encoding.sequence_ids()
    own = [[place for place, side in enumerate(sides) if side == number] for number in range(len(texts))]
    if not all(own):
        raise StiltsError(f"the encoder's tokenizer {tokenizer.name_or_path} makes no token of the text 'a'")
    return ids[: own[0][0]], ids[own[0][-1] + 1 : own[-1][0]], ids[own[-1][-1] + 1 :]


def word_subwords(
    tokenizer: "PreTrainedTokenizerFast", sentences: Iterable[Sequence[str]]
) -> Iterator[list[list[int]]]:
    """Yield the token ids of each word of each sentence, those that it has in running text.

    Where a tokenizer marks a word's beginning by the space before it (those of GPT-2, RoBERTa, ModernBERT, BLOOM, Qwen,
    Gemma), a word by itself would have other pieces, as if it went on with the one before. So the words are joined by
    spaces, and each gets the tokens that begin in it or at the space before it. A word that a token of the one before
    it holds too gets those that it has after a space alone. An empty word may have none.

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
    """Whether words have by themselves the pieces that they have in running text (BERT's, XLM-R's)."""
    words = ("a", "a", "b")
    return _alone(tokenizer, words) == _in_text(tokenizer, words)


def _alone(tokenizer: "PreTrainedTokenizerFast", words: Sequence[str]) -> list[list[int]]:
    encoding = tokenizer(list(words), is_split_into_words=True, add_special_tokens=False)
    return _gathered(encoding["input_ids"], encoding.word_ids(), len(words))


def _in_text(tokenizer: "PreTrainedTokenizerFast", words: Sequence[str]) -> list[list[int]]:
    encoding = tokenizer(" ".join(words), add_special_tokens=False, return_offsets_mapping=True)
    lengths = np.array([len(word) + 1 for word in words[:-1]], dtype=int)
    begins = np.concatenate([[0], np.cumsum(lengths) - 1])  # of each word, the space before it included
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


def by_example(count: int, inputs: Sequence[Input], values: Sequence[Any]) -> list[list[tuple[Input, Any]]]:
    """Gather inputs and what belongs to them by example: a list for each of the `count` rows, in input order."""
    gathered: list[list[tuple[Input, Any]]] = [[] for _ in range(count)]
    for part, value in zip(inputs, values, strict=True):
        gathered[part.example].append((part, value))
    return gathered
