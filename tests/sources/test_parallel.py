"""Intermediate tasks in several source languages, and the family with a dial: what is equal, and what is new."""

from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path

import pytest
from command_overlap import overlap
from processes import printed_with_two_hash_seeds

from stilts.sources.pocket import commands, dates
from stilts.sources.pocket.commands import grains, parallel
from stilts.sources.pocket.commands.collecting import Example
from stilts.sources.pocket.commands.pairs import measure_overlap
from stilts.sources.pocket.sizes import Sizes
from stilts.study.errors import StiltsError
from stilts.tasks.registry import INTERMEDIATES, keep_suite
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import resolve

LANGUAGES = ("en", "de", "zh")
SIZES = Sizes(train=40, intermediate_train=60, validation=20, test=40, dial=120)


def made(tables):
    return {(config, split): rows for config, split, rows in tables}


@pytest.fixture(scope="module")
def tables():
    splits = (parallel.generate(task, LANGUAGES, SIZES, seed=2) for task in commands.INTERMEDIATES)
    return made(chain.from_iterable(splits))


@pytest.fixture(scope="module")
def grain():
    return made(grains.generate(LANGUAGES, SIZES, seed=2))


def language_rows(tables, language):
    return list(chain.from_iterable(rows for (config, _), rows in tables.items() if config.endswith(f".{language}")))


# Parallel tasks


def test_every_task_has_as_many_rows_in_every_language(tables):
    assert {key: len(rows) for key, rows in tables.items()} == {
        (f"intermediate.{task}.{language}", split): size for task in commands.INTERMEDIATES for language in LANGUAGES
        for split, size in (("train", 60), ("validation", 20))}


def sense(row):
    """What a row says in any language: meanings, label, slots, and which answer is asked for."""
    slots = sorted(tag[2:] for tag in row.get("tags", ()) if tag.startswith("B-"))
    answered = row["context"][:row["answers"]["answer_start"][0]] if "answers" in row else ""
    place = sum(answered.count(mark) for mark in (". ", "。"))
    return row["meaning"], row.get("label"), slots, place


def test_rows_of_all_languages_say_the_same_in_the_same_order(tables):
    for (config, split), rows in tables.items():
        task = config.split(".")[1]
        assert list(map(sense, rows)) == list(map(sense, tables[f"intermediate.{task}.en", split])), config


