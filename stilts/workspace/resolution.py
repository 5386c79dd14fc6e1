"""From a study to its plan: settings are resolved against the task registry, the data source and the encoders."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from stilts.models.encoders import find_input_limit, fingerprint_encoder
from stilts.models.known_encoders import find_encoder_shape
from stilts.sources import xtreme
from stilts.sources.borrowing import BorrowingSuite
from stilts.sources.pocket import source as pocket
from stilts.sources.prepared import PreparedSuite, find_prepared
from stilts.sources.suite import Request
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.planning import drop_repeated, plan_runs
from stilts.study.settings import SOURCE_LANGUAGE, Condition, Study
from stilts.tasks.registry import (
    INTERMEDIATES,
    MULTI,
    TARGETS,
    Task,
    check_sources,
    get_intermediate,
    get_target,
    list_measured_tasks,
    map_training,
    resolve_conditions,
)
from stilts.workspace.checkout import Checkout
from stilts.workspace.limits import check_number, check_runs
from stilts.workspace.plan import Plan

log = logging.getLogger(__name__)
T = TypeVar("T")


class Source(Protocol):
    """Builder of a suite: a folder in the Hub's layout with one config for each task and language."""

    def fingerprint(self, request: Request) -> str:
        """Return a short hash of everything that the suite's rows depend on, without building it."""

    def build(self, folder: Path, request: Request, *, report: Callable[[str], None]) -> Path:
        """Write the suite to `folder`, unless a complete one exists there."""

    def texts(self, folder: Path) -> Iterable[str]:
        """Return all texts that may be encoded; of texts that are split into words, the words."""

    def missing(self, task: str) -> str | None:
        """Return why a task is not available; None if it is, or if that is not known yet."""

    def left_out(self, request: Request) -> dict[str, dict[str, str]]:
        """Return the requested languages that tasks do not have: task (or its family) -> language -> reason."""


# Each value opens a source on the study's data folder; the pocket suite reads packages and ignores the folder.
SUITES: dict[str, Callable[[Path | None], Source]] = {"pocket": lambda folder: pocket, "xtreme": xtreme.Suite}


def open_plan(checkout: Checkout, name: str, *, provisional: bool = False, checked: bool = False) -> Plan:
    """Return the plan of a study, given by name or path; see `Checkout.study` and `resolve`."""
    study, reference = checkout.study(name), checkout.reference(name)
    return resolve(study, checkout, reference, provisional=provisional, checked=checked)


def resolve(
    study: Study,
    checkout: Checkout,
    reference: str | None = None,
    *,
    provisional: bool = False,
    checked: bool = False,
) -> Plan:
    """Return a study's plan, without loading or computing anything.

    Parameters
    ----------
    reference : str, optional
        See `Plan`; the study's name by default.
    provisional : bool
        Whether to accept a missing data folder; the runs' ids then differ from those with data.
    checked : bool
        Whether the process that started this one has resolved the study, so that what its tasks have of each language
        is not looked up in the data again: of a short job that takes longer than all the rest of its plan.

    Raises
    ------
    UnknownName
        If the study names an unknown task, language, suite or encoder.
    """
    source = open_source(study, checkout)
    data = source.fingerprint(make_request(study))
    has_data = not (provisional and data.startswith(xtreme.NOT_FETCHED))
    conditions, measured, targets = resolve_tasks(
        study, source, reference or study.name, has_data=has_data, checked=checked
    )
    encoders = {None: study.encoder, **study.encoders}
    places = {name: checkout.encoder_name(encoder) for name, encoder in encoders.items()}
    trained_as, scored_by = map_training(targets)
    runs = plan_runs(
        study,
        conditions,
        trained_as,
        data,
        {name: fingerprint_encoder(places[name], encoder.revision) for name, encoder in encoders.items()},
        measured,
        scored_by,
    )
    runs = drop_repeated(runs)
    shapes = {encoder.name: find_encoder_shape(places[name]) for name, encoder in encoders.items()}
    positions = {encoder.name: find_input_limit(places[name], encoder.revision) for name, encoder in encoders.items()}
    check_runs(runs, _known(shapes), _known(positions))
    return Plan(study, tuple(runs), reference or study.name, checkout)


