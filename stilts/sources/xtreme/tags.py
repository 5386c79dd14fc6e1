"""Tagging: UDPOS, PAN-X, and CCG supertags from the user's own files."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from stilts.sources.columns import Items, Schema, Text, format_value, make_label
from stilts.sources.files import read_lines
from stilts.sources.xtreme import treebanks
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import PAN_X, UDPOS
from stilts.sources.xtreme.pieces import Piece, make_table
from stilts.sources.xtreme.treebanks import UPOS
from stilts.study.errors import StiltsError
from stilts.tasks.formats import TAGGING

NER = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
SPLITS = ("train", "validation", "test")
_TRAIN_AND_DEV = SPLITS[:2]
CONTAMINATED = {"el": "Ancient Greek", "zh": "Classical Chinese", "fr": "Old French", "de": "Swiss German"}
TOKENS = Items(Text("token"), 1)
CCG_SOURCE = "CCGbank, LDC2005T13, https://catalog.ldc.upenn.edu/LDC2005T13"


def list_udpos_places(split: str) -> dict[str, Place]:
    """Return language -> place of its treebanks on the Hub."""
    return {language: Place("google/xtreme", f"udpos.{name}", split) for language, name in UDPOS.items()}


def list_panx_places(split: str) -> dict[str, Place]:
    """Return language -> place of its PAN-X on the Hub."""
    return {language: Place("google/xtreme", f"PAN-X.{language}", split) for language in PAN_X}


def read_udpos(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield parts of speech, from the files of Universal Dependencies 2.5 if available, else from google/xtreme."""
    for language in UDPOS:
        if language not in languages:
            continue
        for split in SPLITS if language == "en" else ("test",):
            piece = read_udpos_piece(data, language, split)
            if piece:
                yield piece
            else:
                data.leave_out("udpos", language, f"{list_udpos_places(split)[language]} is not in the data folder")


def read_udpos_piece(data: DataFolder, language: str, split: str) -> Piece | None:
    """Return one split of one language, None if neither source has it."""
    files = treebanks.list_files(data, language, UDPOS[language], split)
    if files:
        data.note("udpos", "from Universal Dependencies 2.5 files, converted as XTREME does: " + treebanks.CONVERSION)
        return _treebank_piece(files, language, split)
    place = list_udpos_places(split)[language]
    if not data.has(place):
        return None
    data.note("udpos", "from google/xtreme, which splits fused forms where XTREME keeps them")
    if language in CONTAMINATED:
        data.note("udpos", f"google/xtreme's udpos.{UDPOS[language]} holds {CONTAMINATED[language]} too, unless the "
                           "folder is a copy that leaves it out")  # fmt: skip
    return _hub_piece(data, "udpos", f"udpos.{language}", split, place, "pos_tags", UPOS)


