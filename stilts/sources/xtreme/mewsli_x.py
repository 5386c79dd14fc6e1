"""Mewsli-X: finding the entity of a mention in news of eleven languages among descriptions in fifty languages.

The source is izhx/mewsli-x on the Hub, with texts as prepared by XTREME-R's utils_mewslix.py. A mention is its words, a
colon, and its sentence with the words in braces. An entity is the first sentences of its Wikipedia page in a randomly
chosen language.

========================== ============ =========================================================================
config                     split        columns
========================== ============ =========================================================================
`wikipedia_pairs`          train, dev   `mention`, `entity`: English mentions and the texts of their entities
`<language>`               test         `mention`, `entity_id`, optional `example_id`
`candidate_entities`       test         `entity_id`, `description`, optional `description_language`
========================== ============ =========================================================================

They are read from the Hub's Parquet files (`<config>/<split>-*.parquet`, where dev is called validation) or the
repository's JSON Lines files: `wikipedia_pairs/<split>.jsonl`, `wikinews_mentions/<language>/test.jsonl`,
`candidate_entities.jsonl`, each optionally as `.jsonl.tar.gz`. The pool always has all entities, about a million,
whichever languages the suite has.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stilts.sources.columns import BARE_ID, ID, TEXT, Schema, format_value
from stilts.sources.tables import Split, read_json_lines
from stilts.sources.xtreme.folder import DataFolder, Place
from stilts.sources.xtreme.languages import MEWSLI_X
from stilts.sources.xtreme.passages import make_pair_piece, make_pool_piece, make_query_piece
from stilts.sources.xtreme.pieces import Piece, make_table

if TYPE_CHECKING:
    import pyarrow as pa

TASK = "mewsli-x"
REPOSITORY = "izhx/mewsli-x"
UNKNOWN = "und"  # BCP 47 for an undetermined language


class Part(NamedTuple):
    """A part of the repository and its schema.

    Attributes
    ----------
    place : Place
        Place of its Parquet files.
    lines : str
        Path of its JSON Lines file in the repository, without ``.jsonl``.
    schema : Schema
        Schema, in which all columns are texts.
    """

    place: Place
    lines: str
    schema: Schema

    def __str__(self) -> str:
        return str(self.place)

    def file(self, data: DataFolder) -> Path | None:
        """Return the JSON Lines file in a data folder, None if it is missing."""
        paths = (data.root / REPOSITORY / f"{self.lines}.jsonl{packed}" for packed in ("", ".tar.gz"))
        return next(filter(data.holds, paths), None)

    def stands(self, data: DataFolder) -> bool:
        """Return whether a data folder has the part in either format."""
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


def read_mewsli_x(data: DataFolder, languages: Sequence[str]) -> Iterator[Piece]:
    """Yield Mewsli-X's mentions and pool, and mentions in the English Wikipedia as training and dev set."""
    for split, part in PAIRS.items():
        yield make_pair_piece(TASK, split, make_pairs(read(data, part).rows))
    asked = []
    for language in MEWSLI_X:
        if language not in languages:
            continue
        if MENTIONS[language].stands(data):
            asked.append(read(data, MENTIONS[language]))
            yield make_query_piece(TASK, language, make_queries(asked[-1].rows, language))
        else:
            data.leave_out(TASK, language, f"{MENTIONS[language]} is not in the data folder")
    pool = read(data, ENTITIES)
    for mentions in asked:
        _check_entities(mentions, pool)
    yield make_pool_piece(TASK, make_candidates(pool.rows))


def _check_entities(mentions: Split, pool: Split) -> None:
    """Raise StiltsError for the first mention whose entity is not a candidate."""
    import pyarrow.compute as pc

    entities = mentions.rows["entity_id"]
    row = pc.index(pc.is_in(entities, pool.rows["entity_id"].combine_chunks()), False).as_py()
    if row >= 0:
        right = f"one of {pool.files[0][0]}"
        raise mentions.position(row).refuse(f"id {format_value(entities[row].as_py())}", right, "entity_id")


def list_languages(data: DataFolder) -> list[str]:
    """Return the languages whose mentions a folder has."""
    return [language for language in MEWSLI_X if MENTIONS[language].stands(data)]


# --- rows in, rows out -----------------------------------------------------------------------------------------------


def make_pairs(rows: "pa.Table") -> "pa.Table":
    """Return `query` and `passage` from `mention` and `entity`."""
    return make_table({"query": rows["mention"], "passage": rows["entity"]})


def make_queries(rows: "pa.Table", language: str) -> "pa.Table":
    """Return `id`, `query` and `gold` from `example_id` (by default language and row), `mention` and `entity_id`."""
    import pyarrow as pa

    numbered = [f"{language}-{row}" for row in range(rows.num_rows)]
    ids = rows["example_id"] if "example_id" in rows.column_names else numbered
    entities = rows["entity_id"].combine_chunks()
    gold = pa.ListArray.from_arrays(pa.array(range(rows.num_rows + 1), pa.int32()), entities)
    return make_table({"id": ids, "query": rows["mention"], "gold": gold})


def make_candidates(rows: "pa.Table") -> "pa.Table":
    """Return `id`, `passage` and `lang` from `entity_id`, `description`, `description_language` (or `UNKNOWN`)."""
    import pyarrow as pa

    given = "description_language" in rows.column_names
    language = rows["description_language"] if given else pa.repeat(UNKNOWN, rows.num_rows)
    return make_table({"id": rows["entity_id"], "passage": rows["description"], "lang": language})


# --- rows from files -------------------------------------------------------------------------------------------------


def read(data: DataFolder, part: Part) -> Split:
    """Return the required columns of a part and its optional ones, if it has them.

    Raises
    ------
    StiltsError
        If the part is missing or cannot be read, has no rows or not all columns, or has an invalid row.
    """
    if not data.has(part.place) and (path := part.file(data)):
        return read_json_lines(path, part.schema)
    return data.read_split(part.place, part.schema)
