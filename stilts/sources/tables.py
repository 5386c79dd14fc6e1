"""Reading tables from user-provided Parquet and JSON Lines files, validated against a recipe's schema."""

import codecs
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from stilts.sources.columns import Kind, Label, Misfit, Schema, check_lengths, format_value
from stilts.sources.files import MOST_BYTES, check_regular
from stilts.sources.hub import check_columns
from stilts.study.errors import StiltsError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_ROWS = 5_000_000  # rows of a split; the largest one of a recipe, Mewsli-X's candidates, has a million
_BATCH = 1_000  # rows decoded at a time, so that few are in memory before their size is known


class Position(NamedTuple):
    """The position of a row: its number in a table, from 0, or its line in a text file, from 1."""

    path: Path
    number: int
    unit: str = "row"

    def __str__(self) -> str:
        return f"{self.path}, {self.unit} {self.number}"

    def refuse(self, found: str, right: str, column: str) -> StiltsError:
        """Return an error for an invalid value of the row."""
        counted = "; rows count from 0" if self.unit == "row" else ""
        return StiltsError(f"{self}: {found}; it should be {right} (column {column}{counted})")


class Split(NamedTuple):
    """The rows of a split, and their positions in files.

    Attributes
    ----------
    rows : pa.Table
    files : list of (Path, int)
        Each file and its number of rows, in order.
    lines : sequence of int, optional
        The line of each row, if the only file is a text file.
    """

    rows: "pa.Table"
    files: list[tuple[Path, int]]
    lines: Sequence[int] | None = None

    def position(self, row: int) -> Position:
        """Return the file of a row and its position there."""
        if self.lines is not None:
            return Position(self.files[0][0], self.lines[row], "line")
        for path, count in self.files:
            if row < count:
                return Position(path, row)
            row -= count
        raise IndexError(row)


def read_split(paths: Sequence[Path], schema: Schema) -> Split:
    """Return the columns of a schema from the Parquet files of a split.

    Raises
    ------
    StiltsError
        If a file is not a regular Parquet file, or a column is missing or has an invalid value; the message names file,
        row, column and value. Also if the split has more than `MOST_ROWS` rows, or a file more than `MOST_BYTES`.
    """
    import pyarrow as pa

    names = _described(paths)
    columns = {**schema.columns, **{name: kind for name, kind in schema.further.items() if name in names}}
    arrow = pa.schema([(name, kind.arrow_type()) for name, kind in columns.items()])
    parts = [pa.Table.from_batches(read_batches(path, columns), arrow) for path in paths]
    files = [(path, part.num_rows) for path, part in zip(paths, parts, strict=True)]
    return _checked(Split(pa.concat_tables(parts), files), schema)


def read_batches(path: Path, columns: Mapping[str, Kind]) -> Iterator["pa.RecordBatch"]:
    """Yield columns of a Parquet file, converted by their kinds, in batches of a thousand rows.

    Raises
    ------
    StiltsError
        As in `read_split`.
    """
    with _opened(path) as file:
        _check_rows(path, file.metadata.num_rows)
        check_columns(str(path), file.schema_arrow.names, columns)
        _check_names(path, file.schema_arrow, columns)
        start = size = 0
        for batch in file.iter_batches(_BATCH, columns=list(columns)):
            places = range(start, start + batch.num_rows)
            found = _conformed(batch, columns, lambda row, places=places: Position(path, places[row]))
            size += found.nbytes
            if size > MOST_BYTES:
                raise StiltsError(f"{path}: more than {MOST_BYTES} bytes of {', '.join(columns)}; no recipe reads more")
            yield found
            start += batch.num_rows


def read_json_lines(path: Path, schema: Schema) -> Split:
    """Return the columns of a schema, all of them texts, from a JSON Lines file.

    Parameters
    ----------
    path : Path
        ``.jsonl``, or ``.jsonl.tar.gz`` with a single file.
    schema : Schema
        Its optional columns are read if the first object has them.

    Raises
    ------
    StiltsError
        If the file's format is invalid, or an object has a missing or invalid value; the message names the line.
    """
    import pyarrow as pa

    objects = _objects(path)
    first = next(objects, None)
    if first is None:
        raise StiltsError(f"{path}: no rows; fetch it again")
    columns = {**schema.columns, **{name: kind for name, kind in schema.further.items() if name in first[1]}}
    objects, parts, lines = chain([first], objects), [], []
    while rows := list(islice(objects, _BATCH)):
        numbers = [number for number, _ in rows]
        texts = {name: pa.array([_text_of(row, name, path, number) for number, row in rows], pa.string())
                 for name in columns}  # fmt: skip
        _check_absent(path, rows, [name for name in schema.further if name not in columns])
        batch = pa.RecordBatch.from_pydict(texts)
        found = _conformed(batch, columns, lambda row, numbers=numbers: Position(path, numbers[row], "line"))
        parts.append(pa.Table.from_batches([found]))
        lines += numbers
    return _checked(Split(pa.concat_tables(parts), [(path, len(lines))], lines), schema)


# --- checks ----------------------------------------------------------------------------------------------------------


def _conformed(
    batch: "pa.RecordBatch", columns: Mapping[str, Kind], position: Callable[[int], Position]
) -> "pa.RecordBatch":
    """Return columns converted by their kinds."""
    import pyarrow as pa

    found = {}
    for name, kind in columns.items():
        try:
            found[name] = kind.conform(batch.column(name))
        except Misfit as misfit:
            raise position(misfit.row).refuse(misfit.found, misfit.right, name + misfit.field) from None
    return pa.RecordBatch.from_pydict(found)


