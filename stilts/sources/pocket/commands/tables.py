"""The tables of the command tasks: tasks, labels, languages and splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from itertools import cycle, islice
from random import Random
from typing import Any

from stilts.sources.pocket.commands import parallel
from stilts.sources.pocket.commands.collecting import Example, take
from stilts.sources.pocket.commands.pairs import NLI_LABELS, PARA_LABELS, generate_entailments, generate_paraphrases
from stilts.sources.pocket.commands.phrasebook import Phrasebook, list_held_languages, list_intents, read_phrasebook
from stilts.sources.pocket.commands.questions import QUESTIONS, generate_questions
from stilts.sources.pocket.commands.sampling import Pool, Unfit
from stilts.sources.pocket.commands.single import generate_intents, generate_slots, list_intent_names, list_tag_names
from stilts.sources.pocket.commands.usage import UNSAID
from stilts.sources.pocket.commands.values import FILES, FOLDER, read
from stilts.sources.pocket.sizes import Sizes
from stilts.study.errors import UnknownName
from stilts.study.settings import SOURCE_LANGUAGE

GENERATOR_VERSION = 1
"""Increase it whenever the same packages and value files give other rows."""

TARGETS = {"intent": "intent", "slots": "slots", "command-nli": "nli", "command-para": "para", "command-qa": "qa"}
"""Target task -> intermediate task of the same kind."""

INTERMEDIATES = ("nli", "para", "qa", "intent", "slots")
_FEWEST_INTENTS = 8

Rows = list[dict[str, Any]]
Tables = Iterator[tuple[str, str, Rows]]
Maker = Callable[[Phrasebook, Pool, Random], Iterator[Example]]
_MAKERS: Mapping[str, Maker] = {
    "intent": generate_intents,
    "slots": generate_slots,
    "nli": generate_entailments,
    "para": generate_paraphrases,
    "qa": generate_questions,
}


def generate_sentences(language: str, attempts: int, rng: Random) -> Iterator[str]:
    """Yield distinct sentences of the intermediate pool, for the intents in turn; some attempts fail.

    Raises
    ------
    UnknownName
        If commands cannot be made in the language.
    """
    _check(language)
    book, by_intent, seen = read_phrasebook(language), defaultdict(list), set()
    for template in book.within(Pool.INTERMEDIATE):
        by_intent[template.intent].append(template)
    for intent in islice(cycle(sorted(by_intent)), attempts):
        with suppress(Unfit):
            text = book.draw(by_intent[intent], Pool.INTERMEDIATE, rng).text
            if text not in seen:
                seen.add(text)
                yield text


def list_label_names(task: str) -> list[str]:
    """Return the labels of a task in the order of their numbers: BIO tags for tagging, none for question answering.

    Raises
    ------
    UnknownName
        If it is not a task on commands.
    """
    names: Mapping[str, Callable[[], list[str]]] = {
        "intent": list_intent_names, "slots": list_tag_names, "nli": lambda: list(NLI_LABELS),
        "para": lambda: list(PARA_LABELS), "qa": list}
    kind = TARGETS.get(task, task)
    if kind not in names:
        raise UnknownName("task on commands", task, {*TARGETS, *INTERMEDIATES})
    return names[kind]()


def list_languages() -> list[str]:
    """Return the codes of the languages, including English, in which every command task can be made."""
    return [code for code in list_held_languages() if code not in list_left_out()]


@cache
def list_left_out() -> dict[str, str]:
    """Return the languages with templates in which the tasks cannot be made, each with the reason."""
    reasons = {code: explain_lack(code) for code in list_held_languages()}
    return {code: reason for code, reason in reasons.items() if reason}


@cache
def explain_lack(language: str) -> str:
    """Return why no command task can be made in a language, or ""; only that language is read."""
    if language not in list_held_languages():
        return "home-assistant-intents has no templates"
    known = list_intents(language) & set(list_intent_names())
    if len(known) < _FEWEST_INTENTS:
        return f"{len(known)} of the {len(list_intent_names())} intents have templates; {_FEWEST_INTENTS} are needed"
    for name in (*FILES.values(), QUESTIONS):
        reason = (read(name).get("left_out") or {}).get(language)
        if reason:
            return reason
    missing = [name for name in (FILES["area"], FILES["name"], QUESTIONS) if language not in read(name)]
    return f"no values of ours in {', '.join(missing)}" if missing else ""


def generate(
    languages: Sequence[str],
    sizes: Sizes,
    seed: int,
    source_languages: Mapping[str, Sequence[str]] | None = None,
) -> Tables:
    """Yield the tables of the target tasks and of the intermediate tasks.

    Parameters
    ----------
    languages : sequence of str
        Test languages. If English is among them, training and dev sets and intermediate tasks are included.
    sizes : Sizes
        Rows per split; fewer if a language has no more distinct ones.
    seed : int
        The same seed, packages and value files give the same rows.
    source_languages : mapping of str to sequence of str, optional
        Intermediate task -> its languages besides English. If there are any, the English rows are another selection,
        which is parallel to them (`stilts.sources.pocket.commands.parallel`).

    Yields
    ------
    tuple of (str, str, list of dict)
        Config (`<task>.<language>` or `intermediate.<task>.<language>`), split, rows; labels are names.

    Raises
    ------
    UnknownName
        If commands cannot be made in a language.
    """
    for language in languages:
        if language == SOURCE_LANGUAGE:
            for task in INTERMEDIATES:
                yield from _intermediate(task, (source_languages or {}).get(task, ()), sizes, seed)
        for task in TARGETS:
            yield from _target(task, language, sizes, seed)


def _intermediate(task: str, source_languages: Sequence[str], sizes: Sizes, seed: int) -> Tables:
    if source_languages:
        return parallel.generate(task, [SOURCE_LANGUAGE, *source_languages], sizes, seed)
    return generate_intermediate(task, SOURCE_LANGUAGE, sizes, seed)


def generate_intermediate(task: str, language: str, sizes: Sizes, seed: int) -> Tables:
    """Yield the tables of an intermediate task in any single language; see `generate`."""
    stream = _stream(task, task, language, Pool.INTERMEDIATE, seed)
    config = f"intermediate.{task}.{language}"
    validation = _split(stream, sizes.validation, config, "validation", seed)
    yield config, "train", _split(stream, sizes.intermediate_train, config, "train", seed)
    yield config, "validation", validation


def _target(task: str, language: str, sizes: Sizes, seed: int) -> Tables:
    config = f"{task}.{language}"
    stream = _stream(TARGETS[task], task, language, Pool.EVALUATION, seed)
    test = _split(stream, sizes.test, config, "test", seed)
    if language == SOURCE_LANGUAGE:
        training = _stream(TARGETS[task], task, language, Pool.TRAIN, seed)
        yield config, "train", _split(training, sizes.train, config, "train", seed)
        yield config, "validation", _split(stream, sizes.validation, config, "validation", seed)
    yield config, "test", test


def _stream(kind: str, task: str, language: str, pool: Pool, seed: int) -> Iterator[Example]:
    _check(language)
    return _MAKERS[kind](read_phrasebook(language), pool, Random(f"{seed}/{task}/{language}/{pool.name}"))


def _check(language: str) -> None:
    if language not in list_held_languages() or language in list_left_out():
        raise UnknownName("language of commands", language, list_languages())


def _split(stream: Iterator[Example], count: int, config: str, split: str, seed: int) -> Rows:
    """Return the next rows of a stream, shuffled. Fewer rows would be a subset of these."""
    rows = take(stream, count)
    Random(f"{seed}/{config}/{split}").shuffle(rows)
    if TARGETS.get(config.split(".")[-2], config.split(".")[-2]) == "qa":
        rows = [{"id": f"{config}-{split}-{number}", **row} for number, row in enumerate(rows)]
    return rows


@cache
def compute_fingerprint() -> str:
    """Return a short hash of what rows depend on besides sizes and seed: packages, value files, generator."""
    parts = [f"{name}=={version(name)}" for name in ("home-assistant-intents", "hassil")]
    parts += [hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in (*FILES.values(), QUESTIONS, UNSAID)]
    return hashlib.sha256(" ".join([*parts, str(GENERATOR_VERSION)]).encode()).hexdigest()[:16]
