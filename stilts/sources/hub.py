"""Reading splits from a folder in the Hub's layout.

Folders are read with pyarrow, which needs no cache and runs no code. ClassLabel names come from the `datasets` metadata
in the Parquet schema.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.sources.files import check_regular
from stilts.study.errors import StiltsError, UnknownName

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

_FOLDERS = {"data": "default"}  # the Hub stores a single, unnamed config in data/


def list_configs(root: Path) -> dict[str, list[str]]:
    """Return the configs of a folder in the Hub's layout, each with its splits.

    Raises
    ------
    StiltsError
        If `root` is not a folder, or has no ``<config>/<split>-*.parquet`` and no ``<config>/<split>/*.parquet``.
    """
    root = Path(root)
    if not root.is_dir():
        raise StiltsError(f"{root}: no such folder; it should hold <config>/<split>-*.parquet")
    found: dict[str, set[str]] = {}
    for path in (*root.glob("*/*.parquet"), *root.glob("*/*/*.parquet")):
        folder = path.relative_to(root).parts[0]
        found.setdefault(_FOLDERS.get(folder, folder), set()).add(_split_of(path, root / folder))
    if not found:
        raise StiltsError(f"{root}: this folder holds no data set in the Hub's layout, <config>/<split>-*.parquet")
    return {config: sorted(found[config]) for config in sorted(found)}


def load_split(root: Path, config: str, split: str, columns: Collection[str] = ()) -> "Dataset":
    """Return one split as a `datasets.Dataset`.

    Parameters
    ----------
    root : Path
        A folder with ``<root>/<config>/<split>-*.parquet``.
    config, split : str
        For example "intent.de" and "test".
    columns : collection of str
        Columns that the caller needs.

    Raises
    ------
    StiltsError
        If the config, the split or a column is missing; the split has no rows; or a file is not a Parquet file.
    """
    from datasets import Dataset

    dataset = Dataset(read_tables(_known_files(root, config, split)))  # its features are in the schema's metadata
    place = f"{root}, {config}, {split}"
    if not len(dataset):
        raise StiltsError(f"{place}: no rows; a split needs at least one")
    check_columns(place, dataset.column_names, columns)
    return dataset


def read_features(root: Path, config: str, split: str) -> "Features":
    """Return the features of a split without reading its rows; StiltsError as in `load_split`."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    path = _known_files(root, config, split)[0]
    check_regular(path)
    try:
        return Features.from_arrow_schema(pq.read_schema(path))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _known_files(root: Path, config: str, split: str) -> list[Path]:
    if found := list_split_files(Path(root), config, split):
        return found
    known = list_configs(root)  # of a whole suite, which takes longer than reading a split
    if config not in known:
        raise UnknownName(f"config of {root}", config, known)
    raise UnknownName(f"split of {root}, config '{config}',", split, known[config])


def list_split_files(
    root: Path, config: str, split: str, within: Callable[[Path], Iterable[Path]] = lambda folder: folder.glob("*")
) -> list[Path]:
    """Return the files of one split in order; none if it does not exist.

    They are ``<config>/<split>-00000-of-00002.parquet`` and so on, or ``<config>/<split>.parquet``, or, as on the Hub's
    branch of converted files, ``<config>/<split>/0000.parquet`` and so on.

    Parameters
    ----------
    within : callable
        Folder -> the paths directly in it.
    """
    folders = [root / folder for folder in (config, *(name for name in _FOLDERS if _FOLDERS[name] == config))]
    found = [path for folder in folders for path in (*within(folder), *within(folder / split))
             if path.suffix == ".parquet" and _split_of(path, folder) == split]
    return sorted(found)


def read_tables(paths: Sequence[Path]) -> "pa.Table":
    """Return the rows of the Parquet files of one split.

    Raises
    ------
    StiltsError
        If a file is not a Parquet file, or the files differ in their columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in paths:
        check_regular(path)
        try:
            tables.append(pq.read_table(path, partitioning=None))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from error
    try:
        return pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise StiltsError(f"{paths[0].parent}: the files of one split differ in their columns ({error})") from error


def _unreadable(path: Path, error: Exception) -> StiltsError:
    return StiltsError(f"{path}: cannot be read as parquet ({error}); fetch or build it again")


def check_columns(place: str, present: Sequence[str], columns: Collection[str]) -> None:
    """Raise StiltsError if a column is missing or duplicated."""
    if missing := sorted(set(columns) - set(present)):
        raise StiltsError(f"{place}: column {', '.join(missing)} is missing; it has {', '.join(present)}")
    if twice := sorted(name for name in set(columns) if present.count(name) > 1):
        raise StiltsError(f"{place}: column {', '.join(twice)} occurs twice; keep one of the two")


def _split_of(path: Path, config: Path) -> str:
    """Return ``train`` for ``train-00000-of-00002.parquet``, ``train.parquet`` and ``train/0000.parquet``."""
    if path.parent != config:
        return path.parent.name
    parts = path.stem.rsplit("-", 3)
    return parts[0] if len(parts) == 4 and parts[2] == "of" else path.stem
