"""The suite "xtreme" from small folders in the Hub's layout, and from real rows where a mirror stands."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st
from mirror import MIRROR, needs_mirror

from stilts.analysis.suite_report import show_examples
from stilts.sources.hub import load_split
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.suite import Request, Table, write_suite
from stilts.sources.xtreme import Suite, languages, treebanks
from stilts.sources.xtreme.answers import align_answers
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.pairs import limit_pairs
from stilts.sources.xtreme.recipes import BY_SOURCE, RECIPES
from stilts.sources.xtreme.source import _stratified, _taken
from stilts.sources.xtreme.tags import NER
from stilts.sources.xtreme.treebanks import UPOS
from stilts.study.errors import StiltsError, UnknownName
from stilts.tasks.formats import MULTIPLE_CHOICE, PASSAGE_RETRIEVAL, SPAN_QA_MLQA
from stilts.tasks.registry import INTERMEDIATES, TARGETS, check_sources, get_intermediate, keep_suite

NLI = ("entailment", "neutral", "contradiction")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def put(root, place, *rows, features=None):
    """Write rows as the one file of a place, ``owner/name/config/split``."""
    path = root / place.rpartition("/")[0] / f"{place.rpartition('/')[2]}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=features.arrow_schema if features else None), path)
    return path


def numbered(*names, **columns):
    return Features({**{name: Value("string") for name in columns.get("text", ())}, "label": ClassLabel(names=names)})


def nli(premise, hypothesis="h", label=0):
    return {"premise": premise, "hypothesis": hypothesis, "label": label}


def qa(name, context, answer, start, **more):
    answers = {"text": [answer], "answer_start": [start]}
    return {"id": name, "title": name, "context": context, "question": "?", "answers": answers, **more}


def built(root, chosen=("de",), seed=0, sources=(), **sizes):
    folder = root.parent / f"suite-{seed}"
    said = []
    Suite(root).build(folder, Request(seed, sizes, chosen, sources), report=said.append)
    return folder, said


def rows(suite, config, split):
    """Rows in the source's order where only the numbers of a test set's rows tell it; those numbers left out."""
    found = load_split(suite, config, split).to_list()
    if all(isinstance(row.get("id"), int) for row in found):
        found = [{key: row[key] for key in row if key != "id"} for row in sorted(found, key=lambda row: row["id"])]
    return found


def manifest(suite):
    return json.loads((suite / "suite.json").read_text())


def put_mnli(root, count=2):
    features = Features({"premise": Value("string"), "hypothesis": Value("string"), "label": ClassLabel(names=NLI)})
    for split in ("train", "validation_matched"):
        put(root, f"nyu-mll/glue/mnli/{split}", *(nli(f"{split} {i}", label=i % 3) for i in range(count)),
            features=features)  # fmt: skip


def put_squad(root):
    for split in ("train", "validation"):
        put(root, f"rajpurkar/squad/plain_text/{split}", qa(split, f"In {split}.", split, 3))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_every_task_of_the_registry_has_a_recipe_and_the_other_way_round():
    passages = {"lareqa", "mewsli-x"}
    known = {*keep_suite(TARGETS, "xtreme"), *keep_suite(INTERMEDIATES, "xtreme")}
    assert known - passages == {*RECIPES, *BY_SOURCE} - passages
    assert {name for name, task in INTERMEDIATES.items() if task.by_source} == BY_SOURCE.keys() - RECIPES.keys()


def test_languages():
    sizes = {"XNLI": 15, "PAWS_X": 7, "UDPOS": 33, "PAN_X": 40, "XQUAD": 11, "MLQA": 7, "TYDIQA": 9, "BUCC": 4,
             "TATOEBA": 36, "XCOPA": 11}  # fmt: skip
    assert {name: len(getattr(languages, name)) for name in sizes} == sizes
    assert languages.ALL[0] == "en"


def test_xnli_and_mnli(root):
    put_mnli(root)
    test = [{"language": language, "sentence1": f"{language} {i}", "sentence2": "b", "gold_label": NLI[i]}
            for language in ("en", "de", "fr") for i in range(3)]  # fmt: skip
    put(root, "google/xtreme/XNLI/test", *test)
    suite, _ = built(root)
    assert rows(suite, "xnli.de", "test") == [{"sentence1": f"de {i}", "sentence2": "b", "label": i} for i in range(3)]
    expected = [{"sentence1": f"train {i}", "sentence2": "h", "label": i} for i in range(2)]
    for config in ("xnli.en", "intermediate.mnli.en"):
        assert sorted(rows(suite, config, "train"), key=str) == expected
    assert not (suite / "xnli.fr").exists()
    assert manifest(suite)["sources"]["google/xtreme/XNLI/test"] == {"rows": 9, "published": 75150}
    features = load_split(suite, "xnli.de", "test").features
    assert features["label"] == ClassLabel(names=list(NLI))


def test_parallel_sets_stay_parallel(root):
    put_mnli(root)
    put(root, "google/xtreme/XNLI/test", *(
        {"language": language, "sentence1": f"{i}", "sentence2": language, "gold_label": "neutral"}
        for language in ("de", "en", "zh") for i in range(50)))  # fmt: skip
    suite, _ = built(root, ("de", "zh"), test=20)
    chosen = {language: [row["sentence1"] for row in load_split(suite, f"xnli.{language}", "test").to_list()]
              for language in ("de", "en", "zh")}  # fmt: skip
    assert chosen["de"] == chosen["en"] == chosen["zh"]
    assert len(set(chosen["de"])) == 20
    assert chosen["de"] != sorted(chosen["de"], key=int)
    other, _ = built(root, ("de", "zh"), seed=1, test=20)
    assert load_split(other, "xnli.de", "test")["sentence1"][:] != chosen["de"]


def test_paws_x_labels_are_text(root):
    for place in ("en/train", "en/validation", "en/test", "de/test"):
        put(root, f"google/xtreme/PAWS-X.{place}", {"sentence1": place, "sentence2": "b", "label": "1"})
    suite, _ = built(root)
    assert rows(suite, "paws-x.de", "test") == [{"sentence1": "de/test", "sentence2": "b", "label": 1}]
    assert sorted(path.name for path in (suite / "paws-x.en").iterdir()) == [
        f"{split}-00000-of-00001.parquet" for split in ("test", "train", "validation")]  # fmt: skip


def test_anli_plus_takes_what_stands_and_says_so(root):
    put_mnli(root)
    for number in (1, 2, 3):
        for split in ("train", "dev"):
            put(root, f"facebook/anli/plain_text/{split}_r{number}", nli(f"{split} {number}", label=1))
    put(root, "stanfordnlp/snli/plain_text/train", nli("agreed", label=2), nli("not agreed", label=-1))
    suite, _ = built(root)
    assert sorted(row["sentence1"] for row in rows(suite, "intermediate.anli.en", "train")) == [
        "agreed", "train 0", "train 1", "train 1", "train 2", "train 3"]  # fmt: skip
    assert manifest(suite)["notes"]["anli"] == [
        "validation without stanfordnlp/snli/plain_text/validation: not in the data folder"]  # fmt: skip


def test_qqp(root):
    for split in ("train", "validation"):
        put(root, f"nyu-mll/glue/qqp/{split}", {"question1": "a", "question2": "b", "label": 1})
    assert rows(built(root)[0], "intermediate.qqp.en", "train") == [{"sentence1": "a", "sentence2": "b", "label": 1}]


def tagged(column, names, *sentences):
    features = Features({"tokens": List(Value("string")), column: List(ClassLabel(names=list(names)))})
    return [{"tokens": words, column: [names.index(tag) for tag in tags]} for words, tags in sentences], features


def test_pan_x_and_udpos_from_the_hub(root):
    for task, column, names in (("PAN-X.{}", "ner_tags", NER), ("udpos.{}", "pos_tags", UPOS)):
        found, features = tagged(column, names, (["Anna", "sang"], [names[1], names[0]]))
        english, german = ("en", "de") if task.startswith("PAN") else ("English", "German")
        for place in (f"{english}/train", f"{english}/validation", f"{english}/test", f"{german}/test"):
            put(root, f"google/xtreme/{task.format(place)}", *found, features=features)
    suite, _ = built(root, ("de", "yo"))
    for config, names in (("pan-x.de", NER), ("udpos.de", UPOS)):
        assert rows(suite, config, "test") == [{"tokens": ["Anna", "sang"], "tags": [1, 0]}]
        assert load_split(suite, config, "test").features["tags"].feature.names == list(names)
    about = manifest(suite)
    sources = about["sources"]
    assert sources["google/xtreme/udpos.German/test"] == {"rows": 1}  # nothing tells whether the copy is whole
    assert sources["google/xtreme/PAN-X.de/test"] == {"rows": 1}
    assert about["left_out"]["udpos"] == {"yo": "google/xtreme/udpos.Yoruba/test is not in the data folder"}
    assert any("Swiss German" in note for note in about["notes"]["udpos"])


def test_label_names_must_be_those_of_the_suite(root):
    found, features = tagged("ner_tags", NER[::-1], (["Anna"], ["O"]))
    for split in ("train", "validation", "test"):
        path = put(root, f"google/xtreme/PAN-X.en/{split}", *found, features=features)
    with pytest.raises(StiltsError, match=rf"{path.parent}/train.*: the labels are I-LOC, .*should be O, B-PER"):
        built(root)


CONLLU = """# text = del mar
1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\tde\tADP\t_\t_\t3\tcase\t_\t_
2\tel\tel\tDET\t_\t_\t3\tdet\t_\t_
3\tmar\tmar\tNOUN\t_\t_\t0\troot\t_\t_
3.1\tempty\tempty\tX\t_\t_\t_\t_\t_\t_

