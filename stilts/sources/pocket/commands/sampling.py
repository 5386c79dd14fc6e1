"""Drawing commands from the templates of one language, with the position of every slot value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from itertools import combinations
from random import Random

from stilts.sources.pocket.commands.grammar import Template
from stilts.sources.pocket.commands.trees import SHARES, Slot, Value
from stilts.sources.pocket.commands.usage import Usage
from stilts.sources.pocket.commands.values import HOME_SLOTS, Forms, hash_stably


class Pool(IntEnum):
    """Disjoint pools of templates, values and value pairs; the number is the share of values in the pool."""

    EVALUATION = 0
    TRAIN = 1
    INTERMEDIATE = 2


class Unfit(Exception):
    """A draw is invalid; draw again."""


@dataclass(frozen=True, slots=True)
class Span:
    """A slot value in a text: `text[start:end]` is its surface, `value` its normalised value."""

    slot: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Command:
    """A sentence, the template it was drawn from, and its slot values in the order of the text.

    Attributes
    ----------
    text : str
    spans : tuple of Span
    template : Template
    pooled : bool
        Whether it has a value that belongs to one pool only.
    """

    text: str
    spans: tuple[Span, ...]
    template: Template
    pooled: bool

    @cached_property
    def slots(self) -> dict[str, str]:
        """The normalised values by slot name."""
        return {span.slot: span.value for span in sorted(self.spans, key=lambda span: span.slot)}

    @property
    def meaning(self) -> str:
        """The action and normalised values, such as "HassTurnOn domain:light area=kitchen"."""
        return self.template.action + "".join(f" {name}={value}" for name, value in self.slots.items())


@dataclass
class Walk:
    """One random walk over a template, which collects pieces of text.

    Parameters
    ----------
    rng : Random
    template : Template
    pool : Pool
        Pool of the values.
    wanted : mapping of str to str
        Required values by slot.
    """

    rng: Random
    template: Template
    pool: Pool
    wanted: Mapping[str, str] = field(default_factory=dict)
    pieces: list[tuple[str, Slot | None, Value | None]] = field(default_factory=list)

    @property
    def values(self) -> list[Value]:
        """The chosen values in the order of the text."""
        return [value for _, _, value in self.pieces if value is not None]

    def add(self, text: str) -> None:
        """Append plain text."""
        self.pieces.append((text, None, None))

    def fill(self, slot: Slot) -> None:
        """Choose a value for a slot.

        Raises
        ------
        Unfit
            If the pool has no suitable value, or the slot is already filled.
        """
        if any(slot.name == known.name for _, known, _ in self.pieces if known):
            raise Unfit(slot.name)
        value = self.rng.choice(self._choices(slot))
        self.pieces.append((self._wording(value), slot, value))

    def _choices(self, slot: Slot) -> Sequence[Value]:
        kinds, wanted = self.template.kinds, self.wanted.get(slot.name)
        choices = slot.within(self.pool)
        if wanted is not None:
            choices = [value for value in choices if value.key == wanted]
        if slot.name == "name" and kinds:
            choices = [value for value in choices if value.kind in kinds]
        if not choices:
            raise Unfit(slot.name)
        return choices

    def _wording(self, value: Value) -> str:
        if value.said is None:
            return value.forms[0].surface
        words = Walk(self.rng, self.template, self.pool)
        value.said.walk(words)
        return " ".join("".join(text for text, _, _ in words.pieces).split())


def draw(template: Template, pool: Pool, usage: Usage, rng: Random,
         wanted: Mapping[str, str] | None = None) -> Command:
    """Draw one command from a template.

    Parameters
    ----------
    template : Template
    pool : Pool
        Pool of the values.
    usage : Usage
        Usage of the language.
    rng : Random
    wanted : mapping of str to str, optional
        Normalised values by slot; if given, exactly these slots are filled.

    Raises
    ------
    Unfit
        If the command breaks agreement, belongs to another pool, or fills other slots than wanted.
    """
    walk = Walk(rng, template, pool, wanted or {})
    template.tree.walk(walk)
    if wanted is not None and {slot.name for _, slot, _ in walk.pieces if slot} != wanted.keys():
        raise Unfit("other slots")
    if not _in_pool(walk):
        raise Unfit("pair of another pool")
    command = _written(walk, usage.forms)
    if not usage.allows(command.text, command.spans):
        raise Unfit("nobody says so")
    return command


def _written(walk: Walk, forms: Mapping[str, Forms]) -> Command:
    """Return the command with pieces joined by single spaces, and each form chosen by its neighbours."""
    text, spans = "", []
    for place, (piece, slot, value) in enumerate(walk.pieces):
        if slot and slot.name in HOME_SLOTS:
            piece = _form(forms[slot.name], value, text, walk.pieces[place + 1:])
        if not text or text.endswith(" "):
            piece = piece.lstrip()
        if slot:
            spans.append(Span(slot.name, value.key, len(text), len(text) + len(piece)))
        text += piece
    pooled = any(value.share is not None for value in walk.values)
    return Command(text.rstrip(), tuple(spans), walk.template, pooled)


def _form(forms: Forms, value: Value, before: str, rest: list[tuple[str, Slot | None, Value | None]]) -> str:
    form = forms.choose(value, before, "".join(text for text, _, _ in rest))
    if form is None:
        raise Unfit(value.key)
    return form.surface


def _in_pool(walk: Walk) -> bool:
    """Return whether every pair of values from closed lists belongs to the pool; other values always do."""
    closed = sorted(f"{slot.name}={value.key}" for _, slot, value in walk.pieces if slot and value.share is None)
    return all(hash_stably(" ".join(pair)) % SHARES == walk.pool for pair in combinations(closed, 2))
