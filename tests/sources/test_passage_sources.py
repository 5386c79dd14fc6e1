"""LAReQA and Mewsli-X: what their files become, on made files in their layouts and on XQuAD-R where it stands."""

import json
import tarfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mirror import MIRROR

from stilts.sources.columns import TEXT, Schema
from stilts.sources.suite import Request
from stilts.sources.tables import read_json_lines
from stilts.sources.xtreme import lareqa, mewsli_x
from stilts.sources.xtreme.folder import DataFolder
from stilts.sources.xtreme.lareqa import Paragraph, Question, find_sentence_spans
from stilts.sources.xtreme.recipes import RECIPES
from stilts.sources.xtreme.source import Suite
from stilts.study.errors import StiltsError
from stilts.tasks.formats.passage_retrieval import check_pool

# --- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["It is 3.5 m.", "Is it?", "“Yes!”", "(No.)", "See J. Smith of the U.S. Army etc. and so on.", "End"]),
        ("de", ["Das war am 7. Juni im 16. Jahrhundert.", "Es war 1990.", "Ende."]),
        ("tr", ["Bu 16. Yüzyıl.", "Bitti."]),
        ("es", ["¿Dónde está?", "Aquí."]),
        ("el", ["Τι είναι;", "Αυτό."]),
        ("ru", ["А. С. Пушкин писал.", "Он жил; он умер."]),
        ("ar", ["ما هذا؟", "كتاب."]),
        ("hi", ["यह क्या है?", "यह एक घर है।", "ठीक।"]),
        ("vi", ["Ở đâu?", "Ở đây."]),
    ],
)
def test_sentences_end_at_their_marks(language, sentences):
    text = "  " + " ".join(sentences) + "\n"
    assert [text[start:stop] for start, stop in find_sentence_spans(text, language)] == sentences


def test_sentences_of_chinese_need_no_space():
    text = "他是谁？他说：“是我。”在2.5公里外！ 完"
    assert [text[start:stop] for start, stop in find_sentence_spans(text, "zh")] == [
        "他是谁？", "他说：“是我。”", "在2.5公里外！", "完",
    ]  # fmt: skip


def test_thai_is_cut_at_the_first_space_after_200_characters():
    words = ["ก" * 120, "ข" * 79, "ค" * 30, "ง" * 250, "จ"]
    text = " ".join(words)
    assert [text[start:stop] for start, stop in find_sentence_spans(text, "th")] == [
        " ".join(words[:2]), " ".join(words[2:4]), "จ",
    ]  # fmt: skip


