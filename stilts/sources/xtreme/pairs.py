"""Retrieval and mining: Tatoeba and BUCC 2018."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.sources.columns import BARE_ID, TEXT, Schema, format_value
from stilts.sources.files import read_lines
from stilts.sources.tables import Split
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import BUCC, TATOEBA
from stilts.sources.xtreme.pieces import Piece, make_table
from stilts.study.errors import StiltsError
from stilts.tasks.formats import MINING, RETRIEVAL_FROM_ENGLISH

if TYPE_CHECKING:
    import pyarrow as pa

_XTREME = "google/xtreme"
TATOEBA_PLACES = {language: Place(_XTREME, f"tatoeba.{name}", "validation") for language, name in TATOEBA.items()}
BUCC_PLACES = {
    split: {language: Place(_XTREME, f"bucc18.{language}", split) for language in BUCC}
    for split in ("validation", "test")
}
BUCC_SOURCE = "BUCC 2018 shared task, https://comparable.limsi.fr/bucc2018/bucc2018-task.html"
# XTREME uses the shared task's sample as dev set and its training set, whose gold pairs are public, as test set.
_CORPORA = {"validation": ("sample", "dev"), "test": ("training", "test")}
_TATOEBA = Schema({"source_sentence": TEXT, "target_sentence": TEXT})
_BUCC = Schema({**_TATOEBA.columns, "source_lang": BARE_ID, "target_lang": BARE_ID})  # these columns contain ids
_SIDES = ("id", "sentence", "lang", "match")


def read_tatoeba(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield Tatoeba's pairs. On the Hub, sentences end with a line feed, and the test set is called validation."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = {language: place for language, place in TATOEBA_PLACES.items() if language in languages}
    for language, place in data.each("tatoeba", wanted):
        rows = data.read(place, _TATOEBA)
        count = rows.num_rows
        columns = {name: pc.utf8_rtrim(rows[name], "\r\n") for name in _TATOEBA.columns}
        columns |= {"source_lang": pa.repeat(language, count), "target_lang": pa.repeat("en", count)}
        yield Piece("tatoeba", f"tatoeba.{language}", "test", RETRIEVAL_FROM_ENGLISH.features(), make_table(columns))


def read_bucc2018(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield BUCC 2018, from the shared task's corpora if available, else only the gold pairs from the Hub."""
    for language in BUCC:
        if language not in languages:
            continue
        pieces = list(_from_corpora(data, language)) or list(_from_pairs(data, language))
        if not pieces:
            data.leave_out("bucc2018", language, f"neither {BUCC_PLACES['validation'][language]} nor bucc2018/ is in "
                                                 "the data folder")  # fmt: skip
        yield from pieces


def list_bucc_languages(data: DataFolder) -> list[str]:
    """Return the languages with the shared task's corpora or the gold pairs of its sample."""
    return [
        language
        for language in BUCC
        if all(find_bucc_files(data, language, split) for split in _CORPORA)
        or data.has(BUCC_PLACES["validation"][language])
    ]


def find_bucc_files(data: DataFolder, language: str, split: str) -> tuple[Path, Path, Path] | None:
    """Return the foreign, English and gold file of a split of the shared task, None if one is missing.

    They are ``bucc2018/<language>-en/<language>-en.<part>.{<language>,en,gold}``, as in the shared task. The part is
    sample or dev for validation, training or test for test.
    """
    for part in _CORPORA[split]:
        stem = data.root / "bucc2018" / f"{language}-en" / f"{language}-en.{part}"
        paths = tuple(stem.with_name(f"{stem.name}.{ending}") for ending in (language, "en", "gold"))
        if all(map(data.holds, paths)):
            return paths
    return None


def _from_corpora(data: DataFolder, language: str) -> Iterator[Piece]:
    found = {split: find_bucc_files(data, language, split) for split in _CORPORA}
    if None in found.values():
        return
    data.note(
        "bucc2018", f"{language}: the shared task's corpora; its sample is the dev set, its training set the test set"
    )
    for split, (foreign, english, gold) in found.items():
        sides = {language: read_corpus(foreign), "en": read_corpus(english)}
        pairs = [(own, other, f"{gold}, line {number}") for number, own, other in _columns(gold)]
        yield _mining_piece(language, split, sides, pairs, foreign)


def read_corpus(path: Path) -> dict[str, str]:
    """Return the sentences of a corpus by their ids."""
    found: dict[str, str] = {}
    for number, name, text in _columns(path):
        if name in found:
            raise StiltsError(
                f"{path}, line {number}: id {format_value(name)} occurs in an earlier line; ids must be unique"
            )
        found[name] = text
    return found


