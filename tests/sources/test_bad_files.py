"""Files of a data folder as other programs write them, and as no program should: texts, sizes, ids, several files."""

import json
import os
import re
import tarfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xtreme_rows import FILES, make, mention, outcome, path_of, put, put_all, question, sentences, tagged, times

import stilts
from stilts.sources import files, tables
from stilts.sources.columns import ID, TEXT, Schema, make_label
from stilts.sources.files import read_lines, read_text
from stilts.sources.suite import Request
from stilts.sources.tables import read_json_lines, read_split
from stilts.sources.xtreme import Suite, lareqa, pairs, tags, treebanks
from stilts.sources.xtreme.answers import ANSWERED
from stilts.study.errors import StiltsError

TEXTS = Schema({"a": TEXT})

# --- what other programs write ---------------------------------------------------------------------------------------


def rewritten(given: pa.DataType, text, number, items) -> pa.DataType:
    """A type with others in place of its texts, its numbers and its lists."""
    if pa.types.is_struct(given):
        return pa.struct([(each.name, rewritten(each.type, text, number, items)) for each in given.fields])
    if pa.types.is_list(given):
        return items(rewritten(given.value_type, text, number, items))
    return text if pa.types.is_string(given) else number


CODES = pa.dictionary(pa.int32(), pa.string())
WRITERS = {
    "polars": lambda given: rewritten(given, pa.large_string(), pa.int32(), pa.large_list),
    "views": lambda given: rewritten(given, pa.string_view(), pa.int8(), pa.list_view),
    "categories": lambda given: CODES if pa.types.is_string(given) else rewritten(given, CODES, pa.int16(), pa.list_),
    "unsigned": lambda given: rewritten(given, pa.large_string(), pa.uint64(), pa.large_list_view),
    "floats": lambda given: rewritten(given, pa.string(), pa.float64(), pa.list_),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind, task", [(kind, task) for kind, found in FILES.items() for task in found])
def test_equivalent_columns_make_the_same_rows(kind, task, writer, tmp_path):
    (tmp_path / "plain").mkdir()
    put_all(kind, task, tmp_path / "plain")
    for place, rows in FILES[kind][task].items():
        table = pa.Table.from_pylist(rows)
        schema = pa.schema([(each.name, WRITERS[writer](each.type)) for each in table.schema])
        columns = [pa.array(table[each.name].to_pylist(), pa.string()).dictionary_encode() if each.type == CODES
                   else pa.array(table[each.name].to_pylist(), each.type) for each in schema]  # fmt: skip
        put(tmp_path / "other", place, pa.Table.from_arrays(columns, schema=schema))
    assert make(kind, task, tmp_path / "other") == make(kind, task, tmp_path / "plain")


def test_what_pandas_saves_again_is_read(tmp_path):
    put_all("whole", "xcopa", tmp_path)
    before = make("whole", "xcopa", tmp_path)
    for path in tmp_path.rglob("*.parquet"):
        rows = pd.read_parquet(path).astype({"premise": "string", "label": "Int32"})
        rows.set_index("label", drop=False).to_parquet(path)
    assert make("whole", "xcopa", tmp_path) == before


# --- several files, ids ----------------------------------------------------------------------------------------------


def put_parts(root: Path, place: str, *parts: list[dict]) -> list[Path]:
    """Write the files of a place."""
    folder, _, split = place.rpartition("/")
    (root / folder).mkdir(parents=True, exist_ok=True)
    paths = [root / folder / f"{split}-{number:05}-of-{len(parts):05}.parquet" for number in range(len(parts))]
    for path, rows in zip(paths, parts, strict=True):
        pq.write_table(pa.Table.from_pylist(rows), path)
    return paths


def test_a_bad_tag_is_counted_in_rows_of_its_own_file(tmp_path):
    rows = [{"tokens": ["a"] * 8, "ner_tags": [0] * 8} for _ in range(5)]
    bad = [*rows[:3], {"tokens": ["a"] * 8, "ner_tags": [0, 0, 7, 0, 0, 0, 0, 0]}, rows[4]]
    for split in ("train", "validation"):
        _, second = put_parts(tmp_path, f"google/xtreme/PAN-X.en/{split}", rows, bad if split == "train" else rows)
    second = second.with_name("train-00001-of-00002.parquet")
    assert outcome(lambda: make("whole", "pan-x", tmp_path)) == (
        f"{second}, row 3: label 7; it should be 0 to 6 (column ner_tags; rows count from 0)")  # fmt: skip


def test_rows_behind_the_first_thousand_are_counted_too(tmp_path):
    rows = [{"source_sentence": str(i), "target_sentence": str(i) if i != 2345 else None} for i in range(3000)]
    path = put(tmp_path, "google/xtreme/tatoeba.deu/validation", rows)
    assert outcome(lambda: make("whole", "tatoeba", tmp_path)).startswith(f"{path}, row 2345: text null; it should be")


def test_tokens_and_tags_are_as_many(tmp_path):
    put_all("whole", "udpos", tmp_path)
    rows = [*times(tagged("pos_tags"))[:2], {"tokens": ["a", "b"], "pos_tags": [1]}]
    path = put(tmp_path, "google/xtreme/udpos.German/test", rows)
    assert outcome(lambda: make("whole", "udpos", tmp_path)).startswith(f"{path}, row 2: 2 of tokens and 1 of pos_tags")


@pytest.mark.parametrize("task, place, column", [
    ("xquad", "google/xtreme/XQuAD.de/validation", "id"), ("xquad", "rajpurkar/squad/plain_text/train", "id"),
    ("mlqa", "google/xtreme/MLQA.de.de/test", "id"), ("tydiqa", "google/xtreme/tydiqa/validation", "id"),
    ("squad2", "rajpurkar/squad_v2/squad_v2/train", "id"),
    ("lareqa", "google-research-datasets/xquad_r/de/validation", "id"),
    ("mewsli-x", "izhx/mewsli-x/de/test", "example_id"),
    ("mewsli-x", "izhx/mewsli-x/candidate_entities/test", "entity_id"),
])  # fmt: skip
def test_ids_that_stand_twice_are_refused(task, place, column, tmp_path):
    put_all("whole", task, tmp_path)
    rows = FILES["whole"][task][place]
    path_of(tmp_path, place).unlink()
    others = [{**row, column: f"english-{number}-more"} for number, row in enumerate(rows)]
    first, second = put_parts(tmp_path, place, rows, [others[0], rows[2], others[2]])
    assert outcome(lambda: make("whole", task, tmp_path)) == (
        f"{second}, row 1: id {rows[2][column]!r}; it should be another than that of {first}, row 2 (column {column}; "
        "rows count from 0)")  # fmt: skip


@pytest.mark.parametrize("place, column", [
    ("google/xtreme/XQuAD.de/validation", "id"), ("google/xtreme/bucc18.de/test", "source_lang"),
    ("izhx/mewsli-x/de/test", "entity_id"), ("izhx/mewsli-x/de/test", "example_id"),
])  # fmt: skip
def test_an_empty_id_is_refused(place, column, tmp_path):
    task = {"XQ": "xquad", "bu": "bucc2018", "de": "mewsli-x"}[place.split("/")[2][:2]]
    put_all("whole", task, tmp_path)
    rows = FILES["whole"][task][place]
    path = put(tmp_path, place, [rows[0], {**rows[1], column: ""}, rows[2]])
    assert outcome(lambda: make("whole", task, tmp_path)).startswith(f"{path}, row 1: id ''; it should be a text ")


def test_a_row_without_answers_fails_when_the_suite_is_built(tmp_path):
    root = tmp_path / "data"
    put_all("whole", "xquad", root)
    rows = [question(0), {**question(1), "answers": {"text": [], "answer_start": []}}]
    path = put(root, "google/xtreme/XQuAD.de/validation", rows)
    told = f"{path}, row 1: list ..; it should be a list of 1 or more items .column answers.text"
    with pytest.raises(StiltsError, match=told):
        Suite(root).build(tmp_path / "suite", Request(0, {}, ["de"]), report=lambda line: None)
    assert not (tmp_path / "suite").exists()


def test_an_answer_outside_its_context_names_its_file(tmp_path):
    put_all("whole", "xquad", tmp_path)
    wrong = {**question(7), "answers": {"text": ["7"], "answer_start": [99]}}
    path_of(tmp_path, "google/xtreme/XQuAD.de/validation").unlink()
    _, second = put_parts(tmp_path, "google/xtreme/XQuAD.de/validation", times(question), [wrong])
    assert outcome(lambda: make("whole", "xquad", tmp_path)).startswith(
        f"{second}, row 0 (id q7): answer ['7'] is not at offset [99] of its context")  # fmt: skip


def test_answers_that_a_translation_lost_are_left_out(tmp_path):
    rows = [*times(question), {**question(3), "answers": {"text": [], "answer_start": []}},
            {**question(4), "answers": {"text": [""], "answer_start": [-1]}}]  # fmt: skip
    for split in ("train", "dev"):
        put(tmp_path, f"juletxara/xquad_xtreme/de/translate_{split}", rows)
    made = make("whole", "squad-translated", tmp_path)
    assert [row["id"] for row in made["intermediate.squad-translated.multilingual", "train"]] == ["q0", "q1", "q2"]


def test_ids_of_a_corpus_name_one_sentence(tmp_path):
    rows = FILES["whole"]["bucc2018"]["google/xtreme/bucc18.de/test"]
    put_all("whole", "bucc2018", tmp_path)
    path = put(tmp_path, "google/xtreme/bucc18.de/test", [*rows, {**rows[0], "target_lang": "en-9"}])
    assert len(make("whole", "bucc2018", tmp_path)["bucc2018.de", "test"]) == 7  # one sentence has two partners
    put(tmp_path, "google/xtreme/bucc18.de/test", [*rows, {**rows[0], "source_sentence": "Anders"}])
    assert outcome(lambda: make("whole", "bucc2018", tmp_path)).startswith(
        f"{path}, row 3: id 'de-0' occurs in an earlier row with another sentence")  # fmt: skip


def test_an_id_on_both_sides_of_bucc_is_of_the_file_that_holds_it(tmp_path):
    """Of the test set's file, or of the dev set's where the test set is cut from it."""
    put_all("whole", "bucc2018", tmp_path)
    bucc = FILES["whole"]["bucc2018"]
    rows = bucc["google/xtreme/bucc18.de/test"]
    both = [*rows, {**rows[0], "source_lang": rows[0]["target_lang"], "source_sentence": "Anders"}]
    path = put(tmp_path, "google/xtreme/bucc18.de/test", both)
    assert outcome(lambda: make("whole", "bucc2018", tmp_path)).startswith(f"{path}: id ")
    path.unlink()
    path = put(tmp_path, "google/xtreme/bucc18.de/validation", both)
    assert outcome(lambda: make("whole", "bucc2018", tmp_path)).startswith(f"{path}: id ")


def test_a_letter_that_is_no_choice_is_named(tmp_path):
    put_all("whole", "commonsenseqa", tmp_path)
    rows = FILES["whole"]["commonsenseqa"]["tau/commonsense_qa/data/train"]
    path = put(tmp_path, "tau/commonsense_qa/data/train", [rows[0], {**rows[1], "answerKey": "F"}])
    assert outcome(lambda: make("whole", "commonsenseqa", tmp_path)) == (
        f"{path}, row 1: letter 'F'; it should be one of A, B, C, D, E (column answerKey; rows count from 0)"
    )


def test_rows_of_no_language_are_refused(tmp_path):
    for task, place, column, right in (
        ("tydiqa", "google/xtreme/tydiqa/validation", "id", "a language's name, a hyphen, and more"),
        ("xnli", "google/xtreme/XNLI/test", "language", "one of en, ar, bg,"),
    ):
        put_all("whole", task, tmp_path)
        rows = FILES["whole"][task][place]
        path = put(tmp_path, place, [rows[0], {**rows[1], column: "klingon-1"}, rows[2]])
        told = outcome(lambda task=task: make("whole", task, tmp_path))
        assert told.startswith(f"{path}, row 1: {column} 'klingon-1'; it should be {right}")


def test_an_entity_that_is_no_candidate_is_named(tmp_path):
    put_all("whole", "mewsli-x", tmp_path)
    rows = [mention(1), {**mention(2), "entity_id": "Q99"}]
    path = put(tmp_path, "izhx/mewsli-x/de/test", rows)
    told = outcome(lambda: make("whole", "mewsli-x", tmp_path))
    assert told.startswith(f"{path}, row 1: id 'Q99'; it should be one of")


# --- no file, too large a file, metadata -----------------------------------------------------------------------------


def special(path: Path, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path.parent / "nowhere")
    return path


KINDS = {"pipe": "a named pipe, where a file should be", "folder": "a folder, where a file should be",
         "device": "a device, where a file should be", "link": "a link to nothing"}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read", [
    read_text, lambda path: read_split([path], TEXTS), lambda path: read_json_lines(path, TEXTS),
    tags.read_columns, lambda path: list(treebanks.read(path, "de")), lareqa.read_breaks,
], ids=["text", "parquet", "json", "ccg", "conllu", "breaks"])  # fmt: skip
def test_what_is_no_file_is_never_opened(read, kind, tmp_path):
    path = special(tmp_path / "file", kind)
    with pytest.raises(StiltsError, match=f"{path}: {KINDS[kind]}"):
        read(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "link"])
