"""A checkout and its contents: studies, records, checkpoints, prepared data, locks, and progress notes."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stilts.models.encoders import ENCODERS
from stilts.models.known_encoders import Shape, find_encoder_shape
from stilts.study import locks
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.files import read_study
from stilts.study.records import RECORDS, Store
from stilts.study.runs import Run
from stilts.study.settings import EncoderSettings, Study
from stilts.study.storage import hash_json, list_names, stands
from stilts.tasks.formats.kept_inputs import KeptInputs, hash_encoding
from stilts.tasks.registry import (
    TARGETS,
    get_target,
    keep_suite,
    list_intermediates,
    list_measured_tasks,
    resolve_conditions,
)
from stilts.workspace.starting import find_runs_folder

T = TypeVar("T")
PROGRESS_EVERY = 20  # updates or batches between two notes of progress


@dataclass(frozen=True)
class Checkout:
    """A checkout of the repository: its files, and the folder of what this machine produces.

    Parameters
    ----------
    root : Path
        Top folder of the checkout.
    runs : Path, optional
        Folder of this machine's records, checkpoints and prepared data. The default is the environment variable
        STILTS_RUNS (relative to `root`, so that it means the same in every process), else `runs` under `root`.
    """

    root: Path
    runs: Path = field(default=None)  # type: ignore[assignment]

    def __post_init__(self):
        if self.runs is None:
            object.__setattr__(self, "runs", find_runs_folder(self.root))

    @property
    def records(self) -> Path:
        """Folder of this machine's records."""
        return self.runs / RECORDS

    @property
    def results(self) -> Path:
        """Folder of the committed results, with a folder for each recorded study."""
        return self.root / "results"

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints of this machine."""
        return Checkpoints(self.runs / "checkpoints")

    def training_folder(self, run_id: str) -> Path:
        """Return the folder of a run's saved training states, which are kept until the run is recorded."""
        return self.runs / "training" / run_id

    def store(self) -> Store:
        """Return this machine's records and the committed ones. Raises StiltsError if a folder cannot be read."""
        names = sorted(list_names(self.results, "", "folder of results"))
        folders = (self.results / name / RECORDS for name in names)
        return Store(self.records, [folder for folder in folders if stands(folder, "folder of records")])

    def studies(self) -> dict[str, Path]:
        """Return the checkout's study files by name. Raises StiltsError if their folder cannot be read."""
        folder = self.root / "studies"
        return {name: folder / f"{name}.yml" for name in sorted(list_names(folder, ".yml", "folder of studies"))}

    def study(self, name: str) -> Study:
        """Return a study by name, or by the path of its file.

        Raises
        ------
        UnknownName
            If no study has that name, or its file names an unknown task.
        StiltsError
            If its file cannot be read, or the name in it differs from the file's name.
        """
        if name.endswith((".yml", ".yaml")):
            return _read_checked(Path(name), self.studies())
        known = self.studies()
        if name not in known:
            raise UnknownName("study", name, known)
        study = _read_checked(known[name], known)
        if study.name != name:
            raise StiltsError(f"{known[name]}: name is '{study.name}', but a study in studies/ is named after its file")
        return study

    def reference(self, name: str) -> str:
        """Return what opens a study from any folder: its name if it is in `studies/`, else its file's absolute path."""
        if name in self.studies():
            return name
        path = Path(name).resolve()
        return next((known for known, file in self.studies().items() if file.resolve() == path), str(path))

    def data_folder(self, study: Study) -> Path | None:
        """Return a study's data folder: STILTS_DATA if set, else the study's own; relative to the checkout."""
        named = os.environ.get("STILTS_DATA") or study.data.folder
        return self.root / named if named else None

    def has_data(self, study: Study) -> bool:
        """Return whether a study's data folder exists."""
        folder = self.data_folder(study)
        return folder is not None and folder.is_dir()

    def encoder_name(self, encoder: EncoderSettings) -> str:
        """Return an encoder's name, or its path if it is a folder of the checkout, whatever the current folder is."""
        folder = self.root / encoder.name
        return str(folder) if encoder.name not in ENCODERS and folder.is_dir() else encoder.name

    def find_shape(self, encoder: EncoderSettings) -> Shape | None:
        """Return the shape of a known encoder or of a folder of the checkout; None if it is unknown."""
        return find_encoder_shape(self.encoder_name(encoder))

    @property
    def suites(self) -> Path:
        """Folder of this machine's suites."""
        return self.runs / "data"

    @property
    def encoders(self) -> Path:
        """Folder of this machine's prepared encoders."""
        return self.runs / "encoders"

    @property
    def inputs(self) -> Path:
        """Folder of this machine's encoder inputs: a folder for each prepared encoder, and in it one for each hash."""
        return self.runs / "inputs"

    def suite_folder(self, run: Run) -> Path:
        """Return the folder of a run's suite, which all runs of a plan share."""
        return self.suites / f"{run.settings.suite}-{run.data}"

    def encoder_folder(self, run: Run) -> Path:
        """Return the folder of a run's prepared encoder."""
        encoder = run.settings.encoder
        slug = encoder.name.rstrip("/").rsplit("/", 1)[-1]
        return self.encoders / f"{slug}-{hash_json([encoder.model_dump(mode='json'), run.data])[:10]}"

    def kept_inputs(self, run: Run) -> KeptInputs:
        """Return the inputs that runs with a run's prepared encoder share."""
        encoder = self.encoder_folder(run)
        return KeptInputs(self.inputs / encoder.name / hash_encoding(encoder))

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a name exclusively among all processes. Waits, with a message, while another process holds it."""
        return self._hold(lambda folder: locks.hold(folder / f"{name}.lock", name))

    @contextmanager
    def lock_one(self, names: Sequence[str], what: str) -> Iterator[str]:
        """Hold the first of some names that no other process holds, and yield it; wait, with a message, for one.

        `what` says in messages what the names are.
        """
        with self._hold(lambda folder: locks.hold_one([folder / f"{name}.lock" for name in names], what)) as path:
            yield path.name.removesuffix(".lock")

    @contextmanager
    def _hold(self, hold: Callable[[Path], AbstractContextManager[T]]) -> Iterator[T]:
        """Hold a lock in the folder of locks, which is made if it does not exist."""
        folder = self.runs / "locks"
        with ExitStack() as held:
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                found = held.enter_context(hold(folder))
            yield found

    def in_use(self, name: str) -> bool:
        """Return whether a process holds a name."""
        return locks.is_held(self.runs / "locks" / f"{name}.lock")

    def progress(self, run_id: str) -> Callable[[int, int], None]:
        """Return a callable that writes a run's progress to a file, for `stilts status` and the progress bar.

        The callable raises StiltsError if it cannot write: the results could not be saved either.
        """
        path = self.runs / "progress" / f"{run_id}.json"
        with _writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        calls = 0

        def note(done: int, total: int) -> None:
            nonlocal calls
            calls += 1
            if calls % PROGRESS_EVERY == 1 or done == total:
                with _writing(path.parent):
                    path.write_text(json.dumps({"done": done, "total": total}))

        return note

    def forget_progress(self, run_id: str) -> None:
        """Remove the progress note of a recorded run."""
        (self.runs / "progress" / f"{run_id}.json").unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StiltsError(
            f"cannot write to {folder}: {error.strerror or error}; free disk space, or set STILTS_RUNS "
            "to another folder"
        ) from error


def find_checkout(start: Path | None = None) -> Checkout:
    """Return the checkout that holds `start` (the current folder by default).

    Raises
    ------
    StiltsError
        If no folder from `start` upward has a `studies` folder and a `_toc.yml`.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "studies").is_dir() and (folder / "_toc.yml").is_file():
            return Checkout(folder)
    raise StiltsError(f"{here} is not inside a checkout of the study (no folder up to / has studies/ and _toc.yml)")


def _read_checked(path: Path, known: Mapping[str, Path]) -> Study:
    """Return the study of a file whose tasks are known; see `read_study`. Raises UnknownName with file and key."""
    study = read_study(path, known)
    if not keep_suite(TARGETS, study.data.suite):
        return study  # an unknown suite, which is said when its source is opened
    with _name_place(f"{path}: data.borrowed"):
        list_intermediates(study.data)
    with _name_place(f"{path}: intermediates"):
        resolve_conditions(study)
    with _name_place(f"{path}: measures.tasks"):
        list_measured_tasks(study)
    with _name_place(f"{path}: targets"):
        for name in study.targets:
            get_target(name, study.data.suite)
    return study


@contextmanager
def _name_place(place: str) -> Iterator[None]:
    try:
        yield
    except UnknownName as error:
        raise UnknownName(error.kind, error.name, error.known, place) from None
