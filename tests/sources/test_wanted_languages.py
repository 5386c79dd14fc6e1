"""A language that a study names is there, or its plan says why not, or the suite does; whatever the source."""

import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from small_book import ROOT

from stilts.sources.pocket import source
from stilts.sources.suite import Request, read_manifest
from stilts.sources.xtreme import Suite, languages
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import DataSettings, Study
from stilts.workspace.checkout import Checkout
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import open_plan, resolve


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("STILTS_DATA", raising=False)


def put(root, place, *rows):
    path = root / f"{place}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def qa(name, answer):
    answers = {"text": [answer], "answer_start": [0]}
    return {"id": name, "title": name, "context": f"{answer}.", "question": "?", "answers": answers}


def pair(source):
    return {"source_sentence": source, "target_sentence": "One.", "source_lang": "", "target_lang": ""}


def put_data(root):
    """SQuAD with XQuAD in German and Romanian, Tatoeba in German and Romanian, texts and XNLI in two languages."""
    for split in ("train", "validation"):
        put(root, f"rajpurkar/squad/plain_text/{split}", qa(split, "May"))
    for language in ("de", "ro"):
        put(root, f"google/xtreme/XQuAD.{language}/validation", qa("q", "Mai"))
    for name in ("deu", "ron"):
        put(root, f"google/xtreme/tatoeba.{name}/validation", pair(name))
    for split in ("train", "validation_matched"):
        put(root, f"nyu-mll/glue/mnli/{split}", {"premise": "a", "hypothesis": "b", "label": 0})
    for split in ("validation", "test"):
        put(root, f"google/xtreme/XNLI/{split}", *(
            {"language": language, "sentence1": "a", "sentence2": "b", "gold_label": "neutral"}
            for language in ("en", "de") for _ in range(40)))  # fmt: skip
    return root


@pytest.fixture
def here(tmp_path) -> Checkout:
    encoder = tiny.write_unread_encoder(tmp_path / "encoder")
    here = tiny.checkout(tmp_path / "checkout", encoder, intermediates=["none"])
    put_data(here.root / "data")
    return here


def plan(here, suite, targets, chosen="all", evaluated="all", intermediates=("none",), **data):
    settings = {
        **here.study("tiny").model_dump(),
        "data": {"suite": suite, "folder": "data", "languages": chosen, **data},
        "targets": targets, "evaluation": {"languages": evaluated}, "intermediates": intermediates, "per_task": {},
    }  # fmt: skip
    return resolve(Study.model_validate(settings), here, provisional=True)


NO_TEST_SET = "has no test set in any language of the study"
# Of no task of the study; of one target alone; of the data folder; of the evaluation.
REFUSED = [
    ("xtreme", ["xquad", "tatoeba"], ["de", "ro"], "all",
     "no task of the study has language 'ro' (xquad: the table of languages has it in en, ar, de, el, es, hi, ru, th, "
     "tr, vi, zh, not in ro; tatoeba: the table of languages has it in af, ar, "),
    ("xtreme", ["tatoeba"], ["ro"], "all", f"target 'tatoeba' {NO_TEST_SET} (ro: the table of languages has it in "),
    ("xtreme", ["xquad", "tatoeba"], ["de", "th"], ["th"],
     f"target 'xquad' {NO_TEST_SET} (th: the data folder has it in de, not in th)"),
    ("xtreme", ["xnli"], ["de", "fr"], "all", "'fr' (xnli: the data folder has it in en, de, not in fr); remove it"),
    ("xtreme", ["xnli"], ["de"], ["de", "en", "zh"], "evaluation.languages: zh is not in data.languages (de); add it"),
    ("xtreme", ["tatoeba"], "all", ["en"], f"target 'tatoeba' {NO_TEST_SET} (en: the table of languages has it in "),
    ("pocket", ["ui-mining", "ui-retrieval"], ["de", "yo"], "all",
     "no task of the study has language 'yo' (ui-mining: Django's catalogues give 0 usable pairs, 270 are needed; "
     "ui-retrieval: Django's catalogues give 0 usable pairs, 150 are needed); remove it from the study"),
    ("pocket", ["dates", "ui-mining"], ["eu"], "all",
     f"target 'ui-mining' {NO_TEST_SET} (eu: mining is made for at most eight languages, of several families and "
     "scripts)"),
    ("pocket", ["intent", "dates"], "all", ["yo"],
     f"target 'intent' {NO_TEST_SET} (yo: home-assistant-intents has no templates)"),
    ("pocket", ["dates"], ["de"], ["sw"], "evaluation.languages: sw is not in data.languages (de); add it there"),
]  # fmt: skip
# Without data, by what publishers have.
REFUSED_WITHOUT_DATA = [
    (["xcopa", "lareqa"], ["yo"], f"target 'xcopa' {NO_TEST_SET} (yo: the table of languages has it in et, ht, "),
    (["mewsli-x"], ["ro", "sw"], "no task of the study has language 'sw' (mewsli-x: the table of languages has it in "),
    (["bucc2018", "tydiqa"], ["ko"], f"target 'bucc2018' {NO_TEST_SET} (ko: the table of languages has it in de, "),
    (["xquad", "udpos"], ["ka"], f"target 'xquad' {NO_TEST_SET} (ka: "),
    (["udpos", "paws-x"], ["de", "ka"], "no task of the study has language 'ka' (udpos: "),
]  # fmt: skip


