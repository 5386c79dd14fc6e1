"""Tasks on one command: its intent (`intent`), and the words that fill its slots (`slots`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

from stilts.sources.pocket.commands.collecting import Example, stream
from stilts.sources.pocket.commands.grammar import Template
from stilts.sources.pocket.commands.phrasebook import Phrasebook, read_phrasebook
from stilts.sources.pocket.commands.sampling import Command, Pool, Unfit
from stilts.sources.pocket.commands.tagging import find_token_places, tag_tokens
from stilts.sources.pocket.commands.values import FOLDER
from stilts.study.settings import SOURCE_LANGUAGE

_ENOUGH = 10
_LOOKS = 60


@cache
def list_intent_names(folder: Path = FOLDER) -> list[str]:
    """Return the English intents with at least ten distinct sentences in every pool, sorted."""
    book = read_phrasebook(SOURCE_LANGUAGE, folder)
    return [intent for intent in sorted({template.intent for template in book.templates})
            if all(_is_varied(book, pool, intent) for pool in Pool)]


@cache
def list_slot_names(folder: Path = FOLDER) -> list[str]:
    """Return the slots that English sentences of every pool fill, sorted."""
    book = read_phrasebook(SOURCE_LANGUAGE, folder)
    pools = [{slot for entry in book.entries(pool) for slot in entry.signature} for pool in Pool]
    return sorted(set.intersection(*pools))


def list_tag_names(folder: Path = FOLDER) -> list[str]:
    """Return the BIO tags of the slots: "O", then "B-" and "I-" of every slot."""
    return ["O"] + [f"{place}-{slot}" for slot in list_slot_names(folder) for place in "BI"]


def _is_varied(book: Phrasebook, pool: Pool, intent: str) -> bool:
    templates, rng, texts = _by_intent(book, pool)[intent], Random(intent), set()
    for _ in range(_LOOKS if templates else 0):
        try:
            texts.add(book.draw(templates, pool, rng).text)
        except Unfit:
            continue
    return len(texts) >= _ENOUGH


def _by_intent(book: Phrasebook, pool: Pool) -> dict[str, list[Template]]:
    by_intent = defaultdict(list)
    for template in book.within(pool):
        by_intent[template.intent].append(template)
    return by_intent


def generate_intents(book: Phrasebook, pool: Pool, rng: Random, folder: Path = FOLDER) -> Iterator[Example]:
    """Yield commands with their intents, for each intent in turn."""
    by_intent = _by_intent(book, pool)

    def example(intent: str) -> Example:
        return make_intent_example(book.draw(by_intent[intent], pool, rng))

    return stream([intent for intent in list_intent_names(folder) if intent in by_intent], example)


def make_intent_example(command: Command) -> Example:
    """Return the example of a command with its intent."""
    return Example(command.text, {"sentence1": command.text, "label": command.template.intent,
                                  "template": command.template.id, "meaning": command.meaning})


def generate_slots(book: Phrasebook, pool: Pool, rng: Random, folder: Path = FOLDER) -> Iterator[Example]:
    """Yield commands with the slots of their tokens, one that fills each slot in turn."""
    known = set(list_slot_names(folder))
    by_slot = defaultdict(list)
    for entry in book.entries(pool):
        for slot in sorted(entry.signature) if entry.signature <= known else ():
            by_slot[slot].append(entry)

    def example(slot: str) -> Example:
        command = book.draw(rng.choice(by_slot[slot]).templates, pool, rng)
        if slot not in command.slots or not known.issuperset(command.slots):
            raise Unfit(slot)
        return make_slots_example(command, book.language)

    return stream(sorted(by_slot), example)


def make_slots_example(command: Command, language: str) -> Example:
    """Return the example of a command with the slots of its tokens.

    Raises
    ------
    Unfit
        If two values overlap with one token.
    """
    places = find_token_places(command.text, language)
    tags = tag_tokens(places, command.spans)
    return Example(command.text, {"tokens": [command.text[start:end] for start, end in places], "tags": tags,
                                  "template": command.template.id, "meaning": command.meaning})
