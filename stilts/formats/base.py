"""What every task format shares: an encoder input, and the promise that a format keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stilts.metrics import Counts

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

    def head(self, hidden_size: int, labels: Sequence[str]) -> "nn.Module":
        """Return a new head: (sequences, tokens, hidden), mask (sequences, tokens) -> logits.

        For inputs that have `positions`: (chosen, hidden), embeddings (vocabulary, hidden) -> (chosen, vocabulary).
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
    """Return the token ids of texts, or of (text, text) pairs, each (tokens,) of int32; options as the tokenizer's."""
    return [
        np.array(ids, dtype=np.int32)
        for _, block in blocks(texts)
        for ids in tokenizer(list(block), **options)["input_ids"]
    ]


def special_tokens(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer sets before and after a text."""
    text = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(whole)) if whole[i : i + len(text)] == text)
    return whole[:start], whole[start + len(text) :]


def by_example(count: int, inputs: Sequence[Input], values: Sequence[Any]) -> list[list[tuple[Input, Any]]]:
    """Gather inputs and what belongs to them by example: a list for each of the `count` rows, in input order."""
    gathered: list[list[tuple[Input, Any]]] = [[] for _ in range(count)]
    for part, value in zip(inputs, values, strict=True):
        gathered[part.example].append((part, value))
    return gathered
