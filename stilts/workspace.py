"""One checkout and what lies in it: studies, records, checkpoints, prepared data, and the plan of a study.

This is where the rooms meet: it resolves a study against the task registry, the sources and the encoder.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from stilts import locks
from stilts.checkpoints import Checkpoints
from stilts.encoders import ENCODERS, encoder_fingerprint, input_limit
from stilts.errors import StiltsError, UnknownName
from stilts.estimates import Shape, encoder_shape
from stilts.limits import check_number, check_runs
from stilts.new_folders import new_folder, require_new
from stilts.planning import group_jobs, plan_runs, unique
from stilts.records import Store
from stilts.sources import pocket, xtreme
from stilts.sources.suite import Request
from stilts.starting import runs_folder
from stilts.storage import names_in, stands
from stilts.study import Condition, EncoderSettings, Job, Run, Study
from stilts.study_files import read_study
from stilts.tasks import (
    INTERMEDIATES,
    MULTI,
    SOURCE_LANGUAGE,
    TARGETS,
    Task,
    check_sources,
    get_intermediate,
    get_target,
    measured_tasks,
    study_conditions,
)

log = logging.getLogger(__name__)


class Source(Protocol):
    """What makes a suite: a folder in the Hub's layout with one config for each task and language."""

    def fingerprint(self, request: Request) -> str:
        """Return a short hash of all that the suite's rows depend on; builds nothing."""

    def build(self, folder: Path, request: Request, *, report: Callable[[str], None]) -> Path:
        """Write the suite to `folder`, or reuse the complete one that is there."""

    def texts(self, folder: Path) -> Iterable[str]:
        """Return all that may be encoded; of a text that is given as words, each word."""

    def missing(self, task: str) -> str | None:
        """Return why a task cannot be had, None if it can or if nothing is known yet."""

    def left_out(self, request: Request) -> dict[str, dict[str, str]]:
        """Return what tasks lack of the languages that are asked for: task (or its family) -> language -> reason."""


# Each opens a source on the folder that the study's data come from, which those that read packages do not need.
SUITES: dict[str, Callable[[Path | None], Source]] = {"pocket": lambda folder: pocket, "xtreme": xtreme.Suite}
PROGRESS_EVERY = 20  # updates or batches between two notes of progress