@pytest.mark.parametrize("name", [
    "google/xtreme/XQuAD.de/validation-00000-of-00001.parquet", "bucc2018/de-en/de-en.sample.de", "ccg/train.tsv",
    "universal-dependencies/UD_German-GSD/de_gsd-ud-test.conllu", "izhx/mewsli-x/candidate_entities.jsonl",
    "google-research-datasets/lareqa/xquad-r/de.json", "wikimedia/wikipedia/20231101.de/train-00000-of-00001.parquet",
])  # fmt: skip
def test_a_folder_with_what_is_no_file_is_refused(name, kind, tmp_path):
    path = special(tmp_path / name, kind)
    with pytest.raises(StiltsError, match=str(path)):
        Suite(tmp_path).build(tmp_path.parent / "suite", Request(0, {}, ["de"]), report=lambda line: None)


@pytest.mark.parametrize("counts", [[6], [3, 3]])
def test_more_rows_than_any_recipe_reads_are_refused(counts, tmp_path):
    paths = put_parts(tmp_path, "google/xtreme/tatoeba.deu/validation", *([sentences(0)] for _ in counts))
    million = pa.table({name: pa.repeat("a", 1_000_000) for name in ("source_sentence", "target_sentence")})
    for path, count in zip(paths, counts, strict=True):
        with pq.ParquetWriter(path, million.schema) as writer:
            for _ in range(count):
                writer.write_table(million)
        assert path.stat().st_size < 100_000
    assert outcome(lambda: make("whole", "tatoeba", tmp_path)) == (
        f"{paths[-1]}: with this file the split has 6000000 rows; at most 5000000 are read")  # fmt: skip


