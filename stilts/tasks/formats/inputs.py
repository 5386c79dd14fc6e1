"""The encoder inputs of an example: one or several sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One encoder input; a long example is split into several.

    Token ids are stored as arrays, since Python lists of a million inputs would take too much memory.

    Attributes
    ----------
    example : int
        Row of the split to which this input belongs.
    input_ids : int32 array (tokens,)
        Token ids with special tokens; may be given as any sequence.
    target : Any
        Training target, in a form that depends on the format. Inputs are kept for other runs if it is a number, a tuple
        of as many numbers in all inputs, or a list or an array of numbers.
    detail : Any
        Data that decoding needs besides the head's output: as a target, or a named tuple of such, see
        `stilts.tasks.formats.base.TrainedFormat.detail`.
    alternatives : tuple of int32 arrays
        Further sequences that are scored against the first one: the other choices of a multiple-choice question.
    positions : int32 array (chosen,), optional
        Positions in the first sequence to which the head is applied; None for all.
    ends : int32 array (tokens,), optional
        For each token of the first sequence, the position of its word's last token, whose state represents it in a
        left-to-right model. None: each token represents itself.
    written : int32 array (written,), optional
        Target sequence of an encoder-decoder; `positions` then refer to it.
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
        """All sequences of the input; each is a row of a padded batch."""
        return (self.input_ids, *self.alternatives)

    @property
    def longest(self) -> int:
        """The number of tokens of the longest sequence."""
        return max(map(len, self.sequences))

    @property
    def tokens(self) -> int:
        """The number of tokens of all sequences, including `written`."""
        return sum(map(len, self.sequences)) + (0 if self.written is None else len(self.written))


def group_by_example(count: int, inputs: Sequence[Input], values: Sequence[Any]) -> list[list[tuple[Input, Any]]]:
    """Return (input, value) pairs grouped by example: one list per row, in input order."""
    gathered: list[list[tuple[Input, Any]]] = [[] for _ in range(count)]
    for part, value in zip(inputs, values, strict=True):
        gathered[part.example].append((part, value))
    return gathered


def pad_arrays(arrays: Sequence[np.ndarray | Sequence[int]], value: int) -> np.ndarray:
    """Return integer arrays as one, int64 (arrays, longest array), padded at the end."""
    lengths = np.array([len(array) for array in arrays])
    padded = np.full((len(arrays), lengths.max()), value)
    padded[mark_filled(lengths)] = np.concatenate(arrays)
    return padded


def mark_filled(lengths: np.ndarray) -> np.ndarray:
    """Return which places of padded arrays hold their values, bool (arrays, longest array)."""
    return np.arange(lengths.max()) < lengths[:, None]
