"""Classification: XNLI, PAWS-X, MNLI, ANLI+, QQP, and the translations of NLI data."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stilts.sources.columns import TEXT, NamedLabel, Schema, Text, make_label
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import PAWS_X, XNLI
from stilts.sources.xtreme.pieces import DUPLICATE, NLI, PARAPHRASE, Piece, make_table
from stilts.tasks.formats import CLASSIFICATION

if TYPE_CHECKING:
    import pyarrow as pa

_XTREME = "google/xtreme"
MNLI_TRAIN, MNLI_DEV = (Place("nyu-mll/glue", "mnli", split) for split in ("train", "validation_matched"))
XNLI_DEV, XNLI_TEST = (Place(_XTREME, "XNLI", split) for split in ("validation", "test"))
QQP = {split: Place("nyu-mll/glue", "qqp", split) for split in ("train", "validation")}
# ANLI+ is ANLI's three rounds with MNLI and SNLI (Phang et al. 2020).
ANLI_PLUS = {
    "train": (
        *(Place("facebook/anli", "plain_text", f"train_r{number}") for number in (1, 2, 3)),
        MNLI_TRAIN,
        Place("stanfordnlp/snli", "plain_text", "train"),
    ),
    "validation": (
        *(Place("facebook/anli", "plain_text", f"dev_r{number}") for number in (1, 2, 3)),
        MNLI_DEV,
        Place("stanfordnlp/snli", "plain_text", "validation"),
    ),
}
MNLI_TRANSLATED, XNLI_DEV_TRANSLATED = (
    {language: Place("facebook/xnli", language, split) for language in XNLI if language != "en"}
    for split in ("train", "validation")
)
PAWS_X_PLACES = {language: Place(_XTREME, f"PAWS-X.{language}", "test") for language in PAWS_X}
PAWS_X_TRAIN = {
    split: {language: Place(_XTREME, f"PAWS-X.{language}", split) for language in PAWS_X}
    for split in ("train", "validation")
}

_NUMBERED_NLI = Schema({"premise": TEXT, "hypothesis": TEXT, "label": make_label(NLI)})
_SNLI = Schema({**_NUMBERED_NLI.columns, "label": make_label(NLI, unlabelled=True)})
NAMED_NLI = Schema({
    "language": Text("language", XNLI), "sentence1": TEXT, "sentence2": TEXT, "gold_label": NamedLabel("label", NLI),
})  # fmt: skip
_QQP = Schema({"question1": TEXT, "question2": TEXT, "label": make_label(DUPLICATE)})
_PAWS_X = Schema({"sentence1": TEXT, "sentence2": TEXT, "label": NamedLabel("label", ("0", "1"))})


def read_xnli(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield XNLI's test sets, and, as in XTREME, MNLI's training and matched dev set as training and dev set."""
    for split, place in (("train", MNLI_TRAIN), ("validation", MNLI_DEV)):
        yield _nli_piece("xnli", "xnli.en", split, _numbered_nli(data, place))
    parts = dict(_by_language(_named_nli(data, XNLI_TEST)))
    for language in XNLI:
        if language in languages and language in parts:
            yield _nli_piece("xnli", f"xnli.{language}", "test", parts[language])
        elif language in languages:
            data.leave_out("xnli", language, f"{XNLI_TEST} has no rows of it")


