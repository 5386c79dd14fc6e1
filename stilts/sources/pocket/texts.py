"""Unlabelled texts in every language of the pocket suite: commands, interface messages, dates and amounts, names.

Each language has at most `Sizes.text` texts: at most 40 % of that number are commands and 40 % interface messages, then
at most 25 % are dates and amounts and 25 % lists of names of languages and territories. So languages are balanced, and
none has only dates. Every twentieth text is held out.

No text of an evaluation set is included, in any language: commands and dates use the intermediate pools of templates
and values; a message is left out in all languages if its English side or its translation is in a retrieval or mining
set; and a text with the same letters and digits as an evaluated text is dropped.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from random import Random

from stilts.sources.pocket import commands, dates, messages
from stilts.sources.pocket.sizes import Sizes
from stilts.sources.suite import Row, Table
from stilts.tasks.configs import Config
from stilts.tasks.registry import list_text_columns

VERSION = 1  # increase it when the same settings give other rows
CONFIG = "intermediate.text.multilingual"
_HELD_OUT = 20
_MOST, _FEWER = 0.4, 0.25
_ATTEMPTS = 4


def generate(
    languages: Iterable[str], sizes: Sizes, seed: int, evaluated: Collection[str]
) -> Iterator[tuple[str, str, list[Row]]]:
    """Yield the rows of the only config, with `text` and `lang`.

    Parameters
    ----------
    languages : iterable of str
    sizes : Sizes
        `text` texts per language.
    seed : int
        The same seed gives the same rows on every machine with the same packages.
    evaluated : collection of str
        Texts to exclude, as returned by `keep_letters`.

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


def keep_letters(text: str) -> str:
    """Return the case-folded letters and digits of a text, which do not depend on its tokenisation."""
    return "".join(char for char in text.casefold() if unicodedata.category(char)[0] in "LMN")


def list_evaluated_texts(table: Table) -> Iterator[str]:
    """Yield the letters of the texts in a table; none of a training set or of an intermediate task."""
    if table.split == "train" or Config.parse(table.config).intermediate:
        return
    columns = list_text_columns("pocket")
    for row in table.rows:
        yield from (keep_letters("".join(row[column])) for column in columns if column in row)


def _texts(language: str, count: int, seed: int, evaluated: Collection[str]) -> list[str]:
    rng, most, fewer = Random(f"{seed}/texts/{language}"), int(_MOST * count), int(_FEWER * count)
    spoken = (
        commands.generate_sentences(language, _ATTEMPTS * most, rng) if language in commands.list_languages() else ()
    )
    shown = (message for english, message in messages.read_messages(language) if keep_letters(english) not in evaluated)
    kinds = (
        islice(spoken, most),
        islice(shown, most),
        dates.generate_expressions(language, fewer, rng.randrange(2**32)),
        dates.generate_name_lists(language, fewer, rng),
    )
    fresh = {keep_letters(text): text for text in chain.from_iterable(kinds)}
    return [text for key, text in fresh.items() if key and key not in evaluated][:count]
