"""Question answering: XQuAD, MLQA, TyDiQA-GoldP, SQuAD 1.1 and 2.0, and the translations of SQuAD."""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

from stilts.sources.columns import ID, TEXT, Schema, Text, format_value, make_squad_answers
from stilts.sources.tables import Split
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import MLQA, TRANSLATED_SQUAD, TYDIQA, XQUAD
from stilts.sources.xtreme.pieces import Piece
from stilts.study.errors import StiltsError
from stilts.tasks.formats import SPAN_QA, SPAN_QA_NULL

if TYPE_CHECKING:
    import pyarrow as pa

_XTREME = "google/xtreme"
_TEXTS = {"id": ID, "context": TEXT, "question": TEXT}
# Ids are the keys of predictions; in training rows of TyDiQA and of translations they need not be unique.
ANSWERED = Schema({**_TEXTS, "answers": make_squad_answers(1)}, key="id")
_ANSWERED_OR_NOT = Schema({**_TEXTS, "answers": make_squad_answers(0)}, key="id")
_TRANSLATION = Schema({**_TEXTS, "answers": make_squad_answers(0, Text("answer"))})
_TYDIQA_ID = Text("id", pattern=f"^({'|'.join(TYDIQA.values())})-", should="a language's name, a hyphen, and more")
_TYDIQA = Schema({**ANSWERED.columns, "id": _TYDIQA_ID}, key="id")
_TYDIQA_TRAIN = Schema({**_TYDIQA.columns, "title": TEXT})
_TITLE = _TYDIQA_TRAIN.only("title")
# Accepted errors of offsets, in characters. The Hub's loading scripts stripped white space from contexts without
# adjusting the offsets; in eight English training rows of TyDiQA, the offset is one character too low.
_SHIFTS = (*range(17), -1)
_HELD_OUT = 10

SQUAD = {
    split: (Place("rajpurkar/squad", "plain_text", split), Place(_XTREME, "SQuAD", split))
    for split in ("train", "validation")
}
SQUAD2 = {split: Place("rajpurkar/squad_v2", "squad_v2", split) for split in ("train", "validation")}
TYDIQA_PLACES = {split: Place(_XTREME, "tydiqa", split) for split in ("train", "validation")}
XQUAD_PLACES = {language: Place(_XTREME, f"XQuAD.{language}", "validation") for language in XQUAD}
MLQA_PLACES = {language: Place(_XTREME, f"MLQA.{language}.{language}", "test") for language in MLQA}
SQUAD_TRANSLATED = {
    split: {
        language: Place("juletxara/xquad_xtreme", language, f"translate_{ending}")
        for language in TRANSLATED_SQUAD
    }
    for split, ending in (("train", "train"), ("validation", "dev"))
}


class Answers(NamedTuple):
    """The result of `align_answers`.

    Attributes
    ----------
    rows : pa.Table
        Rows with corrected offsets.
    moved : int
        Number of rows whose offsets were corrected.
    misplaced : list of int
        Rows with an answer that is not at its offset.
    """

    rows: "pa.Table"
    moved: int
    misplaced: list[int]