def test_few_rows_of_too_much_text_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_BYTES", 10_000)
    monkeypatch.setattr(files, "MOST_BYTES", 10_000)
    rows = {"a": ["x" * 1000] * 2000}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"a": "' + "x" * 20_000 + '"}\n')
    with tarfile.open(tmp_path / "a.jsonl.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.jsonl", "a.jsonl")
    for name, read in (("a.parquet", lambda path: read_split([path], TEXTS)), ("a.jsonl", read_text),
                       ("a.jsonl", lambda path: read_json_lines(path, TEXTS)),
                       ("a.jsonl.tar.gz", lambda path: read_json_lines(path, TEXTS))):  # fmt: skip
        with pytest.raises(StiltsError, match=f"{tmp_path / name}: .* bytes"):
            read(tmp_path / name)


@pytest.mark.parametrize("metadata, message", [
    (b"{", "not those of `datasets`"), (b"[]", "not those of `datasets`"), (b"[" * 100_000, "not those of `datasets`"),
    (b'{"info": {"features": {"label": {"names": ["b", "a"]}}}}', "the labels are b, a; they should be a, b"),
    (b'{"info": {"features": {"label": {"names": 3}}}}', "not those of `datasets`"),
    (b'{"info": {"features": {"label": {"names": ["a", "b"]}}}}', None), (b'{"info": {}}', None),
    (b'{"info": {"features": {"label": [{"names": ["b", "a"]}]}}}', "the labels are b, a; they should be a, b"),
])  # fmt: skip
def test_what_a_file_says_of_its_labels(metadata, message, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"label": [0]}).replace_schema_metadata({b"huggingface": metadata}), path)
    told = outcome(lambda: read_split([path], Schema({"label": make_label(("a", "b"))})))
    assert (told == "nothing") if message is None else (told.startswith(f"{path}: ") and message in told)


