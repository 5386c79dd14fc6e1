"""Usage rules of a language: forms of values, unit words after numbers, and unidiomatic wordings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from stilts.sources.pocket.commands.values import FOLDER, Forms, read, read_home_forms
from stilts.study.errors import StiltsError

UNSAID = "unsaid.yaml"
_PERCENT = ("brightness", "percentage", "position", "volume_level", "volume_step")
_UNITS = {"hours": "duration-hour", "minutes": "duration-minute", "seconds": "duration-second",
          "temperature": "temperature-celsius", **dict.fromkeys(_PERCENT, "concentr-percent")}
_LARGEST = 100
_CASED = frozenset({"be", "cs", "hr", "lt", "lv", "pl", "ru", "sk", "sl", "sr", "uk"})
"""Languages in which the unit word's case depends on the phrase after small numbers, but not after 20 and similar."""

_NUMBER_AND_WORD = re.compile(r"(\d+)\s*([^\W\d_][\w'’-]*)")


class Place(Protocol):
    """A slot value in a text, such as `stilts.sources.pocket.commands.sampling.Span`."""

    slot: str
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Usage:
    """How a language writes values.

    Attributes
    ----------
    language : str
    forms : mapping of str to Forms
        Values of "area", "floor" and "name".
    unsaid : re.Pattern or None
        Wordings, case-folded, that templates accept but nobody uses.
    """

    language: str
    forms: Mapping[str, Forms]
    unsaid: re.Pattern[str] | None

    def allows(self, text: str, spans: Sequence[Place]) -> bool:
        """Return whether the units after numbers are inflected correctly and no wording is unsaid."""
        return (all(self._agrees(text, span) for span in spans if span.slot.removeprefix("start_") in _UNITS)
                and not (self.unsaid and self.unsaid.search(text.casefold())))

    def _agrees(self, text: str, span: Place) -> bool:
        found = _NUMBER_AND_WORD.match(text, span.start)
        words = read_unit_words(self.language, _UNITS[span.slot.removeprefix("start_")])
        if not found or found.end(1) != span.end or found[2].casefold() not in words.values():
            return True
        right = words.get(int(found[1]))
        return found[2].casefold() == right and (self.language not in _CASED or right == words[20])


@cache
def read_unit_words(language: str, unit: str) -> dict[int, str]:
    """Return the first word of a unit after each number from 1 to 100, case-folded; empty if CLDR has none.

    Parameters
    ----------
    language : str
    unit : str
        Name of the unit in CLDR, such as "duration-minute".
    """
    from babel.units import format_unit

    written = (format_unit(number, unit, length="long", locale=language) for number in range(1, _LARGEST + 1))
    found = (_NUMBER_AND_WORD.match(words) for words in written)
    return {int(match[1]): match[2].casefold() for match in found if match and match[2] != unit}


def read_usage(language: str, folder: Path = FOLDER) -> Usage:
    """Return the usage of a language from the value files of a folder.

    Raises
    ------
    StiltsError
        If a value file is missing or invalid.
    """
    return Usage(language, read_home_forms(language, folder), _pattern(language, folder))


def _pattern(language: str, folder: Path) -> re.Pattern[str] | None:
    patterns = read(UNSAID, folder).get(language, ())
    try:
        return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None
    except re.error as error:
        raise StiltsError(f"{folder / UNSAID}, {language}: no regular expression ({error}): {error.pattern}") from error
