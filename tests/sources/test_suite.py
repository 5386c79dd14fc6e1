import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value, load_dataset
from huggingface_hub import DatasetCard
from processes import printed_with_two_hash_seeds

from stilts.sources.hub import list_configs, load_split
from stilts.sources.pocket import source, texts
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.pocket.overlap import Census, trace
from stilts.sources.pocket.sizes import Sizes
from stilts.sources.pocket.source import TRACES
from stilts.sources.suite import Request, Table, add_texts, find_faults, read_manifest, read_sizes, write_suite
from stilts.study.errors import StiltsError, UnknownName
from stilts.tasks.formats import CLASSIFICATION, MINING, RETRIEVAL, SPAN_QA, TAGGING

TAGS = add_texts(TAGGING.features(["O", "B-day"]), *TRACES)
TAGGED = [{"tokens": ["on", "5"], "tags": ["O", "B-day"], "template": "t", "meaning": "5"}]
INTENT = CLASSIFICATION.features(["off", "on"])
INTENTS = [{"sentence1": "licht an", "label": "on"}, {"sentence1": "licht aus", "label": 0}]
TABLES = [Table("dates.de", "test", TAGS, TAGGED), Table("intent.de", "test", INTENT, INTENTS)]
ABOUT = {"fingerprint": "abc", "seed": 7}


@pytest.fixture
def folder(tmp_path):
    return write_suite(TABLES, tmp_path / "suite", ABOUT, POCKET_CARD)


def never():
    raise AssertionError("tables were read")
    yield


def test_column_layouts():
    text, label = Value("string"), ClassLabel(names=["no", "yes"])
    assert CLASSIFICATION.features(["no", "yes"], pairs=True) == Features(
        {"sentence1": text, "sentence2": text, "label": label})
    assert TAGGING.features(["no", "yes"]) == Features({"tokens": List(text), "tags": List(label)})
    assert add_texts(SPAN_QA.features(), *TRACES) == Features({
        "id": text, "context": text, "question": text,
        "answers": {"text": List(text), "answer_start": List(Value("int32"))}, "template": text, "meaning": text})
    assert RETRIEVAL.features() == Features(
        dict.fromkeys(["source_sentence", "target_sentence", "source_lang", "target_lang"], text))
    assert MINING.features() == Features(dict.fromkeys(["id", "sentence", "lang", "match"], text))


def test_what_is_written_is_read_back(folder):
    assert list_configs(folder) == {"dates.de": ["test"], "intent.de": ["test"]}
    tagged = load_split(folder, "dates.de", "test")
    assert tagged.features == TAGS
    assert tagged.to_list() == [{**TAGGED[0], "tags": [0, 1]}]
    assert load_split(folder, "intent.de", "test").to_list() == [
        {"sentence1": "licht an", "label": 1}, {"sentence1": "licht aus", "label": 0}]
    assert find_faults(folder) == []


def test_datasets_loads_a_config_through_the_card(folder, tmp_path):
    loaded = load_dataset(str(folder), "intent.de", cache_dir=str(tmp_path / "cache"))
    assert loaded["test"].features == INTENT
    assert loaded["test"]["sentence1"] == ["licht an", "licht aus"]


def test_the_card_names_the_licences_and_the_configs(folder):
    card = DatasetCard.load(folder / "README.md")
    assert all(word in card.text for word in ("CC BY 4.0", "Unicode License v3", "BSD-3-Clause"))
    assert (card.data.language, card.data.license) == (["de"], "other")
    assert [config["config_name"] for config in card.data.configs] == sorted({table.config for table in TABLES})
    assert card.data.configs[0]["data_files"] == [{"split": "test", "path": "dates.de/test-*.parquet"}]


def test_a_complete_suite_is_reused(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_suite(never(), folder, ABOUT, POCKET_CARD)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_the_same_tables_give_the_same_bytes(folder, tmp_path):
    again = write_suite(TABLES, tmp_path / "again", ABOUT, POCKET_CARD)
    assert read_manifest(again) == read_manifest(folder)


def test_a_suite_of_other_settings_is_kept(folder):
    with pytest.raises(StiltsError, match="other settings"):
        write_suite(never(), folder, {"fingerprint": "other"}, POCKET_CARD)
    assert find_faults(folder) == []


@pytest.mark.parametrize("name", ["dates.de/test-00000-of-00001.parquet", "README.md", "suite.json"])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:40])])
def test_a_damaged_suite_is_set_aside_and_built_again(folder, name, damage):
    damage(folder / name)
    with pytest.warns(UserWarning, match=r"damaged suite .*set aside as .*suite\.broken-1"):
        write_suite(TABLES, folder, ABOUT, POCKET_CARD)
    assert find_faults(folder) == []
    assert (folder.parent / "suite.broken-1" / "intent.de").is_dir()


