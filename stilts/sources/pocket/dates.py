"""`dates`: tagging the fields of localized dates, times and amounts, from CLDR through Babel.

A row is one expression of a language, or two or three of them joined by one of its list patterns ("A, B, or C"). The
labels are exact, since they come from the fields of the CLDR pattern.

Pools. Atomic patterns are grouped by their English wording and assigned to three pools: `intermediate`, `train` (the
target's) and `evaluation`. Currencies and units are assigned likewise, each with all its wordings. Values are assigned
to four pools, where evaluation is split into validation and test: years, pairs of month and day, pairs of hour and
minute on a 12-hour clock, numbers. Month and weekday names, single hours and the pattern that joins a date and a time
are shared, because there are too few of them.

Tokens. Text is split at white space, around every punctuation mark and symbol, and between digits and letters. In
Chinese and Japanese every ideograph and kana is a token; in Thai, Khmer, Lao and Burmese, which have no spaces between
words, text is also split at the borders of the pattern's fields. Letters next to a field belong to it (the 年 of
2024年, a Basque ending, a Hebrew prefix). Other literal text is outside, as is punctuation at the ends of a field (the
last full stop of "p.m.").

Rows without letters, such as "13/4/68", do not depend on the language; they are kept only if their numbers are
unambiguous.
"""

import datetime
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from hashlib import sha256
from itertools import islice
from os.path import commonprefix
from typing import Any, Literal, NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import DateTimeFormat, tokenize_pattern
from babel.lists import format_list
from babel.numbers import (
    format_decimal,
    get_currency_name,
    get_currency_precision,
    get_currency_symbol,
    get_currency_unit_pattern,
    parse_pattern,
)
from babel.units import format_unit

from stilts.sources.pocket.sizes import Sizes
from stilts.sources.suite import Row
from stilts.study.errors import StiltsError

VERSION = 1  # increase it when the same settings give other rows
LABELS = ("weekday", "day", "month", "year", "era", "hour", "minute", "second", "period", "number", "currency", "unit")
TAGS = ("O", *(f"{mark}-{label}" for label in LABELS for mark in "BI"))

Pool = Literal["intermediate", "train", "evaluation"]
POOLS: tuple[Pool, ...] = ("intermediate", "train", "evaluation")
VALUE_POOLS = ("intermediate", "train", "validation", "test")

_FIELDS = {"E": "weekday", "c": "weekday", "d": "day", "M": "month", "L": "month", "y": "year", "u": "year", "G": "era",
           "h": "hour", "H": "hour", "k": "hour", "K": "hour", "m": "minute", "s": "second", "a": "period",
           "b": "period", "B": "period"}
_TIME_LABELS = {"hour", "minute", "second", "period"}
_LOCALES = {"tl": "fil", "zh": "zh_Hans", "he": "he", "nb": "nb"}
_ZERO = {"arab": "٠", "arabext": "۰", "beng": "০", "deva": "०", "mymr": "၀"}
_DIRECTION_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u061c"))
_FIELD_BORDERS = {"th", "km", "lo", "my"}
_UNIT_FAMILIES = ("area", "concentr-percent", "digital", "duration", "electric", "energy", "frequency", "length",
                  "mass", "power", "pressure", "speed", "temperature", "volume")
_ODD_UNITS = ("person", "generic", "solar", "earth", "dalton", "gasoline", "imperial", "ofhg", "light-speed",
              "beaufort", "quarter", "scandinavian", "night", "therm-us", "grain")
_CURRENCIES = (
    "USD", "EUR", "JPY", "GBP", "CNY", "INR", "AUD", "CAD", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON",
    "BGN", "RUB", "UAH", "TRY", "ILS", "EGP", "SAR", "AED", "IRR", "PKR", "BDT", "THB", "VND", "IDR", "MYR", "PHP",
    "KRW", "SGD", "HKD", "TWD", "NZD", "ZAR", "NGN", "KES", "TZS", "ETB", "BRL", "MXN", "ARS", "CLP", "COP", "PEN",
    "ISK", "KZT",
)
_ENOUGH_TEMPLATES = 60
_FEWEST_NAMES, _MOST_NAMES = 3, 6