def _known(values: Mapping[str, T | None]) -> dict[str, T]:
    """Return the items whose value is known before an encoder is loaded."""
    return {name: value for name, value in values.items() if value is not None}


def open_source(study: Study, checkout: Checkout) -> Source:
    """Return the source of a study's suite: without its data folder, the suite itself if it was prepared or unpacked.

    Raises
    ------
    UnknownName
        If there is no such suite.
    StiltsError
        If there are several prepared suites and no data folder.
    """
    if study.data.suite not in SUITES:
        raise UnknownName("suite", study.data.suite, SUITES)
    source = _open_original(study, checkout.data_folder(study))
    if study.data.reads_folder and not checkout.has_data(study):
        prepared = find_prepared(checkout.suites, source.fingerprint(make_request(study)))
        return PreparedSuite(prepared, source) if prepared else source
    return source


def _open_original(study: Study, folder: Path | None) -> Source:
    """Return the source that builds a study's suite from its data folder."""
    if study.data.borrowed:
        return BorrowingSuite(xtreme.Suite(folder), study.data.borrowed)
    return SUITES[study.data.suite](folder)


def resolve_tasks(
    study: Study, source: Source, reference: str, *, has_data: bool, checked: bool = False
) -> tuple[list[Condition], list[Condition], list[Task]]:
    """Return a study's conditions, its conditions that are only measured, and its targets.

    Parameters
    ----------
    reference : str
        What `stilts` opens the study by, for messages.
    has_data : bool
        Whether the data exist; if not, missing tasks are not an error.
    checked : bool
        See `resolve`.

    Raises
    ------
    UnknownName, StiltsError
        If the study names an unknown task, language or condition, or one that the source does not have.
    """
    conditions, measured = resolve_conditions(study), list_measured_tasks(study)
    _check_per_task(study, conditions)
    _check_source_languages(study, conditions, study.targets)
    _check_source_languages(study, measured)
    _check_families(study, [*conditions, *measured])
    targets = [get_target(name, study.data.suite) for name in study.targets]
    check_number(len(study.seeds), len(conditions), len(targets))
    if has_data:
        conditions, measured = (_that_can_be_had(each, source, reference) for each in (conditions, measured))
        _refuse_missing([task.name for task in targets], source, reference)
    if not checked:
        _check_languages(study, targets, [*conditions, *measured], source)
    return conditions, measured, targets


def _that_can_be_had(conditions: list[Condition], source: Source, reference: str) -> list[Condition]:
    """Return the conditions without missing licensed tasks. Raises StiltsError if any other task is missing."""
    found = []
    for each in conditions:
        tasks = {name: get_intermediate(name) for name in each.all_tasks}
        _refuse_missing([name for name, task in tasks.items() if not task.licensed], source, reference)
        absent = {name: reason for name in tasks if (reason := source.missing(name))}
        for name, reason in absent.items():
            log.warning("condition %s: task %s is skipped: %s", each.name, name, reason)
        left = [tuple(name for name in stage if name not in absent) for stage in (*each.before, each.tasks)]
        if absent and not all(left):  # without one of its stages it would be another condition
            log.warning("condition %s is skipped, since one of its stages has no other task", each.name)
            continue
        found.append(each.model_copy(update={"before": tuple(left[:-1]), "tasks": left[-1]}))
    return found


def _refuse_missing(tasks: list[str], source: Source, reference: str) -> None:
    """Raise StiltsError for tasks that a source does not have; `reference` is what `stilts` opens the study by."""
    reasons = [f"{task}: {reason}" for task in tasks if (reason := source.missing(task))]
    if reasons:
        raise StiltsError(
            f"the study names tasks whose data are missing: {'; '.join(reasons)}; `stilts fetch {reference}` downloads "
            "the data, or set STILTS_DATA to a folder that holds them"
        )