def test_a_column_that_stands_twice_is_named(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(StiltsError, match=r"a\.parquet: column a occurs twice"):
        read_split([tmp_path / "a.parquet"], TEXTS)


# --- texts -----------------------------------------------------------------------------------------------------------

MARKS = "\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\r"  # where `str.splitlines` breaks, and a line does not end
TEXT_IN_LINE = f"Ein{MARKS}Satz"


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_at_line_feeds_alone(start, end, last, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(start + end.join(["a", TEXT_IN_LINE, "", f"b{end if last else ''}"]).encode())
    assert read_lines(path) == ["a", TEXT_IN_LINE, "", "b"]


def put_text(path: Path, *lines: str, start: bytes = b"", end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + "".join(line + end for line in lines).encode())
    return path


STYLES = [(b"", "\n"), (b"\xef\xbb\xbf", "\r\n")]


@pytest.mark.parametrize("start, end", STYLES)
def test_bucc_keeps_marks_inside_its_lines(start, end, tmp_path):
    for part in ("sample", "training"):
        stem = tmp_path / "bucc2018" / "de-en" / f"de-en.{part}"
        corpus = [f"de-1\t{TEXT_IN_LINE}", "de-2\tZwei"]
        for ending, lines in (("de", corpus), ("en", ["en-1\tOne"]), ("gold", ["de-1\ten-1"])):
            put_text(stem.with_name(f"{stem.name}.{ending}"), *lines, start=start, end=end)
    assert make("whole", "bucc2018", tmp_path)["bucc2018.de", "test"] == [
        {"id": "de-1", "sentence": TEXT_IN_LINE, "lang": "de", "match": "en-1"},
        {"id": "de-2", "sentence": "Zwei", "lang": "de", "match": ""},
        {"id": "en-1", "sentence": "One", "lang": "en", "match": "de-1"},
    ]  # fmt: skip


@pytest.mark.parametrize("start, end", STYLES)
def test_ccg_keeps_marks_inside_its_lines(start, end, tmp_path):
    path = put_text(tmp_path / "train.tsv", f"The{MARKS}\tNP", "sat\tS", "", "She\tNP", start=start, end=end)
    assert tags.read_columns(path) == [([f"The{MARKS}", "sat"], ["NP", "S"]), (["She"], ["NP"])]


@pytest.mark.parametrize("start, end", STYLES)
def test_treebanks_keep_marks_inside_their_lines(start, end, tmp_path):
    line = f"1\tThe{MARKS}x\t_\tDET\t_\t_\t0\troot\t_\t_"
    path = put_text(tmp_path / "a.conllu", "# text", line, "", start=start, end=end)
    assert list(treebanks.read(path, "en")) == [([f"The{MARKS}x"], ["DET"])]


@pytest.mark.parametrize("start, end", STYLES)
@pytest.mark.parametrize("packed", [False, True])
def test_lines_of_json_keep_marks_inside(start, end, packed, tmp_path):
    lines = [json.dumps({"a": TEXT_IN_LINE, "more": 1}, ensure_ascii=False), "", json.dumps({"a": "x" * 2_000_000})]
    path = put_text(tmp_path / "a.jsonl", *lines, start=start, end=end)
    if packed:
        with tarfile.open(f"{path}.tar.gz", "w:gz") as archive:
            archive.add(path, "a.jsonl")
        path = Path(f"{path}.tar.gz")
    assert read_json_lines(path, TEXTS).rows["a"].to_pylist() == [TEXT_IN_LINE, "x" * 2_000_000]


def test_the_authors_breaks_may_have_a_byte_order_mark(tmp_path):
    paragraph = {"context": "A b.", "sentence_breaks": [[0, 4]], "qas": [
        {"id": "q", "question": "?", "answers": [{"answer_start": 0, "text": "A"}]}]}  # fmt: skip
    path = put_text(tmp_path / "de.json", json.dumps({"data": [{"paragraphs": [paragraph]}]}), start=b"\xef\xbb\xbf")
    assert lareqa.read_breaks(path)[0].context == "A b."


@pytest.mark.parametrize("read", [
    tags.read_columns, lambda path: list(treebanks.read(path, "de")), lareqa.read_breaks, pairs.read_corpus,
    lambda path: read_json_lines(path, TEXTS),
], ids=["ccg", "conllu", "breaks", "bucc", "json"])  # fmt: skip
@pytest.mark.parametrize("second", ["café\tNP".encode("latin-1"), "﻿x\ty".encode("utf-16-le"), b"\xed\xa0\x80\tx"])
def test_a_text_that_is_not_utf8_is_named_with_its_line(read, second, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b'{"a": "b"}\n' + second + b"\n")
    told = outcome(lambda: read(path))
    assert told.startswith(f"{path}, line 2: ")
    assert "UTF-8" in told.upper()


def test_no_module_splits_lines_at_other_marks():
    package = Path(stilts.__file__).parent
    assert [path for path in package.rglob("*.py") if ".splitlines(" in path.read_text(encoding="utf-8")] == []


# --- damage ----------------------------------------------------------------------------------------------------------

GOOD_LINES = {
    "conllu": ("a.conllu", "1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\t_\tADP\t_\t_\t2\tcase\t_\t_\n"
               "2\tel\t_\tDET\t_\t_\t0\troot\t_\t_\n\n", lambda path: list(treebanks.read(path, "es"))),
    "ccg": ("a.tsv", "Sie\tNP\nsaß\tS\n\n", tags.read_columns),
    "bucc": ("a.de", "de-1\tEins\nde-2\tZwei\n", pairs.read_corpus),
    "json": ("a.jsonl", '{"a": "Straße"}\n{"a": "\\u00e4"}\n', lambda path: read_json_lines(path, TEXTS)),
}  # fmt: skip
CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5)


def damaged(content: bytes, changes: list[tuple[float, int]]) -> bytes:
    """Content with other bytes in some places."""
    spoilt = bytearray(content)
    for place, byte in changes:
        spoilt[int(place * len(spoilt))] = byte
    return bytes(spoilt)


def read_damaged(path: Path, content: bytes, read) -> None:
    path.write_bytes(content)
    told = outcome(lambda: read(path))
    assert told == "nothing" or told.startswith(str(path))
    assert "\n" not in told


@pytest.mark.parametrize("name", GOOD_LINES)
@given(changes=CHANGES)
def test_a_damaged_text_is_read_or_refused_in_one_line(name, changes, tmp_path_factory):
    file, text, read = GOOD_LINES[name]
    read_damaged(tmp_path_factory.getbasetemp() / file, damaged(text.encode(), changes), read)


@given(changes=CHANGES, kept=st.floats(0.9, 1))
def test_a_damaged_table_is_read_or_refused_in_one_line(changes, kept, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "a.parquet"
    pq.write_table(pa.Table.from_pylist(times(question)), path)
    content = damaged(path.read_bytes(), changes)
    read_damaged(path, content[: int(kept * len(content)) + 1], lambda path: read_split([path], ANSWERED))


# --- lines that are no such lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines, message", [
    (['{"a": "x"}', '{"a": 3}'], "line 2: value 3; it should be a text (column a)"),
    (['{"a": "x"}', "", '{"a": null}'], "line 3: 'a' is missing or null"),
    (['{"a": "x"}', '{"a": ["x"]}'], "line 2: value ['x']; it should be a text (column a)"),
    (['{"a": "x"}', "{}"], "line 2: 'a' is missing or null"),
    (['{"a": "x"}', '["x"]'], "line 2: ['x']; it should be a JSON object"),
    (['{"a": "x"}', '{"a": "'], "line 2: cannot be read as lines of JSON"),
    (['{"a": "x"}', "[" * 100_000], "line 2: cannot be read as lines of JSON"),
    (['{"a": "x"}', '{"a": "\\ud800"}'], "line 2: value"),
    (['{"a": "x"}', '{"a": " "}'], "line 2: id ' '; it should be a text that is not empty (column a)"),
    (['{"a": "x"}', '{"a": "y"}', '{"a": "x"}'], "line 3: id 'x'; it should be another than that of {path}, line 1"),
    (['{"a": "x"}', '{"a": "y", "b": "z"}'], "line 2: 'b' occurs here, but not in the first line"),
    (['{"a": "x", "b": "y"}', '{"a": "y"}'], "line 2: 'b' is missing or null"),
    (['{"a": "x", "b": null}'], "line 1: 'b' is missing or null"),
])  # fmt: skip
def test_a_bad_line_of_json_is_named(lines, message, tmp_path):
    path = put_text(tmp_path / "a.jsonl", *lines)
    told = outcome(lambda: read_json_lines(path, Schema({"a": ID}, {"b": TEXT}, key="a")))
    assert told.startswith(f"{path}, {message.replace('{path}', str(path))}")
    assert len(told.splitlines()) == 1


