"""Multiple choice: XCOPA and COPA, SIQA, HellaSwag, Cosmos QA, CommonsenseQA.

Rows become prompts and choices as in jiant for the paper's tasks (`jiant/tasks/lib/{hellaswag,cosmosqa,
commonsenseqa}.py`) and as in XTREME for SIQA and XCOPA (google-research/xtreme, `third_party/run_xcopa.py`), which asks
"What was the cause?" and "What was the effect?" in English in all languages.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stilts.sources.columns import TEXT, Fields, Items, NamedLabel, Number, Schema, Text, format_value, make_label
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import XCOPA
from stilts.sources.xtreme.pieces import Piece, make_table
from stilts.tasks.formats import MULTIPLE_CHOICE

if TYPE_CHECKING:
    import pyarrow as pa

    Column = pa.ChunkedArray | Sequence[Any]

SPLITS = ("train", "validation")
COPA = {split: Place("aps/super_glue", "copa", split) for split in SPLITS}
XCOPA_PLACES = {language: Place("cambridgeltl/xcopa", language, "test") for language in XCOPA}
HELLASWAG = {split: Place("Rowan/hellaswag", "default", split) for split in SPLITS}
COSMOSQA = {
    split: (Place("allenai/cosmos_qa", "default", split), Place("Samsoup/cosmos_qa", "default", split))
    for split in SPLITS
}
COMMONSENSEQA = {split: Place("tau/commonsense_qa", "default", split) for split in SPLITS}
SIQA = {
    split: (Place("allenai/social_i_qa", "default", split), Place("lighteval/siqa", "default", split))
    for split in SPLITS
}

_ANSWERS = {"siqa": ("answerA", "answerB", "answerC"), "cosmosqa": tuple(f"answer{number}" for number in range(4))}
_COPA = Schema({
    "premise": TEXT, "choice1": TEXT, "choice2": TEXT, "question": Text("question", ("cause", "effect")),
    "label": make_label(("choice1", "choice2")),
})  # fmt: skip
_SIQA = Schema({
    "context": TEXT, "question": TEXT, **dict.fromkeys(_ANSWERS["siqa"], TEXT),
    "label": NamedLabel("label", ("1", "2", "3")),
})  # fmt: skip
_HELLASWAG = Schema({
    "ctx_a": TEXT, "ctx_b": TEXT, "endings": Items(TEXT, 4, 4), "label": NamedLabel("label", ("0", "1", "2", "3")),
})  # fmt: skip
_COSMOSQA = Schema({
    "context": TEXT, "question": TEXT, **dict.fromkeys(_ANSWERS["cosmosqa"], TEXT),
    "label": Number("label", 0, 3),
})  # fmt: skip
_COMMONSENSEQA = Schema({
    "question": TEXT, "choices": Fields({"label": Items(Text("letter"), 5, 5), "text": Items(TEXT, 5, 5)}),
    "answerKey": Text("letter"),
})  # fmt: skip


def read_xcopa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield XCOPA's test sets, and COPA as English training and dev set. COPA's own test labels are not public."""
    for split, place in COPA.items():
        yield _copa_piece(data, "xcopa.en", split, place)
    for language, place in data.each("xcopa", {key: XCOPA_PLACES[key] for key in XCOPA if key in languages}):
        yield _copa_piece(data, f"xcopa.{language}", "test", place)


def read_siqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield Social IQa, whose labels are the texts "1" to "3"."""
    for split, places in SIQA.items():
        rows = data.read(data.first(places) or places[0], _SIQA)
        yield _asked("siqa", split, rows)


def read_hellaswag(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield HellaSwag: the prompt is the first sentence, a choice the beginning of the second with an ending."""
    for split, place in HELLASWAG.items():
        rows = data.read(place, _HELLASWAG)
        beginnings, endings = rows["ctx_b"].to_pylist(), rows["endings"].to_pylist()
        choices = [[f"{first} {ending}".strip() for ending in several]
                   for first, several in zip(beginnings, endings, strict=True)]  # fmt: skip
        yield _piece("hellaswag", "intermediate.hellaswag.en", split, rows["ctx_a"], choices, rows["label"])


def read_cosmosqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield Cosmos QA, with context and question as prompt."""
    for split, places in COSMOSQA.items():
        rows = data.read(data.first(places) or places[0], _COSMOSQA)
        yield _asked("cosmosqa", split, rows)


def read_commonsenseqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield CommonsenseQA, with five choices; the correct one is given by a letter."""
    for split, place in COMMONSENSEQA.items():
        found = data.read_split(place, _COMMONSENSEQA)
        given, keys = found.rows["choices"].to_pylist(), found.rows["answerKey"].to_pylist()
        for row, (choices, key) in enumerate(zip(given, keys, strict=True)):
            if choices["label"].count(key) != 1:
                right = f"one of {', '.join(choices['label'])}"
                raise found.position(row).refuse(f"letter {format_value(key)}", right, "answerKey")
        labels = [choices["label"].index(key) for choices, key in zip(given, keys, strict=True)]
        texts = [choices["text"] for choices in given]
        yield _piece("commonsenseqa", "intermediate.commonsenseqa.en", split, found.rows["question"], texts, labels)


def _copa_piece(data: DataFolder, config: str, split: str, place: Place) -> Piece:
    rows = data.read(place, _COPA)
    asked = [f"{premise} What was the {question}?" for premise, question in
             zip(rows["premise"].to_pylist(), rows["question"].to_pylist(), strict=True)]  # fmt: skip
    return _piece("xcopa", config, split, asked, _lists([rows["choice1"], rows["choice2"]]), rows["label"])


def _asked(task: str, split: str, rows: "pa.Table") -> Piece:
    """Return a piece from rows with a context, a question, and a column for each answer."""
    prompts, choices = _joined(rows["context"], rows["question"]), _lists([rows[name] for name in _ANSWERS[task]])
    return _piece(task, f"intermediate.{task}.en", split, prompts, choices, rows["label"])


def _piece(
    task: str, config: str, split: str, prompts: "Column", choices: "Column", labels: "Column"
) -> Piece:
    columns = {"prompt": prompts, "choices": choices, "label": labels}
    return Piece(task, config, split, MULTIPLE_CHOICE.features(), make_table(columns))


def _joined(first: "pa.ChunkedArray", second: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(first, second, " ")


def _lists(columns: Sequence["pa.ChunkedArray"]) -> list[list[str]]:
    return [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]
