import datetime
import random
import re
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.sources.pocket import dates
from stilts.sources.pocket.dates import LABELS, POOLS, TAGS, Item, Piece, Plan, assign_pools, attach, tokenize
from stilts.sources.pocket.sizes import Sizes
from stilts.sources.pocket.source import SUITE_LANGUAGES
from stilts.study.errors import StiltsError

SIZES = Sizes(train=200, intermediate_train=200, validation=80, test=40)
MOMENT = datetime.datetime(2024, 3, 5, 17, 4, 9)


def written(language, key, *moments, number=None):
    """Tokens with their tags, as ``5/B-day``."""
    keys = tuple(key.split("+"))
    pieces = dates._pieces(Plan((Item(keys, moments or (MOMENT,), number),)), language)
    return " ".join(token if tag == "O" else f"{token}/{tag}"
                    for token, tag in zip(*tokenize(pieces, language), strict=True))


@pytest.fixture(scope="module")
def english():
    return {(config, split): rows for config, split, rows in dates.generate(["en"], SIZES, 0)}


@pytest.mark.parametrize("language, expected", [
    ("en", "Tuesday/B-weekday , March/B-month 5/B-day , 2024/B-year"),
    ("de", "Dienstag/B-weekday , 5/B-day . März/B-month 2024/B-year"),
    ("zh", "2024/B-year 年/I-year 3/B-month 月/I-month 5/B-day 日/I-day 星/B-weekday 期/I-weekday 二/I-weekday"),
    ("ko", "2024/B-year 년/I-year 3/B-month 월/I-month 5/B-day 일/I-day 화요일/B-weekday"),
    ("he", "יום/B-weekday שלישי/I-weekday , 5/B-day במרץ/B-month 2024/B-year"),
    ("es", "martes/B-weekday , 5/B-day de marzo/B-month de 2024/B-year"),
    ("eu", "2024/B-year ( e ) ko martxoaren/B-month 5/B-day ( a ) , asteartea/B-weekday"),
    ("th", "วันอังคาร/B-weekday ที่/I-weekday 5/B-day มีนาคม/B-month ค/B-era ./I-era ศ/I-era . 2024/B-year"),
    ("fa", "سه‌شنبه/B-weekday ۵/B-day مارس/B-month ۲۰۲۴/B-year"),
    ("ru", "вторник/B-weekday , 5/B-day марта/B-month 2024/B-year г ."),
])
def test_full_date(language, expected):
    assert written(language, "date-full") == expected


@pytest.mark.parametrize("language, expected", [
    ("en", "5/B-hour : 04/B-minute : 09/B-second PM/B-period"),
    ("da", "17/B-hour . 04/B-minute . 09/B-second"),
    ("zh", "下/B-period 午/I-period 5/B-hour : 04/B-minute : 09/B-second"),
])
def test_time(language, expected):
    key = "time-medium" if language != "zh" else "skeleton-hms"
    assert written(language, key) == expected


def test_date_and_time_take_the_order_of_the_language():
    assert written("en", "date-medium+time-short") == (
        "Mar/B-month 5/B-day , 2024/B-year , 5/B-hour : 04/B-minute PM/B-period")
    assert written("vi", "date-short+time-short") == (
        "17/B-hour : 04/B-minute 5/B-day / 3/B-month / 24/B-year")


@pytest.mark.parametrize("language, expected", [
    ("en", "10/B-hour AM/B-period – 9/B-hour PM/B-period"),
    ("zh", "上/B-period 午/I-period 10/B-hour 时/I-hour 至 下/B-period 午/I-period 9/B-hour 时/I-hour"),
])
def test_what_stands_between_the_ends_of_an_interval_belongs_to_neither(language, expected):
    assert written(language, "interval-h-a", MOMENT.replace(hour=10), MOMENT.replace(hour=21)) == expected