def test_no_lines_of_json(tmp_path):
    path = put_text(tmp_path / "a.jsonl", "")
    assert outcome(lambda: read_json_lines(path, Schema({"a": ID}))) == f"{path}: no rows; fetch it again"


def word(number: int | str, form: str = "x", tag: str = "X") -> str:
    return f"{number}\t{form}\t_\t{tag}\t_\t_\t0\troot\t_\t_"


@pytest.mark.parametrize("lines, message", [
    (["# a", word(1), "", word(1), word(2, tag="FOO")], "line 5: tag 'FOO'; it should be one of ADJ, ADP"),
    ([word(1), word(2, tag="_")], "line 2: tag '_'; it should be one of"),
    ([word("1-2"), word(1, tag="FOO"), word(2, tag="FOO")], "line 2: tag 'FOO'"),
    ([word("1-2"), word(1)], "line 1: no word 2 in its sentence"),
    ([word("1-99999999999"), word(1)], "line 1: no word 2 in its sentence"),
    ([word("2-1"), word(1), word(2)], "line 1: 2-1 ends before it begins"),
    ([word("1-2")], "line 1: no word 1 in its sentence"),
    ([word(1), word(1)], "line 2: a second word 1 in its sentence"),
    ([word(1), word(2, form="")], "line 2: no form"),
    ([word(1), word("²")], "line 2: invalid literal"),
    ([word(1), word(2).replace("\t0\t", "\t²\t")], "line 2: invalid literal"),
    ([word(1), "\t"], "line 2: 2 columns instead of 10"),
])  # fmt: skip
def test_a_bad_line_of_a_treebank_is_named(lines, message, tmp_path):
    path = put_text(tmp_path / "de_gsd-ud-test.conllu", *lines)
    assert outcome(lambda: list(treebanks.read(path, "de"))).startswith(f"{path}, {message}")


