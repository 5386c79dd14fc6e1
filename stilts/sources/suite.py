"""A suite on disk: one folder in the Hub's layout, written atomically.

A suite consists of ``<folder>/<config>/<split>-00000-of-00001.parquet``, a dataset card ``README.md`` for
``datasets.load_dataset(folder, config)``, and the manifest ``suite.json`` with the suite's origin and the SHA-256 of
every file.
"""

import errno
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.study.errors import StiltsError, UnknownName, describe_reasons
from stilts.study.locks import hold
from stilts.study.storage import Unreadable, hash_file, make_folder, readable, replace_file, set_aside
from stilts.tasks.configs import Config

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features
    from huggingface_hub import DatasetCard

MANIFEST = "suite.json"
CARD = "README.md"


class Licence(NamedTuple):
    """The licence of a source.

    Attributes
    ----------
    name : str or None
        Its id in the Open Definition's list; None if it is not in it.
    text : str
        The licence and the holder of the rights.
    address : str
        Where it can be read.
    """

    name: str | None
    text: str
    address: str


Row = dict[str, Any]
AnySizes = TypeVar("AnySizes", bound=BaseModel)
Report = Callable[[str, str, int], None]


@dataclass(frozen=True)
class Request:
    """The requested content of a suite.

    Attributes
    ----------
    seed : int
        Seed of the generators.
    sizes : mapping of str to int
        Numbers of rows by the names in the source's `Sizes`; missing ones have their defaults.
    languages : sequence of str, optional
        Languages of the test sets; by default all that the source covers.
    source_languages : sequence of str
        Languages besides English with data of the intermediate tasks.
    source_tasks : sequence of str
        The intermediate tasks that have them; by default all that can.
    families : sequence of str
        Further families of tasks, by the source's names.
    """

    seed: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    languages: Sequence[str] | None = None
    source_languages: Sequence[str] = ()
    families: Sequence[str] = ()
    source_tasks: Sequence[str] = ()

    @property
    def additions(self) -> dict[str, list[str]]:
        """Source languages, their tasks and families, without empty ones, so that older fingerprints stay valid."""
        given = {name: sorted(set(getattr(self, name))) for name in ("source_languages", "source_tasks", "families")}
        return {name: values for name, values in given.items() if values}


class Table(NamedTuple):
    """One split of one config; labels in `rows` are names or numbers of the `features`.

    Large splits are Arrow tables, in which labels are numbers.
    """

    config: str
    split: str
    features: "Features"
    rows: "Sequence[Row] | pa.Table"


class Card(NamedTuple):
    """The content of a dataset card besides the configs."""

    title: str
    text: str
    licence: str
    licence_name: str
    licences: str


class Contents(NamedTuple):
    """What a source writes as a suite; see `write_suite` for the parts."""

    about: dict[str, Any]
    tables: Iterable[Table]
    summary: Callable[[], Mapping[str, Any]]
    card: Card

    def write(self, folder: Path, report: Report | None = None) -> Path:
        """Write the suite, or reuse an existing complete one, see `write_suite`."""
        return write_suite(self.tables, folder, self.about, self.card, report, self.summary)


def add_texts(columns: "Features", *names: str) -> "Features":
    """Return features with additional text columns."""
    from datasets import Features, Value

    return Features({**columns, **dict.fromkeys(names, Value("string"))})