@dataclass(frozen=True)
class Plan:
    """The runs of a study, parents first, and the jobs that execute them.

    Attributes
    ----------
    study : Study
    runs : tuple of Run
    reference : str
        What opens the study again in another process: its name, or the path of its file.
    """

    study: Study
    runs: tuple[Run, ...]
    reference: str

    @cached_property
    def by_id(self) -> dict[str, Run]:
        """Runs by their id."""
        return {run.id: run for run in self.runs}

    @cached_property
    def jobs(self) -> list[Job]:
        """Runs gathered into jobs as the study's schedule says."""
        return group_jobs(self.runs, self.study.schedule.runs_per_job)

    def parents(self, job: Job) -> list[Job]:
        """Return the jobs that hold the parents of a job's runs."""
        parents: list[Job] = []
        for name in (parent for run in job.runs for parent in run.parents):
            if self._job_of[name] not in parents:
                parents.append(self._job_of[name])
        return parents

    @cached_property
    def _job_of(self) -> dict[str, Job]:
        return {run.id: job for job in self.jobs for run in job.runs}

    def select(self, phase: str, condition: str, seed: int, targets: list[str] | None = None) -> list[Run]:
        """Return the runs of one phase, condition and seed, and of these targets; StiltsError if there is none."""
        found = [
            run
            for run in self.runs
            if (run.phase, run.condition) == (phase, condition)
            and run.seed in (seed, 0 if not run.parents and run.phase == "zero-shot" else seed)
            and (targets is None or run.target in targets)
        ]
        if not found:
            raise StiltsError(
                f"study '{self.study.name}' has no {phase} run of condition '{condition}' with seed {seed}"
                + (f" and target {', '.join(targets)}" if targets else "")
            )
        return found


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
        conditions, measured = study_conditions(study), measured_tasks(study)
        _check_per_task(study, conditions)
        _check_source_languages(study, conditions, study.targets)
        _check_source_languages(study, measured)
        _check_families(study, [*conditions, *measured])
        targets = [get_target(name, study.data.suite) for name in study.targets]
        check_number(len(study.seeds), len(conditions), len(targets))
        source = self._source(study)
        if self.has_data(study) or not provisional:
            conditions, measured = (_that_can_be_had(each, source) for each in (conditions, measured))
            _refuse_missing([task.name for task in targets], source)
        _check_languages(study, targets, [*conditions, *measured], source)
        runs = plan_runs(
            study,
            conditions,
            {task.name: task.training_task for task in targets if task.trained},
            source.fingerprint(_request(study)),
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

    def suite_folder(self, of: Run | Study) -> Path:
        """Return where the suite of a run or a study stands."""
        run = of if isinstance(of, Run) else self.plan(of).runs[0]
        return self.runs / "data" / f"{run.settings['suite']}-{run.data}"

    def encoder_folder(self, of: Run | Study) -> Path:
        """Return where the prepared encoder of a run or a study stands."""
        run = of if isinstance(of, Run) else self.plan(of).runs[0]
        decisive = json.dumps([run.settings["encoder"], run.data], sort_keys=True)
        slug = run.settings["encoder"]["name"].rstrip("/").rsplit("/", 1)[-1]
        return self.runs / "encoders" / f"{slug}-{hashlib.sha256(decisive.encode()).hexdigest()[:10]}"

    def prepare(self, study: Study, report: Callable[[str], None] = log.info) -> None:
        """Build the study's suite and its encoders, trimmed to the suite's texts; what stands is reused."""
        runs = self.plan(study).runs
        # Two encoders may have one name, as the same model with and without a trimmed vocabulary.
        settings = {self.encoder_folder(run): run.settings["encoder"] for run in runs}
        with self.lock("prepare"):
            suite = self._build_suite(study, runs[0], report)
            for folder, encoder in settings.items():
                known = {key: value for key, value in encoder.items() if key != "fingerprint"}
                self._prepare_encoder(EncoderSettings(**known), study, suite, folder)

    def _prepare_encoder(self, encoder: EncoderSettings, study: Study, suite: Path, folder: Path) -> None:
        from stilts.encoders import prepare_encoder

        for left in folder.parent.glob(f".{folder.name}-*"):  # by a process that was killed; the lock is ours
            shutil.rmtree(left)
        prepare_encoder(
            self.encoder_name(encoder),
            self._source(study).texts(suite),
            folder,
            revision=encoder.revision,
            trim=encoder.trim_vocabulary,
            scratch=encoder.scratch,
        )

    def _build_suite(self, study: Study, run: Run, report: Callable[[str], None]) -> Path:
        """Build the suite that a run is named after; one whose data have changed since would be another."""
        source, request = self._source(study), _request(study)
        if source.fingerprint(request) != run.data:
            raise StiltsError(f"study '{study.name}': its data changed after it was planned; give the command again")
        return source.build(self.suite_folder(run), request, report=report)

    def export_suite(self, study: Study, folder: Path) -> None:
        """Copy the study's suite, built first where it does not stand, to a new folder in the Hub's layout.

        Raises
        ------
        StiltsError
            If the folder exists or cannot be written; nothing half-written keeps its name.
        """
        require_new(folder)
        with self.lock("prepare"):
            suite = self._build_suite(study, self.plan(study).runs[0], log.info)
        with new_folder(folder, "suite") as part:
            shutil.copytree(suite, part)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a name alone among all processes; wait, and say so, while another holds it; see `stilts.locks.hold`."""
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


def _that_can_be_had(conditions: list[Condition], source: Source) -> list[Condition]:
    """Return the conditions without the licensed tasks that are not there; StiltsError for any other missing task."""
    found = []
    for each in conditions:
        tasks = {reference: get_intermediate(reference) for reference in each.all_tasks}
        _refuse_missing([name for name, task in tasks.items() if not task.licensed], source)
        absent = {name: reason for name in tasks if (reason := source.missing(name))}
        for name, reason in absent.items():
            log.warning("condition %s goes without %s: %s", each.name, name, reason)
        left = [tuple(name for name in stage if name not in absent) for stage in (*each.before, each.tasks)]
        if absent and not all(left):  # with a stage less it would be another condition
            log.warning("the study goes without condition %s", each.name)
            continue
        found.append(each.model_copy(update={"before": tuple(left[:-1]), "tasks": left[-1]}))
    return found


def _refuse_missing(tasks: list[str], source: Source) -> None:
    reasons = [f"{task}: {reason}" for task in tasks if (reason := source.missing(task))]
    if reasons:
        raise StiltsError("the study names tasks whose data are not there: " + "; ".join(reasons))


def _check_per_task(study: Study, conditions: list[Condition]) -> None:
    known = {*TARGETS, *INTERMEDIATES, MULTI, *(each.name for each in conditions)}
    for task in study.per_task:
        if task not in known:
            raise UnknownName("task or condition of per_task", task, known)


def _check_source_languages(study: Study, conditions: list[Condition], targets: Sequence[str] = ()) -> None:
    """Check the source languages of conditions, and that none has rows of the tests of a target that comes after it."""
    known = (SOURCE_LANGUAGE, *study.data.source_languages)
    for each in conditions:
        tasks = [get_intermediate(reference) for reference in each.all_tasks]
        check_sources(tasks, targets, study.data.source_languages)
        for task in tasks:
            if task.source_language not in known:
                kind = f"language of '{task.reference}' (condition {each.name}) in data.source_languages"
                raise UnknownName(kind, task.source_language, known)


def _check_languages(study: Study, targets: list[Task], conditions: list[Condition], source: Source) -> None:
    """Check that what a study names of languages is there: a target keeps one at least, a language some task.

    Of the others a suite says, language by language, why a task lacks them.

    Raises
    ------
    UnknownName
        If the suite has no such language.
    StiltsError
        If a target has none of the languages that it is to be evaluated in, no task of the study has one of them, or
        the data of an intermediate task are wanted in a language that lacks them.
    """
    data, evaluated = study.data.languages, study.evaluation.languages
    read = [get_intermediate(reference) for each in conditions for reference in each.all_tasks]
    spoken = [task for task in read if task.source_language != SOURCE_LANGUAGE]
    if data == evaluated == "all" and not spoken:
        return
    _check_evaluated(data, evaluated)
    named = list(dict.fromkeys(language for each in (data, evaluated) if each != "all" for language in each))
    absent = source.left_out(replace(_request(study), languages=named))
    for task in spoken:
        if reason := absent.get(task.family or task.name, {}).get(task.source_language):
            raise StiltsError(f"intermediate task '{task.reference}' cannot be had: {reason}")
    wanted = data if evaluated == "all" else evaluated
    for target in targets if wanted != "all" else ():
        lacking = absent.get(target.name, {})
        if all(language in lacking for language in wanted):
            reasons = "; ".join(f"{language}: {lacking[language]}" for language in wanted)
            raise StiltsError(f"target '{target.name}' has no test set in a language that the study names ({reasons})")
    # Texts of many languages are data of a language too.
    tasks = [target.name for target in targets]
    tasks += [task.name for task in read if "{language}" not in task.config]
    for language in named:
        if language != SOURCE_LANGUAGE and all(language in absent.get(task, {}) for task in tasks):
            reasons = "; ".join(f"{task}: {absent[task][language]}" for task in dict.fromkeys(tasks))
            raise StiltsError(f"no task of the study has language '{language}' ({reasons}); take it out of the study")


def _check_evaluated(data: Sequence[str] | Literal["all"], evaluated: Sequence[str] | Literal["all"]) -> None:
    """Check that the languages of the evaluation are among those of the data."""
    for language in evaluated if "all" not in (data, evaluated) else ():
        if language not in (SOURCE_LANGUAGE, *data):
            raise StiltsError(
                f"evaluation.languages: {language} is none of data.languages ({', '.join(data)}); add it there"
            )


def _check_families(study: Study, conditions: list[Condition]) -> None:
    for each in conditions:
        for task in map(get_intermediate, each.all_tasks):
            if task.family and task.family not in study.data.families:
                raise StiltsError(
                    f"condition {each.name}: task '{task.name}' is of family '{task.family}', which data.families does "
                    f"not ask for ({', '.join(study.data.families) or 'none'}); add it there"
                )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StiltsError(
            f"cannot write to {folder}: {error.strerror or error}; free space, or set STILTS_RUNS to another folder"
        ) from error


def _request(study: Study) -> Request:
    data = study.data
    languages = None if data.languages == "all" else data.languages
    return Request(data.seed, data.sizes, languages, data.source_languages, data.families)


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