def read_paws_x(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield PAWS-X from google/xtreme, where labels are texts."""
    for split, places in PAWS_X_TRAIN.items():
        yield _paws_x_piece(data, "paws-x", "paws-x.en", split, places["en"])
    for language, place in data.each("paws-x", {key: PAWS_X_PLACES[key] for key in PAWS_X if key in languages}):
        yield _paws_x_piece(data, "paws-x", f"paws-x.{language}", "test", place)


def read_mnli(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield MNLI, with its matched dev set as dev set."""
    for split, place in (("train", MNLI_TRAIN), ("validation", MNLI_DEV)):
        yield _nli_piece("mnli", "intermediate.mnli.en", split, _numbered_nli(data, place))


def read_anli(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield ANLI+, from those of its five parts that the folder has."""
    import pyarrow as pa

    for split, places in ANLI_PLUS.items():
        standing = [place for place in places if data.has(place)]
        if missing := [str(place) for place in places if place not in standing]:
            data.note("anli", f"{split} without {', '.join(missing)}: not in the data folder")
        rows = pa.concat_tables([_numbered_nli(data, place) for place in standing])
        yield _nli_piece("anli", "intermediate.anli.en", split, rows)


def read_qqp(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield Quora Question Pairs from GLUE."""
    for split, place in QQP.items():
        rows = data.read(place, _QQP)
        columns = {"sentence1": rows["question1"], "sentence2": rows["question2"], "label": rows["label"]}
        yield Piece(
            "qqp", "intermediate.qqp.en", split, CLASSIFICATION.features(DUPLICATE, pairs=True), make_table(columns)
        )


def read_mnli_translated(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield machine translations of MNLI (XNLI's translate-train); every hundredth example is held out."""
    wanted = {key: place for key, place in MNLI_TRANSLATED.items() if key in languages}
    parts = [_numbered_nli(data, place) for _, place in data.each("mnli-translated", wanted)]
    yield from _held_out("mnli-translated", parts, every=100, together=1)


def read_xnli_dev_translated(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield human translations of XNLI's dev set; every tenth premise is held out in all languages."""
    rows = _named_nli(data, XNLI_DEV)
    parts = [part for language, part in _by_language(rows) if language in languages and language != "en"]
    yield from _held_out("xnli-dev-translated", parts, **_TENTH_OF_PREMISES)


def read_mnli_by_language(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield machine translations of MNLI's training set, one config per language, with XNLI's dev set as dev set."""
    for split, places in (("train", MNLI_TRANSLATED), ("validation", XNLI_DEV_TRANSLATED)):
        for language in languages:
            yield _nli_piece("mnli", f"intermediate.mnli.{language}", split, _numbered_nli(data, places[language]))


def read_xnli_dev(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield XNLI's parallel dev sets, translated by people; every tenth premise is held out in all languages."""
    parts = dict(_by_language(_named_nli(data, XNLI_DEV)))
    for language in languages:
        for split, rows in _parted(parts[language], **_TENTH_OF_PREMISES).items():
            yield _nli_piece("xnli-dev", f"intermediate.xnli-dev.{language}", split, rows)


def list_xnli_dev_languages(data: DataFolder) -> list[str]:
    """Return the languages with rows in XNLI's dev set."""
    return _xnli_languages(data, XNLI_DEV)


def list_xnli_test_languages(data: DataFolder) -> list[str]:
    """Return the languages with rows in XNLI's test set."""
    return _xnli_languages(data, XNLI_TEST)


def _xnli_languages(data: DataFolder, place: Place) -> list[str]:
    stands = data.has(place)
    known = data.read(place, NAMED_NLI.only("language"))["language"].unique().to_pylist() if stands else ()
    return [language for language in XNLI if language in known]


def read_paws_x_train(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield PAWS-X's training and dev sets; training sets besides English are machine translations."""
    for split, places in PAWS_X_TRAIN.items():
        for language in languages:
            config = f"intermediate.paws-x-train.{language}"
            yield _paws_x_piece(data, "paws-x-train", config, split, places[language])


# The three hypotheses of a premise are in three consecutive rows.
_TENTH_OF_PREMISES = {"every": 10, "together": 3}


def _held_out(task: str, parts: list["pa.Table"], every: int, together: int) -> Iterator[Piece]:
    """Yield the concatenated splits of parallel parts; the same rows are held out in every language."""
    import pyarrow as pa

    if not parts:
        return
    config, parted = f"intermediate.{task}.multilingual", [_parted(part, every, together) for part in parts]
    for split in ("train", "validation"):
        yield _nli_piece(task, config, split, pa.concat_tables([part[split] for part in parted]))


def _parted(rows: "pa.Table", every: int, together: int) -> dict[str, "pa.Table"]:
    """Return training and dev rows; the latter are every `every`-th group of `together` rows."""
    import numpy as np
    import pyarrow as pa

    held_out = np.arange(len(rows)) // together % every == every - 1
    return {"train": rows.filter(pa.array(~held_out)), "validation": rows.filter(pa.array(held_out))}


def _nli_piece(task: str, config: str, split: str, rows: "pa.Table") -> Piece:
    return Piece(task, config, split, CLASSIFICATION.features(NLI, pairs=True), rows)


def _numbered_nli(data: DataFolder, place: Place) -> "pa.Table":
    """Return NLI rows; as usual, SNLI's rows without agreement of its annotators (label -1) are dropped."""
    import pyarrow.compute as pc

    agreed = place.repo != "stanfordnlp/snli"
    rows = data.read(place, _NUMBERED_NLI if agreed else _SNLI)
    rows = rows if agreed else rows.filter(pc.not_equal(rows["label"], -1))
    return make_table({"sentence1": rows["premise"], "sentence2": rows["hypothesis"], "label": rows["label"]})


def _named_nli(data: DataFolder, place: Place) -> "pa.Table":
    return data.read(place, NAMED_NLI).rename_columns({"gold_label": "label"})


def _by_language(rows: "pa.Table") -> Iterator[tuple[str, "pa.Table"]]:
    """Yield each language that has rows, with its rows."""
    import pyarrow.compute as pc

    for language in XNLI:
        part = rows.filter(pc.equal(rows["language"], language))
        if part.num_rows:
            yield language, part.drop_columns("language")


def _paws_x_piece(data: DataFolder, task: str, config: str, split: str, place: Place) -> Piece:
    rows = data.read(place, _PAWS_X)
    return Piece(task, config, split, CLASSIFICATION.features(PARAPHRASE, pairs=True), rows)
