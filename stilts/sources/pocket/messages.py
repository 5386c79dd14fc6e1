"""`ui-retrieval` and `ui-mining`: interface messages and their translations, from Django's compiled gettext catalogues.

Which messages take part
------------------------
Those with at least two English words, with no markup and no identifier. A placeholder, of any name and kind, becomes
"…" on both sides, so that its name gives nothing away; a message whose placeholders differ in number from its
translation's is dropped. Of messages that differ only in case, punctuation and placeholders, on either side, the first
stays. Plural messages stand in the plural. Compiled catalogues hold no fuzzy entries.

Which pairs are dropped because they give themselves away
---------------------------------------------------------
Pairs that share an acronym, a number or a name in inner capitals ("JSON", "404", "GeoJSON"); that share any Latin word
where the translation has letters of another script; or that share over a third of the English words.

Order
-----
English messages have one order, drawn from the seed. Every language takes the first ones that it has, so the English
sides of two languages are the same but for what one of them lacks.
"""

import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from stilts.sources.suite import Row, Sizes
from stilts.study.errors import StiltsError

VERSION = 1  # raise it when the same settings give other rows
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
    """Rows of `ui-retrieval.<lang>` and `ui-mining.<lang>`, config by config.

    Parameters
    ----------
    languages : iterable of str
        Languages in order; those of `left_out_of_retrieval` and `left_out_of_mining` are skipped.
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
    skipped = left_out_of_retrieval(languages)
    for language in languages:
        if language not in skipped:
            yield f"ui-retrieval.{language}", "test", _retrieval_rows(language, sizes.retrieval, seed)
    skipped = left_out_of_mining(languages, sizes)
    for language in languages:
        if language not in skipped:
            for split, rows in _mining_rows(language, sizes.mining, seed).items():
                yield f"ui-mining.{language}", split, rows


def left_out_of_retrieval(languages: Iterable[str]) -> dict[str, str]:
    """Languages with too few pairs for `ui-retrieval`, each with the reason."""
    return _left_out(languages, lambda language: FEWEST_PAIRS)


def left_out_of_mining(languages: Iterable[str], sizes: Sizes) -> dict[str, str]:
    """Languages without `ui-mining`, each with the reason."""
    chosen = "the task is cut to eight languages of different families and scripts"
    languages = list(languages)
    few = _left_out(languages, lambda language: 2 * _split_size(sizes.mining))
    return {language: few.get(language, chosen) for language in languages
            if language in few or language not in MINING_LANGUAGES}


def messages(language: str) -> list[Pair]:
    """All messages of a language that are no markup or identifier, each translation once; English ones for English.

    Raises
    ------
    StiltsError
        If Django is not installed.
    """
    found = {pair.translation: pair for pair in _sides(language)
             if _words(pair.translation) and not _NO_PROSE.search(pair.translation)}
    return list(found.values())


def _sides(language: str) -> Iterator[Pair]:
    """Messages with their translation; Django writes the English ones in its code, so any language has them."""
    if language != "en":
        yield from _messages(language)
    else:
        yield from (Pair(pair.english, pair.english) for pair in _messages("de"))


def pairs(language: str) -> tuple[Pair, ...]:
    """All pairs of a language that take part, in the order of the English messages.

    Raises
    ------
    StiltsError
        If Django is not installed.
    """
    return _pairs(language)


def gives_itself_away(pair: Pair) -> bool:
    """Whether words that both sides share would find the pair without reading it."""
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
    """Messages that a split with so many hidden pairs takes: the pairs, and as many distractors on either side."""
    return 3 * hidden


def _mining_rows(language: str, hidden: int, seed: int) -> dict[str, list[Row]]:
    """Half of a side are distractors, messages whose other side is withheld; no message is in both splits."""
    chosen = _ordered(language, seed, "mining")
    half = _split_size(hidden)
    return {split: _hide(language, chosen[start:start + half], hidden, random.Random(f"mining {seed} {split}"))
            for split, start in (("validation", 0), ("test", half))}


def _hide(language: str, chosen: list[Pair], hidden: int, rng: random.Random) -> list[Row]:
    """Rows of both sides, each side in an order of its own."""
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
    """Pairs by a number that the seed gives to their English side, whatever other messages there are."""
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
    """Runs of letters, their combining marks (which `re` does not count as letters), and digits."""
    return "".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in text).split()


def _is_latin(text: str) -> bool:
    return all(char < "\u0250" or "\u1e00" <= char <= "\u1eff" for char in text if char.isalpha())


def _messages(language: str) -> Iterator[Pair]:
    """Messages without a context, catalogue by catalogue."""
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
