"""Texts in many languages for masked language modelling."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.sources.columns import TEXT, Schema
from stilts.sources.suite import add_texts
from stilts.sources.tables import read_batches
from stilts.sources.xtreme import tags
from stilts.sources.xtreme.folder import DataFolder
from stilts.sources.xtreme.languages import ALL, UNSPACED
from stilts.sources.xtreme.pieces import Piece
from stilts.sources.xtreme.sentences import NAMED_NLI, XNLI_DEV, list_xnli_dev_languages
from stilts.tasks.formats import MASKED_LM

if TYPE_CHECKING:
    import pyarrow as pa

_CONFIG, _TEXT_CONFIG = "intermediate.mlm.multilingual", "intermediate.text.multilingual"
_HELD_OUT = 10
_TOKENS = Schema({"tokens": tags.TOKENS})
WIKIPEDIA = "wikimedia/wikipedia"
WIKIPEDIA_LINES = 50_000  # lines per language; the larger Wikipedias would not fit into memory
_SHORTEST = 40  # characters; shorter lines of an article are headings and list items


def read_mlm(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield texts in every language, including English: Wikipedia if available, else sentences of non-test sets.

    Sentences are unique per language, and a tenth is held out. Words are joined by spaces, unless the language is
    written without.
    """
    for split, rows in _splits(data, languages, "mlm").items():
        yield Piece("mlm", _CONFIG, split, MASKED_LM.features(), rows.select(["text"]))


def read_text(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield the same texts with their languages, for pretraining encoders."""
    columns = add_texts(MASKED_LM.features(), "lang")
    for split, rows in _splits(data, languages, "text").items():
        yield Piece("text", _TEXT_CONFIG, split, columns, rows)


def list_languages(data: DataFolder) -> list[str]:
    """Return the languages for which a folder has Wikipedia or a non-test set."""
    spoken = list_xnli_dev_languages(data)
    return [
        language
        for language in ALL
        if language in spoken
        or list_wikipedia_files(data, language)
        or any(
            tags.has_panx(data, language, split) or tags.has_udpos(data, language, split)
            for split in ("train", "validation")
        )
    ]


def _splits(data: DataFolder, languages: Sequence[str], task: str) -> dict[str, "pa.Table"]:
    """Return training and dev rows with text and lang; languages without texts are noted as left out of the task."""
    texts = {key: list(dict.fromkeys(_wikipedia(data, key) or _sentences(data, key))) for key in languages}
    for language in (key for key in texts if not texts[key]):
        data.leave_out(task, language, "no set of it in the data folder that no target is tested on")
    return {"train": _rows(texts, held_out=False), "validation": _rows(texts, held_out=True)}


def _rows(texts: Mapping[str, Sequence[str]], held_out: bool) -> "pa.Table":
    import pyarrow as pa

    columns = pa.schema([("text", pa.string()), ("lang", pa.string())])
    chosen = {language: [own[row] for row in _every(len(own), held_out)] for language, own in texts.items()}
    return pa.concat_tables(
        pa.table({"text": own, "lang": [language] * len(own)}, columns) for language, own in chosen.items()
    )


def _every(count: int, held_out: bool) -> list[int]:
    return [row for row in range(count) if (row % _HELD_OUT == _HELD_OUT - 1) == held_out]


def _sentences(data: DataFolder, language: str) -> Iterator[str]:
    data.note("mlm", "sentences of XNLI's dev set and of the training and dev sets of PAN-X and UDPOS in all languages")
    if data.has(XNLI_DEV):
        rows = data.read(XNLI_DEV, NAMED_NLI.only("language", "sentence1", "sentence2"))
        yield from _column(rows, "sentence1", language)
        yield from _column(rows, "sentence2", language)
    between = "" if language in UNSPACED else " "
    for split in ("train", "validation"):
        for tokens in (*_panx(data, language, split), *_udpos(data, language, split)):
            yield between.join(tokens)


def _column(rows: "pa.Table", column: str, language: str) -> Iterable[str]:
    import pyarrow.compute as pc

    return rows.filter(pc.equal(rows["language"], language))[column].to_pylist()


def _panx(data: DataFolder, language: str, split: str) -> list[list[str]]:
    place = tags.list_panx_places(split).get(language)
    return data.read(place, _TOKENS)["tokens"].to_pylist() if place and data.has(place) else []


def _udpos(data: DataFolder, language: str, split: str) -> list[list[str]]:
    piece = tags.read_udpos_piece(data, language, split) if language in tags.UDPOS else None
    return piece.rows["tokens"].to_pylist() if piece else []


def _wikipedia(data: DataFolder, language: str) -> list[str]:
    """Return the first lines of a language's articles, in the order of the files."""
    lines: list[str] = []
    files = list_wikipedia_files(data, language)
    if files:
        data.note("mlm", f"Wikipedia where it stands, at most {WIKIPEDIA_LINES} lines of a language")
    for path in files:
        for line in _lines(path):
            lines.append(line)
            if len(lines) == WIKIPEDIA_LINES:
                return lines
    return lines


def list_wikipedia_files(data: DataFolder, language: str) -> list[Path]:
    """Return the files of a language's newest snapshot, ``wikimedia/wikipedia/<date>.<language>/*.parquet``."""
    snapshots = [folder for folder in data.folders(data.root / WIKIPEDIA) if folder.match(f"*.{language}")]
    return [path for path in data.within(snapshots[-1]) if path.suffix == ".parquet"] if snapshots else []


def _lines(path: Path) -> Iterator[str]:
    for batch in read_batches(path, {"text": TEXT}):
        for article in batch["text"].to_pylist():
            yield from (line.strip() for line in article.split("\n") if len(line.strip()) >= _SHORTEST)
