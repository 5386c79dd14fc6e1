"""One checkout and what lies in it: studies, records, checkpoints, prepared data, and the plan of a study.

This is where the rooms meet: it resolves a study against the task registry, the sources and the encoder.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stilts.models.encoders import ENCODERS, encoder_fingerprint, input_limit
from stilts.models.known_encoders import Shape, encoder_shape
from stilts.study import locks
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.files import read_study
from stilts.study.planning import plan_runs, unique
from stilts.study.records import Store
from stilts.study.runs import Run
from stilts.study.settings import EncoderSettings, Study
from stilts.study.storage import digest, names_in, new_folder, require_new, stands
from stilts.workspace.limits import check_runs
from stilts.workspace.resolution import (
    SUITES,
    Plan,
    Source,
    request_of,
    resolve_tasks,
)
from stilts.workspace.starting import runs_folder

log = logging.getLogger(__name__)
PROGRESS_EVERY = 20  # updates or batches between two notes of progress


@dataclass(frozen=True)
class Workspace:
    """A checkout of the study.

    Parameters
    ----------
    root : Path
        Top folder of the checkout.
    study_name : str
        Study on whose behalf runs are done; goes into their provenance.
    threads : int
        CPU threads of one run.
    keep_checkpoints : bool
        Whether target checkpoints outlive their evaluation.
    state_minutes : float
        Between two saved states of a training.
    processes : int
        That train one model together.
    runs : Path, optional
        Folder of this machine's records, checkpoints and prepared data; `runs` under `root` by default, or where the
        environment's STILTS_RUNS says (relative to `root`, so that it means the same in every process).
    """

    root: Path
    study_name: str = "pocket"
    threads: int = 1
    keep_checkpoints: bool = False
    state_minutes: float = 10
    processes: int = 1
    runs: Path = field(default=None)  # type: ignore[assignment]

    def __post_init__(self):
        if self.runs is None:
            object.__setattr__(self, "runs", runs_folder(self.root))

    @property
    def checkpoints(self) -> Checkpoints:
        """Checkpoints of this machine."""
        return Checkpoints(self.runs / "checkpoints")

    def training_folder(self, run_id: str) -> Path:
        """Return where a run's training saves how far it is, until it is recorded."""
        return self.runs / "training" / run_id

    def store(self) -> Store:
        """Return this machine's records joined with the committed ones; StiltsError if their folder may not be read."""
        results = self.root / "results"
        folders = (results / name / "records" for name in sorted(names_in(results, "", "folder of results")))
        return Store(self.runs / "records", [folder for folder in folders if stands(folder, "folder of records")])

    def studies(self) -> dict[str, Path]:
        """Return the study files of the checkout by name; StiltsError if their folder may not be read."""
        folder = self.root / "studies"
        return {name: folder / f"{name}.yml" for name in sorted(names_in(folder, ".yml", "folder of studies"))}

    def study(self, name: str) -> Study:
        """Return a study by name, or by the path of its file.

        Raises
        ------
        UnknownName
            If no study has that name.
        StiltsError
            If its file cannot be read, or states another name than the file has.
        """
        if name.endswith((".yml", ".yaml")):
            return read_study(Path(name), self.studies())
        known = self.studies()
        if name not in known:
            raise UnknownName("study", name, known)
        study = read_study(known[name], known)
        if study.name != name:
            raise StiltsError(f"{known[name]}: name is '{study.name}', but a study in studies/ is called as its file")
        return study

    def reference(self, name: str) -> str:
        """Return what opens a study from any folder: the name of one in `studies/`, else the whole path of its file."""
        if name in self.studies():
            return name
        path = Path(name).resolve()
        return next((known for known, file in self.studies().items() if file.resolve() == path), str(path))

    def plan(self, study: Study, reference: str | None = None, *, provisional: bool = False) -> Plan:
        """Return a study's runs; nothing is computed or loaded for it.

        Parameters
        ----------
        reference : str, optional
            See `Plan`; the study's name by default.
        provisional : bool
            Whether a data folder that is not here yet is passed over: the runs then have other ids than with data.

        Raises
        ------
        UnknownName
            If the study names a task, a language, a suite or an encoder that is not known.
        """
        if study.data.suite not in SUITES:
            raise UnknownName("suite", study.data.suite, SUITES)
        source, has_data = self._source(study), self.has_data(study) or not provisional
        conditions, measured, targets = resolve_tasks(study, source, has_data=has_data)
        runs = plan_runs(
            study,
            conditions,
            {task.name: task.training_task for task in targets if task.trained},
            source.fingerprint(request_of(study)),
            {
                name: encoder_fingerprint(self.encoder_name(encoder), encoder.revision)
                for name, encoder in {None: study.encoder, **study.encoders}.items()
            },
            measured,
        )
        runs = unique(runs)
        check_runs(runs, self._shapes(study), self._positions(study))
        return Plan(study, tuple(runs), reference or study.name)

    def _shapes(self, study: Study) -> dict[str, Shape]:
        """Return the shapes of a study's encoders, by name, where they are known before an encoder is loaded."""
        names = {encoder.name: self.encoder_name(encoder) for encoder in (study.encoder, *study.encoders.values())}
        return {name: shape for name, place in names.items() if (shape := encoder_shape(place))}

    def _positions(self, study: Study) -> dict[str, int]:
        """Return how many tokens a study's encoders have positions for, by name, where these have an end."""
        limits = {
            encoder.name: input_limit(self.encoder_name(encoder), encoder.revision)
            for encoder in (study.encoder, *study.encoders.values())
        }
        return {name: limit for name, limit in limits.items() if limit is not None}

    def _source(self, study: Study) -> Source:
        return SUITES[study.data.suite](self.data_folder(study))

    def data_folder(self, study: Study) -> Path | None:
        """Return the folder that a study's data come from: STILTS_DATA, else the study's; relative to the checkout."""
        named = os.environ.get("STILTS_DATA") or study.data.folder
        return self.root / named if named else None

    def has_data(self, study: Study) -> bool:
        """Whether the folder that a study's data come from stands here."""
        folder = self.data_folder(study)
        return folder is not None and folder.is_dir()

    def encoder_name(self, encoder: EncoderSettings) -> str:
        """Name of an encoder; a folder's path is relative to the checkout, whichever folder is the current."""
        folder = self.root / encoder.name
        return str(folder) if encoder.name not in ENCODERS and folder.is_dir() else encoder.name

    def suite_folder(self, run: Run) -> Path:
        """Return where the suite of a run stands; all runs of a plan have one."""
        return self.runs / "data" / f"{run.settings.suite}-{run.data}"

    def encoder_folder(self, run: Run) -> Path:
        """Return where the prepared encoder of a run stands."""
        encoder = run.settings.encoder
        slug = encoder.name.rstrip("/").rsplit("/", 1)[-1]
        return self.runs / "encoders" / f"{slug}-{digest([encoder.model_dump(mode='json'), run.data])[:10]}"

    def prepare(self, plan: Plan) -> None:
        """Build the suite and the encoders of a plan, trimmed to the suite's texts; what stands is reused."""
        # Two encoders may have one name, as the same model with and without a trimmed vocabulary.
        settings = {self.encoder_folder(run): run.settings.encoder for run in plan.runs}
        with self.lock("prepare"):
            suite = self._build_suite(plan)
            for folder, encoder in settings.items():
                self._prepare_encoder(encoder, plan.study, suite, folder)

    def _prepare_encoder(self, encoder: EncoderSettings, study: Study, suite: Path, folder: Path) -> None:
        from stilts.models.prepared import prepare_encoder

        prepare_encoder(
            self.encoder_name(encoder),
            self._source(study).texts(suite),
            folder,
            revision=encoder.revision,
            trim=encoder.trim_vocabulary,
            scratch=encoder.scratch,
        )

    def _build_suite(self, plan: Plan) -> Path:
        """Build the suite that a plan's runs are named after; one whose data have changed since would be another."""
        source, request, run = self._source(plan.study), request_of(plan.study), plan.runs[0]
        if source.fingerprint(request) != run.data:
            raise StiltsError(
                f"study '{plan.study.name}': its data changed after it was planned; give the command again"
            )
        return source.build(self.suite_folder(run), request, report=log.info)

    def export_suite(self, plan: Plan, folder: Path) -> None:
        """Copy the suite of a plan, built first where it does not stand, to a new folder in the Hub's layout.

        Raises
        ------
        StiltsError
            If the folder exists or cannot be written; nothing half-written keeps its name.
        """
        require_new(folder)
        with self.lock("prepare"):
            suite = self._build_suite(plan)
        with new_folder(folder, "suite") as part:
            shutil.copytree(suite, part, dirs_exist_ok=True)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a name alone among all processes; wait, and say so, while another does; see `locks.hold`."""
        folder = self.runs / "locks"
        with ExitStack() as held:
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(locks.hold(folder / f"{name}.lock", name))
            yield

    def in_use(self, name: str) -> bool:
        """Whether a process holds a name."""
        return locks.is_held(self.runs / "locks" / f"{name}.lock")

    def progress(self, run_id: str) -> Callable[[int, int], None]:
        """Return a callable that notes how far a run is, for `stilts status` and the terminal's bar.

        It raises StiltsError where the note cannot be written: then nothing else can, and hours of work would be lost.
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
        """Remove the note of a run that is recorded."""
        (self.runs / "progress" / f"{run_id}.json").unlink(missing_ok=True)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StiltsError(
            f"cannot write to {folder}: {error.strerror or error}; free space, or set STILTS_RUNS to another folder"
        ) from error


def workspace(study: Study | None = None, start: Path | None = None) -> Workspace:
    """Return the workspace of the checkout that holds `start` (the current folder by default).

    Raises
    ------
    StiltsError
        If no folder from `start` upward has a `studies` folder and a `_toc.yml`.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "studies").is_dir() and (folder / "_toc.yml").is_file():
            if study is None:
                return Workspace(folder)
            how = study.schedule
            return Workspace(
                folder, study.name, how.threads_per_job, how.keep_checkpoints, how.state_minutes, how.processes
            )
    raise StiltsError(f"{here} is not inside a checkout of the study (no studies/ and _toc.yml up to /)")
