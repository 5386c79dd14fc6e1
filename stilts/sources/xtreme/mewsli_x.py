"""Mewsli-X: a mention of an entity in the news of eleven languages, to find its description among those in fifty.

Read from izhx/mewsli-x on the Hub, where the texts stand as XTREME-R's utils_mewslix.py prepares them: of a mention the
words, a colon, and its sentence with the words in braces; of an entity the first sentences of its Wikipedia page, in a
language drawn at random.

========================== ============ =========================================================================
config                     split        columns
========================== ============ =========================================================================
`wikipedia_pairs`          train, dev   `mention`, `entity`: English mentions and the texts of their entities
`<language>`               test         `mention`, `entity_id`; `example_id` where a file has it
`candidate_entities`       test         `entity_id`, `description`; `description_language` where a file has it
========================== ============ =========================================================================

Each as the Hub's parquet files (`<config>/<split>-*.parquet`, dev being called validation), or as the repository's own
lines of JSON: `wikipedia_pairs/<split>.jsonl`, `wikinews_mentions/<language>/test.jsonl`, `candidate_entities.jsonl`,
each perhaps packed as `.jsonl.tar.gz`. The pool is about a million entities in all their languages, whichever languages
the suite has.
"""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stilts.errors import StiltsError
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import MEWSLI_X
from stilts.sources.xtreme.passages import pair_piece, pool_piece, query_piece
from stilts.sources.xtreme.pieces import Piece, table

if TYPE_CHECKING:
    import pyarrow as pa

TASK = "mewsli-x"
REPOSITORY = "izhx/mewsli-x"
UNKNOWN = "und"  # BCP 47 for a language that is not stated


class Part(NamedTuple):
    """A part of the repository, and the columns that are read of it.

    Attributes
    ----------
    place : Place
        As parquet.
    lines : str
        As lines of JSON, below the repository's folder and without ``.jsonl``.
    columns, further : tuple of str
        Those that it must have, and those that it may have. All are texts.
    """

    place: Place
    lines: str
    columns: tuple[str, ...]
    further: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.place)

    def file(self, data: DataFolder) -> Path | None:
        """Return the lines of JSON in a data folder, None where they do not stand."""
        paths = (data.root / REPOSITORY / f"{self.lines}.jsonl{packed}" for packed in ("", ".tar.gz"))
        return next(filter(data.holds, paths), None)

    def stands(self, data: DataFolder) -> bool:
        """Whether the part is in a data folder, in either form."""
        return data.has(self.place) or self.file(data) is not None


PAIRS = {
    split: Part(Place(REPOSITORY, "wikipedia_pairs", split), f"wikipedia_pairs/{name}", ("mention", "entity"))
    for split, name in (("train", "train"), ("validation", "dev"))
}
MENTIONS = {
    language: Part(
        Place(REPOSITORY, language, "test"),
        f"wikinews_mentions/{language}/test",
        ("mention", "entity_id"),
        ("example_id",),
    )
    for language in MEWSLI_X
}
ENTITIES = Part(
    Place(REPOSITORY, "candidate_entities", "test"),
    "candidate_entities",
    ("entity_id", "description"),
    ("description_language",),
)


def mewsli_x(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Mewsli-X's mentions and pool; mentions in the English Wikipedia are its training and dev set."""
    for split, part in PAIRS.items():
        yield pair_piece(TASK, split, pairs(read(data, part)))
    for language in MEWSLI_X:
        if language not in languages:
            continue
        if MENTIONS[language].stands(data):
            yield query_piece(TASK, language, queries(read(data, MENTIONS[language]), language))
        else:
            data.leave_out(TASK, language, f"{MENTIONS[language]} is not in the data folder")
    yield pool_piece(TASK, candidates(read(data, ENTITIES)))


# --- rows in, rows out -----------------------------------------------------------------------------------------------


def pairs(rows: "pa.Table") -> "pa.Table":
    """Return `query` and `passage` of `mention` and `entity`."""
    return table({"query": rows["mention"], "passage": rows["entity"]})


def queries(rows: "pa.Table", language: str) -> "pa.Table":
    """Return `id`, `query` and `gold` of `mention` and `entity_id`; the id is language and row without `example_id`."""
    import pyarrow as pa

    ids = rows["example_id"] if "example_id" in rows.column_names else _numbers(language, rows.num_rows)
    entities = rows["entity_id"].combine_chunks()
    gold = pa.ListArray.from_arrays(pa.array(range(rows.num_rows + 1), pa.int32()), entities)
    return table({"id": ids, "query": rows["mention"], "gold": gold})


def candidates(rows: "pa.Table") -> "pa.Table":
    """Return `id`, `passage` and `lang` of `entity_id`, `description`, `description_language` (else `UNKNOWN`)."""
    import pyarrow as pa

    given = "description_language" in rows.column_names
    language = rows["description_language"] if given else pa.repeat(UNKNOWN, rows.num_rows)
    return table({"id": rows["entity_id"], "passage": rows["description"], "lang": language})


def _numbers(language: str, count: int) -> list[str]:
    return [f"{language}-{row}" for row in range(count)]


# --- rows from files -------------------------------------------------------------------------------------------------


def read(data: DataFolder, part: Part) -> "pa.Table":
    """Return the columns of a part that it must have, and those that it has of the others.

    Raises
    ------
    StiltsError
        If the part does not stand in the folder, cannot be read, or lacks a column or a row.
    """
    if not data.has(part.place) and (path := part.file(data)):
        return read_lines(path, part.columns, part.further)
    return data.read(part.place, (*part.columns, *_present(data, part)))


def _present(data: DataFolder, part: Part) -> list[str]:
    import pyarrow.parquet as pq

    files = data.files(part.place)
    names = pq.read_schema(files[0]).names if files else []
    return [name for name in part.further if name in names]


def read_lines(path: Path, columns: Sequence[str], further: Sequence[str] = ()) -> "pa.Table":
    """Return columns of a file with one JSON object a line, ``.jsonl`` or, alone in an archive, ``.jsonl.tar.gz``.

    Parameters
    ----------
    columns, further : sequence of str
        Those that every object must have, and those that are returned if every object has them. All are texts.

    Raises
    ------
    StiltsError
        If the file is no such file, or an object lacks a column.
    """
    import pyarrow as pa

    try:
        if path.suffix == ".gz":
            with tarfile.open(path, "r:gz") as archive:
                rows = _parse(archive.extractfile(_only_file(archive)), (*columns, *further))
        else:
            with path.open("rb") as file:
                rows = _parse(file, (*columns, *further))
    except (OSError, EOFError, ValueError, tarfile.TarError, pa.ArrowException) as error:
        raise StiltsError(f"{path}: cannot be read as lines of JSON ({error}); fetch it again") from error
    if missing := [name for name in columns if rows[name].null_count]:
        row = rows[missing[0]].is_null().index(True).as_py()
        raise StiltsError(f"{path}, line {row + 1}: '{missing[0]}' is missing; fetch the file again")
    return rows.drop_columns([name for name in further if rows[name].null_count])


def _parse(file, columns: Sequence[str]) -> "pa.Table":
    """Read text columns of lines of JSON; a column that a line lacks is null there."""
    import pyarrow as pa
    from pyarrow import json

    schema = pa.schema([(name, pa.string()) for name in columns])
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return json.read_json(file, parse_options=options)


def _only_file(archive: tarfile.TarFile) -> tarfile.TarInfo:
    members = [member for member in archive if member.isfile()]
    if len(members) != 1:
        raise ValueError(f"{len(members)} files in the archive instead of one")
    return members[0]