@pytest.mark.parametrize("suite, targets, chosen, evaluated, message", REFUSED)
def test_a_language_that_is_nowhere_is_said_by_the_plan(here, suite, targets, chosen, evaluated, message):
    with pytest.raises(StiltsError) as caught:
        plan(here, suite, targets, chosen, evaluated)
    assert message in str(caught.value)


@pytest.mark.parametrize("targets, chosen, message", REFUSED_WITHOUT_DATA)
def test_a_language_that_no_publisher_has_is_said_before_anything_is_fetched(here, targets, chosen, message):
    shutil.rmtree(here.root / "data")
    with pytest.raises(StiltsError) as caught:
        plan(here, "xtreme", targets, chosen)
    assert message in str(caught.value)


@pytest.mark.parametrize("suite, targets", [("xtreme", ["xquad"]), ("pocket", ["dates"])])
@pytest.mark.parametrize("where", ["chosen", "evaluated"])
def test_a_language_of_no_suite_is_said_with_the_nearest(here, suite, targets, where):
    with pytest.raises(UnknownName, match="unknown language of the .*suite.* 'dee'"):
        plan(here, suite, targets, **{where: ["de", "dee"]})


def test_an_intermediate_task_in_a_language_that_lacks_it_is_said(here):
    condition = {"name": "far", "tasks": ["nli.yo"]}
    with pytest.raises(StiltsError, match=r"'nli\.yo' is not available: home-assistant-intents has no templates"):
        plan(here, "pocket", ["dates"], intermediates=["none", condition], source_languages=["yo"])
    kept = {"name": "far", "tasks": ["dates.yo"]}
    assert plan(here, "pocket", ["dates"], intermediates=["none", kept], source_languages=["yo"]).runs


def test_texts_of_a_language_are_data_of_it(here):
    found = tuple({"tokens": [f"{i}"], "ner_tags": [0]} for i in range(20))
    put(here.root / "data", "google/xtreme/PAN-X.yo/train", *found)
    mixed = {"name": "mixed", "tasks": ["mnli", "mlm"]}
    assert plan(here, "xtreme", ["xnli"], ["de", "yo"], intermediates=["none", mixed]).runs
    with pytest.raises(StiltsError, match="no task of the study has language 'yo'"):
        plan(here, "xtreme", ["xnli"], ["de", "yo"])


def test_what_one_task_lacks_another_may_have_and_the_suite_says_it(here):
    put(here.root / "data", "google/xtreme/tatoeba.swh/validation", pair("swh"))
    assert plan(here, "xtreme", ["xquad", "xnli", "tatoeba"], ["de", "sw"]).runs
    suite = here.root / "suite"
    Suite(here.root / "data").build(suite, Request(0, {}, ["de", "sw", "en"]), report=lambda line: None)
    left_out = read_manifest(suite)["left_out"]
    tasks = ("xquad", "xnli", "tatoeba", "mlm", "xnli-dev-translated")
    assert {task: left_out.get(task, {}).get("sw") for task in tasks} == {
        "xquad": "the table of languages has it in en, ar, de, el, es, hi, ru, th, tr, vi, zh, not in sw",
        "xnli": "google/xtreme/XNLI/test has no rows of it",
        "tatoeba": None,
        "mlm": "no set of it in the data folder that no target is tested on",
        "xnli-dev-translated": "the data folder has it in en, de, not in sw",
    }