class Piece(NamedTuple):
    """A piece of text with its field; "" means outside, `inside` continues the previous field."""

    text: str
    label: str = ""
    inside: bool = False


class Template(NamedTuple):
    """One pattern of one language; `parts` are CLDR patterns, two for an interval."""

    kind: Literal["date", "time", "interval", "currency", "unit"]
    parts: tuple[str, ...]


class Item(NamedTuple):
    """One expression before it is formatted in a language: keys of its patterns and its values."""

    keys: tuple[str, ...]
    moments: tuple[datetime.datetime, ...] = ()
    number: Decimal | None = None


class Plan(NamedTuple):
    """One row before it is formatted in a language."""

    items: tuple[Item, ...]
    style: str = ""

    @property
    def template(self) -> str:
        """The stable id of the patterns that the row uses."""
        keys = ["+".join(item.keys) for item in self.items]
        return "|".join([self.style, *keys] if self.style else keys)

    @property
    def meaning(self) -> str:
        """The values that the row states."""
        return "|".join(_stated(item) for item in self.items)


def generate(
    languages: Iterable[str], sizes: Sizes, seed: int, source_languages: Sequence[str] = ()
) -> Iterator[tuple[str, str, list[Row]]]:
    """Yield the rows of `dates.<lang>` and `intermediate.dates.<lang>`, config by config.

    Parameters
    ----------
    languages : iterable of str
        Languages of the test sets, in order; those of `list_left_out` are skipped.
    sizes : Sizes
        Numbers of rows.
    seed : int
        The same seed gives the same rows on every machine with the same Babel.
    source_languages : sequence of str
        Languages besides English for the intermediate task. Its rows are parallel: they have the same named patterns,
        which all the languages share, and the same values in the same order. The wording of the patterns, the order of
        the fields and the tokens depend on the language.

    Yields
    ------
    tuple
        Config, split, rows with `tokens`, `tags`, `template` and `meaning`.
    """
    sources = ["en", *source_languages]
    train = _rows(sources, "intermediate", "intermediate", sizes.intermediate_train, seed)
    validation = _rows(sources, "intermediate", "validation", sizes.validation, seed)
    for language in sources:
        yield f"intermediate.dates.{language}", "train", train[language]
        yield f"intermediate.dates.{language}", "validation", validation[language]
    yield "dates.en", "train", _rows(["en"], "train", "train", sizes.train, seed)["en"]
    yield "dates.en", "validation", _rows(["en"], "evaluation", "validation", sizes.validation, seed)["en"]
    for language in languages:
        if language not in list_left_out([language]):
            yield f"dates.{language}", "test", _rows([language], "evaluation", "test", sizes.test, seed)[language]


def generate_expressions(language: str, size: int, seed: int) -> list[str]:
    """Return at most `size` distinct expressions from the intermediate pool of patterns and values."""
    texts: dict[str, None] = {}
    for plan in islice(_plans("intermediate", "intermediate", seed), 4 * size):
        pieces = _pieces(plan, language)
        if pieces and _decidable(plan, pieces):
            texts["".join(piece.text for piece in pieces)] = None
        if len(texts) == size:
            break
    return list(texts)


def generate_name_lists(language: str, size: int, rng: random.Random) -> Iterator[str]:
    """Yield lists of three to six names of languages or of territories, joined by the language's rules."""
    locale = _locale(language)
    kinds = [sorted(set(names.values())) for names in (locale.languages, locale.territories)]
    for _ in range(size):
        names = rng.choice([kind for kind in kinds if len(kind) >= _MOST_NAMES])
        yield format_list(rng.sample(names, rng.randint(_FEWEST_NAMES, _MOST_NAMES)), locale=locale)


def list_left_out(languages: Iterable[str]) -> dict[str, str]:
    """Return the languages with too little CLDR data for this task, each with the reason."""
    found = ((language, _fault(language)) for language in languages)
    return {language: fault for language, fault in found if fault}


