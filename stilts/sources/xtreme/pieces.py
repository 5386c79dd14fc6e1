"""The output of converters: all rows of one split, in the source's order, with the columns of its format."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features

NLI = ("entailment", "neutral", "contradiction")
DUPLICATE = ("not_duplicate", "duplicate")
PARAPHRASE = ("different", "paraphrase")  # PAWS-X writes "0" and "1"


class Piece(NamedTuple):
    """One split of one config, before rows are chosen.

    Attributes
    ----------
    task : str
        Name in the registry. Pieces with the same task, split and number of rows get the same selection and order of
        rows, so that parallel sets stay parallel.
    config, split : str
    features : Features
    rows : pa.Table
        Columns as in `features`.
    """

    task: str
    config: str
    split: str
    features: "Features"
    rows: "pa.Table"


def make_table(columns: Mapping[str, "pa.ChunkedArray | pa.Array | Sequence"]) -> "pa.Table":
    """Return a table of named columns."""
    import pyarrow as pa

    return pa.table(dict(columns))
