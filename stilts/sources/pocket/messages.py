"""`ui-retrieval` and `ui-mining`: interface messages and their translations, from Django's compiled gettext catalogues.

Selected messages
-----------------
Messages have at least two English words, no markup and no identifier. Placeholders of any kind become "…" on both
sides, so that their names give no hints; messages whose translation has another number of placeholders are dropped. Of
messages that differ only in case, punctuation and placeholders, on either side, the first is kept. Plural messages have
their plural form. Compiled catalogues contain no fuzzy entries.

Dropped pairs, which could be found by shared words
---------------------------------------------------
These are pairs that share an acronym, a number or a name with inner capitals ("JSON", "404", "GeoJSON"); that share any
Latin word although the translation is in another script; or that share over a third of the English words.

Order
-----
The English messages have one seeded order. Every language takes the first ones that it has, so the English sides of two
languages are the same except for missing translations.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from stilts.sources.pocket.sizes import Sizes
from stilts.sources.suite import Row
from stilts.study.errors import StiltsError

VERSION = 1  # increase it when the same settings give other rows
MINING_LANGUAGES = ("ar", "de", "fr", "ja", "ru", "sw", "tr", "zh")
FEWEST_PAIRS = 150

_FOLDERS = {"zh": "zh_Hans"}
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w*\}")
_NO_PROSE = re.compile(r"[<>_%{}]|\w[./,]\w")


class Pair(NamedTuple):
    """A message and its translation."""

    english: str
    translation: str


def generate(languages: Iterable[str], sizes: Sizes, seed: int) -> Iterator[tuple[str, str, list[Row]]]:
    """Yield the rows of `ui-retrieval.<lang>` and `ui-mining.<lang>`, config by config.

    Parameters
    ----------
    languages : iterable of str
        Languages in order; those of `list_left_out_of_retrieval` and `list_left_out_of_mining` are skipped.
    sizes : Sizes
        Numbers of pairs.
    seed : int
        The same seed gives the same rows on every machine with the same Django.

    Yields
    ------
    tuple
        Config, split, rows.
    """
    languages = list(languages)
    skipped = list_left_out_of_retrieval(languages)
    for language in languages:
        if language not in skipped:
            yield f"ui-retrieval.{language}", "test", _retrieval_rows(language, sizes.retrieval, seed)
    skipped = list_left_out_of_mining(languages, sizes)
    for language in languages:
        if language not in skipped:
            for split, rows in _mining_rows(language, sizes.mining, seed).items():
                yield f"ui-mining.{language}", split, rows


def list_left_out_of_retrieval(languages: Iterable[str]) -> dict[str, str]:
    """Return the languages with too few pairs for `ui-retrieval`, each with the reason."""
    return _left_out(languages, lambda language: FEWEST_PAIRS)


def list_left_out_of_mining(languages: Iterable[str], sizes: Sizes) -> dict[str, str]:
    """Return the languages without `ui-mining`, each with the reason."""
    chosen = "mining is made for at most eight languages, of several families and scripts"
    languages = list(languages)
    few = _left_out(languages, lambda language: 2 * _split_size(sizes.mining))
    return {language: few.get(language, chosen) for language in languages
            if language in few or language not in MINING_LANGUAGES}


def read_messages(language: str) -> list[Pair]:
    """Return all messages of a language without markup and identifiers, with distinct translations.

    Raises
    ------
    StiltsError
        If Django is not installed.
    """
    found = {pair.translation: pair for pair in _sides(language)
             if _words(pair.translation) and not _NO_PROSE.search(pair.translation)}
    return list(found.values())


def _sides(language: str) -> Iterator[Pair]:
    """Yield messages with their translations; English ones, which have no catalogue, are read from another language."""
    if language != "en":
        yield from _messages(language)
    else:
        yield from (Pair(pair.english, pair.english) for pair in _messages("de"))


def select_pairs(language: str) -> tuple[Pair, ...]:
    """Return all selected pairs of a language, in the order of the English messages.

    Raises
    ------
    StiltsError
        If Django is not installed.
    """
    return _pairs(language)


def gives_itself_away(pair: Pair) -> bool:
    """Return whether shared words reveal that the two sides are a pair."""
    words = _words(pair.english)
    answer = [*_words(pair.translation), *re.findall("[A-Za-z0-9]+", pair.translation)]  # CSRF of CSRF検証
    shared = {word.casefold() for word in words} & {word.casefold() for word in answer}
    told = [word for word in words if word.casefold() in shared]
    if any(re.search(r"\d|\w[A-Z]", word) for word in told):
        return True
    return bool(told) and (not _is_latin(pair.translation) or 3 * len(told) > len(words))


def _left_out(languages: Iterable[str], needed: Callable[[str], int]) -> dict[str, str]:
    reasons = {}
    for language in languages:
        if language == "en":
            reasons[language] = "English is the other side of every pair"
        elif len(_pairs(language)) < needed(language):
            reasons[language] = (f"Django's catalogues give {len(_pairs(language))} usable pairs, "
                                 f"{needed(language)} are needed")
    return reasons


def _retrieval_rows(language: str, size: int, seed: int) -> list[Row]:
    chosen = _ordered(language, seed, "retrieval")[:size]
    return [{"source_sentence": pair.translation, "target_sentence": pair.english, "source_lang": language,
             "target_lang": "en"} for pair in chosen]


def _split_size(hidden: int) -> int:
    """Return the number of messages for a split: the hidden pairs, and as many distractors per side."""
    return 3 * hidden


def _mining_rows(language: str, hidden: int, seed: int) -> dict[str, list[Row]]:
    """Return rows by split. Half of each side are distractors without their translation; splits share no message."""
    chosen = _ordered(language, seed, "mining")
    half = _split_size(hidden)
    return {split: _hide(language, chosen[start:start + half], hidden, random.Random(f"mining {seed} {split}"))
            for split, start in (("validation", 0), ("test", half))}


def _hide(language: str, chosen: list[Pair], hidden: int, rng: random.Random) -> list[Row]:
    """Return the rows of both sides, each in its own order."""
    kept, alone = chosen[:hidden], chosen[hidden:]
    sides = {language: [pair.translation for pair in kept + alone[:hidden]],
             "en": [pair.english for pair in kept + alone[hidden:]]}
    places = {lang: rng.sample(range(len(texts)), len(texts)) for lang, texts in sides.items()}
    rows = []
    for lang, other in ((language, "en"), ("en", language)):
        side = [{"id": f"{lang}-{place:06}", "sentence": text, "lang": lang,
                 "match": f"{other}-{places[other][number]:06}" if number < hidden else ""}
                for number, (text, place) in enumerate(zip(sides[lang], places[lang], strict=True))]
        rows += sorted(side, key=lambda row: row["id"])
    return rows


def _ordered(language: str, seed: int, use: str) -> list[Pair]:
    """Return the pairs in a seeded order that depends only on each pair's English side."""
    return sorted(_pairs(language), key=lambda pair: random.Random(f"{use} {seed} {pair.english}").random())