1-2\tdámelo\t_\t_\t_\t_\t_\t_\t_\t_
1\tda\tdar\tVERB\t_\t_\t0\troot\t_\t_
2\tmelo\tyo\tPRON\t_\t_\t1\tobj\t_\t_
3\t10\u202f000\t10\tNUM\t_\t_\t1\tobj\t_\t_
4\t10 000\t10\tNUM\t_\t_\t1\tobj\t_\t_
5\tن\u200cم\tx\tX\t_\t_\t1\tobj\t_\t_

1\t_\t_\tX\t_\t_\t0\troot\t_\t_
2\t_\t_\tX\t_\t_\t1\tobj\t_\t_
3\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_
"""


def put_treebank(root, folder, name, text):
    path = root / "universal-dependencies" / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_treebanks_keep_fused_forms_as_xtreme_does(root):
    path = put_treebank(root, "UD_Spanish-GSD", "es_gsd-ud-test.conllu", CONLLU)
    assert list(treebanks.read(path, "es")) == [
        (["del", "mar"], ["ADP", "NOUN"]),  # both of one height: ADP comes before DET in the Spanish list
        (["dámelo", "10\u202f000", "10000", "نم"], ["VERB", "NUM", "NUM", "X"]),
    ]


@pytest.mark.parametrize("text, message", [
    ("1\tde\n", "line 1: 2 columns instead of 10"),
    ("\none" + "\t_" * 9 + "\n", "line 2: invalid literal"),
])  # fmt: skip
def test_what_is_no_conllu_is_refused(root, text, message):
    with pytest.raises(StiltsError, match=message):
        list(treebanks.read(put_treebank(root, "UD_Spanish-GSD", "es_gsd-ud-test.conllu", text), "es"))


def test_treebanks_go_before_the_hub_and_leave_other_languages_out(root):
    line = "1\t{}\t_\tX\t_\t_\t0\troot\t_\t_\n"
    for split in ("train", "dev", "test"):
        put_treebank(root, "UD_English-EWT", f"en_ewt-ud-{split}.conllu", line.format(f"EWT {split}"))
    put_treebank(root, "UD_English-GUM", "en_gum-ud-test.conllu", line.format("GUM"))
    put_treebank(root, "UD_Greek-GDT", "el_gdt-ud-test.conllu", line.format("GDT"))
    put_treebank(root, "UD_Ancient_Greek-PROIEL", "grc_proiel-ud-test.conllu", line.format("PROIEL"))
    found, features = tagged("pos_tags", UPOS, (["hub"], ["X"]))
    put(root, "google/xtreme/udpos.English/test", *found, features=features)
    suite, _ = built(root, ("el",))
    assert rows(suite, "udpos.en", "test") == [{"tokens": [word], "tags": [16]} for word in ("EWTtest", "GUM")]
    assert rows(suite, "udpos.el", "test") == [{"tokens": ["GDT"], "tags": [16]}]


def test_ccg_comes_from_a_folder_that_the_user_holds(root):
    assert "ccg/train.tsv, to be made from CCGbank" in Suite(root).missing("ccg")
    (root / "ccg").mkdir()
    (root / "ccg" / "train.tsv").write_text("He\tNP\nsat\tS\\NP\n\n\nShe\tNP\n")
    (root / "ccg" / "validation.tsv").write_text("She\tNP\n")
    assert Suite(root).missing("ccg") is None
    suite, _ = built(root)
    assert sorted(rows(suite, "intermediate.ccg.en", "train"), key=str) == [
        {"tokens": ["He", "sat"], "tags": [0, 1]}, {"tokens": ["She"], "tags": [0]}]  # fmt: skip
    (root / "ccg" / "validation.tsv").write_text("She NP\n")
    with pytest.raises(StiltsError, match=r"validation\.tsv, line 1: 'She NP'; it should be a word, a tab and a tag"):
        built(root, seed=1)


def test_questions(root):
    put_squad(root)
    put(root, "google/xtreme/XQuAD.de/validation", qa("q", "Am 1. Mai.", "Mai", 6))
    put(root, "google/xtreme/MLQA.de.de/test", qa("m", "Am 2. Mai.", "2.", 3))
    for split in ("train", "validation"):
        unanswerable = {**qa("n", "c", "", 0), "answers": {"text": [], "answer_start": []}}
        put(root, f"rajpurkar/squad_v2/squad_v2/{split}", qa("a", "Yes.", "Yes", 0), unanswerable)
    suite, _ = built(root)
    row = {"id": "q", "context": "Am 1. Mai.", "question": "?", "answers": {"text": ["Mai"], "answer_start": [6]}}
    assert rows(suite, "xquad.de", "test") == [row]
    assert [row["id"] for row in rows(suite, "mlqa.de", "test")] == ["m"]
    assert [row["id"] for row in rows(suite, "xquad.en", "train")] == ["train"]
    assert not (suite / "mlqa.en").exists()
    answers = {row["id"]: row["answers"]["text"] for row in rows(suite, "intermediate.squad2.en", "train")}
    assert answers == {"a": ["Yes"], "n": []}


def test_tydiqa_trains_on_english_and_holds_articles_out(root):
    english = [qa(f"english-{i}-0", "In 1990.", "1990", 3, title=f"t{i % 40}") for i in range(80)]
    put(root, "google/xtreme/tydiqa/train", *english, qa("korean-1-0", "In 1990.", "1990", 3))
    put(root, "google/xtreme/tydiqa/validation", qa("english-9-0", "A b.", "b", 2), qa("korean-9-0", "A c.", "c", 2))
    suite, _ = built(root, ("ko",))
    splits = {split: [row["id"] for row in rows(suite, "tydiqa.en", split)]
              for split in ("train", "validation", "test")}  # fmt: skip
    assert splits["test"] == ["english-9-0"]
    assert {*splits["train"], *splits["validation"]} == {f"english-{i}-0" for i in range(80)}
    assert len(splits["validation"]) > 0
    titles = [{int(name.split("-")[1]) % 40 for name in splits[split]} for split in ("train", "validation")]
    assert titles[0].isdisjoint(titles[1])
    assert [row["id"] for row in rows(suite, "tydiqa.ko", "test")] == ["korean-9-0"]


@given(st.text(), st.text(min_size=1), st.text(), st.integers(0, 16))
def test_offsets_are_moved_by_the_white_space_that_was_removed(before, answer, after, removed):
    context = before + answer + after
    table = pa.table({"context": [context], "answers": [{"text": [answer], "answer_start": [len(before) + removed]}]})
    found = align_answers(table)
    start = found.rows["answers"].to_pylist()[0]["answer_start"][0]
    assert found.misplaced == []
    assert context[start : start + len(answer)] == answer


def test_an_answer_elsewhere_is_an_error_that_names_file_and_row(root):
    put_squad(root)
    path = put(root, "google/xtreme/XQuAD.de/validation", qa("a", "Mai", "Mai", 0), qa("b", "Mai", "Juni", 0))
    with pytest.raises(StiltsError, match=rf"{path}, row 1 \(id b\): answer \['Juni'\] is not at offset \[0\]"):
        built(root)


def test_translations(root):
    for language in ("de", "fr"):
        put(root, f"facebook/xnli/{language}/train", *(nli(f"{language} {i}", label=i % 3) for i in range(200)))
    put(root, "juletxara/xquad_xtreme/de/translate_train", qa("a", "Mai", "Mai", 0), qa("b", "Mai", "x", 0))
    put(root, "juletxara/xquad_xtreme/de/translate_dev", qa("c", "Mai", "Mai", 0))
    put(root, "google/xtreme/XNLI/validation", *(
        {"language": language, "sentence1": f"{i // 3}", "sentence2": language, "gold_label": NLI[i % 3]}
        for language in ("en", "de") for i in range(60)))  # fmt: skip
    suite, _ = built(root, ("de", "fr"))
    name = "intermediate.mnli-translated.multilingual"
    held_out = sorted(row["sentence1"] for row in rows(suite, name, "validation"))
    assert held_out == ["de 199", "de 99", "fr 199", "fr 99"]
    assert len(rows(suite, name, "train")) == 396
    name = "intermediate.xnli-dev-translated.multilingual"
    held_out = {(row["sentence1"], row["sentence2"]) for row in rows(suite, name, "validation")}
    assert held_out == {("9", "de"), ("19", "de")}
    assert len(rows(suite, name, "train")) == 54
    name = "intermediate.squad-translated.multilingual"
    assert [row["id"] for row in rows(suite, name, "train")] == ["a"]
    assert manifest(suite)["notes"]["squad-translated"][0].startswith(
        "juletxara/xquad_xtreme/de/translate_train: 1 of 2 rows left out")  # fmt: skip


def test_multiple_choice(root):
    choices = {"label": ["A", "B", "C", "D", "E"], "text": ["v", "w", "x", "y", "z"]}
    endings = ["ate", "slept", "ran", "sang"]
    for split in ("train", "validation"):
        put(root, f"Rowan/hellaswag/data/{split}",
            {"ctx_a": "He sat.", "ctx_b": "He", "endings": endings, "label": "3"},
            {"ctx_a": "She sat.", "ctx_b": "", "endings": endings, "label": "0"})  # fmt: skip
        put(root, f"Samsoup/cosmos_qa/data/{split}", {"context": "c", "question": "q", "label": 2,
                                                      **{f"answer{i}": f"a{i}" for i in range(4)}})  # fmt: skip
        put(root, f"tau/commonsense_qa/data/{split}", {"question": "q", "choices": choices, "answerKey": "B"})
        put(root, f"lighteval/siqa/data/{split}", {"context": "c", "question": "q", "answerA": "x", "answerB": "y",
                                                   "answerC": "z", "label": "3"})  # fmt: skip
        put(root, f"aps/super_glue/copa/{split}", {"premise": "It fell.", "choice1": "x", "choice2": "y",
                                                   "question": "cause", "label": 1})  # fmt: skip
    put(root, "cambridgeltl/xcopa/it/test", {"premise": "Cadde.", "choice1": "x", "choice2": "y", "question": "effect",
                                             "label": 0})  # fmt: skip
    suite, _ = built(root, ("it",))
    assert sorted(rows(suite, "intermediate.hellaswag.en", "train"), key=str) == [
        {"prompt": "He sat.", "choices": ["He ate", "He slept", "He ran", "He sang"], "label": 3},
        {"prompt": "She sat.", "choices": endings, "label": 0},
    ]
    assert rows(suite, "intermediate.cosmosqa.en", "train") == [
        {"prompt": "c q", "choices": ["a0", "a1", "a2", "a3"], "label": 2}]  # fmt: skip
    assert rows(suite, "intermediate.commonsenseqa.en", "validation") == [
        {"prompt": "q", "choices": ["v", "w", "x", "y", "z"], "label": 1}]  # fmt: skip
    assert rows(suite, "intermediate.siqa.en", "train") == [{"prompt": "c q", "choices": ["x", "y", "z"], "label": 2}]
    assert rows(suite, "xcopa.en", "train") == [
        {"prompt": "It fell. What was the cause?", "choices": ["x", "y"], "label": 1}]  # fmt: skip
    assert rows(suite, "xcopa.it", "test") == [
        {"prompt": "Cadde. What was the effect?", "choices": ["x", "y"], "label": 0}]  # fmt: skip


def pair(source, target, left="", right=""):
    return {"source_sentence": source, "target_sentence": target, "source_lang": left, "target_lang": right}


def test_tatoeba_gets_its_codes_and_loses_its_line_feeds(root):
    put(root, "google/xtreme/tatoeba.cmn/validation", pair("好。\n", "Good.\n", "a path", "another"))
    suite, _ = built(root, ("zh",))
    assert rows(suite, "tatoeba.zh", "test") == [pair("好。", "Good.", "zh", "en")]


def mining(*rows):
    return [dict(zip(("id", "sentence", "lang", "match"), row, strict=True)) for row in rows]


def test_bucc_from_pairs_alone_says_what_it_is(root):
    pairs = [pair(f"z{i}", f"e{i}", f"zh-{i}", f"en-{i}") for i in range(3)]
    put(root, "google/xtreme/bucc18.zh/validation", *pairs)
    suite, _ = built(root, ("zh", "de"))
    found = rows(suite, "bucc2018.zh", "validation")
    assert sorted(found, key=lambda row: row["id"]) == mining(
        ("en-0", "e0", "en", "zh-0"), ("en-2", "e2", "en", "zh-2"),
        ("zh-0", "z0", "zh", "en-0"), ("zh-2", "z2", "zh", "en-2"))  # fmt: skip
    assert {row["id"] for row in rows(suite, "bucc2018.zh", "test")} == {"zh-1", "en-1"}
    about = manifest(suite)
    assert [note[:22] for note in about["notes"]["bucc2018"]] == ["zh: gold pairs alone, ", "zh: of the dev pairs e"]
    assert "de" in about["left_out"]["bucc2018"]


def test_bucc_from_the_shared_tasks_files(root):
    folder = root / "bucc2018" / "de-en"
    folder.mkdir(parents=True)
    for part in ("sample", "training"):
        (folder / f"de-en.{part}.de").write_text(f"de-1\tEins {part}\nde-2\tZwei\n")
        (folder / f"de-en.{part}.en").write_text("en-1\tOne\nen-2\tTwo\n")
        (folder / f"de-en.{part}.gold").write_text("de-1\ten-2\n")
    suite, _ = built(root)
    assert sorted(rows(suite, "bucc2018.de", "test"), key=lambda row: row["id"]) == mining(
        ("de-1", "Eins training", "de", "en-2"), ("de-2", "Zwei", "de", ""),
        ("en-1", "One", "en", ""), ("en-2", "Two", "en", "de-1"))  # fmt: skip
    (folder / "de-en.training.gold").write_text("de-1\ten-2\nde-1\ten-1\nde-1\ten-2\n")
    suite, _ = built(root, seed=2)
    assert sorted(rows(suite, "bucc2018.de", "test"), key=lambda row: row["id"]) == mining(
        ("de-1", "Eins training", "de", "en-2 en-1"), ("de-2", "Zwei", "de", ""),
        ("en-1", "One", "en", "de-1"), ("en-2", "Two", "en", "de-1"))  # fmt: skip
    before = Suite(root).fingerprint(Request(0))
    (folder / "de-en.sample.gold").write_text("de-1\ten-3\n")
    assert Suite(root).fingerprint(Request(0)) != before
    with pytest.raises(StiltsError, match=r"sample\.gold, line 1: pair de-1 en-3, but there is no sentence en-3"):
        built(root, seed=1)


@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 8), st.integers(1, 9), st.randoms())
def test_fewer_pairs_are_whole_pairs_and_as_many_others(pairs, foreign, english, most, random):
    found = mining(
        *((f"de-{i}", "", "de", f"en-{i}") for i in range(pairs)),
        *((f"en-{i}", "", "en", f"de-{i}") for i in range(pairs)),
        *((f"de-x{i}", "", "de", "") for i in range(foreign)), *((f"en-x{i}", "", "en", "") for i in range(english)),
    )  # fmt: skip
    schema = pa.schema([(name, pa.string()) for name in ("id", "sentence", "lang", "match")])
    order = list(range(len(found)))
    random.shuffle(order)
    kept = limit_pairs(pa.Table.from_pylist(found, schema=schema), most, order).to_pylist()
    names = [row["id"] for row in kept]
    assert len(set(names)) == len(names)
    assert all(row["match"] in names for row in kept if row["match"])
    counts = [sum(row["lang"] == side and bool(row["match"]) == matched for row in kept)
              for side in ("de", "en") for matched in (True, False)]  # fmt: skip
    assert counts == [min(pairs, most), min(foreign, most), min(pairs, most), min(english, most)]


def test_fewer_pairs_keep_all_partners_of_a_sentence():
    found = mining(("de-1", "", "de", "en-1 en-2"), ("de-2", "", "de", "en-3"), ("en-1", "", "en", "de-1"),
                   ("en-2", "", "en", "de-1"), ("en-3", "", "en", "de-2"))  # fmt: skip
    schema = pa.schema([(name, pa.string()) for name in ("id", "sentence", "lang", "match")])
    kept = limit_pairs(pa.Table.from_pylist(found, schema=schema), 1, range(5)).to_pylist()
    assert [row["id"] for row in kept] == ["de-1", "en-1", "en-2"]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.randoms())
def test_the_first_rows_have_the_labels_in_the_shares_of_all(labels, random):
    order = np.array(random.sample(range(len(labels)), len(labels)))
    found, kinds = _stratified(order, np.array(labels)), sorted(set(labels))
    assert sorted(found) == sorted(order)
    for label in kinds:
        own = [row for row in found if labels[row] == label]
        assert own == [row for row in order if labels[row] == label]  # among themselves as before
        share = labels.count(label) / len(labels)
        for count in range(1, len(labels) + 1):
            first = sum(labels[row] == label for row in found[:count])
            assert abs(first - share * count) <= 0.5 + len(kinds) / 2


@given(st.lists(st.text(), max_size=20), st.integers(1, 7), st.randoms())
def test_rows_are_taken_in_chunks(texts, at_once, random):
    columns = {"text": texts, "tokens": [[text] for text in texts], "label": list(range(len(texts)))}
    schema = pa.schema([("text", pa.string()), ("tokens", pa.list_(pa.string())), ("label", pa.int64())])
    rows = pa.table(columns, schema)
    order = list(range(len(texts)))
    random.shuffle(order)
    found = _taken(rows, np.array(order, dtype=np.int64), at_once)
    assert found.schema == schema
    assert found.to_pylist() == [rows.to_pylist()[row] for row in order]


def test_unlabelled_text_joins_words_as_the_language_does(root):
    for language in ("de", "ja"):
        found, features = tagged("ner_tags", NER, *((["a", f"{language}{i}"], ["O", "O"]) for i in range(20)))
        put(root, f"google/xtreme/PAN-X.{language}/validation", *found, features=features)
        put(root, f"google/xtreme/PAN-X.{language}/test", *tagged("ner_tags", NER, (["not", "seen"], ["O", "O"]))[0])
    suite, _ = built(root, ("de", "ja"))
    texts = {split: {row["text"] for row in rows(suite, "intermediate.mlm.multilingual", split)}
             for split in ("train", "validation")}  # fmt: skip
    assert texts["validation"] == {"a de9", "a de19", "aja9", "aja19"}
    assert texts["train"] | texts["validation"] == {f"{x}{i}" for x in ("a de", "aja") for i in range(20)}


def test_texts_to_pretrain_on_are_whole_and_have_their_languages(root):
    for language in ("de", "ja"):
        found, features = tagged("ner_tags", NER, *((["a", f"{language}{i}"], ["O", "O"]) for i in range(20)))
        put(root, f"google/xtreme/PAN-X.{language}/train", *found, features=features)
    plain, suite = Request(0, {}, ["de", "ja"]), root.parent / "texts"
    request = Request(0, {"intermediate_train": 1, "validation": 1}, ["de", "ja"], families=["text"])
    Suite(root).build(suite, request, report=lambda line: None)
    found = {split: {(row["text"], row["lang"]) for row in rows(suite, "intermediate.text.multilingual", split)}
             for split in ("train", "validation")}  # fmt: skip
    assert found["validation"] == {("a de9", "de"), ("a de19", "de"), ("aja9", "ja"), ("aja19", "ja")}
    assert len(found["train"]) == 36
    assert len(rows(suite, "intermediate.mlm.multilingual", "train")) == 1
    assert Suite(root).fingerprint(plain) != Suite(root).fingerprint(replace(plain, families=["text"]))
    with pytest.raises(UnknownName, match="unknown family of the suite 'xtreme' 'dial'"):
        Suite(root).fingerprint(replace(plain, families=["dial"]))


def test_wikipedia_goes_before_them(root):
    for language in ("en", "de"):
        article = "Titel\n" + "\n".join(f"{language} {i} " + "x" * 40 for i in range(20))
        put(root, f"wikimedia/wikipedia/20231101.{language}/train", {"text": article})
    suite, _ = built(root)
    assert len(rows(suite, "intermediate.mlm.multilingual", "train")) == 36
    assert len(rows(suite, "intermediate.mlm.multilingual", "validation")) == 4


def test_overlap_is_counted_and_kept(root):
    for place, text in (("en/train", "Same"), ("en/validation", "new"), ("en/test", "same"), ("de/test", "SAME")):
        put(root, f"google/xtreme/PAWS-X.{place}", {"sentence1": text, "sentence2": "b", "label": "1"})
    suite, _ = built(root)
    assert manifest(suite)["overlap"] == [
        {"training": "paws-x.en", "evaluation": f"paws-x.{language} test", "compared": "example", "rows": 1,
         "shared": 1}
        for language in ("en", "de")]  # fmt: skip
    assert len(rows(suite, "paws-x.en", "test")) == 1


def test_sizes_cap_every_kind_of_split(root):
    put_mnli(root, 30)
    put(root, "google/xtreme/XNLI/test", *(
        {"language": "de", "sentence1": f"{i}", "sentence2": "b", "gold_label": "neutral"}
        for i in range(30)))  # fmt: skip
    put(root, "google/xtreme/tatoeba.deu/validation", *(pair(f"{i}", f"{i}") for i in range(30)))
    put(root, "google/xtreme/bucc18.de/validation", *(pair(f"z{i}", f"e{i}", f"d{i}", f"e{i}") for i in range(30)))
    suite, _ = built(root, train=3, intermediate_train=4, validation=5, test=6, retrieval=7, mining=8)
    assert manifest(suite)["rows"] == {
        "xnli.en": {"train": 3, "validation": 5}, "xnli.de": {"test": 6}, "bucc2018.de": {"validation": 16, "test": 16},
        "tatoeba.de": {"test": 7}, "intermediate.mnli.en": {"train": 4, "validation": 5},
    }  # fmt: skip


@pytest.mark.parametrize("sizes, chosen, error, message", [
    ({"tset": 1}, None, UnknownName, "unknown size of the suite 'tset'. Did you mean 'test'"),
    ({"test": 0}, None, StiltsError, r"sizes\.test: Input should be greater than 0"),
    ({}, ["xx"], UnknownName, "unknown language of the suite 'xtreme' 'xx'"),
])  # fmt: skip
def test_wrong_settings_are_said(root, sizes, chosen, error, message):
    with pytest.raises(error, match=message):
        Suite(root).fingerprint(Request(0, sizes, chosen))


def test_the_fingerprint_follows_what_the_suite_depends_on(root):
    put_mnli(root)
    first = Suite(root).fingerprint(Request(0))
    assert Suite(root).fingerprint(Request(0)) == first == Suite(root).fingerprint(Request(0, {"test": None}))
    others = [Suite(root).fingerprint(Request(1)), Suite(root).fingerprint(Request(0, {"test": 1})),
              Suite(root).fingerprint(Request(0, {}, ["de"]))]  # fmt: skip
    (root / "README.md").write_text("no data")
    (root / "nyu-mll" / ".cache").mkdir()
    (root / "nyu-mll" / ".cache" / "listing.json").write_text("{}")
    assert Suite(root).fingerprint(Request(0)) == first
    put_mnli(root, 3)
    others.append(Suite(root).fingerprint(Request(0)))
    assert len({first, *others}) == 5


@pytest.mark.parametrize("folder", [None, Path("/nowhere/at/all")])
def test_without_data_the_suite_can_be_planned_and_not_built(folder, tmp_path):
    suite = Suite(folder)
    assert suite.fingerprint(Request(0)).startswith("not-fetched-")
    assert suite.fingerprint(Request(0)) == suite.fingerprint(Request(0)) != suite.fingerprint(Request(1))
    assert "data folder" in suite.missing("xnli")
    with pytest.raises(StiltsError, match="`stilts fetch STUDY` downloads the data"):
        suite.build(tmp_path / "suite", Request(0), report=print)


def test_an_unknown_task_is_said(root):
    with pytest.raises(UnknownName, match="unknown task of the suite 'xtreme' 'xnl'. Did you mean 'xnli'"):
        Suite(root).missing("xnl")


def test_a_task_that_cannot_be_had_is_said_and_left_out(root):
    put_mnli(root)
    suite, said = built(root)
    assert said[0] == "xnli: skipped, the data folder lacks google/xtreme/XNLI/test"
    assert "mnli: 2 splits" in said
    assert manifest(suite)["left_out"]["qqp"] == {"all": "the data folder lacks nyu-mll/glue/qqp/train"}


def test_a_second_build_reuses_the_suite(root):
    put_mnli(root)
    suite, _ = built(root)
    before = {path: path.stat().st_mtime_ns for path in suite.rglob("*.parquet")}
    built(root)
    assert {path: path.stat().st_mtime_ns for path in suite.rglob("*.parquet")} == before


def test_texts(root):
    put_mnli(root, 1)
    put_treebank(root, "UD_German-GSD", "de_gsd-ud-test.conllu", "1\tWort\t_\tX\t_\t_\t0\troot\t_\t_\n")
    for split in ("train", "dev"):
        put_treebank(root, "UD_English-EWT", f"en_ewt-ud-{split}.conllu", "1\tword\t_\tX\t_\t_\t0\troot\t_\t_\n")
    suite, _ = built(root)
    assert set(Suite(root).texts(suite)) >= {"train 0", "validation_matched 0", "h", "Wort", "word"}
    (suite / "udpos.de" / "test-00000-of-00001.parquet").write_bytes(b"spoilt")
    with pytest.raises(StiltsError, match=r"udpos\.de.*cannot be read as parquet"):
        list(Suite(root).texts(suite))


def test_fetched_files_have_the_published_rows(root):
    put_mnli(root)
    (root / "fetched.json").write_text(json.dumps({"repositories": {"nyu-mll/glue": {"main": "a"}}, "files": {}}))
    with pytest.raises(StiltsError, match=r"train-00000.*: 2 rows, but 392702 were published for nyu-mll/glue/mnli"):
        built(root)


@pytest.mark.parametrize("row, message", [
    ({"premise": "a", "hypothesis": "b"}, r"train-00000.*: column label is missing; it has premise, hypothesis"),
    (nli("a", label=3), r"train-00000.*, row 0: label 3; it should be 0 to 2"),
])  # fmt: skip
def test_a_file_of_another_shape_is_said(root, row, message):
    put_mnli(root)
    put(root, "nyu-mll/glue/mnli/train", row)
    with pytest.raises(StiltsError, match=message):
        built(root)


def test_a_wrong_label_names_file_and_row(root):
    put_mnli(root)
    row = {"language": "de", "sentence1": "a", "sentence2": "b", "gold_label": "neutral"}
    put(root, "google/xtreme/XNLI/test", row, {**row, "gold_label": "-"})
    with pytest.raises(StiltsError, match=r"XNLI/test-.*, row 1: label '-'; it should be one of entailment, neutral"):
        built(root)


def test_a_missing_place_says_where_it_should_be(root):
    with pytest.raises(StiltsError, match=r"google/xtreme/XNLI: no split 'test'; `stilts fetch` gets it"):
        DataFolder(root).read(Place("google/xtreme", "XNLI", "test"), ("language",))


def test_every_kind_of_test_set_has_examples_to_show(tmp_path):
    unanswered = {"id": "n", "context": "c", "question": "q", "answers": {"text": [], "answer_start": []}}
    tables = [
        Table("xcopa.it", "test", MULTIPLE_CHOICE.features(), [
            {"prompt": "Cadde. What was the effect?", "choices": ["x", "y"], "label": 1}]),
        Table("mlqa.de", "test", SPAN_QA_MLQA.features(), [qa("m", "Am 2. Mai.", "2.", 3), unanswered]),
        Table("lareqa.de", "test", PASSAGE_RETRIEVAL.query_features(), [
            {"id": "q_de", "query": "Wer?", "gold": ["en_1", "de_1"]}]),
        Table("lareqa.candidates", "pool", PASSAGE_RETRIEVAL.pool_features(), [
            {"id": f"{key}_{i}", "passage": f"{key} {i}", "lang": key} for key in ("en", "de") for i in range(2)]),
    ]  # fmt: skip
    rows = {config: {"test": 1} for config in ("xcopa.it", "mlqa.de", "lareqa.de")}
    write_suite([table._replace(rows=[{key: row[key] for key in table.features} for row in table.rows])
                 for table in tables], tmp_path / "suite", {"fingerprint": "a", "rows": rows}, POCKET_CARD)  # fmt: skip
    shown = [show_examples(tmp_path / "suite", target, ["de", "it"], place).to_numpy().tolist()
             for target, place in (("xcopa", 0), ("mlqa", 0), ("mlqa", 1), ("lareqa", 0))]  # fmt: skip
    assert shown == [
        [["Italian", "Cadde. What was the effect? / x / y", "y"]],
        [["German", "Am 2. Mai. / ?", "2."]], [["German", "c / q", "(none)"]], [["German", "Wer?", "de 1"]],
    ]  # fmt: skip


def put_xnli_dev(root, *known, premises=20):
    put(root, "google/xtreme/XNLI/validation", *(
        {"language": language, "sentence1": f"{language} {i // 3}", "sentence2": f"{i}", "gold_label": NLI[i % 3]}
        for language in known for i in range(3 * premises)))  # fmt: skip


def test_xnlis_dev_set_by_source_language_is_parallel(root):
    put_xnli_dev(root, "sw", "en", "de")
    suite, said = built(root, sources=["de", "sw", "fr"], validation=4)
    assert said[-2] == "xnli-dev: 6 splits"
    for split, premises in (("train", {*range(20)} - {9, 19}), ("validation", {9, 19})):
        found = {key: load_split(suite, f"intermediate.xnli-dev.{key}", split).to_list()
                 for key in ("en", "de", "sw")}  # fmt: skip
        hypotheses = {key: [(row["sentence2"], row["label"]) for row in found[key]] for key in found}
        assert hypotheses["en"] == hypotheses["de"] == hypotheses["sw"]
        assert len(set(hypotheses["en"])) == (4 if split == "validation" else 54)
        for key in found:
            assert {row["sentence1"] for row in found[key]} <= {f"{key} {premise}" for premise in premises}
    assert manifest(suite)["left_out"]["xnli-dev"] == {"fr": "the data folder lacks its training or its dev set"}
    assert manifest(suite)["source_languages"] == ["de", "fr", "sw"]


def test_xquad_as_intermediate_task_holds_whole_paragraphs_out(root):
    for language in ("en", "de"):
        put(root, f"google/xtreme/XQuAD.{language}/validation", *(
            qa(f"q{i}", f"{language} paragraph {i // 3} .", language, 0) for i in range(60)))  # fmt: skip
    suite, _ = built(root, sources=["de"])
    for language in ("en", "de"):
        held_out = rows(suite, f"intermediate.xquad-test.{language}", "validation")
        assert {row["context"] for row in held_out} == {f"{language} paragraph {number} ." for number in (9, 19)}
    ids = [load_split(suite, f"intermediate.xquad-test.{key}", "train")["id"][:] for key in ("en", "de")]
    assert ids[0] == ids[1]
    assert {*ids[0]} == {f"q{i}" for i in range(60)} - {f"q{i}" for i in (27, 28, 29, 57, 58, 59)}


def test_tydiqa_by_source_language_leaves_the_articles_of_its_tests_out(root):
    put(root, "google/xtreme/tydiqa/train", *(
        qa(f"{language}-{i}-0", "In 1990.", "1990", 3, title=f"{language} {i}")
        for language in ("english", "korean") for i in range(40)))  # fmt: skip
    put(root, "google/xtreme/tydiqa/validation", qa("korean-x-0", "A c.", "c", 2, title="korean 7"))
    suite, _ = built(root, sources=["ko"])
    found = {split: {row["id"] for row in rows(suite, "intermediate.tydiqa-train.ko", split)}
             for split in ("train", "validation")}  # fmt: skip
    assert found["train"].isdisjoint(found["validation"])
    assert found["train"] | found["validation"] == {f"korean-{i}-0" for i in range(40)} - {"korean-7-0"}
    english = rows(suite, "intermediate.tydiqa-train.en", "validation")
    assert sorted(english, key=str) == sorted(rows(suite, "tydiqa.en", "validation"), key=str)
    assert manifest(suite)["notes"]["tydiqa-train"] == [
        "1 of 80 rows of all languages left out, since a test set has their article"]  # fmt: skip


def test_training_sets_of_tags_by_source_language(root):
    for place, column, names in (("PAN-X.de", "ner_tags", NER), ("udpos.German", "pos_tags", UPOS)):
        for split in ("train", "validation"):
            found, features = tagged(column, names, ([split], [names[1]]))
            put(root, f"google/xtreme/{place}/{split}", *found, features=features)
    put_treebank(root, "UD_Greek-GDT", "el_gdt-ud-train.conllu", "1\tx\t_\tX\t_\t_\t0\troot\t_\t_\n")
    suite, _ = built(root, sources=["de", "el"])
    for task in ("pan-x-train", "udpos-train"):
        for split in ("train", "validation"):
            assert rows(suite, f"intermediate.{task}.de", split) == [{"tokens": [split], "tags": [1]}]
        assert manifest(suite)["left_out"][task].keys() == {"en", "el"}


def test_machine_translations_by_source_language(root):
    put_mnli(root)
    put_squad(root)
    for split, ending in (("train", "train"), ("validation", "dev")):
        put(root, f"facebook/xnli/de/{split}", nli(f"de {split}", label=1))
        put(root, f"juletxara/xquad_xtreme/de/translate_{ending}", qa("a", "Mai", "Mai", 0), qa("b", "Mai", "Juni", 0))
        for language in ("en", "de"):
            put(root, f"google/xtreme/PAWS-X.{language}/{split}",
                {"sentence1": language, "sentence2": split, "label": "0"})  # fmt: skip
    suite, _ = built(root, sources=["de"])
    assert rows(suite, "intermediate.mnli.de", "train") == [{"sentence1": "de train", "sentence2": "h", "label": 1}]
    assert [row["id"] for row in rows(suite, "intermediate.squad.de", "validation")] == ["a"]
    assert {row["sentence1"] for row in rows(suite, "intermediate.mnli.en", "train")} == {"train 0", "train 1"}
    assert rows(suite, "intermediate.paws-x-train.de", "validation") == [
        {"sentence1": "de", "sentence2": "validation", "label": 0}]  # fmt: skip


def test_without_source_languages_a_suite_is_as_before(root):
    put_mnli(root)
    put_xnli_dev(root, "en", "de")
    suite, _ = built(root)
    tasks = ("mnli.en", "mlm.multilingual", "xnli-dev-translated.multilingual")
    assert manifest(suite)["rows"].keys() == {f"intermediate.{task}" for task in tasks}
    assert "source_languages" not in manifest(suite)
    names = {Suite(root).fingerprint(Request(0, source_languages=languages)) for languages in ((), ("de",), ("sw",))}
    assert len(names) == 3
    with pytest.raises(UnknownName, match="unknown source language of the suite 'xtreme' 'xx'"):
        Suite(root).fingerprint(Request(0, source_languages=["xx"]))
    with pytest.raises(UnknownName, match="unknown task by source language of the suite 'xtreme' 'qa'"):
        Suite(root).fingerprint(Request(0, source_languages=["de"], source_tasks=["qa"]))


def test_what_is_missing_by_source_language(root):
    put_xnli_dev(root, "en", "de")
    found = Suite(root)
    assert [found.missing(task) for task in ("xnli-dev", "xnli-dev.en", "xnli-dev.de")] == [None] * 3
    assert found.missing("xnli-dev.sw") == "the data folder has it in en, de, not in sw"
    assert found.missing("mnli.de").startswith("the data folder lacks facebook/xnli/ar/train and its alternatives")
    with pytest.raises(UnknownName, match="task of the suite 'xtreme' in other languages than English 'squad2'"):
        found.missing("squad2.de")


@pytest.mark.parametrize("task, targets, sources, message", [
    ("xquad-test.de", ["mlqa", "xquad", "lareqa"], ["de"], "'xquad-test.de' contains the test rows of xquad and"),
    ("xnli-dev", ["xnli"], [], "'xnli-dev': the suite has it only with data.source_languages"),
])  # fmt: skip
def test_tasks_that_must_not_stand_in_a_study(task, targets, sources, message):
    with pytest.raises(StiltsError, match=message):
        check_sources([get_intermediate(task)], targets, sources)
    check_sources([get_intermediate(task)], ["mlqa", "tydiqa"], ["de"])


@needs_mirror
def test_real_rows_by_source_language(tmp_path):
    suite = tmp_path / "suite"
    sizes = {"train": 20, "validation": 10, "test": 60, "retrieval": 10, "mining": 10}
    request = Request(0, sizes, ["de", "zh", "sw"], ["de", "zh", "sw", "ko"])
    Suite(MIRROR).build(suite, request, report=lambda line: None)
    found = manifest(suite)["rows"]
    by_source = {config: splits["train"] for config, splits in found.items() if config.count("-train.")
                 or config.count("-test.") or config.count("xnli-dev.")}  # fmt: skip
    assert by_source == {
        **{f"intermediate.xnli-dev.{key}": 900 for key in ("en", "de", "sw", "zh")},
        **{f"intermediate.xquad-test.{key}": 1086 for key in ("en", "de", "zh")},
        **{f"intermediate.pan-x-train.{key}": 1000 for key in ("de", "ko", "sw", "zh")},
        "intermediate.pan-x-train.en": 20000, "intermediate.paws-x-train.en": 800,
        "intermediate.tydiqa-train.en": 2638, "intermediate.tydiqa-train.ko": 1220,
        "intermediate.tydiqa-train.sw": 1760, "intermediate.udpos-train.en": 21253, "intermediate.udpos-train.ko": 1000,
    }  # fmt: skip
    tested = [each["training"] for each in manifest(suite)["overlap"] if each["evaluation"].endswith(" test")]
    assert not [config for config in tested if config.split(".")[1] in ("xnli-dev", "tydiqa-train")]


@needs_mirror
def test_real_rows(tmp_path):
    suite = tmp_path / "suite"
    sizes = {"train": 20, "intermediate_train": 20, "validation": 10, "test": 10, "retrieval": 10, "mining": 10}
    Suite(MIRROR).build(suite, Request(0, sizes, ["de", "zh", "sw"]), report=lambda line: None)
    found = manifest(suite)["rows"]
    targets = {config.rpartition(".")[0] for config in found if not config.startswith("intermediate.")}
    assert targets >= {"xnli", "paws-x", "udpos", "pan-x", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba", "xcopa"}
    intermediates = {config.split(".")[1] for config in found if config.startswith("intermediate.")}
    assert intermediates >= {"anli", "mnli", "qqp", "squad", "squad2", "hellaswag", "cosmosqa", "commonsenseqa", "mlm",
                             "xnli-dev-translated"}  # fmt: skip
    assert found["bucc2018.zh"] == {"validation": 20, "test": 20}
    assert found["xnli.de"] == {"test": 10}
    for config, split in (("xquad.zh", "test"), ("tydiqa.en", "train"), ("intermediate.squad2.en", "train")):
        for row in rows(suite, config, split):
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                assert row["context"][start : start + len(text)] == text