@pytest.mark.parametrize("lines", [[], [""], ["# nothing"]])
def test_a_treebank_without_sentences_is_named(lines, tmp_path):
    path = put_text(tmp_path / "de_gsd-ud-test.conllu", *lines)
    assert outcome(lambda: list(treebanks.read(path, "de"))) == f"{path}: no sentence; it is not CoNLL-U"


def test_a_bad_tag_in_a_second_treebank_is_named_there(tmp_path):
    folder = tmp_path / "universal-dependencies"
    for treebank, tag in (("EWT", "X"), ("GUM", "FOO")):
        for split in ("train", "dev"):
            name = f"en_{treebank.lower()}-ud-{split}.conllu"
            put_text(folder / f"UD_English-{treebank}" / name, *(word(1), "") * 3, word(1, tag=tag))
    expected = f"{folder}/UD_English-GUM/en_gum-ud-train.conllu, line 7: tag 'FOO'; it should be one of ADJ"
    assert outcome(lambda: make("whole", "udpos", tmp_path)).startswith(expected)


@pytest.mark.parametrize("lines, message", [
    (["a\tNP", "a b"], ", line 2: 'a b'; it should be a word, a tab and a tag"),
    (["a\tNP", "\t"], ", line 2: '\\t'; it should be"), (["a\tNP", "\tNP"], ", line 2: '\\tNP'; it should be"),
    (["a\tNP", "a\tNP\tS"], ", line 2: 'a\\tNP\\tS'; it should be"), ([""], ": no sentence; it should have"),
    (["a\tNP", "", "b\tNP", "a\tS"], ", line 4: tag 'S'; it should be one of the training file's"),
])  # fmt: skip
def test_a_bad_line_of_ccg_is_named(lines, message, tmp_path):
    put_text(tmp_path / "ccg" / "train.tsv", "a\tNP")
    path = put_text(tmp_path / "ccg" / "validation.tsv", *lines)
    assert outcome(lambda: make("whole", "ccg", tmp_path)).startswith(f"{path}{message}")


