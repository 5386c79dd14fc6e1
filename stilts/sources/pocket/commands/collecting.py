"""Filling a table with distinct, balanced rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from stilts.sources.pocket.commands.sampling import Unfit

Key = TypeVar("Key", bound=Hashable)
_PATIENCE = 80


class Example(NamedTuple):
    """A row, and the words by which two rows of one table are told apart."""

    words: Hashable
    row: dict[str, Any]


def stream(keys: Sequence[Key], draw: Callable[[Key], Example], patience: int = _PATIENCE) -> Iterator[Example]:
    """Distinct examples, one for each key in turn, until no key yields a new one.

    Parameters
    ----------
    keys : sequence
        What to balance over: labels, intents, slots.
    draw : callable
        Example for a key; raises `Unfit` where it should be asked again.
    patience : int
        A key that fails, or repeats itself, so many times on end is given up.
    """
    seen: set[Hashable] = set()
    left = list(keys)
    while left:
        for key in list(left):
            example = _fresh(key, draw, seen, patience)
            if example is None:
                left.remove(key)
            else:
                seen.add(example.words)
                yield example


def _fresh(
    key: Key, draw: Callable[[Key], Example], seen: set[Hashable], patience: int
) -> Example | None:
    for _ in range(patience):
        try:
            example = draw(key)
        except Unfit:
            continue
        if example.words not in seen:
            return example
    return None


def take(examples: Iterator[Example], count: int) -> list[dict[str, Any]]:
    """The next `count` rows, or as many as there are."""
    return [example.row for example in islice(examples, count)]