def test_a_second_damage_gets_a_second_name(folder):
    for number in (1, 2):
        (folder / "README.md").unlink()
        with pytest.warns(UserWarning, match=f"broken-{number}"):
            write_suite(TABLES, folder, ABOUT, POCKET_CARD)


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StiltsError, match="not a suite"):
        write_suite(never(), tmp_path, ABOUT, POCKET_CARD)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "suite").mkdir()
    assert find_faults(write_suite(TABLES, tmp_path / "suite", ABOUT, POCKET_CARD)) == []


def test_what_a_killed_process_left_is_replaced(tmp_path):
    left = tmp_path / ".suite.part-1"
    left.mkdir()
    (left / "half.parquet").write_bytes(b"PAR1")
    folder = write_suite(TABLES, tmp_path / "suite", ABOUT, POCKET_CARD)
    assert not left.exists()
    assert find_faults(folder) == []


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StiltsError, match=r"suite: the suite cannot be written \(No space left.*free disk space"):
        write_suite(TABLES, tmp_path / "suite", ABOUT, POCKET_CARD)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == []


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StiltsError, match="name a folder that you can write to"):
        write_suite(TABLES, tmp_path / "file" / "suite", ABOUT, POCKET_CARD)


def test_a_table_without_rows_is_refused(tmp_path):
    with pytest.raises(StiltsError, match=r"intent\.xx, test: no rows"):
        write_suite([Table("intent.xx", "test", INTENT, [])], tmp_path / "suite", ABOUT, POCKET_CARD)
    assert not (tmp_path / "suite").exists()