def read_xquad(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield XQuAD's test sets, and SQuAD 1.1 as English training and dev set."""
    yield from _squad(data, "xquad", "xquad.en")
    for language, place in data.each("xquad", {key: XQUAD_PLACES[key] for key in XQUAD if key in languages}):
        yield _piece(data, "xquad", f"xquad.{language}", "test", place)


def read_mlqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield MLQA's monolingual test sets; the model is that of XQuAD."""
    for language, place in data.each("mlqa", {key: MLQA_PLACES[key] for key in MLQA if key in languages}):
        yield _piece(data, "mlqa", f"mlqa.{language}", "test", place)


def read_tydiqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield TyDiQA-GoldP: the published dev set as test set, a tenth of the English training articles as dev set."""
    rows = _read(data, "tydiqa", TYDIQA_PLACES["train"], _TYDIQA_TRAIN)
    english = _by_article(_of_language(rows, "en"))
    held_out = english["validation"].num_rows
    data.note("tydiqa", f"one in {_HELD_OUT} of the English training articles is the dev set, {held_out} of "
                        f"{held_out + english['train'].num_rows} questions, since the published dev set is the test "
                        "set")  # fmt: skip
    for split, part in english.items():
        yield Piece("tydiqa", "tydiqa.en", split, SPAN_QA.features(), part)
    rows = _read(data, "tydiqa", TYDIQA_PLACES["validation"], _TYDIQA)
    for language in TYDIQA:
        if language in languages:
            part = _of_language(rows, language)
            if part.num_rows:
                yield Piece("tydiqa", f"tydiqa.{language}", "test", SPAN_QA.features(), part)
            else:
                data.leave_out("tydiqa", language, f"{TYDIQA_PLACES['validation']} has no rows of it")


def read_squad(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield SQuAD 1.1."""
    yield from _squad(data, "squad", "intermediate.squad.en")


def read_squad2(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield SQuAD 2.0; a question without an answer has empty lists."""
    for split, place in SQUAD2.items():
        rows = _read(data, "squad2", place, _ANSWERED_OR_NOT)
        yield Piece("squad2", "intermediate.squad2.en", split, SPAN_QA_NULL.features(), rows)


def read_squad_translated(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield machine translations of SQuAD (XQuAD's translate-train) without rows whose answer is missing."""
    import pyarrow as pa

    task = "squad-translated"
    for split, places in SQUAD_TRANSLATED.items():
        wanted = {language: place for language, place in places.items() if language in languages}
        parts = [_translated(data, task, place) for _, place in data.each(task, wanted)]
        if parts:
            yield Piece(task, f"intermediate.{task}.multilingual", split, SPAN_QA.features(), pa.concat_tables(parts))


def read_squad_by_language(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield machine translations of SQuAD 1.1, one config per language."""
    for split, places in SQUAD_TRANSLATED.items():
        for language in languages:
            rows = _translated(data, "squad", places[language])
            yield Piece("squad", f"intermediate.squad.{language}", split, SPAN_QA.features(), rows)


def read_xquad_test(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield XQuAD's parallel test sets; every tenth paragraph is held out, the same ones in all languages."""
    task = "xquad-test"
    data.note(task, "the paragraphs are from SQuAD's dev set, which is the dev set of xquad, mlqa and squad: their dev "
                    "scores after this intermediate task are too good, their test scores are not")  # fmt: skip
    for language in languages:
        rows = _read(data, task, XQUAD_PLACES[language])
        held_out = [number % _HELD_OUT == _HELD_OUT - 1 for number in _paragraphs(rows["context"].to_pylist())]
        for split, part in _split(rows, held_out).items():
            yield Piece(task, f"intermediate.{task}.{language}", split, SPAN_QA.features(), part)


def read_tydiqa_train(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield TyDiQA-GoldP's training sets without articles of its test sets; a tenth of the articles is held out."""
    task, rows = "tydiqa-train", _read(data, "tydiqa-train", TYDIQA_PLACES["train"], _TYDIQA_TRAIN)
    tested = set(data.read(TYDIQA_PLACES["validation"], _TITLE)["title"].to_pylist())
    new = _where(rows, [title not in tested for title in rows["title"].to_pylist()])
    data.note(task, f"{rows.num_rows - new.num_rows} of {rows.num_rows} rows of all languages left out, since a test "
                    "set has their article")  # fmt: skip
    for language in languages:
        for split, part in _by_article(_of_language(new, language)).items():
            yield Piece(task, f"intermediate.{task}.{language}", split, SPAN_QA.features(), part)


def list_tydiqa_languages(data: DataFolder) -> list[str]:
    """Return the languages with rows in TyDiQA-GoldP's training set."""
    return _tydiqa_languages(data, "train")


def list_tydiqa_test_languages(data: DataFolder) -> list[str]:
    """Return the languages with rows in TyDiQA-GoldP's test set."""
    return _tydiqa_languages(data, "validation")


def _tydiqa_languages(data: DataFolder, split: str) -> list[str]:
    stand = all(map(data.has, TYDIQA_PLACES.values()))
    ids = data.read(TYDIQA_PLACES[split], _TYDIQA.only("id"))["id"].to_pylist() if stand else ()
    names = {name.partition("-")[0] for name in ids}
    return [language for language, name in TYDIQA.items() if name in names]


def align_answers(rows: "pa.Table") -> Answers:
    """Correct the offsets of rows whose context was stripped, and find answers that are not at their offset.

    Parameters
    ----------
    rows : pa.Table
        `context` and `answers`, a struct of the lists `text` and `answer_start` (in characters).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    texts, starts = (pc.struct_field(rows["answers"], name).to_pylist() for name in ("text", "answer_start"))
    moved, misplaced = 0, []
    for row, context in enumerate(rows["context"]):
        shift = _shift(context.as_py(), texts[row], starts[row])
        if shift is None:
            misplaced.append(row)
        elif shift:
            starts[row] = [start - shift for start in starts[row]]
            moved += 1
    answers = pa.StructArray.from_arrays(
        [pa.array(texts, pa.list_(pa.string())), pa.array(starts, pa.list_(pa.int32()))], ["text", "answer_start"]
    )
    return Answers(rows.set_column(rows.column_names.index("answers"), "answers", answers), moved, misplaced)


def check_offsets(split: Split) -> Answers:
    """Return the result of `align_answers`; StiltsError if an answer is not at its offset."""
    found = align_answers(split.rows)
    if found.misplaced:
        row = split.rows.slice(found.misplaced[0], 1).to_pylist()[0]
        raise StiltsError(
            f"{split.position(found.misplaced[0])} (id {row['id']}): answer {format_value(row['answers']['text'])} is "
            f"not at offset {format_value(row['answers']['answer_start'])} of its context; fetch the file again "
            "(column answers; rows count from 0)"
        )
    return found


def _shift(context: str, texts: Sequence[str], starts: Sequence[int]) -> int | None:
    """Return the first of `_SHIFTS` that fits all answers of a row, None if none does."""
    if len(texts) != len(starts):
        return None
    for shift in _SHIFTS:
        places = [(text, start - shift) for text, start in zip(texts, starts, strict=True)]
        if all(start >= 0 and context.startswith(text, start) for text, start in places):
            return shift
    return None


def _squad(data: DataFolder, task: str, config: str) -> Iterator[Piece]:
    for split, places in SQUAD.items():
        yield _piece(data, task, config, split, data.first(places) or places[0])


def _translated(data: DataFolder, task: str, place: Place) -> "pa.Table":
    """Return a translated set without rows whose answer is missing."""
    found = align_answers(data.read(place, _TRANSLATION))
    answers = [each["text"] for each in found.rows["answers"].to_pylist()]
    lost = {*found.misplaced, *(row for row, texts in enumerate(answers) if not texts or "" in texts)}
    if lost:
        data.note(task, f"{place}: {len(lost)} of {len(answers)} rows left out, since "
                        "their answer does not stand at its offset")  # fmt: skip
    return _where(found.rows, [row not in lost for row in range(len(answers))])


def _piece(data: DataFolder, task: str, config: str, split: str, place: Place) -> Piece:
    return Piece(task, config, split, SPAN_QA.features(), _read(data, task, place))


def _read(data: DataFolder, task: str, place: Place, schema: Schema = ANSWERED) -> "pa.Table":
    """Return rows with corrected offsets; StiltsError if an answer is not at its offset."""
    found = check_offsets(data.read_split(place, schema))
    if found.moved:
        data.note(task, f"{place}: offsets of {found.moved} of {found.rows.num_rows} rows moved to where their "
                        "answers stand; the Hub's files lack the white space before their contexts")  # fmt: skip
    return found.rows


def _of_language(rows: "pa.Table", language: str) -> "pa.Table":
    import pyarrow.compute as pc

    return rows.filter(pc.starts_with(rows["id"], f"{TYDIQA[language]}-"))


def _by_article(rows: "pa.Table") -> dict[str, "pa.Table"]:
    """Return training and dev rows without their `title`; a tenth of the articles is the dev set."""
    held_out = [_one_of(_HELD_OUT, title) for title in rows["title"].to_pylist()]
    return _split(rows.drop_columns("title"), held_out)


def _split(rows: "pa.Table", held_out: list[bool]) -> dict[str, "pa.Table"]:
    return {"train": _where(rows, [not each for each in held_out]), "validation": _where(rows, held_out)}


def _paragraphs(contexts: Sequence[str]) -> Iterator[int]:
    """Yield the number of each row's paragraph; the questions of a paragraph are adjacent."""
    yield from accumulate((left != right for left, right in pairwise(contexts)), initial=0)


def _one_of(count: int, name: str) -> bool:
    """Return whether a name belongs to a fixed share, 1 / count, of all names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % count == 0


def _where(rows: "pa.Table", mask: list[bool]) -> "pa.Table":
    import pyarrow as pa

    return rows.filter(pa.array(mask, pa.bool_()))
