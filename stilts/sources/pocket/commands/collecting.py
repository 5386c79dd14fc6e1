"""Collecting distinct, balanced rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from stilts.sources.pocket.commands.sampling import Unfit

Key = TypeVar("Key", bound=Hashable)
_PATIENCE = 80


class Example(NamedTuple):
    """A row, and the words that must be unique in a table."""

    words: Hashable
    row: dict[str, Any]


def stream(keys: Sequence[Key], draw: Callable[[Key], Example], patience: int = _PATIENCE) -> Iterator[Example]:
    """Yield distinct examples for the keys in turn, until no key gives a new one.

    Parameters
    ----------
    keys : sequence
        Keys to balance: labels, intents, slots.
    draw : callable
        Key -> example; raises `Unfit` if it should be called again.
    patience : int
        Number of consecutive failures or repetitions after which a key is dropped.
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
    """Return the next `count` rows, or fewer if there are no more."""
    return [example.row for example in islice(examples, count)]