def read_pan_x(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield named entities from google/xtreme."""
    for split in ("train", "validation"):
        yield _hub_piece(data, "pan-x", "pan-x.en", split, list_panx_places(split)["en"], "ner_tags", NER)
    wanted = {key: place for key, place in list_panx_places("test").items() if key in languages}
    for language, place in data.each("pan-x", wanted):
        yield _hub_piece(data, "pan-x", f"pan-x.{language}", "test", place, "ner_tags", NER)


def read_udpos_train(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield the training and dev sets of parts of speech of each language."""
    for language in languages:
        for split in _TRAIN_AND_DEV:
            if piece := read_udpos_piece(data, language, split):
                yield piece._replace(task="udpos-train", config=f"intermediate.udpos-train.{language}")


def list_udpos_train_languages(data: DataFolder) -> list[str]:
    """Return the languages with training and dev sets of parts of speech from either source."""
    return [language for language in UDPOS if all(has_udpos(data, language, split) for split in _TRAIN_AND_DEV)]


def list_udpos_test_languages(data: DataFolder) -> list[str]:
    """Return the languages with test sets of parts of speech from either source."""
    return [language for language in UDPOS if has_udpos(data, language, "test")]


def has_udpos(data: DataFolder, language: str, split: str) -> bool:
    """Return whether either source has a split of parts of speech in a language."""
    if language not in UDPOS:
        return False
    files = treebanks.list_files(data, language, UDPOS[language], split)
    return bool(files) or data.has(list_udpos_places(split)[language])


def has_panx(data: DataFolder, language: str, split: str) -> bool:
    """Return whether the folder has a split of named entities in a language."""
    return language in PAN_X and data.has(list_panx_places(split)[language])


def read_pan_x_train(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield the training and dev sets of named entities of each language."""
    for split in _TRAIN_AND_DEV:
        for language in languages:
            config, place = f"intermediate.pan-x-train.{language}", list_panx_places(split)[language]
            yield _hub_piece(data, "pan-x-train", config, split, place, "ner_tags", NER)


def list_ccg_files(data: DataFolder, split: str) -> list[Path]:
    """Return the user's CCG file of a split, if it exists.

    The files are ``ccg/train.tsv`` and ``ccg/validation.tsv``, in UTF-8. Each line has a word, a tab and its supertag;
    an empty line follows each sentence.
    """
    return [path for path in [data.root / "ccg" / f"{split}.tsv"] if data.holds(path)]


def read_ccg(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield CCG supertags from the user's files. Dev tags must occur in training, since heads predict only those."""
    train = read_columns(list_ccg_files(data, "train")[0])
    labels = tuple(sorted({tag for _, tags in train for tag in tags}))
    validation = read_columns(list_ccg_files(data, "validation")[0], labels)
    for split, sentences in (("train", train), ("validation", validation)):
        yield _named_piece("ccg", "intermediate.ccg.en", split, sentences, labels)


def read_columns(path: Path, allowed: Collection[str] | None = None) -> list[tuple[list[str], list[str]]]:
    """Return the sentences of a file with a word, a tab and a tag per line; StiltsError if a line is invalid.

    Parameters
    ----------
    allowed : collection of str, optional
        The valid tags; by default any.

    Returns
    -------
    list of (words, tags)
    """
    sentences: list[tuple[list[str], list[str]]] = [([], [])]
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip(" "):
            sentences.append(([], []))
            continue
        parts = line.split("\t")
        if len(parts) != 2 or not all(parts):
            raise StiltsError(f"{path}, line {number}: {format_value(line)}; it should be a word, a tab and a tag")
        if allowed is not None and parts[1] not in allowed:
            raise StiltsError(
                f"{path}, line {number}: tag {format_value(parts[1])}; it should be one of the training file's"
            )
        for column, part in zip(sentences[-1], parts, strict=True):
            column.append(part)
    found = [sentence for sentence in sentences if sentence[0]]
    if not found:
        raise StiltsError(f"{path}: no sentence; it should have a word, a tab and a tag on a line")
    return found


def _hub_piece(
    data: DataFolder, task: str, config: str, split: str, place: Place, column: str, labels: Sequence[str]
) -> Piece:
    schema = Schema({"tokens": TOKENS, column: Items(make_label(labels))}, together=("tokens", column))
    rows = data.read(place, schema).rename_columns(["tokens", "tags"])
    return Piece(task, config, split, TAGGING.features(tuple(labels)), rows)


def _treebank_piece(files: Sequence[Path], language: str, split: str) -> Piece:
    sentences = [sentence for file in files for sentence in treebanks.read(file, language)]
    return _named_piece("udpos", f"udpos.{language}", split, sentences, UPOS)


def _named_piece(
    task: str, config: str, split: str, sentences: Sequence[tuple[list[str], list[str]]], labels: tuple[str, ...]
) -> Piece:
    import pyarrow as pa

    numbers = {name: number for number, name in enumerate(labels)}
    columns = {
        "tokens": pa.array([words for words, _ in sentences], pa.list_(pa.string())),
        "tags": pa.array([[numbers[tag] for tag in tags] for _, tags in sentences], pa.list_(pa.int64())),
    }
    return Piece(task, config, split, TAGGING.features(labels), make_table(columns))
