"""The texts of a suite, to which an encoder's vocabulary is trimmed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from stilts.study.errors import StiltsError


def read_texts(folder: Path, columns: Sequence[str]) -> Iterator[str]:
    """Yield the texts in some columns of a suite, lists flattened, in a fixed order, once per file and column.

    Raises
    ------
    StiltsError
        If a file of the suite cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    for path in sorted(Path(folder).glob("*/*.parquet")):
        try:
            file = pq.ParquetFile(path)
            for column in (name for name in columns if name in file.schema_arrow.names):
                values = file.read([column])[column]
                flat = pc.list_flatten(values) if pa.types.is_list(values.type) else values
                yield from (text.as_py() for text in pc.unique(flat))
        except (pa.ArrowException, OSError) as error:
            raise StiltsError(f"{path}: cannot be read as parquet ({error}); build the suite again") from error
