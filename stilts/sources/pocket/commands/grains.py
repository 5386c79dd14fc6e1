"""One set of commands whose intents are told apart coarsely or finely: a task family with a dial (`dial-grain-4`).

All levels have the same commands in the same order. They differ in the labels alone: sixteen intents at the finest
level, then eight, four and two classes of them. Neighbours in `INTENTS` are merged, so that a class holds intents that
are alike. Commands are drawn one of each intent in turn, so that the classes of a level have equally many examples.
Rows in several languages are parallel, as those of `stilts.sources.pocket.commands.parallel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from stilts.sources.pocket.commands.collecting import take
from stilts.sources.pocket.commands.parallel import ByLanguage, Speakers, Tables, deal, generate_intents
from stilts.sources.pocket.sizes import Sizes
from stilts.study.errors import StiltsError
from stilts.study.settings import SOURCE_LANGUAGE

VERSION = 1  # raise it when the same packages and value files give other rows

INTENTS = (
    "HassStartTimer", "HassCancelTimer", "HassIncreaseTimer", "HassDecreaseTimer",
    "HassTimerStatus", "HassUnpauseTimer", "HassMediaUnpause", "HassSetVolume",
    "HassSetVolumeRelative", "HassSetPosition", "HassLightSet", "HassFanSetSpeed",
    "HassTurnOn", "HassTurnOff", "HassGetState", "HassClimateGetTemperature",
)  # fmt: skip
"""Intents of which English, German and Chinese share at least seventy different commands."""
LEVELS: Mapping[str, int] = {f"dial-grain-{classes}": classes for classes in (2, 4, 8, 16)}
"""Classes of each level by the name of its task."""
FAMILY = "grain"


def list_label_names(level: str) -> list[str]:
    """Return the classes of a level, each named by its first and its last intent."""
    size = len(INTENTS) // LEVELS[level]
    groups = [INTENTS[start : start + size] for start in range(0, len(INTENTS), size)]
    return [group[0] if size == 1 else f"{group[0]} to {group[-1]}" for group in groups]


def list_left_out(languages: Sequence[str]) -> dict[str, str]:
    """Return the languages in which the family cannot be made, each with the reason; they need command tasks."""
    missing = {language: _missing_intents([SOURCE_LANGUAGE, language]) for language in languages}
    return {
        language: f"no template of the intermediate pool says what an English one says of {', '.join(names)}"
        for language, names in missing.items()
        if names
    }


def _missing_intents(languages: Sequence[str]) -> list[str]:
    speakers = Speakers(languages, Random(0))
    shared = {entry.intent for entry in speakers.book.entries(speakers.pool)}
    return [intent for intent in INTENTS if intent not in shared]


def generate(languages: Sequence[str], sizes: Sizes, seed: int) -> Tables:
    """Yield the tables of every level in English and other languages, parallel.

    Parameters
    ----------
    languages : sequence of str
        English first; none that `list_left_out` names.
    sizes : Sizes
        `dial` training rows and `validation` dev rows, the same of each level.
    seed : int

    Yields
    ------
    tuple of (str, str, list of dict)
        Config `intermediate.<level>.<language>`, split, rows; labels are names.

    Raises
    ------
    StiltsError
        If the languages have no command of some intent in common.
    """
    if missing := _missing_intents(languages):
        raise StiltsError(f"family {FAMILY}: {', '.join(languages)} have no common command of {', '.join(missing)}")
    speakers = Speakers(languages, Random(f"{seed}/{FAMILY}/{' '.join(languages)}"))
    examples = generate_intents(speakers, INTENTS)
    rows = {"validation": take(examples, sizes.validation), "train": take(examples, sizes.dial)}
    for split, own in rows.items():
        Random(f"{seed}/{FAMILY}/{split}").shuffle(own)
    for level in LEVELS:
        merged = {split: [_merge_label(each, level) for each in own] for split, own in rows.items()}
        yield from deal(f"intermediate.{level}", merged, languages)


def _merge_label(rows: ByLanguage, level: str) -> ByLanguage:
    """Return the rows of one command, by language, with its class in place of its intent."""
    names = list_label_names(level)
    return {
        language: row | {"label": names[INTENTS.index(row["label"]) * len(names) // len(INTENTS)]}
        for language, row in rows.items()
    }
