"""The splits of a passage-retrieval task, see `stilts.tasks.formats.passage_retrieval`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from stilts.sources.xtreme.pieces import Piece
from stilts.tasks.formats import PASSAGE_RETRIEVAL
from stilts.tasks.formats.passage_retrieval import POOL

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

    Rows = pa.Table | Sequence[Mapping[str, Any]]


def make_pair_piece(task: str, split: str, rows: "Rows") -> Piece:
    """Return a training or dev set: query, passage."""
    return _piece(task, f"{task}.en", split, PASSAGE_RETRIEVAL.features(), rows)


def make_query_piece(task: str, language: str, rows: "Rows") -> Piece:
    """Return the test set of a language: id, query, gold (ids of candidates)."""
    return _piece(task, f"{task}.{language}", "test", PASSAGE_RETRIEVAL.query_features(), rows)


def make_pool_piece(task: str, rows: "Rows") -> Piece:
    """Return the candidates of all languages: id, passage, lang."""
    return _piece(task, f"{task}.{POOL.config}", POOL.split, PASSAGE_RETRIEVAL.pool_features(), rows)


def _piece(task: str, config: str, split: str, columns: "Features", rows: "Rows") -> Piece:
    import pyarrow as pa

    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), columns.arrow_schema)
    return Piece(task, config, split, columns, table.select(list(columns)))
