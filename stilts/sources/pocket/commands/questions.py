"""Extractive questions about one slot among several commands (`command-qa`, `qa`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from stilts.sources.pocket.commands.collecting import Example, stream
from stilts.sources.pocket.commands.phrasebook import Entry, Phrasebook
from stilts.sources.pocket.commands.sampling import Command, Pool, Span, Unfit
from stilts.sources.pocket.commands.values import FOLDER, read

QUESTIONS = "questions.yaml"
_FEWEST, _MOST = 2, 4
_STOPS = {"zh": "。", "ja": "。", "hi": "। ", "bn": "। ", "ne": "। ", "th": " ", "ur": "۔ "}
_COUNTED = ("hours", "minutes", "seconds")
"""Slots whose question asks for a number, so that "half an hour" is not an answer."""
_OTHER_THINGS = {"HassLightSet": "temperature"}
"""Slots with a different meaning in one intent: the temperature of a light is a color."""


def read_question_words(language: str, folder: Path = FOLDER) -> Mapping[str, list[str]]:
    """Return the questions for each slot in a language.

    Raises
    ------
    StiltsError
        If the value file is missing or invalid.
    """
    asked = read(QUESTIONS, folder).get(language, {})
    return {slot: [words] if isinstance(words, str) else list(words) for slot, words in asked.items()}


def list_questions_on(slot: str, folder: Path = FOLDER) -> frozenset[str]:
    """Return the questions for one slot in all languages.

    Raises
    ------
    StiltsError
        If the value file is missing or invalid.
    """
    languages = read(QUESTIONS, folder)
    return frozenset(asked for language in languages for asked in read_question_words(language, folder).get(slot, ()))


def generate_questions(book: Phrasebook, pool: Pool, rng: Random, folder: Path = FOLDER) -> Iterator[Example]:
    """Yield contexts of two to four commands with a question that one of them answers, for each slot in turn."""
    words = read_question_words(book.language, folder)
    entries = book.entries(pool)
    by_slot = {slot: list_askable(slot, entries) for slot in sorted(words)}
    others = {slot: [entry for entry in entries if slot not in entry.signature] for slot in by_slot}

    def example(slot: str) -> Example:
        asked = draw_filling(slot, by_slot[slot], book, pool, rng)
        beside = [book.draw(rng.choice(others[slot]).templates, pool, rng)
                  for _ in range(rng.randint(_FEWEST, _MOST) - 1)]
        question = rng.choice(words[slot])
        return make_question_example(*insert_command(asked, beside, slot, rng), slot, question, book.language)

    return stream([slot for slot in by_slot if by_slot[slot] and others[slot]], example)


def list_askable(slot: str, entries: tuple[Entry, ...]) -> list[list[Entry]]:
    """Return the entries that fill a slot, grouped by intent to balance the intents."""
    by_intent = defaultdict(list)
    for entry in entries:
        if slot in entry.signature and _OTHER_THINGS.get(entry.intent) != slot:
            by_intent[entry.intent].append(entry)
    return list(by_intent.values())


def draw_filling(slot: str, choices: list[list[Entry]], book: Phrasebook, pool: Pool, rng: Random) -> Command:
    """Draw a command that fills a slot, with a number if the question asks for one.

    Raises
    ------
    Unfit
        If the drawn command does not.
    """
    command = book.draw(rng.choice(rng.choice(choices)).templates, pool, rng)
    if slot not in command.slots or (slot in _COUNTED and not command.slots[slot].isdigit()):
        raise Unfit(slot)
    return command


def insert_command(asked: Command, beside: list[Command], slot: str, rng: Random) -> tuple[list[Command], int]:
    """Insert a command at a random place among others; return all of them and the place.

    Raises
    ------
    Unfit
        If another command fills the slot too.
    """
    if any(slot in command.slots for command in beside):
        raise Unfit("two answers")
    place = rng.randint(0, len(beside))
    return [*beside[:place], asked, *beside[place:]], place


def join_commands(commands: Sequence[Command], language: str) -> str:
    """Return the texts of some commands as one, each with the language's full stop."""
    stop = _stop(language)
    return stop.join(command.text for command in commands) + stop.rstrip()


def split_commands(context: str, language: str, count: int) -> list[str]:
    """Return the commands that `join_commands` joined; all possible ones where a command may hold the stop itself."""
    stop = _stop(language)
    parts = context.removesuffix(stop.rstrip()).split(stop)
    if len(parts) <= count:
        return parts
    longest = len(parts) - count + 1
    return [stop.join(parts[first:first + length]) for length in range(1, longest + 1)
            for first in range(len(parts) - length + 1)]


def _stop(language: str) -> str:
    return _STOPS.get(language, ". ")


def make_question_example(commands: list[Command], place: int, slot: str, question: str, language: str) -> Example:
    """Return the example of a question about a slot, which the command at `place` answers."""
    stop, context = _stop(language), join_commands(commands, language)
    span = next(span for span in commands[place].spans if span.slot == slot)
    offset = sum(len(command.text) + len(stop) for command in commands[:place])
    row = {"context": context, "question": question, "answers": _answers(context, span, offset),
           "template": "|".join(command.template.id for command in commands),
           "meaning": " | ".join(command.meaning for command in commands)}
    return Example((context, question), row)


def _answers(context: str, span: Span, offset: int) -> dict[str, list[Any]]:
    start = offset + span.start
    return {"text": [context[start:offset + span.end]], "answer_start": [start]}