@pytest.mark.parametrize("language, key, number, expected", [
    ("en", "currency-USD-symbol", "1234.50", "$/B-currency 1/B-number ,/I-number 234/I-number ./I-number 50/I-number"),
    ("de", "currency-USD-symbol", "1234.50", "1/B-number ./I-number 234/I-number ,/I-number 50/I-number $/B-currency"),
    ("en", "currency-USD-name", "7", "7/B-number US/B-currency dollars/I-currency"),
    ("ar", "currency-EGP-code", "5.25", "5/B-number ./I-number 25/I-number EGP/B-currency"),
    ("en", "unit-speed-kilometer-per-hour-long", "80", "80/B-number kilometers/B-unit per/I-unit hour/I-unit"),
    ("sw", "unit-length-kilometer-long", "80", "kilomita/B-unit 80/B-number"),
    ("bn", "unit-length-kilometer-long", "80", "৮০/B-number কিলোমিটার/B-unit"),
    ("th", "unit-length-kilometer-long", "80", "80/B-number กิโลเมตร/B-unit"),
])
def test_amounts(language, key, number, expected):
    assert written(language, key, number=Decimal(number)) == expected


def test_lists_join_two_or_three_items():
    item = Item(("unit-length-kilometer-short",), number=Decimal(3))

    def text(language, style, size):
        return "".join(piece.text for piece in dates._pieces(Plan((item,) * size, style), language))

    assert text("en", "list-or", 3) == "3 km, 3 km, or 3 km"
    assert text("de", "list-standard", 2) == "3 km und 3 km"
    assert text("lb", "list-standard", 2) == ""  # "a(n)" leaves a choice to the reader


def test_letters_that_touch_a_field_belong_to_it():
    assert attach([Piece("5", "day"), Piece("日("), Piece("火", "weekday"), Piece(")")]) == [
        Piece("5", "day"), Piece("日", "day", True), Piece("("), Piece("火", "weekday"), Piece(")")]
    assert attach([Piece("5", "day"), Piece(" ב"), Piece("מרץ", "month")]) == [
        Piece("5", "day"), Piece(" "), Piece("ב", "month"), Piece("מרץ", "month", True)]


@pytest.mark.parametrize("text, expected", [
    ("p.m.", ["B-period", "I-period", "I-period", "O"]),
    ("’s ochtends", ["O", "B-period", "I-period"]),
    ("%", ["B-period"]),
    ("US$", ["B-period", "I-period"]),
    (" km ", ["B-period"]),
])
def test_punctuation_at_the_ends_of_a_field_is_outside(text, expected):
    assert tokenize([Piece(text, "period")], "en")[1] == expected


@given(st.lists(st.tuples(st.text("a5 ,年ก\u200f\xa0", max_size=6), st.sampled_from(["", *LABELS]))),
       st.sampled_from(["en", "zh", "th"]))
def test_tokens_hold_the_text_and_tags_are_well_formed(parts, language):
    tokens, tags = tokenize([Piece(text, label) for text, label in parts], language)
    text = "".join(text for text, _ in parts)
    assert "".join(tokens) == re.sub(r"[\s\u200f]", "", text)
    assert len(tags) == len(tokens)
    assert set(tags) <= set(TAGS)


@given(st.lists(st.tuples(st.text("a5,$", min_size=1, max_size=4), st.sampled_from(LABELS)), min_size=1))
def test_every_field_begins_once(parts):
    pieces = [piece for text, label in parts for piece in (Piece(text, label), Piece(" "))]
    _, tags = tokenize(pieces, "en")
    assert [tag[2:] for tag in tags if tag[0] == "B"] == [label for _, label in parts]


def test_pools_are_disjoint_in_english_wording():
    assert set(assign_pools().values()) == set(POOLS)
    wordings = {}
    for key, template in dates.list_templates("en").items():
        wording = re.sub(r"([yMdHh])\1?(?!\1)", r"\1", str(template.parts))  # M/d/yy is M/d/y
        if template.kind in ("date", "time", "interval"):
            wordings.setdefault(wording, set()).add(assign_pools()[key])
    assert {len(found) for found in wordings.values()} == {1}


def test_a_currency_and_a_unit_stay_in_one_pool():
    found = {}
    for key, pool in assign_pools().items():
        if key.startswith(("currency-", "unit-")):
            found.setdefault(key.rpartition("-")[0], set()).add(pool)
    assert {len(pool) for pool in found.values()} == {1}