@pytest.mark.parametrize("ending, lines, message", [
    ("de", ["de-1\tEins", "", "de-2"], "line 3: 'de-2'; it should be an id"),
    ("de", ["de-1\tEins", "\tZwei"], "line 2: '\\tZwei'; it should be an id"),
    ("de", ["de-1\tEins", "de 2\tZwei"], "line 2: 'de 2\\tZwei'; it should be an id without white space"),
    ("de", ["de-1\tEins", "de-1\tZwei"], "line 2: id 'de-1' occurs in an earlier line"),
    ("gold", ["de-1\ten-1", "de-9\ten-1"], "line 2: pair de-9 en-1, but there is no sentence de-9"),
    ("gold", ["en-1\tde-1"], "line 1: pair en-1 de-1, but there is no sentence en-1"),
])  # fmt: skip
def test_a_bad_line_of_bucc_is_named(ending, lines, message, tmp_path):
    stem = tmp_path / "bucc2018" / "de-en" / "de-en"
    for part in ("sample", "training"):
        for other, own in (("de", "de-1\tEins"), ("en", "en-1\tOne"), ("gold", "de-1\ten-1")):
            put_text(Path(f"{stem}.{part}.{other}"), own)
    path = put_text(Path(f"{stem}.training.{ending}"), *lines)
    assert outcome(lambda: make("whole", "bucc2018", tmp_path)).startswith(f"{path}, {message}")


