"""Multiple choice: XCOPA and COPA, SIQA, HellaSwag, Cosmos QA, CommonsenseQA.

How a row becomes a prompt and choices is jiant's way for the paper's tasks (`jiant/tasks/lib/{hellaswag,cosmosqa,
commonsenseqa}.py`) and XTREME's for SIQA and XCOPA (google-research/xtreme, `third_party/run_xcopa.py`), which asks
"What was the cause?" and "What was the effect?" in English whatever the language of the premise.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.errors import StiltsError
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import XCOPA
from stilts.sources.xtreme.pieces import Piece, check_numbers, layout, number_labels, table

if TYPE_CHECKING:
    import pyarrow as pa

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


def xcopa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """XCOPA's test sets; COPA is its English training and dev set. COPA's own test labels are not public."""
    for split, place in COPA.items():
        yield _copa_piece(data, "xcopa.en", split, place)
    for language, place in data.each("xcopa", {key: XCOPA_PLACES[key] for key in XCOPA if key in languages}):
        yield _copa_piece(data, f"xcopa.{language}", "test", place)


def siqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Social IQa; labels are the texts "1" to "3"."""
    for split, places in SIQA.items():
        place = data.first(places) or places[0]
        names = ("answerA", "answerB", "answerC")
        rows = data.read(place, ("context", "question", *names, "label"))
        labels = number_labels(rows["label"], ("1", "2", "3"), data.files(place)[0])
        prompts = _joined(rows["context"], rows["question"])
        yield _piece("siqa", "intermediate.siqa.en", split, prompts, _lists([rows[name] for name in names]), labels)


def hellaswag(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """HellaSwag: the first sentence as prompt, the beginning of the second with an ending as a choice."""
    for split, place in HELLASWAG.items():
        rows = data.read(place, ("ctx_a", "ctx_b", "endings", "label"))
        labels = number_labels(rows["label"], ("0", "1", "2", "3"), data.files(place)[0])
        beginnings, endings = rows["ctx_b"].to_pylist(), rows["endings"].to_pylist()
        choices = [[f"{first} {ending}".strip() for ending in several]
                   for first, several in zip(beginnings, endings, strict=True)]  # fmt: skip
        yield _checked("hellaswag", split, rows["ctx_a"], choices, labels, 4, data.files(place)[0])


def cosmosqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Cosmos QA: context and question as prompt."""
    for split, places in COSMOSQA.items():
        place = data.first(places) or places[0]
        names = [f"answer{number}" for number in range(4)]
        rows = data.read(place, ("context", "question", *names, "label"))
        check_numbers(rows["label"], names, None, data.files(place)[0])
        prompts = _joined(rows["context"], rows["question"])
        choices = _lists([rows[name] for name in names])
        yield _piece("cosmosqa", "intermediate.cosmosqa.en", split, prompts, choices, rows["label"])


def commonsenseqa(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """CommonsenseQA: five choices, the right one named by a letter."""
    for split, place in COMMONSENSEQA.items():
        rows, path = data.read(place, ("question", "choices", "answerKey")), data.files(place)[0]
        given, keys = rows["choices"].to_pylist(), rows["answerKey"].to_pylist()
        for row, (choices, key) in enumerate(zip(given, keys, strict=True)):
            if key not in choices["label"]:
                raise StiltsError(f"{path}, row {row}: answerKey {key!r}; it should be one of {choices['label']}")
        labels = [choices["label"].index(key) for choices, key in zip(given, keys, strict=True)]
        texts = [choices["text"] for choices in given]
        yield _checked("commonsenseqa", split, rows["question"], texts, labels, 5, path)


def _copa_piece(data: DataFolder, config: str, split: str, place: Place) -> Piece:
    rows = data.read(place, ("premise", "choice1", "choice2", "question", "label"))
    path = data.files(place)[0]
    check_numbers(rows["label"], ("choice1", "choice2"), data.label_names(place, "label"), path)
    number_labels(rows["question"], ("cause", "effect"), path)
    asked = [f"{premise} What was the {question}?" for premise, question in
             zip(rows["premise"].to_pylist(), rows["question"].to_pylist(), strict=True)]  # fmt: skip
    return _piece("xcopa", config, split, asked, _lists([rows["choice1"], rows["choice2"]]), rows["label"])


def _checked(
    task: str, split: str, prompts: "pa.ChunkedArray", choices: list[list[str]], labels: "pa.ChunkedArray | list[int]",
    count: int, path: Path,
) -> Piece:  # fmt: skip
    wrong = next((row for row, several in enumerate(choices) if len(several) != count), None)
    if wrong is not None:
        raise StiltsError(f"{path}, row {wrong}: {len(choices[wrong])} choices instead of {count}; fetch it again")
    return _piece(task, f"intermediate.{task}.en", split, prompts, choices, labels)


def _piece(task: str, config: str, split: str, prompts, choices, labels) -> Piece:
    columns = {"prompt": prompts, "choices": choices, "label": labels}
    return Piece(task, config, split, layout("multiple_choice"), table(columns))


def _joined(first: "pa.ChunkedArray", second: "pa.ChunkedArray") -> "pa.ChunkedArray":
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(first, second, " ")


def _lists(columns: Sequence["pa.ChunkedArray"]) -> list[list[str]]:
    return [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]
