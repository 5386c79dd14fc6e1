"""Tasks on two commands: entailment (`command-nli`, `nli`) and paraphrase (`command-para`, `para`)."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from random import Random
from typing import TypeVar

from stilts.sources.pocket.commands.collecting import Example, stream
from stilts.sources.pocket.commands.grammar import Template
from stilts.sources.pocket.commands.phrasebook import Entry, Phrasebook
from stilts.sources.pocket.commands.sampling import Command, Pool, Unfit
from stilts.sources.pocket.commands.tagging import find_token_places
from stilts.sources.pocket.commands.values import HOME_SLOTS

NLI_LABELS = ["entailment", "neutral", "contradiction"]
PARA_LABELS = ["different", "paraphrase"]

OPPOSITES = {frozenset(f"Hass{name}" for name in pair) for pair in (
    ("TurnOn", "TurnOff"), ("PauseTimer", "UnpauseTimer"), ("MediaPause", "MediaUnpause"),
    ("MediaNext", "MediaPrevious"), ("MediaPlayerMute", "MediaPlayerUnmute"), ("IncreaseTimer", "DecreaseTimer"),
    ("StartTimer", "CancelTimer"), ("LawnMowerStartMowing", "LawnMowerDock"),
    ("VacuumStart", "VacuumReturnToBase"))}

_WHEN = frozenset({"start_hours", "start_minutes", "start_seconds"})
_DROPPABLE = frozenset(HOME_SLOTS) | _WHEN
_GENERAL = ("all", "which", "how_many")
"""Aspects of general questions: a question about all rooms is not entailed by one about the kitchen."""


Twins = tuple[Command, Command]
Picked = TypeVar("Picked")


class PairMaker:
    """Draws pairs of commands from one pool of a phrasebook."""

    def __init__(self, book: Phrasebook, pool: Pool, rng: Random):
        self.book, self.pool, self.rng = book, pool, rng

    def paraphrase(self) -> Twins:
        """Draw two commands with the same meaning from different templates."""
        entry = self._pick(self._twofold)
        first, second = self.rng.sample(entry.templates, 2)
        command = self._say(entry._replace(templates=(first,)))
        return command, self._draw([second], command.slots)

    def other_value(self) -> Twins:
        """Draw two commands of one action that differ in one value."""
        return self._other_value(self._pick(self._filled))

    def other_value_restated(self) -> Twins:
        """Draw a pair as in `other_value`, from an action with several templates."""
        return self._other_value(self._pick(self._filled_twofold))

    def _other_value(self, entry: Entry) -> Twins:
        command, other = self._say(entry), self._say(entry)
        changes = [slot for slot, value in other.slots.items() if command.slots[slot] != value]
        if not changes:
            raise Unfit("same values")
        slot = self.rng.choice(changes)
        return command, self._draw(entry.templates, {**command.slots, slot: other.slots[slot]})

    def opposite(self) -> Twins:
        """Draw two commands of opposite actions with the same values."""
        return self._restated(*self._pick(self._opposites))

    def other_action(self) -> Twins:
        """Draw two commands of different, but not opposite actions; they share a value if the first has one."""
        first = self._pick(self._explicit)
        slot = self.rng.choice(sorted(first.signature)) if first.signature else ""
        second = self._pick(self._by_slot.get(slot, self._explicit))
        if first.intent == second.intent or {first.intent, second.intent} in OPPOSITES:
            raise Unfit("same action")
        command, other = self._say(first), self._say(second)
        shared = {slot: value for slot, value in command.slots.items() if slot in other.slots}
        return command, self._draw(second.templates, {**other.slots, **shared})

    def fewer_slots(self) -> Twins:
        """Draw a command, and one for the same action with fewer slots."""
        more, less = self._pick(self._reductions)
        command = self._say(more)
        return command, self._draw(less.templates, {slot: command.slots[slot] for slot in less.signature})

    def swapped_action(self) -> Twins:
        """Draw two commands of different actions with exactly the same values."""
        first = self._pick(self._filled)
        second = self.rng.choice([other for other in self._entries if other.signature == first.signature])
        if first.action == second.action:
            raise Unfit("same action")
        return self._restated(first, second)

    def _restated(self, first: Entry, second: Entry) -> Twins:
        command = self._say(first)
        return command, self._draw(second.templates, command.slots)

    def _say(self, entry: Entry) -> Command:
        command = self._draw(entry.templates)
        if command.slots.keys() != entry.signature:
            raise Unfit("other slots")
        return command

    def _draw(self, templates: Sequence[Template], wanted: Mapping[str, str] | None = None) -> Command:
        return self.book.draw(templates, self.pool, self.rng, wanted)

    def _pick(self, by_intent: Mapping[str, Sequence[Picked]]) -> Picked:
        if not by_intent:
            raise Unfit("no templates")
        return self.rng.choice(by_intent[self.rng.choice(list(by_intent))])

    @cached_property
    def _entries(self) -> tuple[Entry, ...]:
        return self.book.entries(self.pool)

    @cached_property
    def _twofold(self) -> dict[str, list[Entry]]:
        return group_by_key((entry.intent, entry) for entry in self._entries if len(entry.templates) > 1)

    @cached_property
    def _filled(self) -> dict[str, list[Entry]]:
        return group_by_key((entry.intent, entry) for entry in self._entries if entry.signature)

    @cached_property
    def _filled_twofold(self) -> dict[str, list[Entry]]:
        return group_by_key((intent, entry) for intent, entries in self._twofold.items() for entry in entries
                            if entry.signature)

    @cached_property
    def _explicit(self) -> dict[str, list[Entry]]:
        return group_by_key((entry.intent, entry) for entry in self._entries if not entry.templates[0].here)

    @cached_property
    def _by_slot(self) -> dict[str, dict[str, list[Entry]]]:
        """Entries of `_explicit` that fill a slot."""
        slots = {slot for entry in self._entries for slot in entry.signature}
        return {slot: group_by_key((intent, entry) for intent, entries in self._explicit.items() for entry in entries
                                   if slot in entry.signature) for slot in slots}

    @cached_property
    def _opposites(self) -> dict[str, list[tuple[Entry, Entry]]]:
        return group_by_key((first.intent, (first, second)) for first in self._entries for second in self._entries
                            if {first.intent, second.intent} in OPPOSITES and first.signature == second.signature
                            and first.action.split()[1:] == second.action.split()[1:])

    @cached_property
    def _reductions(self) -> dict[str, list[tuple[Entry, Entry]]]:
        """Pairs of entries of one action; the second omits the place, the device or the timer."""
        return group_by_key((more.intent, (more, less)) for more in self._entries for less in self._entries
                            if more.action == less.action and less.signature < more.signature
                            and _may_drop(more, more.signature - less.signature))


def _may_drop(entry: Entry, dropped: frozenset[str]) -> bool:
    whole_timer = not dropped & _WHEN or dropped >= entry.signature & _WHEN
    template = entry.templates[0]
    return dropped <= _DROPPABLE and whole_timer and not template.here and template.aspect not in _GENERAL


def group_by_key(pairs: Iterable[tuple[str, Picked]]) -> dict[str, list[Picked]]:
    """Return key -> items from (key, item) pairs, in order."""
    groups = defaultdict(list)
    for key, item in pairs:
        groups[key].append(item)
    return dict(groups)


def generate_entailments(book: Phrasebook, pool: Pool, rng: Random) -> Iterator[Example]:
    """Yield pairs for `command-nli`, for each label in turn.

    An entailed command omits something or is a paraphrase; a neutral one adds something or is unrelated; a
    contradiction has another value in a slot or the opposite action.
    """
    makers = list_entailment_makers(PairMaker(book, pool, rng))
    return stream(NLI_LABELS, lambda label: make_pair_example(rng.choice(makers[label])(), label))


def list_entailment_makers(maker: PairMaker) -> dict[str, list[Callable[[], Twins]]]:
    """Return label -> functions that draw its pairs, for `generate_entailments`."""
    return {
        "entailment": [maker.fewer_slots, maker.paraphrase],
        "neutral": [lambda: maker.fewer_slots()[::-1], maker.other_action],
        "contradiction": [maker.other_value, maker.other_value, maker.opposite],
    }


def generate_paraphrases(book: Phrasebook, pool: Pool, rng: Random) -> Iterator[Example]:
    """Yield pairs for `command-para`, a paraphrase and a different pair in turn.

    Different pairs differ in one value or the action. Each is matched with a paraphrase of the same intent and word
    overlap, so that neither reveals the label (the idea of PAWS, Zhang et al. 2019).
    """
    makers = list_paraphrase_makers(PairMaker(book, pool, rng))
    candidates = stream(PARA_LABELS, lambda label: make_pair_example(rng.choice(makers[label])(), label))
    return _matched(candidates, lambda example: _likeness(example, book.language))


def list_paraphrase_makers(maker: PairMaker) -> dict[str, list[Callable[[], Twins]]]:
    """Return label -> functions that draw its pairs, for `generate_paraphrases`."""
    return {"paraphrase": [maker.paraphrase], "different": [maker.other_value_restated, maker.swapped_action]}


def _likeness(example: Example, language: str) -> tuple[str, int]:
    """Return the first intent of a pair, and tenths of word overlap."""
    return example.row["meaning"].split()[0], measure_overlap(example, language)


def measure_overlap(example: Example, language: str) -> int:
    """Return the word overlap between the two texts of a pair, in tenths."""
    return round(10 * _overlap(*example.words, language))


def _matched(candidates: Iterator[Example], level: Callable[[Example], Hashable]) -> Iterator[Example]:
    """Yield pairs of examples with different labels and the same level; examples without a partner are dropped."""
    waiting: dict[Hashable, dict[str, deque[Example]]] = defaultdict(lambda: {label: deque() for label in PARA_LABELS})
    for example in candidates:
        queues = waiting[level(example)]
        queues[example.row["label"]].append(example)
        if all(queues.values()):
            yield from (queues[label].popleft() for label in PARA_LABELS)


def _overlap(first: str, second: str, language: str) -> float:
    """Return the Jaccard index of the tokens of two texts."""
    one, two = (
        {text[start:end].casefold() for start, end in find_token_places(text, language)} for text in (first, second)
    )
    return len(one & two) / len(one | two)


def make_pair_example(twins: Twins, label: str) -> Example:
    """Return the example of a pair with its label.

    Raises
    ------
    Unfit
        If both have the same words.
    """
    first, second = twins
    if first.text.casefold() == second.text.casefold():
        raise Unfit("same words")
    return Example((first.text, second.text), {
        "sentence1": first.text, "sentence2": second.text, "label": label,
        "template": f"{first.template.id}|{second.template.id}", "meaning": f"{first.meaning} | {second.meaning}"})
