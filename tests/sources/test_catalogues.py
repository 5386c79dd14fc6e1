from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.sources.pocket import messages
from stilts.sources.pocket.messages import Pair, gives_itself_away, select_pairs
from stilts.sources.pocket.sizes import Sizes
from stilts.sources.pocket.source import SUITE_LANGUAGES
from stilts.study.errors import StiltsError

SIZES = Sizes(retrieval=200, mining=20)


@pytest.fixture(scope="module")
def tables():
    return {(config, split): rows
            for config, split, rows in messages.generate(["en", "de", "hi", "ja", "my"], SIZES, 5)}


def test_messages_as_they_stand():
    found = dict(select_pairs("de"))
    assert found["Please enter your new password twice so we can verify you typed it in correctly."] == (
        "Bitte geben Sie Ihr neues Passwort zweimal ein, damit wir überprüfen können, ob es richtig eingetippt wurde.")
    assert found["Select all … …"] == "Alle … … auswählen"
    assert found["Please submit at most … forms."] == "Bitte höchstens … Formulare abschicken."  # in the plural
    assert "Swedish" not in found


def test_no_placeholder_markup_or_identifier_is_left():
    text = "".join(side for language in ("de", "ar", "zh") for pair in select_pairs(language) for side in pair)
    assert not set("%{}<>_\n") & set(text)


@pytest.mark.parametrize("pair, away", [
    (Pair("Could not load JSON data.", "Konnte JSON-Daten nicht laden."), True),
    (Pair("Enter a valid IPv4 address.", "Bitte eine gültige IPv4-Adresse eingeben."), True),
    (Pair("Wait 30 days.", "Warten Sie 30 Tage."), True),
    (Pair("CSRF verification failed.", "CSRF検証に失敗しました。"), True),
    (Pair("Please install docutils", "请安装 docutils"), True),
    (Pair("Please install docutils", "Bitte docutils installieren."), False),
    (Pair("Small Integer field", "Small-Integer-Feld"), True),
    (Pair("Log in again", "Erneut anmelden"), False),
    (Pair("Log in again", "もう一度ログイン"), False),
    (Pair("Not empty", "खाली नहीं"), False),
])
def test_pairs_that_give_themselves_away(pair, away):
    assert gives_itself_away(pair) is away


@given(st.text("ab JX5", min_size=1), st.text("йжлм ", min_size=1))
def test_sides_without_a_common_letter_never_give_themselves_away(english, translation):
    assert not gives_itself_away(Pair(english, translation))


@pytest.mark.parametrize("language", ["de", "hi", "ka", "zh"])
def test_either_side_is_distinct(language):
    for side in zip(*select_pairs(language), strict=True):
        assert max(Counter(messages._key(text) for text in side).values()) == 1


def test_words_keep_their_combining_marks():
    assert messages._key("नये सा सहेजें!") == "नये सा सहेजें"


def test_retrieval_rows(tables):
    rows = tables["ui-retrieval.de", "test"]
    assert len(rows) == len(tables["ui-retrieval.hi", "test"]) == 200
    assert {tuple(row) for row in rows} == {("source_sentence", "target_sentence", "source_lang", "target_lang")}
    assert {(row["source_lang"], row["target_lang"]) for row in rows} == {("de", "en")}
    found = dict(select_pairs("de"))
    assert all(found[row["target_sentence"]] == row["source_sentence"] for row in rows)


def test_languages_share_the_english_side(tables):
    german, japanese = ([row["target_sentence"] for row in tables[f"ui-retrieval.{language}", "test"]]
                        for language in ("de", "ja"))
    assert len(set(german) & set(japanese)) > 150
    common = [text for text in german if text in japanese]
    assert common == [text for text in japanese if text in german]


def test_a_larger_set_holds_a_smaller_one(tables):
    small = dict((config, rows) for config, _, rows in messages.generate(["de"], Sizes(retrieval=50), 5))
    assert small["ui-retrieval.de"] == tables["ui-retrieval.de", "test"][:50]


def test_left_out(tables):
    assert {config for config, _ in tables} == {"ui-retrieval.de", "ui-retrieval.hi", "ui-retrieval.ja", "ui-mining.de",
                                                "ui-mining.ja"}
    assert messages.list_left_out_of_retrieval(["en", "de", "my"]) == {
        "en": "English is the other side of every pair",
        "my": "Django's catalogues give 44 usable pairs, 150 are needed"}
    assert messages.list_left_out_of_mining(["de", "pl", "my"], SIZES) == {
        "pl": "mining is made for at most eight languages, of several families and scripts",
        "my": "Django's catalogues give 44 usable pairs, 120 are needed"}


def test_mining_finds_every_language_at_its_usual_size():
    assert set(SUITE_LANGUAGES) - set(messages.list_left_out_of_mining(SUITE_LANGUAGES, Sizes())) == set(
        messages.MINING_LANGUAGES)


def test_retrieval_has_at_least_36_languages():
    assert len(set(SUITE_LANGUAGES) - set(messages.list_left_out_of_retrieval(SUITE_LANGUAGES))) >= 36


@pytest.mark.parametrize("split", ["validation", "test"])
def test_mining_gold_is_mutual_and_true(tables, split):
    rows = tables["ui-mining.ja", split]
    by_id = {row["id"]: row for row in rows}
    assert Counter((row["lang"], bool(row["match"])) for row in rows) == {
        ("ja", True): 20, ("ja", False): 20, ("en", True): 20, ("en", False): 20}
    found = dict(select_pairs("ja"))
    for row in rows:
        if row["match"]:
            assert by_id[row["match"]]["match"] == row["id"]
            if row["lang"] == "en":
                assert found[row["sentence"]] == by_id[row["match"]]["sentence"]


def test_distractors_have_no_partner(tables):
    rows = tables["ui-mining.ja", "test"]
    found = dict(select_pairs("ja"))
    alone = {row["sentence"] for row in rows if row["lang"] == "ja" and not row["match"]}
    assert not alone & {found[row["sentence"]] for row in rows if row["lang"] == "en"}


def test_mining_splits_share_no_message(tables):
    validation, test = ({row["sentence"] for row in tables["ui-mining.de", split]} for split in ("validation", "test"))
    assert not validation & test


def test_ids_of_matches_give_nothing_away(tables):
    rows = [row for row in tables["ui-mining.de", "test"] if row["lang"] == "de" and row["match"]]
    assert sum(row["id"][-6:] == row["match"][-6:] for row in rows) < 5
    assert [row["id"] for row in tables["ui-mining.de", "test"][:3]] == ["de-000000", "de-000001", "de-000002"]


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(messages, "find_spec", lambda name: None)
    with pytest.raises(StiltsError, match="pip install Django"):
        messages._catalogue_files("de")