def _checked(split: Split, schema: Schema) -> Split:
    """Return a split after checking unique keys and equal lengths of lists."""
    if schema.key in split.rows.column_names:
        _check_key(split, schema.key)
    try:
        check_lengths({name: split.rows[name] for name in schema.together})
    except Misfit as misfit:
        position = split.position(misfit.row)
        raise position.refuse(misfit.found, misfit.right, " and ".join(schema.together)) from None
    return split


def _check_key(split: Split, key: str) -> None:
    values = split.rows[key]
    if len(values.unique()) == len(values):
        return
    first: dict[str, int] = {}
    for row, value in enumerate(values.to_pylist()):
        if value in first:
            other = f"another than that of {split.position(first[value])}"
            raise split.position(row).refuse(f"id {format_value(value)}", other, key)
        first[value] = row


# --- parquet ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator["pq.ParquetFile"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_regular(path)
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise StiltsError(f"{path}: cannot be read as parquet ({_line(error)}); fetch it again") from error


def _described(paths: Sequence[Path]) -> list[str]:
    """Return the column names of a split's first file; StiltsError if the files together have too many rows."""
    rows, names = 0, []
    for path in paths:
        with _opened(path) as file:
            rows, names = rows + file.metadata.num_rows, names or file.schema_arrow.names
        _check_rows(path, rows)
    return names


def _check_rows(path: Path, rows: int) -> None:
    if rows > MOST_ROWS:
        raise StiltsError(f"{path}: with this file the split has {rows} rows; at most {MOST_ROWS} are read")


def _check_names(path: Path, schema: "pa.Schema", columns: Mapping[str, Kind]) -> None:
    """Check that label names in a file's metadata have the same order as in the suite."""
    for name, kind in columns.items():
        each = getattr(kind, "each", kind)  # the kind of a list's items
        if isinstance(each, Label):
            given = _label_names(path, schema.metadata or {}, name)
            if given is not None and given != [*each.names]:
                raise StiltsError(f"{path}: the labels are {', '.join(given)}; they should be {', '.join(each.names)} "
                                  f"(column {name})")  # fmt: skip


def _label_names(path: Path, metadata: Mapping[bytes, bytes], column: str) -> list[str] | None:
    """Return the label names in the `datasets` metadata of a file, None if there are none."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))
        for key in ("info", "features", column):
            found = found.get(key, {})
        found = found[0] if isinstance(found, list) else found
        names = found.get("names") or found.get("feature", {}).get("names")
        return None if names is None else [str(name) for name in names]
    except (ValueError, AttributeError, TypeError, IndexError, RecursionError) as error:
        raise StiltsError(f"{path}: its metadata 'huggingface' are not those of `datasets` ({_line(error)}); "
                          "save the file again without them") from error  # fmt: skip


# --- lines of JSON ----------------------------------------------------------------------------------------------------


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line numbers, from 1, and objects of a JSON Lines file; blank lines are skipped."""
    with _lines(path) as lines:
        for number, line in enumerate(lines, 1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if line.strip():
                yield number, _object(line, f"{path}, line {number}")


def _object(line: bytes, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StiltsError(f"{place}: cannot be read as lines of JSON ({_line(error)}); fetch it again") from error
    if not isinstance(row, dict):
        raise StiltsError(f"{place}: {format_value(row)}; it should be a JSON object")
    return row


def _check_absent(path: Path, rows: Sequence[tuple[int, Mapping[str, Any]]], absent: Sequence[str]) -> None:
    """Raise StiltsError if an object has a column that the first one does not have."""
    for number, row in rows:
        if given := [name for name in absent if name in row]:
            raise StiltsError(f"{path}, line {number}: '{given[0]}' occurs here, but not in the first line; it should "
                              "occur in every line or in none")  # fmt: skip


def _text_of(row: Mapping[str, Any], name: str, path: Path, line: int) -> str:
    value = row.get(name)
    if value is None:
        raise StiltsError(f"{path}, line {line}: '{name}' is missing or null; fetch the file again")
    if not isinstance(value, str) or not _is_encodable(value):
        raise Position(path, line, "line").refuse(f"value {format_value(value)}", "a text", name)
    return value


def _is_encodable(text: str) -> bool:
    """Return whether a text is valid Unicode: JSON can contain lone surrogates ("\\ud800")."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _lines(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or the only file of an archive, to iterate over its lines."""
    size = check_regular(path)
    try:
        if path.suffix != ".gz":
            _check_size(path, size)
            with path.open("rb") as file:
                yield file
        else:
            with tarfile.open(path, "r:gz") as archive:
                yield archive.extractfile(_only_file(archive, path))
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise StiltsError(f"{path}: cannot be read as lines of JSON ({_line(error)}); fetch it again") from error


def _only_file(archive: tarfile.TarFile, path: Path) -> tarfile.TarInfo:
    members, size = [], 0
    for member in archive:
        size += member.size
        _check_size(path, size)  # before the whole member is unpacked to find the next one
        members += [member] if member.isfile() else []
    if len(members) != 1:
        raise ValueError(f"{len(members)} files in the archive instead of one")
    return members[0]


def _check_size(path: Path, size: int) -> None:
    if size > MOST_BYTES:
        raise StiltsError(f"{path}: {size} bytes of text; at most {MOST_BYTES} are read")


def _line(error: Exception) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split()) or type(error).__name__