def test_no_row_comes_twice_in_a_language(tables):
    for task in commands.INTERMEDIATES:
        for language in LANGUAGES:
            rows = chain.from_iterable(tables[f"intermediate.{task}.{language}", split]
                                       for split in ("train", "validation"))
            words = [tuple(str(row.get(column)) for column in ("sentence1", "sentence2", "tokens", "context",
                                                                "question")) for row in rows]
            assert len(set(words)) == len(words), (task, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_sources_share_no_template_sentence_or_value_pair_with_evaluation(tables, grain, language):
    sets = made(commands.generate([language], SIZES, seed=2))
    evaluation = list(chain.from_iterable(rows for (config, split), rows in sets.items()
                                          if split == "test" and not config.startswith("intermediate.")))
    for source in (tables, grain):
        assert overlap(language_rows(source, language), evaluation)[:3] == (0.0, 0.0, 0.0)


def test_sources_share_nothing_with_english_target_training(tables, grain):
    sets = made(commands.generate(["en"], SIZES, seed=2))
    training = list(chain.from_iterable(sets[f"{task}.en", "train"] for task in commands.TARGETS))
    for source in (tables, grain):
        assert overlap(language_rows(source, "en"), training)[:3] == (0.0, 0.0, 0.0)


def test_word_overlap_gives_no_label_away_in_any_language(tables):
    for language in LANGUAGES:
        levels = defaultdict(Counter)
        for split in ("train", "validation"):
            for row in tables[f"intermediate.para.{language}", split]:
                pair = Example((row["sentence1"], row["sentence2"]), row)
                levels[row["label"]][measure_overlap(pair, language)] += 1
        assert levels["paraphrase"] == levels["different"], language


def test_labels_are_balanced(tables):
    for task, labels in (("nli", 3), ("para", 2)):
        counts = Counter(row["label"] for row in tables[f"intermediate.{task}.en", "train"])
        assert set(counts.values()) == {60 // labels}


def test_languages_that_have_too_little_in_common_are_named():
    with pytest.raises(StiltsError, match=r"intent: en, af, fa, bn have only \d+ parallel rows.* in data.source_tasks"):
        made(parallel.generate("intent", ["en", "af", "fa", "bn"], Sizes(validation=300, intermediate_train=300), 0))


def test_source_languages_change_the_tasks_that_have_them_alone(tables):
    alone, among = (made(commands.generate(["en", "zh"], SIZES, 2, sources)) for sources in ({}, {"qa": ["de", "zh"]}))
    in_languages = {key: rows for key, rows in tables.items() if key[0].startswith("intermediate.qa.")}
    assert among == {**alone, **in_languages}
    assert {config for config, _ in among.keys() - alone.keys()} == {"intermediate.qa.de", "intermediate.qa.zh"}


def test_dates_of_all_languages_say_the_same_in_the_same_order():
    found = made(dates.generate(["en"], SIZES, 2, ["eu", "zh"]))
    for split, size in (("train", 60), ("validation", 20)):
        own = [[(row["template"], row["meaning"]) for row in found[f"intermediate.dates.{language}", split]]
               for language in ("en", "eu", "zh")]
        assert own[0] == own[1] == own[2]
        assert len(set(own[0])) == size
    alone = made(dates.generate(["en"], SIZES, 2))
    assert found["dates.en", "test"] == alone["dates.en", "test"]


# The family with a dial


def test_the_registry_holds_every_level():
    registered = {name for name in keep_suite(INTERMEDIATES, "pocket") if name.startswith("dial-")}
    assert registered == set(grains.LEVELS)
    assert all(INTERMEDIATES[name].config_for("de") == f"intermediate.{name}.de" for name in registered)


def test_levels_of_grain_have_the_same_commands_in_the_same_order_and_merge_their_intents(grain):
    finest = [row["label"] for row in grain["intermediate.dial-grain-16.en", "train"]]
    assert set(finest) == set(grains.INTENTS)
    for language in LANGUAGES:
        texts = {
            level: [row["sentence1"] for row in grain[f"intermediate.{level}.{language}", "train"]]
            for level in grains.LEVELS
        }
        assert all(own == texts["dial-grain-16"] for own in texts.values())
        assert len(set(texts["dial-grain-16"])) == len(finest) == 120
    for level, classes in grains.LEVELS.items():
        labels = [[row["label"] for row in grain[f"intermediate.{level}.{code}", "train"]] for code in LANGUAGES]
        assert labels[0] == labels[1] == labels[2]
        assert set(labels[0]) == set(grains.list_label_names(level))
        pairs = set(zip(finest, labels[0], strict=True))
        assert len(pairs) == 16  # each intent is in one class
        counts = Counter(labels[0]).values()
        assert len(counts) == classes
        assert max(counts) - min(counts) <= 16 // classes


def test_classes_of_grain_are_named_by_the_intents_that_they_hold():
    assert grains.list_label_names("dial-grain-2") == [
        "HassStartTimer to HassSetVolume", "HassSetVolumeRelative to HassClimateGetTemperature"
    ]  # fmt: skip
    assert grains.list_label_names("dial-grain-16") == list(grains.INTENTS)


def test_languages_without_an_intent_of_grain_are_left_out():
    assert grains.list_left_out(["de", "zh"]) == {}
    ((code, reason),) = grains.list_left_out(["eu"]).items()
    assert (code, reason.startswith("no template of the intermediate pool says what an English one says of Hass")) == (
        "eu", True,
    )  # fmt: skip
    with pytest.raises(StiltsError, match="family grain: en, eu have no common command of Hass"):
        next(grains.generate(["en", "eu"], SIZES, 0))


def test_rows_do_not_depend_on_the_hash_seed():
    code = ("import hashlib; from stilts.sources.pocket.sizes import Sizes\n"
            "from stilts.sources.pocket.commands import grains, parallel\n"
            "sizes = Sizes(train=10, intermediate_train=10, validation=5, dial=10)\n"
            "rows = [*parallel.generate('qa', ['en', 'eu'], sizes, 0), *grains.generate(['en', 'de'], sizes, 0)]\n"
            "print(hashlib.sha256(repr(rows).encode()).hexdigest())")
    assert len(printed_with_two_hash_seeds(code)) == 1


def test_a_study_that_does_not_ask_for_a_family_cannot_name_its_tasks():
    here = Checkout(Path(__file__).parents[2])
    study = here.study("pocket").model_copy(update={"intermediates": ("none", "dial-grain-2")})
    with pytest.raises(StiltsError, match="'dial-grain-2' belongs to family 'grain', which is not in data.families"):
        resolve(study, here)
    asked = study.model_copy(update={"data": study.data.model_copy(update={"families": ("grain",)})})
    assert {run.condition for run in resolve(asked, here).runs if run.phase == "intermediate"} == {"dial-grain-2"}