@given(st.text("aB.!?;。？” \n\ufeff1", max_size=60), st.sampled_from(["en", "de", "el", "th", "zh"]))
def test_sentences_hold_all_but_white_space(text, language):
    spans = find_sentence_spans(text, language)
    assert "".join("".join(text[start:stop].split()) for start, stop in spans) == "".join(text.split())
    assert all(text[start:stop] == text[start:stop].strip() != "" for start, stop in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


# --- LAReQA ----------------------------------------------------------------------------------------------------------

EN = [
    Paragraph("A b. C d. A b.", [(0, 4), (5, 9), (10, 14)], [Question("q1", "what b ?", 2), Question("q2", "d ?", 7)]),
    Paragraph("E f.", [(0, 4)], [Question("q3", "f ?", 2)]),
]
DE = [
    Paragraph("Ä b. C d.", [(0, 4), (5, 9)], [Question("q1", "was b ?", 2), Question("q2", "d ?", 4)]),
    Paragraph("E f.", [(0, 4)], [Question("q3", "f ?", 0)]),
]


def test_questions_find_their_sentences_in_all_languages():
    assert lareqa.make_queries({"en": EN, "de": DE}) == {
        "en": [
            {"id": "q1_en", "query": "what b ?", "gold": ["en_1_0", "en_1_2", "de_1_0"]},  # "A b." stands there twice
            {"id": "q2_en", "query": "d ?", "gold": ["en_1_1"]},
            {"id": "q3_en", "query": "f ?", "gold": ["en_2_0", "de_2_0"]},
        ],
        "de": [
            {"id": "q1_de", "query": "was b ?", "gold": ["en_1_0", "en_1_2", "de_1_0"]},  # q2 begins between sentences
            {"id": "q3_de", "query": "f ?", "gold": ["en_2_0", "de_2_0"]},
        ],
    }


def test_a_candidate_is_a_sentence_and_its_paragraph():
    rows = lareqa.make_candidates({"en": EN, "de": DE})
    assert [row["id"] for row in rows] == ["en_1_0", "en_1_1", "en_1_2", "en_2_0", "de_1_0", "de_1_1", "de_2_0"]
    assert rows[1] == {"id": "en_1_1", "passage": "C d. A b. C d. A b.", "lang": "en"}
    assert rows[4] == {"id": "de_1_0", "passage": "Ä b. Ä b. C d.", "lang": "de"}


def test_training_pairs_are_questions_and_candidates():
    assert lareqa.make_training_pairs(DE) == [
        {"query": "was b ?", "passage": "Ä b. Ä b. C d."},
        {"query": "f ?", "passage": "E f. E f."},
    ]


def row(number: int, context: str, answer: str) -> dict:
    answers = {"text": [answer], "answer_start": [context.index(answer)]}
    return {"id": f"q{number}", "context": context, "question": f"what {number} ?", "answers": answers}


BOTH = "One is here. Two is there."
ROWS = [row(1, BOTH, "Two"), row(2, "Three! Four?", "Four"), row(3, BOTH, "is")]


def test_rows_of_the_hub_are_gathered_by_paragraph():
    assert lareqa.cut_rows(ROWS, "en") == [
        Paragraph(BOTH, [(0, 12), (13, 26)], [Question("q1", "what 1 ?", 13), Question("q3", "what 3 ?", 4)]),
        Paragraph("Three! Four?", [(0, 6), (7, 12)], [Question("q2", "what 2 ?", 7)]),
    ]


def official(breaks: list[list[int]]) -> dict:
    """A file of the authors, who cut otherwise than the rule."""
    qas = [{"id": each["id"], "question": each["question"],
            "answers": [{"answer_start": each["answers"]["answer_start"][0], "text": each["answers"]["text"][0]}]}
           for each in ROWS if each["context"] == BOTH]  # fmt: skip
    sentences = [BOTH[start:stop] for start, stop in breaks]
    paragraph = {"context": BOTH, "qas": qas, "sentence_breaks": breaks, "sentences": sentences}
    return {"data": [{"paragraphs": [paragraph]}]}


def write_parquet(root: Path, place: str, rows: list[dict]) -> None:
    path = root / f"{place}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_lines(path: Path, rows: list[dict], packed: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
    if packed:
        with tarfile.open(f"{path}.tar.gz", "w:gz") as archive:
            archive.add(path, path.name)
        path.unlink()


@pytest.fixture
def root(tmp_path) -> Path:
    """SQuAD, and XQuAD-R in two languages; German with the authors' breaks."""
    for split in ("train", "validation"):
        write_parquet(tmp_path, f"rajpurkar/squad/plain_text/{split}", ROWS)
    for language in ("en", "de"):
        write_parquet(tmp_path, f"google-research-datasets/xquad_r/{language}/validation", ROWS)
    path = lareqa.find_breaks_file(tmp_path, "de")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(official([[0, 26]])))
    return tmp_path


def pieces(made) -> dict[tuple[str, str], list[dict]]:
    return {(piece.config, piece.split): piece.rows.to_pylist() for piece in made}


def test_the_authors_breaks_go_before_the_rule(root):
    data = DataFolder(root)
    made = pieces(lareqa.read_lareqa(data, ["en", "de", "th"]))
    assert {place: len(rows) for place, rows in made.items()} == {
        ("lareqa.en", "train"): 3, ("lareqa.en", "validation"): 3, ("lareqa.en", "test"): 3, ("lareqa.de", "test"): 2,
        ("lareqa.candidates", "pool"): 5,
    }  # fmt: skip
    assert made["lareqa.en", "train"][0] == {"query": "what 1 ?", "passage": f"Two is there. {BOTH}"}
    assert made["lareqa.de", "test"][0] == {"id": "q1_de", "query": "what 1 ?", "gold": ["en_1_1", "de_1_0"]}
    assert made["lareqa.candidates", "pool"][-1] == {"id": "de_1_0", "passage": f"{BOTH} {BOTH}", "lang": "de"}
    assert list(data.left_out["lareqa"]) == ["th"]
    assert "cut by rule, since the authors' breaks are not in the data" in data.notes["lareqa"][0]


