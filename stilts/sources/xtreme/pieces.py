"""What a converter yields: all rows of one split of the suite, in the source's order, with its format's columns."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from stilts.sources.suite import features

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
        As the registry calls it. Pieces of one task, split and number of rows get the same choice and order of rows, so
        that parallel sets stay parallel.
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


@cache
def layout(format_name: str, labels: tuple[str, ...] = (), pairs: bool = False) -> "Features":
    """Return the columns of a task format, those of `sources.suite.features` and three more.

    Parameters
    ----------
    format_name : str
        Also "span_qa_mlqa" and "span_qa_null" (as "span_qa"), "multiple_choice", "mlm" and "text".
    """
    from datasets import Features, List, Value

    text = Value("string")
    if format_name == "multiple_choice":
        return Features({"prompt": text, "choices": List(text), "label": Value("int64")})
    if format_name == "mlm":
        return Features({"text": text})
    if format_name == "text":
        return Features({"text": text, "lang": text})
    if format_name == "passage_retrieval":
        return Features({"query": text, "passage": text})
    return features("span_qa" if format_name.startswith("span_qa") else format_name, labels, pairs=pairs)


def table(columns: Mapping[str, "pa.ChunkedArray | pa.Array | Sequence"]) -> "pa.Table":
    """Return a table of named columns."""
    import pyarrow as pa

    return pa.table(dict(columns))