def tokenize(pieces: Iterable[Piece], language: str) -> tuple[list[str], list[str]]:
    """Split pieces into tokens with BIO tags; the module's docstring has the rules.

    Returns
    -------
    tokens, tags : list of str
        Two lists of equal length.
    """
    marks = list(_marks(pieces))
    tokens: list[list[tuple[str, str, int]]] = []
    for number, mark in enumerate(marks):
        if mark[0].isspace():
            continue
        if number and _joined(marks[number - 1], mark, language):
            tokens[-1].append(mark)
        else:
            tokens.append([mark])
    texts = ["".join(char for char, _, _ in token) for token in tokens]
    return texts, [next((tag for _, tag, _ in token if tag != "O"), "O") for token in tokens]


def attach(pieces: Iterable[Piece]) -> list[Piece]:
    """Merge letters next to a field into it, preferably into the field before them."""
    result: list[Piece] = []
    prefix = False
    for piece in pieces:
        if piece.label:
            result.append(piece._replace(inside=True) if prefix else piece)
            if prefix:
                result[-2] = result[-2]._replace(label=piece.label)
            prefix = False
            continue
        head = _letters(piece.text) if result and result[-1].label else ""
        tail = _letters(piece.text[len(head):][::-1])[::-1]
        middle = piece.text[len(head):len(piece.text) - len(tail)]
        if head:
            result.append(Piece(head, result[-1].label, inside=True))
        result += [Piece(text) for text in (middle, tail) if text]
        prefix = bool(tail)
    return result


@cache
def assign_pools() -> dict[str, Pool]:
    """Return the pool of every key of `list_templates("en")` and of every list style."""
    strata: dict[Any, dict[Any, list[str]]] = {}
    for key, template in sorted(list_templates("en").items()):
        stratum, group = _stratum(key, template)
        strata.setdefault(stratum, {}).setdefault(group, []).append(key)
    for style in sorted(_locale("en").list_patterns):
        wording = tuple(sorted(_locale("en").list_patterns[style].items()))
        strata.setdefault(("list",), {}).setdefault(wording, []).append(f"list-{style}")
    return dict(_deal(strata))


def _deal(strata: Mapping[Any, Mapping[Any, list[str]]]) -> Iterator[tuple[str, Pool]]:
    turn = 0
    for stratum in sorted(strata, key=str):
        for group in sorted(strata[stratum].values(), key=lambda keys: _digest(*keys)):
            yield from ((key, POOLS[turn % len(POOLS)]) for key in group)
            turn += 1


def _stratum(key: str, template: Template) -> tuple[Any, Any]:
    """Return the stratum of a pattern (kind and set of fields) and, in it, the group that must stay in one pool."""
    if template.kind in ("currency", "unit"):
        return (template.kind,), key.rpartition("-")[0]
    # Short widths are ignored, so that "M/d/yy" and "M/d/y" stay together.
    wording = tuple("".join(_shape(part)) for part in template.parts)
    return (template.kind, tuple(sorted(_labels(template.parts)))), wording


def _shape(pattern: str) -> Iterator[str]:
    for kind, value in tokenize_pattern(pattern):
        yield value if kind == "chars" else value[0] + (str(value[1]) if value[1] > 2 else "")


def _digest(*words: object) -> int:
    return int.from_bytes(sha256("\0".join(map(str, words)).encode()).digest()[:8], "big")


# Languages


@cache
def _locale(language: str) -> Locale:
    try:
        return Locale.parse(_LOCALES.get(language, language))
    except (UnknownLocaleError, ValueError) as error:
        raise StiltsError(f"language '{language}': CLDR, as Babel holds it, has no such language") from error


@cache
def _fault(language: str) -> str:
    """Return why no rows can be made in a language; "" if they can."""
    try:
        locale = _locale(language)
    except StiltsError:
        return "CLDR does not know it"
    if locale.months["format"]["wide"][1] == "M01":
        return "CLDR has no month names"
    count = sum(assign_pools()[key] == "evaluation" for key in list_templates(language))
    if count < _ENOUGH_TEMPLATES:
        return f"CLDR has {count} patterns of the evaluation pool, fewer than {_ENOUGH_TEMPLATES}"
    return ""