def test_with_the_authors_breaks_nothing_is_said_of_the_rule(root):
    data = DataFolder(root)
    made = pieces(lareqa.read_lareqa(data, ["de"]))
    assert made["lareqa.candidates", "pool"] == [
        {"id": "de_1_0", "passage": f"{BOTH} {BOTH}", "lang": "de"}
    ]
    assert data.notes == {}


def test_questions_whose_answer_is_in_no_sentence_are_counted(root):
    lareqa.find_breaks_file(root, "de").write_text(json.dumps(official([[0, 12]])))
    data = DataFolder(root)
    assert len(pieces(lareqa.read_lareqa(data, ["de"]))["lareqa.de", "test"]) == 1
    assert data.notes["lareqa"] == ["XQuAD-R, de: 1 of 2 questions left out; their answers begin in no sentence"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "de.json: not a file of google-research-datasets/lareqa"),
        ('{"data": [{"paragraphs": [{"context": "a", "qas": []}]}]}', "sentence_breaks"),
        ("[]", "not a file of"),
        (json.dumps(official([[0, 27]])), "paragraph 1 has a sentence outside its context"),
    ],
)
def test_a_damaged_file_is_named(root, text, message):
    lareqa.find_breaks_file(root, "de").write_text(text)
    with pytest.raises(StiltsError, match=message):
        list(lareqa.read_lareqa(DataFolder(root), ["de"]))


PUBLISHED = {"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244, "ru": 1219, "th": 852, "tr": 1167,
             "vi": 1209, "zh": 1196}  # fmt: skip


@pytest.mark.skipif(not (MIRROR / lareqa.XQUAD_R["en"].repo).is_dir(), reason="XQuAD-R does not stand here")
def test_the_rule_finds_about_as_many_candidates_as_were_published():
    made = pieces(lareqa.read_lareqa(DataFolder(MIRROR), list(PUBLISHED)))
    pool = made["lareqa.candidates", "pool"]
    counts = Counter(each["lang"] for each in pool)
    for language, published in PUBLISHED.items():
        assert counts[language] / published == pytest.approx(1, abs=0.07 if language == "th" else 0.03)
        questions = made[f"lareqa.{language}", "test"]
        assert len(questions) == 1190
        assert {len(each["gold"]) for each in questions} == {11}
        check_pool(questions, [each["id"] for each in pool], "here")


# --- Mewsli-X --------------------------------------------------------------------------------------------------------

PAIRS = [{"mention": "Bonn: In { Bonn } it rained.", "entity": "Bonn is a city."}]
MENTIONS = [
    {"mention": "ボン: { ボン } は雨", "entity_id": "Q586", "example_id": "x1", "more": 1},
    {"mention": "雨: { 雨 }", "entity_id": "Q7925", "example_id": "x2"},
]
ENTITIES = [
    {"entity_id": "Q586", "description": "Bonn ist eine Stadt.", "description_language": "de", "title": "Bonn"},
    {"entity_id": "Q7925", "description": "La lluvia es agua.", "description_language": "es", "title": "Lluvia"},
]


def write_mewsli(root: Path, mentions: list[dict] = MENTIONS, entities: list[dict] = ENTITIES) -> Path:
    """As the repository keeps its files."""
    folder = root / "izhx" / "mewsli-x"
    for split in ("train", "dev"):
        write_lines(folder / "wikipedia_pairs" / f"{split}.jsonl", PAIRS, packed=True)
    write_lines(folder / "wikinews_mentions" / "ja" / "test.jsonl", mentions)
    write_lines(folder / "candidate_entities.jsonl", entities, packed=True)
    return root


EXPECTED = {
    ("mewsli-x.en", "train"): [{"query": "Bonn: In { Bonn } it rained.", "passage": "Bonn is a city."}],
    ("mewsli-x.en", "validation"): [{"query": "Bonn: In { Bonn } it rained.", "passage": "Bonn is a city."}],
    ("mewsli-x.ja", "test"): [
        {"id": "x1", "query": "ボン: { ボン } は雨", "gold": ["Q586"]},
        {"id": "x2", "query": "雨: { 雨 }", "gold": ["Q7925"]},
    ],
    ("mewsli-x.candidates", "pool"): [
        {"id": "Q586", "passage": "Bonn ist eine Stadt.", "lang": "de"},
        {"id": "Q7925", "passage": "La lluvia es agua.", "lang": "es"},
    ],
}