@cache
def _pairs(language: str) -> tuple[Pair, ...]:
    seen_english: set[str] = set()
    seen_translation: set[str] = set()
    found = []
    for pair in _messages(language):
        english, translation = _key(pair.english), _key(pair.translation)
        if _is_prose(pair) and english not in seen_english and translation not in seen_translation:
            seen_english.add(english)
            seen_translation.add(translation)
            if english != translation and not gives_itself_away(pair):
                found.append(pair)
    return tuple(found)


def _is_prose(pair: Pair) -> bool:
    return (len(_words(pair.english)) > 1 and bool(_words(pair.translation))
            and pair.english.count("…") == pair.translation.count("…")
            and not any(_NO_PROSE.search(text) for text in pair))


def _key(text: str) -> str:
    return " ".join(_words(text)).casefold()


def _words(text: str) -> list[str]:
    """Return the runs of letters, combining marks (which `re` does not count as letters) and digits."""
    return "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text).split()


def _is_latin(text: str) -> bool:
    return all(char < "\u0250" or "\u1e00" <= char <= "\u1eff" for char in text if char.isalpha())


def _messages(language: str) -> Iterator[Pair]:
    """Yield the messages without a context, catalogue by catalogue."""
    from babel.messages.mofile import read_mo

    for path in _catalogue_files(language):
        with path.open("rb") as file:
            catalogue = read_mo(file)
        for message in catalogue:
            if message.id and not message.context:
                texts = (side if isinstance(side, str) else side[-1] for side in (message.id, message.string))
                yield Pair(*(" ".join(_PLACEHOLDER.sub("…", text).split()) for text in texts))


def _catalogue_files(language: str) -> list[Path]:
    spec = find_spec("django")
    if spec is None or not spec.origin:
        raise StiltsError("ui-retrieval and ui-mining: the package Django is missing; pip install Django")
    root = Path(spec.origin).parent
    folder = f"locale/{_FOLDERS.get(language, language)}/LC_MESSAGES"
    return sorted([*root.glob(f"conf/{folder}/*.mo"), *root.glob(f"contrib/*/{folder}/*.mo")])