def choose(kind: str, wanted: Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Return the wanted names, by default all, in the order of the known ones.

    Raises
    ------
    UnknownName
        If a wanted name is unknown; `kind` describes it for the message.
    """
    for name in wanted or ():
        if name not in known:
            raise UnknownName(kind, name, known)
    return [name for name in known if wanted is None or name in wanted]


def read_sizes(given: Mapping[str, int], kind: type[AnySizes]) -> AnySizes:
    """Return the sizes in a study's settings; missing ones have their defaults.

    Parameters
    ----------
    given : mapping of str to int
    kind : type
        The source's model of sizes.

    Raises
    ------
    StiltsError
        If a name is unknown (`UnknownName`) or a number is invalid.
    """
    unknown = sorted(given.keys() - kind.model_fields.keys())
    if unknown:
        raise UnknownName("size of the suite", unknown[0], kind.model_fields)
    try:
        return kind(**given)
    except ValidationError as error:
        raise StiltsError(f"sizes.{describe_reasons(error)} (given: {dict(given)})") from error


def write_suite(
    tables: Iterable[Table],
    folder: Path,
    about: Mapping[str, Any],
    card: Card,
    report: Report | None = None,
    summary: Callable[[], Mapping[str, Any]] = dict,
) -> Path:
    """Write a suite, or reuse an existing complete one.

    Parameters
    ----------
    tables : iterable of Table
        Consumed only if the suite does not exist yet.
    folder : Path
        Folder of the suite. If two processes write the same one, the second waits and reuses it.
    about : mapping
        Content of `suite.json`; its "fingerprint" identifies the suite.
    card : Card
        Content of `README.md`.
    report : callable, optional
        Called with config, split and number of rows after each table.
    summary : callable, optional
        Called after the last table to get further content of `suite.json`.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    StiltsError
        If `folder` has other content or cannot be written, or the disk is full.
    """
    folder = Path(folder)
    with _writable(folder), _alone(folder):
        if _reusable(folder, about["fingerprint"]):
            return folder
        with make_folder(folder, alone=True) as part:
            _fill(part, tables, report, card)
            sign(part, {**about, **summary()})
    return folder


class _Manifest(BaseModel):
    """The schema of `suite.json`; fields with defaults are optional."""

    model_config = ConfigDict(extra="allow", strict=True)

    fingerprint: str
    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]
    suite: str = ""
    request: str = ""
    languages: list[str] = []
    rows: dict[str, dict[str, int]] = {}
    left_out: dict[str, dict[str, str]] = {}
    notes: dict[str, list[str]] = {}
    sources: dict[str, dict[str, int]] = {}
    revisions: dict[str, str] = {}
    packages: dict[str, str] = {}
    overlap: list[dict[str, Any]] = []


def read_manifest(folder: Path, cure: str = "build the suite again") -> dict[str, Any]:
    """Return the content of a suite's `suite.json`.

    Parameters
    ----------
    cure : str
        Advice in the message if it is damaged.

    Raises
    ------
    StiltsError
        If it is missing or invalid.
    """
    path = Path(folder) / MANIFEST
    try:
        with readable(path, "manifest of a suite"):
            manifest = json.loads(path.read_text(encoding="utf-8"))
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        raise StiltsError(f"{path}: not the manifest of a suite ({describe_reasons(error)}); {cure}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StiltsError(f"{path}: not the manifest of a suite ({error}); {cure}") from error
    return manifest


def describe_size(folder: Path) -> str:
    """Return a line on how much a suite holds: "suite pocket-0a1b: 388 configs, 84690 rows"."""
    rows = read_manifest(folder)["rows"]
    return f"suite {Path(folder).name}: {len(rows)} configs, {sum(sum(each.values()) for each in rows.values())} rows"


def find_faults(folder: Path) -> list[str]:
    """Return descriptions of why a folder is not a complete suite; empty if it is one.

    Raises
    ------
    Unreadable
        If it cannot be read, because it may still be intact.
    """
    try:
        files = read_manifest(folder)["files"]
    except Unreadable:
        raise
    except StiltsError as error:
        return [str(error)]
    with readable(folder, "suite"):
        missing = [name for name in files if not (folder / name).is_file()]
        changed = [name for name in files if name not in missing and hash_file(folder / name) != files[name]]
    standing = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.parquet")))
    return [
        *(f"{name} is missing" for name in missing),
        *(f"{name} differs from what was written" for name in changed),
        *(f"{name} was not written with it" for name in standing if name not in files),
    ] + ([] if files else [f"{MANIFEST} names no file"])


def _reusable(folder: Path, fingerprint: str) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not folder.is_dir() or not ((folder / MANIFEST).exists() or any(folder.glob("*/*.parquet"))):
        raise StiltsError(f"{folder}: holds something that is not a suite; name a new or empty folder")
    found = find_faults(folder)
    if found:
        if aside := set_aside(folder, "broken"):
            warnings.warn(f"{folder}: incomplete or damaged suite ({found[0]}); set aside as {aside} and built again",
                          stacklevel=3)
        return False
    if read_manifest(folder)["fingerprint"] != fingerprint:
        raise StiltsError(f"{folder}: holds a suite of other settings; name another folder, or delete that one")
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with hold(folder.with_name(f".{folder.name}.lock"), f"suite {folder.name}"):
        yield


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        cure = "free disk space or name a folder on another disk" if full else "name a folder that you can write to"
        raise StiltsError(f"{folder}: the suite cannot be written ({error.strerror or error}); {cure}") from error


def _fill(folder: Path, tables: Iterable[Table], report: Report | None, card: Card) -> None:
    splits: dict[str, list[str]] = {}
    for table in tables:
        _write_table(table, folder)
        splits.setdefault(table.config, []).append(table.split)
        if report:
            report(table.config, table.split, len(table.rows))
    _make_card(splits, card).save(folder / CARD)


def sign(folder: Path, about: Mapping[str, Any]) -> None:
    """Write a suite's manifest as its last file: a suite without it is incomplete."""
    files = {str(path.relative_to(folder)): hash_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    text = json.dumps({**about, "files": files}, ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _write_table(table: Table, folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not len(table.rows):
        raise StiltsError(f"{table.config}, {table.split}: no rows were made; remove the language instead")
    path = folder / table.config / f"{table.split}-00000-of-00001.parquet"
    path.parent.mkdir(exist_ok=True)
    schema = table.features.arrow_schema
    if isinstance(table.rows, pa.Table):
        rows = table.rows.select(schema.names).cast(schema)
    else:
        rows = pa.Table.from_pylist([table.features.encode_example(row) for row in table.rows], schema=schema)
    pq.write_table(rows, path, compression="zstd")


def _make_card(splits: Mapping[str, Sequence[str]], card: Card) -> "DatasetCard":
    from huggingface_hub import DatasetCard, DatasetCardData

    data_files = {config: [{"split": split, "path": f"{config}/{split}-*.parquet"} for split in splits[config]]
                  for config in sorted(splits)}
    data = DatasetCardData(
        pretty_name=card.title,
        language=sorted({Config.parse(config).language for config in splits}),
        license=card.licence,
        license_name=card.licence_name,
        multilinguality=["multilingual"],
        configs=[{"config_name": config, "data_files": files} for config, files in data_files.items()],
    )
    text = f"# {card.title}\n\n{card.text}\n\n## Sources and licences\n\n{card.licences}\n"
    return DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


def publish(suite: Path, folder: Path) -> None:
    """Copy a suite's manifest to the committed results of a study, for machines without its data.

    Parameters
    ----------
    suite : Path
        Folder of a suite.
    folder : Path
        `results/<study>`.
    """
    text = json.dumps(read_manifest(suite), ensure_ascii=False, indent=1) + "\n"
    try:
        replace_file(folder / MANIFEST, lambda part: part.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise StiltsError(f"cannot write {folder / MANIFEST}: {error.strerror or error}") from error
