"""The values and questions of our own: the same meanings in every language, in its script, with classes that exist."""

import unicodedata
from collections import Counter
from itertools import chain

import pytest

from stilts.sources.pocket.commands.questions import QUESTIONS
from stilts.sources.pocket.commands.values import FILES, read

AREAS, FLOORS, NAMES = FILES["area"], FILES["floor"], FILES["name"]
SCRIPTS = {"ar": "ARABIC", "bg": "CYRILLIC", "bn": "BENGALI", "el": "GREEK", "fa": "ARABIC", "he": "HEBREW",
           "hi": "DEVANAGARI", "ko": "HANGUL", "ml": "MALAYALAM", "ne": "DEVANAGARI", "ru": "CYRILLIC",
           "sr": "CYRILLIC", "th": "THAI", "uk": "CYRILLIC", "zh": "CJK"}
QUESTION_MARKS = {"ar": "؟", "el": ";", "fa": "؟", "th": "", "zh": "？"}
DOMAINS = {"light", "cover", "fan", "switch", "lock", "vacuum", "media_player", "climate", "lawn_mower", "valve",
           "todo", "scene", "script", "person"}
POOLS = 3


def blocks(name):
    return {language: about for language, about in read(name).items() if language not in ("left_out", "kinds")}


def forms(value):
    """Surface and class of every form of a value."""
    if isinstance(value, str):
        return [(value, "")]
    return [tuple(value)] if isinstance(value[0], str) else [tuple(form) for form in value]


LANGUAGES = sorted(blocks(AREAS))
HOME_BLOCKS = [pytest.param(about, id=f"{name.removesuffix('.yaml')}-{language}")
               for name in FILES.values() for language, about in blocks(name).items()]
SPOKEN = [(language, surface) for name in FILES.values() for language, about in blocks(name).items()
          for value in about["values"].values() for surface, _ in forms(value)]
ASKED = [(language, question) for language, slots in blocks(QUESTIONS).items() for question in chain(*slots.values())]


def scripts(text):
    """First words of the Unicode names of a text's letters, as "LATIN"."""
    return {unicodedata.name(letter).split()[0] for letter in text if letter.isalpha()}


def test_at_least_forty_languages():
    assert len(LANGUAGES) >= 40


@pytest.mark.parametrize("name", [NAMES, QUESTIONS])
def test_every_file_holds_the_languages_of_the_areas(name):
    assert sorted(blocks(name)) == LANGUAGES


def test_floors_hold_none_but_languages_of_the_areas():
    assert set(blocks(FLOORS)) <= set(LANGUAGES)


@pytest.mark.parametrize("name", FILES.values())
def test_every_language_holds_the_same_meanings(name):
    held = {language: set(about["values"]) for language, about in blocks(name).items()}
    assert held == dict.fromkeys(held, held["en"])


@pytest.mark.parametrize("name", [AREAS, FLOORS])
def test_no_area_or_floor_is_listed_under_both(name):
    others = set(blocks(FLOORS)["en"]["values"] if name == AREAS else blocks(AREAS)["en"]["values"])
    assert not others & set(blocks(name)["en"]["values"])


def test_kinds_cover_all_names_and_give_each_pool_one_of_a_kind():
    kinds = read(NAMES)["kinds"]
    assert set(kinds) == set(blocks(NAMES)["en"]["values"])
    assert set(kinds.values()) == DOMAINS
    assert min(Counter(kinds.values()).values()) >= POOLS


@pytest.mark.parametrize("about", HOME_BLOCKS)
def test_blocks_hold_values_and_their_agreement_alone(about):
    assert set(about) <= {"agreement", "bound", "values"}


@pytest.mark.parametrize("about", HOME_BLOCKS)
def test_every_class_of_a_form_exists_and_every_class_is_used(about):
    declared = {*about.get("agreement", ()), *about.get("bound", ())} - {"", "never"}
    used = {group for value in about["values"].values() for _, group in forms(value)} - {""}
    assert used == declared


@pytest.mark.parametrize("about", HOME_BLOCKS)
def test_neighbours_are_words_and_not_what_yaml_makes_of_no_and_on(about):
    listed = [neighbour for part in ("agreement", "bound") for neighbours in about.get(part, {}).values()
              for neighbour in neighbours]
    assert all(isinstance(neighbour, str) and neighbour.strip("- ") for neighbour in listed)


@pytest.mark.parametrize("about", HOME_BLOCKS)
def test_no_class_lists_a_neighbour_twice(about):
    for part in ("agreement", "bound"):
        for neighbours in about.get(part, {}).values():
            assert len(set(neighbours)) == len(neighbours)


@pytest.mark.parametrize("about", HOME_BLOCKS)
def test_no_two_meanings_of_a_slot_share_a_surface(about):
    owners = {}
    for meaning, value in about["values"].items():
        for surface, _ in forms(value):
            assert owners.setdefault(surface.casefold(), meaning) == meaning


@pytest.mark.parametrize("about", HOME_BLOCKS)
def test_no_form_is_repeated(about):
    for value in about["values"].values():
        assert len(set(forms(value))) == len(forms(value))


def test_surfaces_are_trimmed_composed_words():
    strange = [(language, surface) for language, surface in SPOKEN
               if not isinstance(surface, str) or not surface or surface != " ".join(surface.split())
               or surface != unicodedata.normalize("NFC", surface) and language not in ("bn", "hi", "he")]
    assert strange == []


@pytest.mark.parametrize("texts", [SPOKEN, ASKED], ids=["values", "questions"])
def test_texts_are_written_in_the_script_of_their_language(texts):
    strange = [(language, text) for language, text in texts if scripts(text) != {SCRIPTS.get(language, "LATIN")}]
    assert strange == []


def test_every_language_asks_for_the_same_slots_in_two_ways_each():
    held = {language: {slot: len(set(questions)) for slot, questions in slots.items()}
            for language, slots in blocks(QUESTIONS).items()}
    assert held == dict.fromkeys(held, dict.fromkeys(blocks(QUESTIONS)["en"], 2))


def test_no_question_asks_for_two_slots():
    for slots in blocks(QUESTIONS).values():
        questions = list(chain(*slots.values()))
        assert len(set(questions)) == len(questions)


def test_questions_end_as_the_language_ends_them():
    marks = set("?;؟？。.!")
    strange = [(language, question) for language, question in ASKED
               if question[-1:] != QUESTION_MARKS.get(language, "?") and (QUESTION_MARKS.get(language) != ""
                                                                         or question[-1] in marks)]
    assert strange == []


def test_spanish_questions_open_with_a_mark_and_french_ones_set_it_off():
    assert all(question.startswith("¿") for question in chain(*blocks(QUESTIONS)["es"].values()))
    assert all(question.endswith(" ?") for question in chain(*blocks(QUESTIONS)["fr"].values()))
