"""Functions for the phase notebooks: change settings of a study, and run one phase of one condition."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from stilts.phases.runner import complete
from stilts.study.errors import StiltsError, UnknownName, describe_reasons
from stilts.study.records import Record
from stilts.study.settings import Phase, Study, strip_language
from stilts.tasks.registry import get_target, resolve_conditions
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare


def change_settings(study: Study, **changes: Mapping[str, Any]) -> Study:
    """Return a study with some settings replaced.

    Parameters
    ----------
    **changes : mapping
        Block of the study -> {setting: value}, such as ``target_training={"epochs": 2}``; None changes nothing. A
        training setting holds for all tasks and conditions of its phase, and a number of test examples for all targets,
        including those with a value of their own.

    Raises
    ------
    StiltsError
        If a value does not fit its setting, or the study names an unknown task.
    """
    content = study.model_dump()
    for block, values in changes.items():
        given = {setting: _as_languages(setting, value) for setting, value in values.items() if value is not None}
        content[block].update(given)
        if block == "evaluation" and "examples" in given:
            content[block]["per_target"] = {}
        for task in _trained_in(block, study) & content["per_task"].keys():
            content["per_task"][task] = _without(content["per_task"][task], given)
        for each in (entry for entry in content["intermediates"] if isinstance(entry, dict)):
            if block in each:  # a condition's own settings of target training
                each[block] = _without(each[block], given)
    try:
        return Study(**content)
    except ValidationError as error:
        raise StiltsError(f"parameter {describe_reasons(error)}") from None


def _without(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    return {setting: value for setting, value in own.items() if setting not in given}


def _trained_in(block: str, study: Study) -> set[str]:
    """Return the names in `per_task` of the tasks and conditions whose training a block of settings affects."""
    if block == "target_training":
        return {name for target in study.targets for name in (target, get_target(target).training_task)}
    if block != "intermediate_training":
        return set()
    conditions = resolve_conditions(study)
    tasks = {task for each in conditions for task in each.all_tasks}
    return {each.name for each in conditions} | tasks | {strip_language(task) for task in tasks}


def _as_languages(setting: str, value: Any) -> Any:
    if setting == "languages" and isinstance(value, str) and value != "all":
        return [code.strip() for code in value.split(",")]
    return value


def run_phase(plan: Plan, phase: Phase, condition: str, seed: int, targets: str = "all") -> list[Record]:
    """Run the runs of a phase, condition and seed that have no record, and return the records of all.

    Parameters
    ----------
    targets : str
        Target tasks separated by commas, or "all" of the study; ignored by phases without targets.

    Raises
    ------
    UnknownName, StiltsError
        If the study has no such condition, seed or target.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout, force=True)
    wanted = None if phase not in ("target", "zero-shot") or targets == "all" else _target_names(targets, plan.study)
    runs = plan.select(phase, condition, seed, wanted)
    prepare(plan)
    records = []
    for run in runs:
        record = complete(run, plan)
        print(f"{run.id}: {record.provenance.seconds:.1f} s")
        records.append(record)
    return records


def _target_names(targets: str, study: Study) -> list[str]:
    """Return the names in a list: targets of the study, or tasks on which these are trained (for MLQA, XQuAD)."""
    known = _trained_in("target_training", study)
    names = [name.strip() for name in targets.split(",")]
    for name in names:
        if name not in known:
            raise UnknownName(f"target task of study '{study.name}'", name, known)
    return names
