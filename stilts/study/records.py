"""What a run leaves behind: one JSON record, its predictions or the table of a measure beside it, and tidy tables.

A record is written once, atomically, after its predictions; it carries a checksum of both. A file that does not hold
what its checksum says was cut off or changed: it is set aside under another name, and the run counts as not done.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stilts.study.errors import StiltsError
from stilts.study.runs import Run
from stilts.study.settings import Phase
from stilts.study.storage import ABSENT, digest, names_in, readable, replace_file, set_aside, sha256, stands

if TYPE_CHECKING:  # pandas costs a third of a second that `stilts plan` need not pay
    import pandas as pd

log = logging.getLogger(__name__)

_RECORD, _FOLDER = "record", "folder of records"  # in what is said


class Provenance(BaseModel):
    """Where and how a run was computed; decides nothing."""

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
        exclude_if=lambda value: value is None,  # records from before have no such number
        description="weights that a training moved: of the encoder or its adapters, and of the heads",
    )
    peak_memory_mb: float = Field(0.0, description="peak resident set of the process, or of the GPU's allocator")
    device: str = Field(description="processor or GPU as it names itself, and threads")
    device_kind: Literal["cpu", "gpu"] | None = Field(
        None, exclude_if=lambda value: value is None, description="records from before do not say"
    )
    precision: str = ""
    packages: dict[str, str] = Field(default_factory=dict, description="library -> version")
    git_commit: str | None = None
    git_dirty: bool | None = None
    git_unknown: str | None = Field(
        None,
        exclude_if=lambda value: value is None,  # records from before say nothing of it
        description="why the commit, or whether the code differs from it, is not known",
    )


class Record(BaseModel):
    """One run's result. Scores are in percent (0 to 100)."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    run: Run
    metrics: dict[str, dict[str, float]] = Field(description="language -> {'score', 'n', ...}")
    history: list[dict[str, float]] = Field(default_factory=list, description="loss and dev score by update")
    provenance: Provenance
    predictions_sha256: str | None = Field(None, description="of the table beside the record, see `Store.table`")

    @property
    def id(self) -> str:
        """Id of the run."""
        return self.run.id


class CorruptRecord(StiltsError):
    """A record or predictions file whose content is not what was written."""


class OtherVersion(StiltsError):
    """A whole record whose content this version of stilts does not know."""


class Store:
    """Records of one folder that is written, and of any number that are only read.

    Parameters
    ----------
    root : Path
        Folder of this machine's records; made when the first is written.
    recorded : iterable of Path
        Folders of committed records, searched after `root`.
    """

    def __init__(self, root: Path, recorded: Iterable[Path] = ()):
        self.root = root
        self.recorded = tuple(recorded)

    def __contains__(self, run_id: str) -> bool:
        return self.find(run_id) is not None

    def names(self) -> set[str]:
        """Return the ids that files of records bear, whether they are whole or not; each folder is looked at once."""
        return {name for folder in (self.root, *self.recorded) for name in names_in(folder, ".json", _FOLDER)}

    def find(self, run_id: str) -> Record | None:
        """Return the record of a run, or None; a corrupt one of this machine is set aside and counts as none.

        A record whose run has another id counts as none too: an earlier version of the phase's code left it.
        """
        found = self._locate(run_id)
        return found[0] if found else None

    def get(self, run_id: str) -> Record:
        """Return the record of a run; StiltsError when there is none."""
        record = self.find(run_id)
        if record is None:
            places = ", ".join(str(folder) for folder in (self.root, *self.recorded))
            raise StiltsError(f"run {run_id} has no record in {places}; run its study first")
        return record

    def __iter__(self) -> Iterator[Record]:
        """Yield every whole record once, by id; those that another version of stilts wrote are passed over, and said.

        Raises
        ------
        StiltsError
            If one may not be read.
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
        """Return the run's predictions: language, example, prediction, and counts matches, predicted, gold.

        Where languages share test items, also item: what the publisher calls the item that the example is.

        A language's score is 100 * 2 * sum(matches) / (sum(predicted) + sum(gold)) for every metric of the study.
        """
        return self.table(run_id)

    def table(self, run_id: str) -> "pd.DataFrame":
        """Return the table beside a run's record: predictions, or of phase `measure` what its kind of measure lists."""
        import pandas as pd

        found = self._locate(run_id)
        if found is None or found[0].predictions_sha256 is None:
            raise StiltsError(f"run {run_id} has no record with predictions; run its study first")
        return pd.read_parquet(found[1] / f"{run_id}.parquet")

    def write(self, record: Record, predictions: "pd.DataFrame | None" = None) -> Record:
        """Write a record and its predictions; the record, last, makes the run count as done. Return it as written.

        Raises
        ------
        StiltsError
            If the folder cannot be written or is full; nothing half-written keeps the record's name.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if predictions is not None:
                path = self.root / f"{record.id}.parquet"
                replace_file(path, lambda part: predictions.to_parquet(part, compression="zstd", index=False))
                record = record.model_copy(update={"predictions_sha256": sha256(path)})
            content = record.model_dump(mode="json")
            envelope = {"sha256": digest(content), "record": content}
            text = json.dumps(envelope, indent=1, ensure_ascii=False) + "\n"
            replace_file(self.root / f"{record.id}.json", lambda part: part.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise StiltsError(
                f"cannot write record {record.id} to {self.root}: {error.strerror or error}. "
                "Free space or permit writing, then run the same command again; finished runs are kept."
            ) from error
        return record

    def _locate(self, run_id: str) -> tuple[Record, Path] | None:
        """Return the record of a run and the folder that holds it."""
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
                log.warning("%s; set aside as %s, the run will be done again", error, " and ".join(names))
            return None


def publish(store: Store, run_ids: Iterable[str], folder: Path) -> None:
    """Copy records and their predictions to a folder that is committed, with a tidy table of all scores beside it.

    Parameters
    ----------
    run_ids : iterable of str
        Runs of one finished study.
    folder : Path
        `results/<study>`: gets `records/` and `scores.csv`.

    Raises
    ------
    StiltsError
        If a run has no record, or the folder cannot be written.
    """
    records = [store.get(run_id) for run_id in run_ids]
    target = Store(folder / "records")
    for record in records:
        target.write(record, store.predictions(record.id) if record.predictions_sha256 else None)
    table = tabulate_scores(records).round(4)
    try:
        replace_file(folder / "scores.csv", lambda part: table.to_csv(part, index=False))
    except OSError as error:
        raise StiltsError(f"cannot write {folder / 'scores.csv'}: {error.strerror or error}") from error


def read_record(path: Path) -> Record:
    """Read one record and hold it and its predictions to the checksums.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    CorruptRecord
        If the file is cut off or changed, or its predictions are missing or not those that were written.
    OtherVersion
        If it is whole, but has fields or values that are not known here.
    StiltsError
        If this machine does not let the file be read.
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
    """Return what a record's file holds, which is what was written."""
    try:
        with readable(path, _RECORD):
            envelope = json.loads(path.read_text(encoding="utf-8"))
        content, expected = envelope["record"], envelope["sha256"]
        matches = digest(content) == expected
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
    """Return the checksum of a file, None where it is missing."""
    try:
        with readable(path, "predictions"):
            return sha256(path)
    except ABSENT:
        return None


def tabulate_scores(records: Iterable[Record], phase: Phase = "zero-shot") -> "pd.DataFrame":
    """Return one row per run and language, with the run's condition, target and seed, score, n and other metrics."""
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