def test_every_english_set_has_every_label(english):
    for rows in (english[config, split] for config, split in english if split == "train"):
        assert {tag for row in rows for tag in row["tags"]} >= {f"B-{label}" for label in LABELS}


def test_english_sets_share_no_pattern_and_no_sentence(english):
    patterns, sentences = [], []
    for pool in (["intermediate.dates.en"], ["dates.en", "train"], ["dates.en", "validation", "test"]):
        rows = [row for (config, split), part in english.items() for row in part
                if config == pool[0] and (split in pool[1:] or pool[1:] == [] and split == "train")]
        patterns.append({key for row in rows for part in row["template"].split("|") for key in part.split("+")})
        sentences.append({" ".join(row["tokens"]) for row in rows})
    for sets in (patterns, sentences):
        assert [sets[a] & sets[b] for a, b in ((0, 1), (0, 2), (1, 2))] == [set()] * 3


@pytest.mark.parametrize("kind, label", [("years", "year"), ("days", "month and day"), ("times", "time")])
def test_values_of_pools_are_disjoint(kind, label):
    drawn = [set(getattr(dates._Values(pool, None), kind)) for pool in dates.VALUE_POOLS]
    assert sum(map(len, drawn)) == len(set.union(*drawn)) == {"years": 138, "days": 365, "times": 1440}[kind]


@pytest.mark.parametrize("difference", ["y", "M", "d", "a", "h", "m"])
def test_intervals_differ_first_in_the_given_field(difference):
    values = dates._Values("train", random.Random(0))
    for _ in range(20):
        first, second = values.interval(difference)
        assert first < second
        fields = {"y": "", "M": "%Y", "d": "%Y %m", "a": "%Y %m %d", "h": "%Y %m %d %p", "m": "%Y %m %d %H"}
        assert first.strftime(fields[difference]) == second.strftime(fields[difference])


def test_rows_of_two_languages_say_the_same():
    rows = {config: {(row["template"], row["meaning"]) for row in part}
            for config, split, part in dates.generate(["de", "sw"], SIZES, 0) if split == "test"}
    assert len(rows["dates.de"] & rows["dates.sw"]) > 0.8 * SIZES.test


def test_letterless_rows_have_one_reading():
    day = Item(("skeleton-yMd",), (datetime.datetime(2040, 4, 12),))
    for moment, kept in ((datetime.datetime(2040, 4, 12), False), (datetime.datetime(2040, 4, 13), True)):
        plan = Plan((day._replace(moments=(moment,)),))
        assert dates._decidable(plan, dates._pieces(plan, "en")) is kept
    plan = Plan((day._replace(keys=("skeleton-yMMMd",)),))
    assert dates._decidable(plan, dates._pieces(plan, "en"))


def test_no_language_of_the_suite_is_left_out_and_rows_are_distinct():
    assert dates.list_left_out(SUITE_LANGUAGES) == {}
    for config, split, rows in dates.generate(SUITE_LANGUAGES, Sizes(
            train=10, intermediate_train=10, validation=5, test=15), 0):
        texts = Counter(" ".join(row["tokens"]) for row in rows)
        assert max(texts.values()) == 1, (config, split)
        for row in rows:
            assert set(row["tags"]) <= set(TAGS)
            for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
                assert tag[0] != "I" or before[2:] == tag[2:], row
            assert len(row["tokens"]) == len(row["tags"])


def test_the_seed_decides():
    def rows(seed):
        return [part for _, _, part in dates.generate(["fr"], SIZES, seed)]
    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_what_cannot_be_made_is_said():
    assert dates.list_left_out(["xx", "de"]) == {"xx": "CLDR does not know it"}
    with pytest.raises(StiltsError, match="language 'xx': CLDR"):
        dates.list_templates("xx")


def test_too_few_different_rows_are_said(monkeypatch):
    monkeypatch.setattr(dates, "_plans", lambda *_: iter([Plan((Item(("date-full",), (MOMENT,)),))] * 9))
    with pytest.raises(StiltsError, match=r"dates in de: CLDR's patterns give only 1 different rows, 2 are asked for"):
        dates._rows(["de"], "evaluation", "test", 2, 0)
