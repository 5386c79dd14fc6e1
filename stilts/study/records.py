"""Results of runs: a JSON record, the Parquet file of its predictions or measures, and tables of scores.

A record is written once, atomically, after its predictions, and holds checksums of both. A file that does not match its
checksum is set aside under another name, and the run counts as not done.
"""

import gzip
import json
import logging
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.study.errors import StiltsError
from stilts.study.runs import Run
from stilts.study.settings import Phase
from stilts.study.storage import ABSENT, hash_file, hash_json, list_names, readable, replace_file, set_aside, stands

if TYPE_CHECKING:  # importing pandas takes a third of a second, and `stilts plan` does not need it
    import pandas as pd

log = logging.getLogger(__name__)

RECORDS = "records"
"""Folder of records: one in each study's results, and one of what this machine has computed."""

SCORES = "scores.csv.gz"
"""All scores of a study in one table, compressed: as text they are a tenth of all that is committed."""

_RECORD, _FOLDER = "record", "folder of records"  # for messages


class Provenance(BaseModel):
    """How a run was computed; this has no influence on its id."""

    model_config = ConfigDict(extra="forbid")

    study: str = Field(description="study on whose behalf the run was first computed")
    started: str = Field(description="UTC, ISO 8601")
    seconds: float = Field(description="wall clock of the run without loading Python")
    examples: int = Field(0, description="examples that went through the encoder, epochs counted")
    tokens: int = Field(0, description="tokens of those examples without padding")
    examples_per_second: float = 0.0
    tokens_per_second: float = 0.0
    trained_weights: int | None = Field(
        None,
        exclude_if=lambda value: value is None,  # older records do not have it
        description="weights that a training moved: of the encoder or its adapters, and of the heads",
    )
    peak_memory_mb: float = Field(
        0.0, description="peak resident set of the process during the run, or of the GPU's allocator"
    )
    device: str = Field(description="processor or GPU as it names itself, and threads")
    device_kind: Literal["cpu", "gpu"] | None = Field(
        None, exclude_if=lambda value: value is None, description="records from before do not say"
    )
    precision: str = ""
    packed: bool = Field(
        False,
        exclude_if=lambda value: not value,  # older records do not have it
        description="whether a training read batches without padding, see `pack_batches` of `ScheduleSettings`",
    )
    compiled: bool = Field(
        False,
        exclude_if=lambda value: not value,  # older records do not have it
        description="whether a training ran layers of torch.compile, see `compile_layers` of `ScheduleSettings`",
    )
    packages: dict[str, str] = Field(default_factory=dict, description="library -> version")
    git_commit: str | None = None
    git_dirty: bool | None = None
    git_unknown: str | None = Field(
        None,
        exclude_if=lambda value: value is None,  # older records do not have it
        description="why the commit, or whether the code differs from it, is not known",
    )


