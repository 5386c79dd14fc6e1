"""The studies of a checkout and how far each is, from their files and from listings of records.

The number of runs and the readable part of their ids need neither an encoder nor data, whose fingerprints decide the
hashes in the ids. Only studies that this machine has records like those of are planned as `stilts plan` does.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from stilts.study.errors import StiltsError
from stilts.study.planning import drop_repeated, plan_runs
from stilts.study.records import RECORDS, Record, Store
from stilts.study.runs import Run
from stilts.study.settings import Study
from stilts.study.storage import list_names
from stilts.tasks.registry import get_target, list_measured_tasks, map_training, resolve_conditions
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import resolve

NOT_RESOLVED = "not-resolved"  # in place of fingerprints


@dataclass(frozen=True)
class StudyState:
    """A study of the checkout and how far it is.

    Attributes
    ----------
    name, title : str
    planned : int
        Number of its runs.
    recorded : int
        Committed records of runs that its file names, with these or earlier settings; those of the study that it is
        `recorded_as`, if it is.
    here : int
        Runs of its plan that this machine has a record of, whichever study it was computed for. Where the study cannot
        be planned, those whose record was computed for it.
    error : str
        Why its file cannot be read; the other fields but the name are then empty.
    """

    name: str
    title: str = ""
    planned: int = 0
    recorded: int = 0
    here: int = 0
    error: str = ""


def list_studies(checkout: Checkout) -> list[StudyState]:
    """Return the states of all studies of a checkout, by name. Raises StiltsError if a folder cannot be read."""
    here = list(Store(checkout.records))
    return [_state(checkout, name, here) for name in checkout.studies()]


def _state(checkout: Checkout, name: str, here: Collection[Record]) -> StudyState:
    try:
        study = checkout.study(name)
        planned = list_planned(study)
    except StiltsError as error:  # the other studies are listed all the same
        return StudyState(name, error=str(error))
    folder = checkout.results / (study.recorded_as or name) / RECORDS
    recorded = _count_recorded(folder, planned)
    return StudyState(name, study.title, len(planned), recorded, _count_here(checkout, study, planned, here))


def list_planned(study: Study) -> list[Run]:
    """Return the runs of a study, whose ids have a wrong hash: fingerprints of encoders and data are left open.

    Raises
    ------
    UnknownName, StiltsError
        If the study names an unknown task, or settings that do not fit.
    """
    trained_as, scored_by = map_training(get_target(name, study.data.suite) for name in study.targets)
    runs = plan_runs(
        study,
        resolve_conditions(study),
        trained_as,
        NOT_RESOLVED,
        dict.fromkeys((None, *study.encoders), NOT_RESOLVED),
        list_measured_tasks(study),
        scored_by,
    )
    return drop_repeated(runs)


def _count_here(checkout: Checkout, study: Study, planned: list[Run], here: Collection[Record]) -> int:
    """Return how many runs of a study are among the records of this machine."""
    slugs = {run.slug for run in planned}
    like = [record for record in here if record.run.slug in slugs]
    if not like:
        return 0
    try:
        ids = {run.id for run in resolve(study, checkout, checked=True).runs}  # what languages lack decides no id
    except StiltsError:  # without its data, or without its encoder
        return len({record.run.slug for record in like if record.provenance.study == study.name})
    return sum(record.id in ids for record in like)


def _count_recorded(folder: Path, planned: list[Run]) -> int:
    slugs = {run.slug for run in planned}
    return sum(find_slug(name) in slugs for name in list_names(folder, ".json", "folder of records"))


def find_slug(run_id: str) -> str:
    """Return the readable part of a run's id."""
    return run_id.rpartition("-")[0]
