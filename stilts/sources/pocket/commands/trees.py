"""Sentence templates as trees in which every branch gives a sentence."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from random import Random
from typing import NamedTuple, Protocol

Signature = frozenset[str]
"""The names of the slots that a sentence fills."""

SHARES = 3
_SIGNATURE_LIMIT = 16
_AS_WRITTEN = 0.5
_DECAY = 1.5


class Draw(Protocol):
    """The visitor of a walk over a tree, which makes the choices and collects the text."""

    rng: Random

    def add(self, text: str) -> None:
        """Append plain text."""

    def fill(self, slot: Slot) -> None:
        """Choose a value for a slot and append it."""


class Node(Protocol):
    """A part of a template."""

    def walk(self, draw: Draw) -> None:
        """Walk one branch, chosen by `draw`."""

    def signatures(self) -> frozenset[Signature]:
        """Return all sets of slots that a branch may fill."""


class Form(NamedTuple):
    """A written form of a value, and its agreement class ("" for none)."""

    surface: str
    group: str = ""


@dataclass(frozen=True, eq=False)
class Value:
    """A value of a slot.

    Attributes
    ----------
    key : str
        The normalised value, the same in every language.
    said : Node, optional
        Its wordings, for lists that come with the templates.
    forms : tuple of Form
        Its wordings in order of preference, for rooms, floors and names of a home.
    share : int, optional
        The third of the values to which it belongs (0, 1 or 2); None for closed lists, which all pools share.
    kind : str
        The kind of device, such as "light"; only for names.
    """

    key: str
    said: Node | None = None
    forms: tuple[Form, ...] = ()
    share: int | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text without repeated spaces."""

    text: str

    def walk(self, draw: Draw) -> None:
        """Append the text."""
        draw.add(self.text)

    def signatures(self) -> frozenset[Signature]:
        """Return the empty set of slots."""
        return frozenset([frozenset()])


@dataclass(frozen=True, eq=False)
class Slot:
    """A slot of a template and its possible values."""

    name: str
    values: tuple[Value, ...]

    @cached_property
    def _shares(self) -> list[list[Value]]:
        return [[value for value in self.values if value.share in (None, share)] for share in range(SHARES)]

    def within(self, share: int) -> list[Value]:
        """Return the values in a third, and those that all thirds share."""
        return self._shares[share]

    def walk(self, draw: Draw) -> None:
        """Let `draw` fill the slot."""
        draw.fill(self)

    def signatures(self) -> frozenset[Signature]:
        """Return the slot's own name."""
        return frozenset([frozenset([self.name])])


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Parts in sequence."""

    parts: tuple[Node, ...]

    def walk(self, draw: Draw) -> None:
        """Walk all parts in order."""
        for part in self.parts:
            part.walk(draw)

    def signatures(self) -> frozenset[Signature]:
        """Return the unions of the parts' sets of slots."""
        return _unions([part.signatures() for part in self.parts])


@dataclass(frozen=True, slots=True, eq=False)
class AnyOrder:
    """Parts in any order."""

    parts: tuple[Node, ...]

    def walk(self, draw: Draw) -> None:
        """Walk all parts, half of the time in the written order."""
        parts = self.parts if draw.rng.random() < _AS_WRITTEN else draw.rng.sample(self.parts, len(self.parts))
        for part in parts:
            part.walk(draw)

    def signatures(self) -> frozenset[Signature]:
        """Return the unions of the parts' sets of slots."""
        return _unions([part.signatures() for part in self.parts])


@dataclass(frozen=True, eq=False)
class OneOf:
    """Alternative parts.

    Authors list the most common wording first, so the first part is chosen almost three times as often as the second
    and five times as often as the third. Optional parts are omitted half of the time.
    """

    parts: tuple[Node, ...]
    optional: bool = False

    @cached_property
    def _weights(self) -> list[float]:
        """Cumulative weights of the parts."""
        weights = [(place + 1) ** -_DECAY for place in range(len(self.parts))]
        if self.optional:
            weights[-1] = sum(weights[:-1])
        return list(accumulate(weights))

    def walk(self, draw: Draw) -> None:
        """Walk a randomly chosen part."""
        self.parts[bisect(self._weights, draw.rng.random() * self._weights[-1])].walk(draw)

    def signatures(self) -> frozenset[Signature]:
        """Return the sets of slots of all parts."""
        return frozenset().union(*(part.signatures() for part in self.parts))


def _unions(choices: Sequence[frozenset[Signature]]) -> frozenset[Signature]:
    many = [choice for choice in choices if choice != {frozenset()}]
    unions = {frozenset().union(*combination) for combination in product(*many)}
    return frozenset(sorted(unions, key=sorted)[:_SIGNATURE_LIMIT])