def _columns(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield line numbers, from 1, and the two columns of a file's lines; empty lines are skipped."""
    for number, line in enumerate(read_lines(path), 1):
        first, tab, second = line.partition("\t")
        if line and not (tab and first.split() == [first]):
            raise StiltsError(f"{path}, line {number}: {format_value(line)}; it should be an id without white space, "
                              "a tab and a second column")  # fmt: skip
        if line:
            yield number, first, second


def _from_pairs(data: DataFolder, language: str) -> Iterator[Piece]:
    """Yield only gold pairs; this is easier than the shared task, since every sentence has a translation."""
    places = {split: BUCC_PLACES[split][language] for split in BUCC_PLACES}
    if not data.has(places["validation"]):
        return
    found = {split: data.read_split(place, _BUCC) for split, place in places.items() if data.has(place)}
    sources = {split: _numbered(rows) for split, rows in found.items()}
    data.note("bucc2018", f"{language}: gold pairs alone, without the corpora that hide them: scores are far higher "
                          "than the shared task's and cannot be compared with them")  # fmt: skip
    if "test" not in sources:
        sources = {"validation": sources["validation"][::2], "test": sources["validation"][1::2]}
        data.note("bucc2018", f"{language}: of the dev pairs every second is the test set, since there is none")
    for split, rows in sources.items():
        sides: dict[str, dict[str, str]] = {language: {}, "en": {}}
        for place, row in rows:
            _add(sides[language], row["source_lang"], row["source_sentence"], place, "source_lang")
            _add(sides["en"], row["target_lang"], row["target_sentence"], place, "target_lang")
        pairs = [(row["source_lang"], row["target_lang"], place) for place, row in rows]
        held = split if split in found else "validation"  # a test set that the folder lacks was cut from the dev set
        yield _mining_piece(language, split, sides, pairs, data.files(places[held])[0])


def _numbered(split: Split) -> list[tuple[str, dict[str, str]]]:
    """Return the rows of a split, each with a description of its position."""
    return [(str(split.position(number)), row) for number, row in enumerate(split.rows.to_pylist())]


def _add(side: dict[str, str], name: str, sentence: str, place: str, column: str) -> None:
    """Add a sentence to a side; one in several pairs must be the same in each."""
    if side.setdefault(name, sentence) != sentence:
        raise StiltsError(f"{place}: id {format_value(name)} occurs in an earlier row with another sentence; ids must "
                          f"be unique (column {column}; rows count from 0)")  # fmt: skip


def _mining_piece(
    language: str, split: str, sides: Mapping[str, Mapping[str, str]], gold: Sequence[tuple[str, str, str]], path: Path
) -> Piece:
    """Return a piece with rows of both sides.

    Parameters
    ----------
    gold : sequence of (str, str, str)
        Ids of both sides, and a description of the pair's position.
    path : Path
        File to name in messages about the sides.
    """
    if both := sides[language].keys() & sides["en"].keys():
        raise StiltsError(
            f"{path}: id {format_value(min(both))} occurs on both sides, {language} and en; ids must be unique"
        )
    match: dict[str, list[str]] = {}
    for *pair, place in gold:
        for own, other, side in ((*pair, sides[language]), (*pair[::-1], sides["en"])):
            if own not in side:
                raise StiltsError(f"{place}: pair {' '.join(pair)}, but there is no sentence {own}")
            if own.split() != [own]:
                raise StiltsError(
                    f"{place}: id {format_value(own)} holds white space; ids are words such as de-000000001"
                )
            if other not in (partners := match.setdefault(own, [])):
                partners.append(other)
    rows = [
        (name, text.strip(), side, " ".join(match.get(name, ())))
        for side, texts in sides.items()
        for name, text in texts.items()
    ]
    columns = dict(zip(_SIDES, zip(*rows, strict=True), strict=True))
    return Piece("bucc2018", f"bucc2018.{language}", split, MINING.features(), make_table(columns))


def limit_pairs(rows: "pa.Table", most: int, order: Sequence[int]) -> "pa.Table":
    """Return mining rows with at most `most` pairs, and at most as many unpaired sentences per side.

    A sentence keeps all its translations, so the number of pairs may be slightly exceeded.

    Parameters
    ----------
    order : sequence of int
        Order in which rows are considered.
    """
    import pyarrow as pa

    ids, languages, matches = (rows[name].to_pylist() for name in ("id", "lang", "match"))
    place = {name: row for row, name in enumerate(ids)}
    chosen: list[int] = []
    taken = dict.fromkeys(set(languages), 0)
    pairs = 0
    for row in order:
        if matches[row] and languages[row] != "en" and pairs < most:
            partners = [place[name] for name in matches[row].split()]
            chosen += [row, *partners]
            pairs += len(partners)
        elif not matches[row] and taken[languages[row]] < most:
            chosen.append(row)
            taken[languages[row]] += 1
    rank = {row: number for number, row in enumerate(order)}
    return rows.take(pa.array(sorted(set(chosen), key=rank.__getitem__), pa.int64()))
