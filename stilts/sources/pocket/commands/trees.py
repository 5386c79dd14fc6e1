"""Sentence templates as trees in which every branch can be said."""

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
    """What a walk over a tree asks at its forks."""

    rng: Random

    def add(self, text: str) -> None:
        """Take in a piece of plain text."""

    def fill(self, slot: Slot) -> None:
        """Choose a value for a slot and take it in."""


class Node(Protocol):
    """A part of a template, all of whose branches can be said."""

    def walk(self, draw: Draw) -> None:
        """Say one branch, chosen by `draw`."""

    def signatures(self) -> frozenset[Signature]:
        """Every set of slots that one branch may fill."""


class Form(NamedTuple):
    """A value as it is written, and the agreement class that says where ("" for none)."""

    surface: str
    group: str = ""


@dataclass(frozen=True, eq=False)
class Value:
    """What a slot may hold.

    Attributes
    ----------
    key : str
        The normalised value, the same in every language.
    said : Node, optional
        Its wordings, for the lists that come with the templates.
    forms : tuple of Form
        Its wordings in order of preference, for what a home gives its own names to.
    share : int, optional
        In which third of the values it lies (0, 1 or 2); None for closed lists, whose values all pools need.
    kind : str
        What kind of device it is, as "light"; only for names.
    """

    key: str
    said: Node | None = None
    forms: tuple[Form, ...] = ()
    share: int | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text with its white space, of which there is never more than one space on end."""

    text: str

    def walk(self, draw: Draw) -> None:
        """Say it."""
        draw.add(self.text)

    def signatures(self) -> frozenset[Signature]:
        """No slots."""
        return frozenset([frozenset()])


@dataclass(frozen=True, eq=False)
class Slot:
    """A gap of a template and the values that may fill it."""

    name: str
    values: tuple[Value, ...]

    @cached_property
    def _shares(self) -> list[list[Value]]:
        return [[value for value in self.values if value.share in (None, share)] for share in range(SHARES)]

    def within(self, share: int) -> list[Value]:
        """Values that a third may use: its own, and those that all share."""
        return self._shares[share]

    def walk(self, draw: Draw) -> None:
        """Let `draw` fill it."""
        draw.fill(self)

    def signatures(self) -> frozenset[Signature]:
        """Its own name."""
        return frozenset([frozenset([self.name])])


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Parts said one after another."""

    parts: tuple[Node, ...]

    def walk(self, draw: Draw) -> None:
        """Say all parts in order."""
        for part in self.parts:
            part.walk(draw)

    def signatures(self) -> frozenset[Signature]:
        """Unions of what the parts may fill."""
        return _unions([part.signatures() for part in self.parts])


@dataclass(frozen=True, slots=True, eq=False)
class AnyOrder:
    """Parts said in any order."""

    parts: tuple[Node, ...]

    def walk(self, draw: Draw) -> None:
        """Say all parts, half of the time in the order in which they were written."""
        parts = self.parts if draw.rng.random() < _AS_WRITTEN else draw.rng.sample(self.parts, len(self.parts))
        for part in parts:
            part.walk(draw)

    def signatures(self) -> frozenset[Signature]:
        """Unions of what the parts may fill."""
        return _unions([part.signatures() for part in self.parts])


@dataclass(frozen=True, eq=False)
class OneOf:
    """Parts of which one is said.

    Authors begin with what is said most, and end with what may be heard: the first part is said almost three times as
    often as the second, five times as often as the third. Half of what is optional is left out.
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
        """Say the part that `draw` chooses."""
        self.parts[bisect(self._weights, draw.rng.random() * self._weights[-1])].walk(draw)

    def signatures(self) -> frozenset[Signature]:
        """All that any part may fill."""
        return frozenset().union(*(part.signatures() for part in self.parts))


def _unions(choices: Sequence[frozenset[Signature]]) -> frozenset[Signature]:
    many = [choice for choice in choices if choice != {frozenset()}]
    unions = {frozenset().union(*combination) for combination in product(*many)}
    return frozenset(sorted(unions, key=sorted)[:_SIGNATURE_LIMIT])