def _check_per_task(study: Study, conditions: list[Condition]) -> None:
    known = {*TARGETS, *INTERMEDIATES, MULTI, *(each.name for each in conditions)}
    for task in study.per_task:
        if task not in known:
            raise UnknownName("task or condition of per_task", task, known)
    limited = [name for name in study.targets if name in TARGETS and TARGETS[name].format.trained]
    for target in study.evaluation.per_target:
        if target not in limited:
            raise UnknownName("target with a head of evaluation.per_target", target, limited)


def _check_source_languages(study: Study, conditions: list[Condition], targets: Sequence[str] = ()) -> None:
    """Check the source languages of conditions, and that none trains on test rows of a target."""
    known = (SOURCE_LANGUAGE, *study.data.source_languages)
    for each in conditions:
        tasks = [get_intermediate(reference) for reference in each.all_tasks]
        check_sources(tasks, targets, study.data.source_languages)
        for task in tasks:
            if task.source_language not in known:
                kind = f"language of '{task.reference}' (condition {each.name}) in data.source_languages"
                raise UnknownName(kind, task.source_language, known)
            named = task.family or task.name
            if task.source_language != SOURCE_LANGUAGE and named not in (study.data.source_tasks or (named,)):
                kind = f"task of '{task.reference}' (condition {each.name}) in data.source_tasks"
                raise UnknownName(kind, named, study.data.source_tasks)


def _check_languages(study: Study, targets: list[Task], conditions: list[Condition], source: Source) -> None:
    """Check that each target has at least one of the study's languages, and each language at least one task.

    Raises
    ------
    UnknownName
        If the suite has no such language.
    StiltsError
        If a target has no test set in any language of its evaluation, a language has no task of the study, or an
        intermediate task has no data in its source language.
    """
    data, evaluated = study.data.languages, study.evaluation.languages
    read = [get_intermediate(reference) for each in conditions for reference in each.all_tasks]
    spoken = [task for task in read if task.source_language != SOURCE_LANGUAGE]
    if data == evaluated == "all" and not spoken:
        return
    _check_evaluated(data, evaluated)
    named = list(dict.fromkeys(language for each in (data, evaluated) if each != "all" for language in each))
    absent = source.left_out(replace(make_request(study), languages=named))
    for task in spoken:
        if reason := absent.get(task.family or task.name, {}).get(task.source_language):
            raise StiltsError(f"intermediate task '{task.reference}' is not available: {reason}")
    wanted = data if evaluated == "all" else evaluated
    for target in targets if wanted != "all" else ():
        lacking = absent.get(target.data_task, {})
        if all(language in lacking for language in wanted):
            reasons = "; ".join(f"{language}: {lacking[language]}" for language in wanted)
            raise StiltsError(f"target '{target.name}' has no test set in any language of the study ({reasons})")
    # Multilingual texts are data of each of their languages.
    tasks = [target.data_task for target in targets]
    tasks += [task.name for task in read if task.multilingual]
    for language in named:
        if language != SOURCE_LANGUAGE and all(language in absent.get(task, {}) for task in tasks):
            reasons = "; ".join(f"{task}: {absent[task][language]}" for task in dict.fromkeys(tasks))
            raise StiltsError(f"no task of the study has language '{language}' ({reasons}); remove it from the study")


def _check_evaluated(data: Sequence[str] | Literal["all"], evaluated: Sequence[str] | Literal["all"]) -> None:
    """Check that the languages of the evaluation are among those of the data."""
    for language in evaluated if "all" not in (data, evaluated) else ():
        if language not in (SOURCE_LANGUAGE, *data):
            raise StiltsError(
                f"evaluation.languages: {language} is not in data.languages ({', '.join(data)}); add it there"
            )


def _check_families(study: Study, conditions: list[Condition]) -> None:
    for each in conditions:
        for task in map(get_intermediate, each.all_tasks):
            if task.family and task.family not in study.data.families:
                raise StiltsError(
                    f"condition {each.name}: task '{task.name}' belongs to family '{task.family}', which is not in "
                    f"data.families ({', '.join(study.data.families) or 'none'}); add it there"
                )


def make_request(study: Study) -> Request:
    """Return a study's request to its data source."""
    data = study.data
    languages = None if data.languages == "all" else data.languages
    return Request(data.seed, data.sizes, languages, data.source_languages, data.families, data.source_tasks)