@cache
def list_templates(language: str) -> dict[str, Template]:
    """Return all atomic CLDR patterns of a language by a key that is the same in every language.

    Raises
    ------
    StiltsError
        If CLDR does not have the language.
    """
    locale = _locale(language)
    found = {**dict(_moment_templates(locale)), **dict(_currency_templates(locale)), **dict(_unit_templates(locale))}
    return found if language == "en" else {key: found[key] for key in found if key in list_templates("en")}


def _moment_templates(locale: Locale) -> Iterator[tuple[str, Template]]:
    named = {f"date-{length}": str(locale.date_formats[length].pattern) for length in locale.date_formats}
    named |= {f"time-{length}": str(locale.time_formats[length].pattern) for length in locale.time_formats}
    named |= {f"skeleton-{name}": str(pattern) for name, pattern in locale.datetime_skeletons.items()}
    for key, pattern in named.items():
        labels = _labels((pattern,))
        if len(labels) > 1 and labels != {"minute", "second"}:
            yield key, Template("time" if labels & _TIME_LABELS else "date", (pattern,))
    for name, differences in locale.interval_formats.items():
        for difference, parts in (differences.items() if name else ()):
            if len(parts) == 2 and difference != "G" and len(_labels(tuple(parts))) > 1:
                yield f"interval-{name}-{difference}", Template("interval", tuple(parts))


def _labels(patterns: tuple[str, ...]) -> set[str]:
    """Return the labels of the patterns' fields; empty if one has no label, or is a single letter ("M" for May)."""
    fields = [value for pattern in patterns for kind, value in tokenize_pattern(pattern) if kind == "field"]
    known = all(char in _FIELDS and not (width == 5 and char in "MLEc") for char, width in fields)
    stray = any("''" in pattern for pattern in patterns)  # Babel's Basque intervals have a wrong apostrophe
    return {_FIELDS[char] for char, _ in fields} if known and not stray else set()


def _currency_templates(locale: Locale) -> Iterator[tuple[str, Template]]:
    for code in _CURRENCIES:
        symbol = get_currency_symbol(code, locale)
        yield f"currency-{code}-code", Template("currency", (code, "code"))
        if symbol != code:
            yield f"currency-{code}-symbol", Template("currency", (code, "symbol"))
        if get_currency_name(code, 5, locale) not in (code, symbol):
            yield f"currency-{code}-name", Template("currency", (code, "name"))


def _unit_templates(locale: Locale) -> Iterator[tuple[str, Template]]:
    for unit in locale.unit_display_names:
        if unit.startswith(_UNIT_FAMILIES) and not any(odd in unit for odd in _ODD_UNITS):
            for width in ("long", "short", "narrow"):
                if _unit_pieces(unit, width, Decimal(5), locale):
                    yield f"unit-{unit}-{width}", Template("unit", (unit, width))


# Values


def _value_pool(kind: str, value: object) -> str:
    return VALUE_POOLS[_digest(kind, value) % len(VALUE_POOLS)]


