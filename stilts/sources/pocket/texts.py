"""Unlabelled texts in every language of the pocket suite: commands, interface messages, dates and amounts, names.

Each language has as many texts as `Sizes.text` says, or all that there are: commands and interface messages of 40 % at
most, then dates and amounts and lists of names of languages and territories, of 25 % at most. So languages are balanced
by a cap, and none is dates alone. Every twentieth text is held out.

Nothing of an evaluation set is among them, in any language: commands and dates are of the intermediate pools of
templates and values; a message is left out in all languages where its English side or its translation is in a retrieval
or mining set; and a text that has the letters and digits of a text of an evaluation set is dropped.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from random import Random

from stilts.sources.pocket import commands, dates, messages
from stilts.sources.suite import Row, Sizes, Table
from stilts.tasks.configs import Config
from stilts.tasks.registry import text_columns

VERSION = 1  # raise it when the same settings give other rows
CONFIG = "intermediate.text.multilingual"
_HELD_OUT = 20
_MOST, _FEWER = 0.4, 0.25
_ATTEMPTS = 4


def generate(
    languages: Iterable[str], sizes: Sizes, seed: int, evaluated: Collection[str]
) -> Iterator[tuple[str, str, list[Row]]]:
    """Rows of the one config, with `text` and `lang`.

    Parameters
    ----------
    languages : iterable of str
    sizes : Sizes
        `text` texts per language.
    seed : int
        The same seed gives the same rows on every machine with the same packages.
    evaluated : collection of str
        What no text may say, as `letters` gives it.

    Yields
    ------
    tuple
        Config, split, rows in a random order.
    """
    rows: dict[str, list[Row]] = {"train": [], "validation": []}
    for language in languages:
        for number, text in enumerate(_texts(language, sizes.text, seed, evaluated)):
            split = "validation" if number % _HELD_OUT == _HELD_OUT - 1 else "train"
            rows[split].append({"text": text, "lang": language})
    for split, made in rows.items():
        Random(f"{seed}/texts/{split}").shuffle(made)
        yield CONFIG, split, made


def letters(text: str) -> str:
    """Letters and digits of a text, in small letters: what is left of it however it is cut into tokens."""
    return "".join(char for char in text.casefold() if unicodedata.category(char)[0] in "LMN")


def evaluated_texts(table: Table) -> Iterator[str]:
    """What the texts of a table say, as `letters` gives it; nothing of a training set."""
    if table.split == "train" or Config.parse(table.config).intermediate:
        return
    columns = text_columns("pocket")
    for row in table.rows:
        yield from (letters("".join(row[column])) for column in columns if column in row)


def _texts(language: str, count: int, seed: int, evaluated: Collection[str]) -> list[str]:
    """Different texts of a language."""
    rng, most, fewer = Random(f"{seed}/texts/{language}"), int(_MOST * count), int(_FEWER * count)
    spoken = commands.sentences(language, _ATTEMPTS * most, rng) if language in commands.languages() else ()
    shown = (message for english, message in messages.messages(language) if letters(english) not in evaluated)
    kinds = (islice(spoken, most), islice(shown, most), dates.expressions(language, fewer, rng.randrange(2**32)),
             dates.name_lists(language, fewer, rng))
    fresh = {letters(text): text for text in chain.from_iterable(kinds)}
    return [text for key, text in fresh.items() if key and key not in evaluated][:count]