def test_of_two_writers_one_writes(tmp_path):
    started = []

    def tables():
        started.append(1)
        yield from TABLES

    given = (tmp_path / "suite", ABOUT, POCKET_CARD)
    threads = [threading.Thread(target=write_suite, args=(tables(), *given)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [1]
    assert find_faults(tmp_path / "suite") == []


FILES = '"files": {}, "fingerprint": "a"'
WRONG_MANIFESTS = [
    "", "[]", "{}", '{"fingerprint": "a"}', "null", "5", "[" * 100_000, '{"fingerprint": 5, "files": {}}',
    *(f'{{"fingerprint": "a", "files": {files}}}' for files in (
        "null", "[]", '"a"', '{"a": null}', '{"a": 5}', '{"a": ""}', '{"a": "%s"}' % ("A" * 64))),
    *(f"{{{FILES}, {field}}}" for field in (
        '"rows": null', '"rows": []', '"rows": {"a": 5}', '"rows": {"a": {"test": "5"}}', '"left_out": {"a": []}',
        '"left_out": null', '"notes": {"a": "b"}', '"sources": []', '"sources": {"a": 5}', '"revisions": null',
        '"overlap": {}', '"overlap": [5]', '"languages": "de"', '"packages": [1]', '"suite": null')),
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG_MANIFESTS, ids=lambda text: text[:60])
def test_a_wrong_manifest_is_named(tmp_path, text):
    (tmp_path / "suite.json").write_text(text)
    with pytest.raises(StiltsError, match=r"suite\.json: not the manifest of a suite .*build the suite again"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", [*WRONG_MANIFESTS, f"{{{FILES}}}"], ids=lambda text: text[:60])
def test_a_suite_with_a_wrong_manifest_is_built_again(folder, text):
    (folder / "suite.json").write_text(text)
    with pytest.warns(UserWarning, match=r"damaged suite .*set aside as .*suite\.broken-1"):
        write_suite(TABLES, folder, ABOUT, POCKET_CARD)
    assert find_faults(folder) == []


@pytest.mark.parametrize("name", [
    "dates.de/test-00001-of-00002.parquet", "dates.xx/test.parquet", "intent.de/test/0.parquet"])
def test_a_file_that_was_not_written_with_a_suite_is_no_part_of_it(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "dates.de" / "test-00000-of-00001.parquet", folder / name)
    assert find_faults(folder) == [f"{name} was not written with it"]
    with pytest.warns(UserWarning, match="set aside"):
        write_suite(TABLES, folder, ABOUT, POCKET_CARD)
    assert find_faults(folder) == []


def test_sizes_from_settings():
    assert read_sizes({"test": 50}, Sizes) == Sizes(test=50)
    with pytest.raises(UnknownName, match="unknown size of the suite 'tesst'.*Did you mean 'test'"):
        read_sizes({"tesst": 50}, Sizes)
    with pytest.raises(StiltsError, match=r"sizes\.train: Input should be greater than 0"):
        read_sizes({"train": 0}, Sizes)
    with pytest.raises(StiltsError, match=r"validation \(300\) is larger than a training set \(100"):
        read_sizes({"train": 100}, Sizes)


def test_census_counts_what_sets_share():
    def table(config, split, *rows):
        made = [{"sentence1": text, "label": 0, "template": template, "meaning": meaning}
                for text, template, meaning in rows]
        return Table(config, split, add_texts(CLASSIFICATION.features(["a"]), *TRACES), made)

    census = Census()
    list(census.watch([
        table("intermediate.nli.en", "train", ("One", "t1|t2", "On a=1 b=2 | m2")),
        table("intent.en", "train", ("two", "t2", "On b=2 c=3"), ("three", "t3", "m3")),
        table("intent.en", "test", ("one", "t4", "m2"), ("four", "t5", "Off a=1 b=2 c=1")),
        table("intent.de", "test", ("eins", "t3", "Off c=3 d=1 b=2")),
        table("intent.fr", "test", ("un", "t6", "m5")),
    ]))
    rows = {"intermediate.nli.en": {"train": 1}, "intent.en": {"train": 2, "test": 2}, "intent.de": {"test": 1},
            "intent.fr": {"test": 1}}
    keys = ("training", "compared", "rows", "template", "meaning", "values", "text")
    overlap = [dict(zip(keys, values, strict=True)) for values in [
        ("intermediate.nli.en", "intent en train", 2, 0.5, 0.0, 0.0, 0.0),
        ("intermediate.nli.en", "intent en test", 2, 0.0, 0.5, 0.5, 0.5),
        ("intermediate.nli.en", "intent other languages test", 2, 0.0, 0.0, 0.0, 0.0),
        ("intent.en", "intent en test", 2, 0.0, 0.0, 0.0, 0.0),
        ("intent.en", "intent other languages test", 2, 0.5, 0.0, 0.5, 0.0),
    ]]
    assert census.summary() == {"rows": rows, "overlap": overlap}


@pytest.mark.parametrize("language, context, sentences", [
    ("en", "Turn on a. Stop it.", {"turn on a", "stop it"}),
    ("zh", "打开。停止。", {"打开", "停止"}),
    ("hi", "जला दो। रोक दो।", {"जला दो", "रोक दो"}),
    ("th", "ตั้ง หยุด", {"ตั้ง", "หยุด"}),
    ("th", "ตั้ง 7 หยุด", {"ตั้ง", "7", "หยุด", "ตั้ง 7", "7 หยุด"}),  # a space ends a command, or stands in it
])
def test_a_context_is_compared_sentence_by_sentence(language, context, sentences):
    row = {"context": context, "template": "t1|t2", "meaning": "On a=1 | Stop"}
    assert trace(row, language) == ({"t1", "t2"}, {"On a=1", "Stop"}, set(), sentences)


SMALL = {"train": 30, "intermediate_train": 30, "validation": 10, "test": 8, "retrieval": 20, "mining": 5}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    lines = []
    request = Request(3, SMALL, ["de", "zh", "yo"])
    folder = source.build(tmp_path_factory.mktemp("pocket") / "suite", request, lines.append)
    assert len(lines) == 1
    return folder


def test_pocket_has_every_task_and_split(small):
    splits = list_configs(small)
    trained = [task for task in source.TASKS if not task.startswith("ui-")]
    assert [splits[f"{task}.en"] for task in trained] == [["test", "train", "validation"]] * 6
    assert [splits[f"{task}.de"] for task in trained] == [["test"]] * 6
    assert [splits[f"intermediate.{task}.en"] for task in ("nli", "para", "qa", "intent", "slots", "dates")] == [
        ["train", "validation"]] * 6
    assert (splits["ui-retrieval.de"], splits["ui-mining.de"]) == (["test"], ["test", "validation"])
    assert not {"ui-retrieval.en", "ui-retrieval.yo", "intent.yo"} & splits.keys()


def test_pocket_rows_are_as_many_as_asked_for(small):
    rows = read_manifest(small)["rows"]
    assert rows["intent.en"] == {"train": 30, "validation": 10, "test": 8}
    assert rows["intermediate.dates.en"] == {"train": 30, "validation": 10}
    assert rows["ui-mining.zh"] == {"validation": 20, "test": 20}
    assert {config: {split: len(load_split(small, config, split)) for split in splits}
            for config, splits in rows.items()} == rows


def test_the_manifest_says_why_a_language_has_no_test_set_of_a_task(small):
    manifest = read_manifest(small)
    assert manifest["languages"] == ["en", "de", "yo", "zh"]
    tested = {name for name, splits in manifest["rows"].items() if name.endswith(".yo") and "test" in splits}
    assert tested == {"dates.yo"}
    assert {task: reasons["yo"] for task, reasons in manifest["left_out"].items() if "yo" in reasons} == {
        **dict.fromkeys(("intent", "slots", "command-nli", "command-para", "command-qa"),
                        "home-assistant-intents has no templates"),
        "ui-retrieval": "Django's catalogues give 0 usable pairs, 150 are needed",
        "ui-mining": "Django's catalogues give 0 usable pairs, 30 are needed",
    }


def test_pocket_training_shares_no_template_and_no_text_with_english_evaluation(small):
    overlap = read_manifest(small)["overlap"]
    assert {(entry["template"], entry["text"]) for entry in overlap if " en " in entry["compared"]} == {(0.0, 0.0)}


def test_pocket_texts_are_those_of_the_files(small):
    texts = list(source.texts(small))
    assert len(texts) == len(set(texts))
    sentences = load_split(small, "command-nli.de", "test").to_list()
    words = load_split(small, "dates.zh", "test").to_list()
    assert {row["sentence2"] for row in sentences} | {word for row in words for word in row["tokens"]} <= set(texts)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    families = ["text", "grain"]
    request = Request(3, {**SMALL, "dial": 12, "text": 60}, ["zh", "yo"], ["zh", "de", "yo"], families)
    return source.build(tmp_path_factory.mktemp("pocket") / "suite", request)


def test_source_languages_and_families_come_on_top(rich):
    splits = list_configs(rich)
    for task in ("nli", "para", "qa", "intent", "slots", "dates", "dial-grain-2", "dial-grain-4"):
        for language in ("en", "de", "zh"):
            assert splits[f"intermediate.{task}.{language}"] == ["train", "validation"]
    assert splits["intermediate.dates.yo"] == ["train", "validation"]
    assert not {"intent.de", "intermediate.nli.yo", "intermediate.dial-grain-2.yo"} & splits.keys()
    rows = read_manifest(rich)["rows"]
    assert rows["intermediate.dial-grain-2.de"] == {"train": 12, "validation": 10}
    assert rows["intermediate.para.zh"] == {"train": 30, "validation": 10}


def test_the_manifest_says_what_was_asked_for_and_what_is_not_there(rich):
    manifest = read_manifest(rich)
    assert manifest["source_languages"] == ["de", "yo", "zh"]
    assert manifest["families"] == ["grain", "text"]
    reason = {"yo": "home-assistant-intents has no templates"}
    spoken = ("nli", "para", "qa", "grain")
    assert {task: manifest["left_out"][task] for task in spoken} == dict.fromkeys(spoken, reason)
    compared = {entry["compared"] for entry in manifest["overlap"] if entry["training"] == "intermediate.nli.zh"}
    assert {"command-nli en test", "command-nli zh test", "dates other languages test"} <= compared


def test_no_set_shares_a_template_a_value_pair_or_a_text_with_its_languages_evaluation(rich):
    for entry in read_manifest(rich)["overlap"]:
        if f" {entry['training'].rpartition('.')[2]} " in entry["compared"]:
            assert (entry["template"], entry["values"], entry["text"]) == (0.0, 0.0, 0.0), entry


def test_texts_of_all_languages_are_new_to_every_evaluation_set(rich):
    evaluated = {texts.keep_letters(text) for config, splits in list_configs(rich).items()
                 if not config.startswith("intermediate.") for split in splits if split != "train"
                 for row in load_split(rich, config, split).to_list()
                 for text in [*(value for value in row.values() if isinstance(value, str)),
                              "".join(row.get("tokens", ()))] if texts.keep_letters(text)}
    rows = {split: load_split(rich, texts.CONFIG, split).to_list() for split in ("train", "validation")}
    said = [texts.keep_letters(row["text"]) for split in rows.values() for row in split]
    assert evaluated.isdisjoint(said)
    counts = {split: Counter(row["lang"] for row in own) for split, own in rows.items()}
    assert counts == {"train": {"en": 57, "zh": 57, "yo": 29}, "validation": {"en": 3, "zh": 3, "yo": 1}}
    assert {row["text"] for own in rows.values() for row in own} <= set(source.texts(rich))


def test_later_contents_are_in_the_fingerprint_and_change_no_other():
    base = Request(0, {}, ["de"])
    prints = [source.fingerprint(replace(base, **added)) for added in (
        {}, {"source_languages": ["de"]}, {"source_languages": ["de", "zh"]}, {"families": ["grain"]},
        {"families": ["text"]}, {"families": ["grain"], "sizes": {"dial": 10}},
        {"source_languages": ["de"], "source_tasks": ["qa"]})]
    assert len(set(prints)) == 7
    assert source.fingerprint(replace(base, source_languages=("zh", "de"))) == prints[2]
    assert source.fingerprint(replace(base, sizes={"dial": 1000, "text": 1000})) == prints[0]


def test_tasks_that_are_not_named_stay_english(tmp_path):
    request = Request(3, SMALL, ["zh"], ["zh", "yo"], source_tasks=["qa", "dates"])
    suite = source.build(tmp_path / "suite", request)
    assert {config for config in list_configs(suite) if config.startswith("intermediate.")} == {
        *(f"intermediate.{task}.en" for task in ("nli", "para", "qa", "intent", "slots", "dates")),
        "intermediate.qa.zh", "intermediate.dates.zh", "intermediate.dates.yo"}  # fmt: skip
    assert read_manifest(suite)["source_tasks"] == ["dates", "qa"]


@pytest.mark.parametrize("added, message", [
    ({"source_tasks": ["squad"]}, "unknown task by source language of the pocket suite 'squad'"),
    ({"source_languages": ["ger"]}, "unknown source language of the pocket suite besides English 'ger'"),
    ({"source_languages": ["en"]}, "unknown source language of the pocket suite besides English 'en'"),
    ({"families": ["grains"]}, "unknown family of the pocket suite 'grains'. Did you mean 'grain'"),
])
def test_pocket_refuses_later_contents_that_it_does_not_know(added, message):
    with pytest.raises(UnknownName, match=message):
        source.fingerprint(Request(0, **added))


def test_pocket_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(UnknownName, match="unknown language of the pocket suite 'ger'"):
        source.build(tmp_path / "suite", Request(0, {}, ["ger"]))
    with pytest.raises(UnknownName, match="unknown size"):
        source.fingerprint(Request(0, {"trian": 1}))


def test_fingerprint_depends_on_what_matters():
    prints = {source.fingerprint(Request(*given)) for given in [(0, {}), (1, {}), (0, {"test": 9}), (0, {}, ["de"])]}
    assert len(prints) == 4
    assert source.fingerprint(Request(0, {"test": 100})) == source.fingerprint(Request(0))


def test_rows_do_not_depend_on_the_hash_seed():
    code = ("import hashlib; from stilts.sources.pocket import dates, messages\n"
            "from stilts.sources.pocket.sizes import Sizes\n"
            "sizes = Sizes(train=20, intermediate_train=20, validation=5, test=20, mining=5)\n"
            "rows = [list(source.generate(['en', 'ar', 'ja'], sizes, 0)) for source in (dates, messages)]\n"
            "print(hashlib.sha256(repr(rows).encode()).hexdigest())")
    assert len(printed_with_two_hash_seeds(code)) == 1


def test_planning_imports_no_heavy_library():
    code = ("import sys; from stilts.sources import suite; from stilts.sources.pocket import source; "
            "source.fingerprint(suite.Request(0)); print(*sys.modules)")
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "transformers", "datasets", "django", "pandas"} & set(out.stdout.split())