def test_mewsli_x_from_the_repositorys_lines(tmp_path):
    data = DataFolder(write_mewsli(tmp_path))
    assert pieces(mewsli_x.read_mewsli_x(data, ["en", "ja"])) == EXPECTED
    assert data.left_out == {"mewsli-x": {"en": "izhx/mewsli-x/en/test is not in the data folder"}}


def test_mewsli_x_from_parquet(tmp_path):
    repository = "izhx/mewsli-x"
    for split in ("train", "validation"):
        write_parquet(tmp_path, f"{repository}/wikipedia_pairs/{split}", PAIRS)
    write_parquet(tmp_path, f"{repository}/ja/test", MENTIONS)
    write_parquet(tmp_path, f"{repository}/candidate_entities/test", ENTITIES)
    assert pieces(mewsli_x.read_mewsli_x(DataFolder(tmp_path), ["ja"])) == EXPECTED


def test_what_a_file_need_not_have_is_filled(tmp_path):
    bare = [{name: each[name] for name in ("mention", "entity_id")} for each in MENTIONS]
    entities = [{name: each[name] for name in ("entity_id", "description")} for each in ENTITIES]
    made = pieces(mewsli_x.read_mewsli_x(DataFolder(write_mewsli(tmp_path, bare, entities)), ["ja"]))
    assert [each["id"] for each in made["mewsli-x.ja", "test"]] == ["ja-0", "ja-1"]
    assert [each["lang"] for each in made["mewsli-x.candidates", "pool"]] == ["und", "und"]


def test_lines_that_cannot_be_read_are_named(tmp_path):
    write_mewsli(tmp_path, [MENTIONS[0], {"mention": "a"}])
    with pytest.raises(StiltsError, match="test.jsonl, line 2: 'entity_id' is missing"):
        list(mewsli_x.read_mewsli_x(DataFolder(tmp_path), ["ja"]))
    path = tmp_path / "izhx" / "mewsli-x" / "candidate_entities.jsonl.tar.gz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(StiltsError, match="candidate_entities.jsonl.tar.gz: cannot be read as lines of JSON"):
        read_json_lines(path, Schema({"entity_id": TEXT}))
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(StiltsError, match="0 files in the archive instead of one"):
        read_json_lines(path, Schema({"entity_id": TEXT}))


# --- in the suite ----------------------------------------------------------------------------------------------------


def test_the_suite_holds_both_and_cuts_no_pool(root, tmp_path):
    write_mewsli(root)
    source = Suite(root)
    before = source.fingerprint(Request(0))
    assert [source.missing(task) for task in ("lareqa", "mewsli-x")] == [None, None]
    folder = source.build(tmp_path / "suite", Request(0, {"test": 1}, ["en", "de", "ja"]), report=lambda text: None)
    counts = {f"{path.parent.name} {path.name.split('-')[0]}": pq.read_metadata(path).num_rows
              for path in folder.glob("[lm][ae][rw]*/*.parquet")}  # fmt: skip
    assert counts == {
        "lareqa.en train": 3, "lareqa.en validation": 3, "lareqa.en test": 1, "lareqa.de test": 1,
        "lareqa.candidates pool": 5, "mewsli-x.en train": 1, "mewsli-x.en validation": 1, "mewsli-x.ja test": 1,
        "mewsli-x.candidates pool": 2,
    }  # fmt: skip
    assert {f"Two is there. {BOTH}", "La lluvia es agua."} <= set(source.texts(folder))
    assert "q1_de" not in set(source.texts(folder))
    for changed in (
        lareqa.find_breaks_file(root, "de"),
        root / "izhx" / "mewsli-x" / "candidate_entities.jsonl.tar.gz",
    ):
        changed.write_bytes(changed.read_bytes() + b" ")
        assert source.fingerprint(Request(0)) != before
        before = source.fingerprint(Request(0))


def test_what_a_task_needs_is_named(tmp_path):
    data = DataFolder(tmp_path)
    assert RECIPES["lareqa"].missing(data).startswith("the data folder lacks rajpurkar/squad/plain_text/train")
    assert RECIPES["mewsli-x"].missing(data).startswith("the data folder lacks izhx/mewsli-x/wikipedia_pairs/train")
