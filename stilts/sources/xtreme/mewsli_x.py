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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stilts.sources.columns import BARE_ID, ID, TEXT, Schema, shown
from stilts.sources.tables import Split, read_json_lines
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
    """A part of the repository, and what its rows hold.

    Attributes
    ----------
    place : Place
        As parquet.
    lines : str
        As lines of JSON, below the repository's folder and without ``.jsonl``.
    schema : Schema
        All columns are texts.
    """

    place: Place
    lines: str
    schema: Schema

    def __str__(self) -> str:
        return str(self.place)

    def file(self, data: DataFolder) -> Path | None:
        """Return the lines of JSON in a data folder, None where they do not stand."""
        paths = (data.root / REPOSITORY / f"{self.lines}.jsonl{packed}" for packed in ("", ".tar.gz"))
        return next(filter(data.holds, paths), None)

    def stands(self, data: DataFolder) -> bool:
        """Whether the part is in a data folder, in either form."""
        return data.has(self.place) or self.file(data) is not None


_PAIR = Schema({"mention": TEXT, "entity": TEXT})
_MENTION = Schema({"mention": TEXT, "entity_id": BARE_ID}, {"example_id": ID}, key="example_id")
_ENTITY = Schema({"entity_id": BARE_ID, "description": TEXT}, {"description_language": ID}, key="entity_id")

PAIRS = {
    split: Part(Place(REPOSITORY, "wikipedia_pairs", split), f"wikipedia_pairs/{name}", _PAIR)
    for split, name in (("train", "train"), ("validation", "dev"))
}
MENTIONS = {
    language: Part(Place(REPOSITORY, language, "test"), f"wikinews_mentions/{language}/test", _MENTION)
    for language in MEWSLI_X
}
ENTITIES = Part(Place(REPOSITORY, "candidate_entities", "test"), "candidate_entities", _ENTITY)


def mewsli_x(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Mewsli-X's mentions and pool; mentions in the English Wikipedia are its training and dev set."""
    for split, part in PAIRS.items():
        yield pair_piece(TASK, split, pairs(read(data, part).rows))
    asked = []
    for language in MEWSLI_X:
        if language not in languages:
            continue
        if MENTIONS[language].stands(data):
            asked.append(read(data, MENTIONS[language]))
            yield query_piece(TASK, language, queries(asked[-1].rows, language))
        else:
            data.leave_out(TASK, language, f"{MENTIONS[language]} is not in the data folder")
    pool = read(data, ENTITIES)
    for mentions in asked:
        _check_entities(mentions, pool)
    yield pool_piece(TASK, candidates(pool.rows))


def _check_entities(mentions: Split, pool: Split) -> None:
    """Raise StiltsError at the first mention whose entity is no candidate."""
    import pyarrow.compute as pc

    entities = mentions.rows["entity_id"]
    row = pc.index(pc.is_in(entities, pool.rows["entity_id"].combine_chunks()), False).as_py()
    if row >= 0:
        right = f"one of {pool.files[0][0]}"
        raise mentions.position(row).refuse(f"id {shown(entities[row].as_py())}", right, "entity_id")


def languages(data: DataFolder) -> list[str]:
    """Return the languages whose mentions stand in a folder."""
    return [language for language in MEWSLI_X if MENTIONS[language].stands(data)]


# --- rows in, rows out -----------------------------------------------------------------------------------------------


def pairs(rows: "pa.Table") -> "pa.Table":
    """Return `query` and `passage` of `mention` and `entity`."""
    return table({"query": rows["mention"], "passage": rows["entity"]})


def queries(rows: "pa.Table", language: str) -> "pa.Table":
    """Return `id`, `query` and `gold` of `mention` and `entity_id`; the id is language and row without `example_id`."""
    import pyarrow as pa

    numbered = [f"{language}-{row}" for row in range(rows.num_rows)]
    ids = rows["example_id"] if "example_id" in rows.column_names else numbered
    entities = rows["entity_id"].combine_chunks()
    gold = pa.ListArray.from_arrays(pa.array(range(rows.num_rows + 1), pa.int32()), entities)
    return table({"id": ids, "query": rows["mention"], "gold": gold})


def candidates(rows: "pa.Table") -> "pa.Table":
    """Return `id`, `passage` and `lang` of `entity_id`, `description`, `description_language` (else `UNKNOWN`)."""
    import pyarrow as pa

    given = "description_language" in rows.column_names
    language = rows["description_language"] if given else pa.repeat(UNKNOWN, rows.num_rows)
    return table({"id": rows["entity_id"], "passage": rows["description"], "lang": language})


# --- rows from files -------------------------------------------------------------------------------------------------


def read(data: DataFolder, part: Part) -> Split:
    """Return the columns of a part that it must have, and those that it has of the others.

    Raises
    ------
    StiltsError
        If the part does not stand in the folder, cannot be read, lacks a column or a row, or has a row that is no such.
    """
    if not data.has(part.place) and (path := part.file(data)):
        return read_json_lines(path, part.schema)
    return data.read_split(part.place, part.schema)