class _Values:
    """Draws values of one pool."""

    def __init__(self, pool: str, rng: random.Random):
        self.pool, self.rng = pool, rng
        self.years = [year for year in range(1932, 2070) if _value_pool("year", year) == pool]
        self.days = [(month, day) for month in range(1, 13) for day in range(1, 32 if month != 2 else 29)
                     if not (day == 31 and month in (4, 6, 9, 11)) and _value_pool("day", (month, day)) == pool]
        self.times = [(hour, minute) for hour in range(24) for minute in range(60)
                      if _value_pool("time", (hour % 12, minute)) == pool]

    def moment(self) -> datetime.datetime:
        """Draw a date and a time."""
        year, day, time = (self.rng.choice(values) for values in (self.years, self.days, self.times))
        return datetime.datetime(year, *day, *time, self.rng.randrange(60))

    def interval(self, difference: str) -> tuple[datetime.datetime, datetime.datetime]:
        """Draw two moments whose greatest different field is `difference`, in CLDR's letters."""
        while True:
            first = self.moment()
            later = self._later(first, difference)
            if later:
                return first, self.rng.choice(later)

    def _later(self, first: datetime.datetime, difference: str) -> list[datetime.datetime]:
        days = [first.replace(month=month, day=day) for month, day in self.days]
        times = [first.replace(hour=hour, minute=minute) for hour, minute in self.times]
        if difference == "y":
            return [day.replace(year=year) for year in self.years if year > first.year for day in days]
        if difference == "M":
            return [day for day in days if day.month > first.month]
        if difference == "d":
            return [day for day in days if day.month == first.month and day.day > first.day]
        if difference in "aB":
            return [time for time in times if first.hour < 12 <= time.hour]
        same_half = [time for time in times if time.hour // 12 == first.hour // 12]
        if difference in "hH":
            return [time for time in same_half if time.hour > first.hour]
        return [time for time in same_half if time.hour == first.hour and time.minute > first.minute]

    def number(self, decimals: int | None) -> Decimal:
        """Draw a number from 3 to 9999 with a given or random (None) number of decimals."""
        while True:
            digits = self.rng.choice((0, 0, 1, 2)) if decimals is None else decimals
            number = Decimal(self.rng.randrange(3, self.rng.choice((99, 999, 9999)))).scaleb(-digits) + 3
            if _value_pool("number", number.normalize()) == self.pool:
                return number


# Plans


def _plans(pool: Pool, value_pool: str, seed: int) -> Iterator[Plan]:
    """Yield plans endlessly. They do not depend on the language, so test rows of languages correspond if possible."""
    rng = random.Random(f"dates {seed} {pool} {value_pool}")
    values = _Values(value_pool, rng)
    keys: dict[str, list[str]] = {}
    for key, template in list_templates("en").items():
        if assign_pools()[key] == pool:
            keys.setdefault(template.kind, []).append(key)
    styles = [key for key in assign_pools() if key.startswith("list-") and assign_pools()[key] == pool]
    while True:
        size = rng.choices((1, 2, 3), (50, 25, 25))[0]
        items = tuple(_item(keys, values, rng) for _ in range(size))
        yield Plan(items, rng.choice(styles) if size > 1 else "")


def _stated(item: Item) -> str:
    if item.number is not None:
        return str(item.number.normalize())
    stated = [_labels(list_templates("en")[key].parts) for key in item.keys]
    forms = {"year": "%Y", "month": "%m", "day": "%d", "weekday": "%a", "hour": "%H", "minute": "%M", "second": "%S"}
    form = " ".join(forms[label] for label in forms if any(label in labels for labels in stated))
    return "/".join(moment.strftime(form) for moment in item.moments)


def _item(keys: Mapping[str, list[str]], values: _Values, rng: random.Random) -> Item:
    kind = rng.choices(("date", "datetime", "interval", "time", "currency", "unit"), (20, 15, 30, 10, 12, 13))[0]
    if kind == "datetime":
        return Item((rng.choice(keys["date"]), rng.choice(keys["time"])), (values.moment(),))
    usual = [3 - 2 * ("-G" in key) for key in keys[kind]]  # eras are rare in text
    key = rng.choices(keys[kind], usual)[0]
    if kind in ("date", "time"):
        return Item((key,), (values.moment(),))
    if kind == "interval":
        return Item((key,), values.interval(key.rpartition("-")[2]))
    whole = kind == "currency" and key.endswith("-name")
    decimals = get_currency_precision(key.split("-")[1]) if kind == "currency" and not whole else None
    return Item((key,), number=values.number(0 if whole else decimals))


def _rows(languages: Sequence[str], pool: Pool, value_pool: str, size: int, seed: int) -> dict[str, list[Row]]:
    """Return parallel rows by language, distinct in each; only plans that all languages can express are used."""
    rows: dict[str, dict[str, Row]] = {language: {} for language in languages}
    for plan in islice(_plans(pool, value_pool, seed), 200 * size):
        written = {language: row for language in languages if (row := _row(plan, language))}
        texts = {language: " ".join(row["tokens"]) for language, row in written.items()}
        if len(written) == len(languages) and not any(texts[language] in rows[language] for language in languages):
            for language, row in written.items():
                rows[language][texts[language]] = row
        if len(rows[languages[0]]) == size:
            return {language: list(own.values()) for language, own in rows.items()}
    raise StiltsError(f"dates in {', '.join(languages)}: CLDR's patterns give only {len(rows[languages[0]])} different "
                      f"rows, {size} are asked for; lower the sizes")


def _row(plan: Plan, language: str) -> Row | None:
    pieces = _pieces(plan, language)
    if not pieces or not _decidable(plan, pieces):
        return None
    tokens, tags = tokenize(pieces, language)
    return {"tokens": tokens, "tags": tags, "template": plan.template, "meaning": plan.meaning}


def _decidable(plan: Plan, pieces: list[Piece]) -> bool:
    text = "".join(piece.text for piece in pieces)
    if any(char.isalpha() for char in text):
        return True
    moments = [moment for item in plan.items for moment in item.moments]
    dated = all(moment.day > 12 and moment.year % 100 > 31 for moment in moments)
    return not moments or (dated and (":" in text or any(piece.label == "year" for piece in pieces)))


# From a plan to pieces of text


def _pieces(plan: Plan, language: str) -> list[Piece]:
    """Return the pieces of a plan; empty if the language does not have all of its patterns."""
    items = [_item_pieces(item, language) for item in plan.items]
    if not all(items):
        return []
    return _list_pieces(items, plan.style, _locale(language)) if plan.style else items[0]


def _item_pieces(item: Item, language: str) -> list[Piece]:
    locale, known = _locale(language), list_templates(language)
    if not all(key in known for key in item.keys):
        return []
    first = known[item.keys[0]]
    if len(item.keys) == 2:
        date, time = (attach(_fields(known[key].parts[0], item.moments[0], locale)) for key in item.keys)
        return list(_fill(str(locale.datetime_formats["medium"]).replace("'", ""), [time, date]))
    if first.kind == "currency":
        return _currency_pieces(*first.parts, item.number, locale)
    if first.kind == "unit":
        return _unit_pieces(*first.parts, item.number, locale)
    if first.kind == "interval":
        return _interval_pieces(first.parts, item.moments, locale)
    return attach(_fields(first.parts[0], item.moments[0], locale))


def _list_pieces(items: list[list[Piece]], style: str, locale: Locale) -> list[Piece]:
    known = locale.list_patterns.get(style.removeprefix("list-"), {})
    patterns = [known[place] for place in (("2",) if len(items) == 2 else ("start", "end")) if place in known]
    if len(patterns) < len(items) - 1 or any("(" in pattern for pattern in patterns):  # "a(c)": the reader's choice
        return []
    pieces = items[0]
    for pattern, item in zip(patterns, items[1:], strict=True):
        pieces = list(_fill(pattern, [pieces, item]))
    return pieces


def _fill(pattern: str, items: list[list[Piece]]) -> Iterator[Piece]:
    for text in re.split(r"(\{\d\})", pattern):
        if re.fullmatch(r"\{\d\}", text):
            yield from items[int(text[1])]
        elif text:
            yield Piece(text)


def _interval_pieces(
    parts: tuple[str, ...], moments: tuple[datetime.datetime, ...], locale: Locale
) -> list[Piece]:
    """Return the pieces of an interval. Its first part ends in the separator: 至 of "h时至", if the second is "h时"."""
    first, second = (_fields(part, moment, locale) for part, moment in zip(parts, moments, strict=True))
    ends = ["" if pieces[-1].label else pieces[-1].text for pieces in (first, second)]
    within = commonprefix(ends)
    if ends[0]:
        first[-1] = Piece(within)
    return [*attach(first), Piece(ends[0][len(within):]), *attach(second)]


def _fields(pattern: str, moment: datetime.datetime, locale: Locale) -> list[Piece]:
    formatted = DateTimeFormat(moment, locale)
    pieces: list[Piece] = []
    for kind, value in tokenize_pattern(pattern):
        if kind == "field":
            pieces.append(Piece(_native(formatted[value[0] * value[1]], locale), _FIELDS[value[0]]))
        elif pieces and not pieces[-1].label:
            pieces[-1] = Piece(pieces[-1].text + value)
        else:
            pieces.append(Piece(value))
    return pieces


def _currency_pieces(code: str, style: str, number: Decimal, locale: Locale) -> list[Piece]:
    if style == "name":
        name = Piece(get_currency_name(code, number, locale), "currency")
        return list(_fill(get_currency_unit_pattern(code, number, locale), [[_number_piece(number, locale)], [name]]))
    pattern = locale.currency_formats["standard"]
    digits = parse_pattern(pattern.number_pattern).apply(number, locale, currency=code, numbering_system="default")
    symbol = code if style == "code" else get_currency_symbol(code, locale)
    before, after = (affix[0].partition("¤") for affix in (pattern.prefix, pattern.suffix))
    pieces = [*_affix(before, symbol), Piece(_native(digits, locale), "number"), *_affix(after, symbol)]
    return [piece for piece in pieces if piece.text]


def _affix(parts: tuple[str, str, str], symbol: str) -> list[Piece]:
    before, sign, after = parts
    return [Piece(before), Piece(symbol if sign else "", "currency"), Piece(after)]


def _unit_pieces(unit: str, width: str, number: Decimal, locale: Locale) -> list[Piece]:
    text = format_unit(number, unit, width, locale=locale, numbering_system="default")
    digits = format_decimal(number, locale=locale, numbering_system="default")
    before, found, after = text.partition(digits)
    if not found or unit in text:  # Babel writes the unit's id if CLDR has no pattern
        return []
    parts = [Piece(before, "unit"), Piece(_native(digits, locale), "number"), Piece(after, "unit")]
    return [piece for piece in parts if piece.text]


def _number_piece(number: Decimal, locale: Locale) -> Piece:
    return Piece(_native(format_decimal(number, locale=locale, numbering_system="default"), locale), "number")


def _native(text: str, locale: Locale) -> str:
    """Return a text with the language's own digits, since Babel writes Western ones."""
    zero = _ZERO.get(locale.default_numbering_system)
    return text.translate({ord("0") + digit: chr(ord(zero) + digit) for digit in range(10)}) if zero else text


# Tokens


def _marks(pieces: Iterable[Piece]) -> Iterator[tuple[str, str, int]]:
    """Yield characters with their tag and the number of their piece."""
    for number, piece in enumerate(pieces):
        text = piece.text.translate(_DIRECTION_MARKS)
        start, end = _core(text)
        mark = "I" if piece.inside else "B"
        for place, char in enumerate(text):
            tagged = piece.label and start <= place < end and not char.isspace()
            yield char, f"{mark}-{piece.label}" if tagged else "O", number
            mark = "I" if tagged else mark


def _core(text: str) -> tuple[int, int]:
    """Return (start, stop) of a field without white space and punctuation around it; symbols such as "%" are kept."""
    inner = [place for place, char in enumerate(text) if _kind(char) in ("letter", "digit", "symbol")]
    return (inner[0], inner[-1] + 1) if inner else (0, len(text))


def _joined(before: tuple[str, str, int], mark: tuple[str, str, int], language: str) -> bool:
    """Return whether two neighbouring characters are in one token."""
    kind = _kind(mark[0])
    if kind != _kind(before[0]) or kind not in ("letter", "digit"):
        return False
    if mark[1].startswith("B-") and before[1] != "O":
        return False
    if language in ("zh", "ja"):
        return not (_is_ideograph(mark[0]) or _is_ideograph(before[0]))
    return not (language in _FIELD_BORDERS and before[2] != mark[2])


@cache
def _kind(char: str) -> str:
    if char.isspace():
        return "space"
    category = unicodedata.category(char)
    if category == "Nd":
        return "digit"
    if category[0] in "LMN" or category == "Cf":
        return "letter"
    return "symbol" if category[0] == "S" else "punctuation"


@cache
def _is_ideograph(char: str) -> bool:
    return unicodedata.name(char, "").startswith(("CJK", "HIRAGANA", "KATAKANA"))


def _letters(text: str) -> str:
    """Return the letters at the beginning of a text."""
    end = next((place for place, char in enumerate(text) if _kind(char) != "letter"), len(text))
    return text[:end]