class Record(BaseModel):
    """The result of one run. Scores are in percent (0 to 100)."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    run: Run
    metrics: dict[str, dict[str, float]] = Field(description="language -> {'score', 'n', ...}")
    history: list[dict[str, float]] = Field(default_factory=list, description="loss and dev score by update")
    at_chance: list[float] = Field(
        default_factory=list,
        exclude_if=lambda value: not value,  # older records do not have it
        description="dev scores of the trainings that this one replaced, see `restarts` of `TrainingSettings`",
    )
    provenance: Provenance
    predictions_sha256: str | None = Field(None, description="of the table beside the record, see `Store.table`")

    @property
    def id(self) -> str:
        """The id of the run."""
        return self.run.id


class CorruptRecord(StiltsError):
    """A record or predictions file that is truncated, changed or missing."""


class OtherVersion(StiltsError):
    """An intact record with fields or values that this version of stilts does not know."""


class Store:
    """The records in one writable folder and any number of read-only folders.

    Parameters
    ----------
    root : Path
        Writable folder, created with the first record.
    recorded : iterable of Path
        Read-only folders of committed records, searched after `root`.
    """

    def __init__(self, root: Path, recorded: Iterable[Path] = ()):
        self.root = root
        self.recorded = tuple(recorded)

    def __contains__(self, run_id: str) -> bool:
        return self.find(run_id) is not None

    def names(self) -> set[str]:
        """Return the run ids in the names of record files, without reading the files."""
        return {name for folder in (self.root, *self.recorded) for name in list_names(folder, ".json", _FOLDER)}

    def find(self, run_id: str) -> Record | None:
        """Return the record of a run, or None if it is missing. A corrupt record in `root` is set aside.

        A record whose run has another id counts as missing: an earlier version of the phase's code wrote it.

        Raises
        ------
        StiltsError
            If a record cannot be read, comes from another version, or is corrupt in a read-only folder.
        """
        found = self.locate(run_id)
        return found[0] if found else None

    def get(self, run_id: str) -> Record:
        """Return the record of a run; StiltsError if it is missing."""
        record = self.find(run_id)
        if record is None:
            places = ", ".join(str(folder) for folder in (self.root, *self.recorded))
            raise StiltsError(f"run {run_id} has no record in {places}; run its study first")
        return record

    def __iter__(self) -> Iterator[Record]:
        """Yield every intact record once, ordered by id. Records of other versions of stilts are skipped and logged.

        Raises
        ------
        StiltsError
            If a record cannot be read.
        """
        for name in sorted(self.names()):
            try:
                record = self.find(name)
            except OtherVersion as error:
                log.warning("%s", error)
                continue
            if record is not None:
                yield record

    def predictions(self, run_id: str) -> "pd.DataFrame":
        """Return a run's predictions, one row per example.

        Columns: language, example, prediction, and the counts matches, predicted and gold. If languages share test
        items, there is also item, the publisher's id of the example's item.

        For every metric, a language's score is 100 * 2 * sum(matches) / (sum(predicted) + sum(gold)).
        """
        return self.table(run_id)

    def table(self, run_id: str) -> "pd.DataFrame":
        """Return the table of a run: its predictions or, in phase `measure`, its measures."""
        import pandas as pd

        found = self.locate(run_id)
        if found is None or found[0].predictions_sha256 is None:
            raise StiltsError(f"run {run_id} has no record with predictions; run its study first")
        return pd.read_parquet(found[1] / f"{run_id}.parquet")

    def write(self, record: Record, predictions: "pd.DataFrame | None" = None) -> Record:
        """Write the predictions and then the record, and return the record with their checksum.

        Raises
        ------
        StiltsError
            If the folder cannot be written or is full. No partial record remains.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if predictions is not None:
                path = self.root / f"{record.id}.parquet"
                replace_file(path, lambda part: _write_table(predictions, part))
                record = record.model_copy(update={"predictions_sha256": hash_file(path)})
            content = record.model_dump(mode="json")
            envelope = {"sha256": hash_json(content), "record": content}
            text = json.dumps(envelope, separators=(",", ":"), ensure_ascii=False) + "\n"  # small: many are committed
            replace_file(self.root / f"{record.id}.json", lambda part: part.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise StiltsError(
                f"cannot write record {record.id} to {self.root}: {error.strerror or error}. "
                "Free disk space or allow writing, then run the same command again; finished runs are kept."
            ) from error
        return record

    def locate(self, run_id: str) -> tuple[Record, Path] | None:
        """Return the record of a run and its folder, or None if it is missing; see `find`."""
        for folder in (self.root, *self.recorded):
            path = folder / f"{run_id}.json"
            record = self._read(path) if stands(path, _RECORD) else None
            if record is not None and record.id == run_id:
                return record, folder
        return None

    def _read(self, path: Path) -> Record | None:
        try:
            return read_record(path)
        except FileNotFoundError:  # another process has just set it aside
            return None
        except CorruptRecord as error:
            both = path.with_suffix(".*")
            if path.parent != self.root:
                raise StiltsError(f"{error}; restore the committed files: git checkout -- '{both}'") from None
            aside = filter(None, map(set_aside, (path, path.with_suffix(".parquet"))))
            if names := [file.name for file in aside]:
                log.warning("%s; it was set aside as %s, and the run will be repeated", error, " and ".join(names))
            return None


def _write_table(table: "pd.DataFrame", path: Path) -> None:
    """Write a table as Parquet, as small as it gets: thousands of them are committed.

    What pandas would note of its columns is in the Parquet schema as well, and takes a fifth of a small file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(rows, path, compression="zstd", compression_level=19, write_statistics=False)


def publish(store: Store, run_ids: Iterable[str], folder: Path) -> None:
    """Copy the records and predictions of a finished study to a folder for committing, with a table of all scores.

    Files are copied byte for byte, so that what was committed before stays as it is.

    Parameters
    ----------
    run_ids : iterable of str
        Runs of the study.
    folder : Path
        `results/<study>`, which gets `records/` and the table `SCORES`.

    Raises
    ------
    StiltsError
        If a run has no record, another record of it stands in the folder, or the folder cannot be written.
    """
    records = [store.get(run_id) for run_id in run_ids]
    table = tabulate_scores(records).round(4).to_csv(index=False).encode()
    try:
        for record in records:
            _, own = store.locate(record.id)
            suffixes = (".parquet", ".json") if record.predictions_sha256 else (".json",)
            for suffix in suffixes:  # the record last, so that none stands without its predictions
                _copy_once(own / f"{record.id}{suffix}", folder / RECORDS)
        # no time in it, so that the same scores make the same file
        replace_file(folder / SCORES, lambda part: part.write_bytes(gzip.compress(table, mtime=0)))
    except OSError as error:
        raise StiltsError(f"cannot write {folder}: {error.strerror or error}") from error


def _copy_once(source: Path, folder: Path) -> None:
    """Copy a file to a folder unless it is there; StiltsError if another one of its name is."""
    place = folder / source.name
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(place, partial(copyfile, source))
    elif place.read_bytes() != source.read_bytes():
        raise StiltsError(f"{place} differs from {source}: remove the one that is not to be kept")


def read_record(path: Path) -> Record:
    """Read one record and verify the checksums of it and its predictions.

    Raises
    ------
    FileNotFoundError
        If it does not exist.
    CorruptRecord
        If the file or its predictions do not match their checksums, or the predictions are missing.
    OtherVersion
        If it is intact, but has unknown fields or values.
    StiltsError
        If permissions or the disk do not allow the file to be read.
    """
    content = _checked(path)
    try:
        record = Record(**content)
    except (TypeError, ValidationError) as error:
        raise _of_another_version(path, error) from None
    predictions = path.with_suffix(".parquet")
    if record.predictions_sha256 and _digest_of_file(predictions) != record.predictions_sha256:
        raise CorruptRecord(f"predictions {predictions} are missing or do not match the checksum in the record")
    return record


def _checked(path: Path) -> dict[str, Any]:
    """Return the content of a record's file after verifying its checksum."""
    try:
        with readable(path, _RECORD):
            envelope = json.loads(path.read_text(encoding="utf-8"))
        content, expected = envelope["record"], envelope["sha256"]
        matches = hash_json(content) == expected
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptRecord(f"record {path} cannot be read ({type(error).__name__})") from None
    if not matches:
        raise CorruptRecord(f"record {path} does not match its checksum")
    return content


def _of_another_version(path: Path, error: TypeError | ValidationError) -> OtherVersion:
    faults = error.errors() if isinstance(error, ValidationError) else []
    unknown = [item for item in faults if item["type"] in ("extra_forbidden", "literal_error")]
    places = ", ".join(".".join(map(str, item["loc"])) for item in unknown or faults)
    version = "a newer version" if unknown else "another version"
    return OtherVersion(
        f"record {path} was written by {version} of stilts: {places or 'its content'} is not known here. It is left as "
        "it is; update this checkout, or name another folder by STILTS_RUNS"
    )


def _digest_of_file(path: Path) -> str | None:
    """Return the checksum of a file, or None if it is missing."""
    try:
        with readable(path, "predictions"):
            return hash_file(path)
    except ABSENT:
        return None


def tabulate_scores(records: Iterable[Record], phase: Phase = "zero-shot") -> "pd.DataFrame":
    """Return a table with one row per run and language: condition, target, seed, score, n and further metrics."""
    import pandas as pd

    rows = [
        {
            "run": record.id,
            "study": record.provenance.study,
            "condition": record.run.condition,
            "target": record.run.target,
            "seed": record.run.seed,
            "language": language,
            **metrics,
        }
        for record in records
        if record.run.phase == phase
        for language, metrics in record.metrics.items()
    ]
    columns = ["run", "study", "condition", "target", "seed", "language", "score", "n"]
    return pd.DataFrame(rows, columns=columns if not rows else None)
