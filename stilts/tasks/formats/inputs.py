"""What goes through an encoder for an example: one sequence, or several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]


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


def group_by_example(count: int, inputs: Sequence[Input], values: Sequence[Any]) -> list[list[tuple[Input, Any]]]:
    """Gather inputs and what belongs to them by example: a list for each of the `count` rows, in input order."""
    gathered: list[list[tuple[Input, Any]]] = [[] for _ in range(count)]
    for part, value in zip(inputs, values, strict=True):
        gathered[part.example].append((part, value))
    return gathered
