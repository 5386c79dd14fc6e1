"""The plan of a study: its settings resolved against the task registry, the source of its data and its encoders."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from stilts.sources import xtreme
from stilts.sources.pocket import source as pocket
from stilts.sources.suite import Request
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.planning import group_jobs
from stilts.study.records import Store
from stilts.study.runs import Job, Run
from stilts.study.settings import SOURCE_LANGUAGE, Condition, Study
from stilts.tasks.registry import (
    INTERMEDIATES,
    MULTI,
    TARGETS,
    Task,
    check_sources,
    get_intermediate,
    get_target,
    measured_tasks,
    study_conditions,
)
from stilts.workspace.limits import check_number

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


def resolve_tasks(
    study: Study, source: Source, *, has_data: bool
) -> tuple[list[Condition], list[Condition], list[Task]]:
    """Return a study's conditions, those that are measured besides, and its targets, as the source can give them.

    Parameters
    ----------
    has_data : bool
        Whether what the source lacks counts: without a data folder it lacks all.

    Raises
    ------
    UnknownName, StiltsError
        If the study names a task, a language or a condition that is not known, or what the source does not have.
    """
    conditions, measured = study_conditions(study), measured_tasks(study)
    _check_per_task(study, conditions)
    _check_source_languages(study, conditions, study.targets)
    _check_source_languages(study, measured)
    _check_families(study, [*conditions, *measured])
    targets = [get_target(name, study.data.suite) for name in study.targets]
    check_number(len(study.seeds), len(conditions), len(targets))
    if has_data:
        conditions, measured = (_that_can_be_had(each, source) for each in (conditions, measured))
        _refuse_missing([task.name for task in targets], source)
    _check_languages(study, targets, [*conditions, *measured], source)
    return conditions, measured, targets


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
    absent = source.left_out(replace(request_of(study), languages=named))
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
    tasks += [task.name for task in read if task.multilingual]
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


def request_of(study: Study) -> Request:
    """Return what a study asks of the source of its data."""
    data = study.data
    languages = None if data.languages == "all" else data.languages
    return Request(data.seed, data.sizes, languages, data.source_languages, data.families)


def recorded_runs(plan: Plan, store: Store) -> set[str]:
    """Return the ids of a plan's runs that have a record; a corrupt record is set aside and counts as none."""
    return {run_id for run_id in plan.by_id.keys() & store.names() if run_id in store}


def pending(plan: Plan, recorded: Collection[str]) -> list[Job]:
    """Return the jobs with a run that has no record."""
    return [job for job in plan.jobs if any(run.id not in recorded for run in job.runs)]
