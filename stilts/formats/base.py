"""What every task format shares: an encoder input, and the promise that a format keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from stilts.metrics import Counts

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerFast

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Input:
    """One sequence that goes through the encoder; a long example becomes several.

    Attributes
    ----------
    example : int
        Row of the split that this input is a part of.
    input_ids : list of int (tokens,)
        With special tokens, at most the maximal length.
    target : Any
        What the head is trained on; its form is the format's.
    detail : Any
        What decoding needs besides the head's output.
    alternatives : tuple of lists of int
        Further sequences that are scored against the first one: the other choices of a multiple-choice question.
    """

    example: int
    input_ids: list[int]
    target: Any
    detail: Any = None
    alternatives: tuple[list[int], ...] = ()

    @property
    def sequences(self) -> tuple[list[int], ...]:
        """All that goes through the encoder, a row of a padded batch each."""
        return (self.input_ids, *self.alternatives)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(map(len, self.sequences))

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(map(len, self.sequences))


class Format(Protocol):
    """A shape that a task can have: from rows to encoder inputs, and from the head's outputs back to predictions."""

    name: str
    columns: tuple[str, ...]
    label_column: str | None

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """Return the encoder inputs of all rows, in their order."""

    def head(self, hidden_size: int, labels: Sequence[str]) -> "nn.Module":
        """Return a new head: (batch, tokens, hidden), mask (batch, tokens) -> logits."""

    def loss(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "torch.Tensor":
        """Return the summed loss of inputs; divided by the sum of their `weight`, it is the mean loss of a batch."""

    def weight(self, inputs: Sequence[Input]) -> int:
        """Return the number of terms that `loss` sums: inputs, tagged tokens, span ends."""

    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "list[np.ndarray]":
        """Return what decoding needs of each input's logits, without padding."""

    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: "Sequence[np.ndarray]", labels: Sequence[str]
    ) -> list[str]:
        """Return one prediction per row, as text."""

    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Return what each row adds to the metric."""


def by_example(count: int, inputs: Sequence[Input], values: Sequence[Any]) -> list[list[tuple[Input, Any]]]:
    """Gather inputs and what belongs to them by example: a list for each of the `count` rows, in input order."""
    gathered: list[list[tuple[Input, Any]]] = [[] for _ in range(count)]
    for part, value in zip(inputs, values, strict=True):
        gathered[part.example].append((part, value))
    return gathered
