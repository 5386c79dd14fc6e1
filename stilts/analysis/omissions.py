"""Tasks and conditions that a study leaves out, with the reason if its file or data give one."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from stilts.analysis.conditions import LANGUAGE_MODEL
from stilts.analysis.opened import Analysis
from stilts.analysis.suite_report import EVERY
from stilts.study.settings import Study
from stilts.tasks.registry import INTERMEDIATES, TARGETS, keep_suite, resolve_conditions

if TYPE_CHECKING:
    import pandas as pd

NOT_NAMED = "the study's file does not name it"
NOT_RECORDED = "named, but without a record yet"


def list_omissions(analysis: Analysis, manifest: Mapping[str, Any]) -> "pd.DataFrame":
    """Return what a study leaves out: kind, name, reason.

    Parameters
    ----------
    manifest : mapping
        The suite's manifest, see `stilts.analysis.suite_report.read_recorded_manifest`. Its reasons take precedence
        over those of the study's file.

    Returns
    -------
    DataFrame
        Rows for intermediate tasks of the published experiment and its conditions without a record, for the suite's
        target tasks without a record, and for conditions without a record of one of the study's targets.
    """
    import pandas as pd

    study = analysis.settings
    named = {task for each in resolve_conditions(study) for task in each.all_tasks}
    wanted = [
        name
        for name, task in keep_suite(INTERMEDIATES, study.data.suite).items()
        if task.in_multi or task.english or name == LANGUAGE_MODEL
    ]
    targets = [name for name, task in keep_suite(TARGETS, study.data.suite).items() if task.rows_of is None]
    rows = [
        *_without(wanted, analysis.trained_tasks, named, manifest, "intermediate task"),
        *_without(targets, set(analysis.replicates), set(study.targets), manifest, "target task"),
        *_gaps(analysis, study),
    ]
    return pd.DataFrame(rows, columns=["kind", "name", "reason"])


def _without(
    wanted: Iterable[str], recorded: set[str], named: set[str], manifest: Mapping[str, Any], kind: str
) -> list[dict[str, str]]:
    without = [name for name in wanted if name not in recorded]
    lacks = {task: languages.get(EVERY) for task, languages in manifest.get("left_out", {}).items()}
    other = {name: NOT_RECORDED if name in named else NOT_NAMED for name in without}
    return [{"kind": kind, "name": name, "reason": lacks.get(name) or other[name]} for name in without]


def _gaps(analysis: Analysis, study: Study) -> list[dict[str, str]]:
    """Return rows for the study's conditions that have no record of one of its targets."""
    rows = []
    for name in study.condition_names:
        have = {target for target, part in analysis.replicates.items() if name in part.conditions}
        lacking = [target for target in study.targets if target not in have]
        if lacking and analysis.recorded:
            missing = "any target" if not have else ", ".join(lacking)
            rows.append({"kind": "condition", "name": name, "reason": f"no record yet of {missing}"})
    return rows