def test_the_pocket_suite_says_it_too(tmp_path):
    sizes = {"train": 30, "intermediate_train": 30, "validation": 10, "test": 8, "retrieval": 20, "mining": 5}
    suite = source.build(tmp_path / "suite", Request(0, sizes, ["de", "yo"]))
    assert read_manifest(suite)["left_out"]["intent"] == {"yo": "home-assistant-intents has no templates"}


def test_studies_of_the_repository_name_what_is_there():
    here = Checkout(ROOT)
    for name in here.studies():
        assert open_plan(here, name, provisional=True).runs


def test_data_that_change_between_plan_and_build_are_said(here, monkeypatch):
    study = here.study("tiny").model_copy(update={"data": DataSettings(suite="xtreme", folder="data"),
                                                  "targets": ("tatoeba",)})  # fmt: skip
    whole = Checkout.lock

    def waited(self, name):
        put(here.root / "data", "google/xtreme/tatoeba.deu/validation", pair("while another process was preparing"))
        return whole(self, name)

    monkeypatch.setattr(Checkout, "lock", waited)
    with pytest.raises(StiltsError, match="study 'tiny': its data changed after the plan was made; run the"):
        prepare(resolve(study, here))
    assert not list((here.runs / "data").glob("*"))


# --- one more language -----------------------------------------------------------------------------------------------

BUILD = """
import json, pathlib, sys
from stilts.sources.suite import Request, read_manifest
from stilts.sources.xtreme import Suite, languages
root = pathlib.Path(sys.argv[1])
suite = Suite(root)
request = Request(0, {}, ["de", "ro"])
print(json.dumps([languages.__file__, suite.fingerprint(request), suite.left_out(request)]))
suite.build(root.parent / sys.argv[2], request, report=lambda line: None)
"""


def run_copy(package, data, name):
    """Build a suite by another copy of the package, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    out = subprocess.run([sys.executable, "-c", BUILD, str(data), name], env=environment, cwd=package, check=True,
                         capture_output=True, text=True).stdout  # fmt: skip
    return json.loads(out.splitlines()[0])


def test_a_language_is_one_entry_of_one_table(tmp_path):
    data = put_data(tmp_path / "data")
    shutil.copytree(ROOT / "stilts", tmp_path / "copy" / "stilts", ignore=shutil.ignore_patterns("__pycache__"))
    table = tmp_path / "copy" / "stilts" / "sources" / "xtreme" / "languages.py"
    text = table.read_text(encoding="utf-8")
    before = '"ro": _row("mewsli-x"),'
    shown = (ROOT / "book" / "extending.md").read_text(encoding="utf-8")
    after = next(line.strip() for line in shown.splitlines() if line.strip().startswith('"ro": _row('))
    assert (text.count(before), "xquad" in after, "tatoeba" in after) == (1, True, True)
    table.write_text(text + "\n# another comment\n", encoding="utf-8")
    same = run_copy(tmp_path / "copy", data, "first")
    table.write_text(text.replace(before, after), encoding="utf-8")
    with_it = run_copy(tmp_path / "copy", data, "second")
    request = Request(0, {}, ["de", "ro"])
    assert same == [str(table), Suite(data).fingerprint(request), Suite(data).left_out(request)]
    assert with_it[1] != same[1]
    assert {"xquad", "tatoeba"} <= same[2].keys()
    assert not {"xquad", "tatoeba"} & with_it[2].keys()
    rows = read_manifest(tmp_path / "second")["rows"]
    assert {config: rows[config] for config in rows if config.endswith(".ro")} == {
        "xquad.ro": {"test": 1}, "tatoeba.ro": {"test": 1}}  # fmt: skip
    assert not [config for config in read_manifest(tmp_path / "first")["rows"] if config.endswith(".ro")]
    found = pq.read_table(tmp_path / "second" / "tatoeba.ro" / "test-00000-of-00001.parquet")
    assert found["source_sentence"].to_pylist() == ["ron"]


def test_a_set_that_does_not_exist_is_said():
    with pytest.raises(UnknownName, match="unknown set that a language may be in 'xqaud'. Did you mean 'xquad'"):
        languages._row("xqaud")