def breaks(**changed) -> dict:
    asked = {"id": "q", "question": "?", "answers": [{"answer_start": 0, "text": "A"}]}
    paragraph = {"context": "A b.", "sentence_breaks": [[0, 4]], "qas": [{**asked, **changed.pop("qa", {})}]}
    return {"data": [{"paragraphs": [{**paragraph, **changed}]}]}


@pytest.mark.parametrize("document, message", [
    (breaks(context=None), r"data.0.paragraphs.0.context: .*got None"),
    (breaks(context=3), r"paragraphs.0.context: .*got 3"),
    (breaks(qa={"id": None}), r"data.0.paragraphs.0.qas.0.id: .*got None"),
    (breaks(qa={"id": 3}), r"data.0.paragraphs.0.qas.0.id: .*got 3"),
    (breaks(qa={"id": ""}), "a question has the id ''"),
    (breaks(qa={"question": ["?"]}), r"qas.0.question: .*got \['\?'\]"),
    (breaks(qa={"answers": []}), r"qas.0.answers: .*got \[\]"),
    (breaks(qa={"answers": "A"}), r"qas.0.answers: .*got 'A'"),
    (breaks(qa={"answers": {"answer_start": 0}}), r"qas.0.answers: .*got \{"),
    (breaks(qa={"answers": [{"answer_start": None}]}), r"answers.0.answer_start: .*got None"),
    (breaks(qa={"answers": [{"answer_start": 0.5}]}), r"answers.0.answer_start: .*got 0\.5"),
    (breaks(qa={"answers": [{"answer_start": True}]}), r"answers.0.answer_start: .*got True"),
    (breaks(qa={"answers": [{"answer_start": 2**70}]}), "answer_start"),
    (breaks(qa={"answers": [{"answer_start": 4}]}), "paragraph 1, question q: answer_start 4 lies outside its context"),
    (breaks(qa={"answers": [{"answer_start": -1}]}), "paragraph 1, question q: answer_start -1 lies outside"),
    (breaks(qa={"answers": [{}]}), "answers.0.answer_start: Field required"),
    (breaks(sentence_breaks=[[0, 5]]), "paragraph 1 has a sentence outside its context"),
    (breaks(sentence_breaks=[[0, "4"]]), r"breaks.0.1: .*got '4'"),
    (breaks(sentence_breaks=None), r"sentence_breaks: .*got None"),
    (breaks(qas={}), r"qas: .*got \{\}"), ([], "Input should be an object"), ({"data": None}, r"data: .*got None"),
    ({}, "data: Field required"),
    ({"data": [*breaks()["data"] * 2]}, "a question has the id 'q', which is empty or repeated"),
])  # fmt: skip
def test_a_bad_file_of_the_authors_is_named(document, message, tmp_path):
    path = put_text(tmp_path / "de.json", json.dumps(document))
    told = outcome(lambda: lareqa.read_breaks(path))
    assert told.startswith(f"{path}: ")
    assert re.search(message, told)
    assert len(told.splitlines()) == 1


def test_json_that_is_nested_without_end_is_named(tmp_path):
    path = put_text(tmp_path / "de.json", "[" * 1_000_000)
    assert outcome(lambda: lareqa.read_breaks(path)).startswith(f"{path}: not a file of google-research-datasets/")
