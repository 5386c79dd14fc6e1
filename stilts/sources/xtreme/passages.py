"""The splits of a passage-retrieval task, as `stilts.tasks.formats.passage_retrieval` lays them out."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stilts.sources.suite import POOL
from stilts.sources.xtreme.pieces import Piece, layout

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

    Rows = pa.Table | Sequence[Mapping[str, Any]]


def pair_piece(task: str, split: str, rows: "Rows") -> Piece:
    """A training or dev set: query, passage."""
    return _piece(task, f"{task}.en", split, layout("passage_retrieval"), rows)


def query_piece(task: str, language: str, rows: "Rows") -> Piece:
    """The test set of a language: id, query, gold (ids of candidates)."""
    from datasets import Features, List, Value

    columns = Features({"id": Value("string"), "query": Value("string"), "gold": List(Value("string"))})
    return _piece(task, f"{task}.{language}", "test", columns, rows)


def pool_piece(task: str, rows: "Rows") -> Piece:
    """The candidates of all languages: id, passage, lang."""
    from datasets import Features, Value

    columns = Features(dict.fromkeys(POOL.columns, Value("string")))
    return _piece(task, f"{task}.{POOL.config}", POOL.split, columns, rows)


def _piece(task: str, config: str, split: str, columns: "Features", rows: "Rows") -> Piece:
    import pyarrow as pa

    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), columns.arrow_schema)
    return Piece(task, config, split, columns, table.select(list(columns)))
