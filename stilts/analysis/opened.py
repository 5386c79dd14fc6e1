"""What an analysis notebook opens: the records of one study, and the bootstrap replicates drawn from them."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.analysis import chance, learning
from stilts.analysis.bootstrap import Replicates, read_counts, resample
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import Record, Store, tabulate_scores
from stilts.study.settings import Study
from stilts.tasks.registry import TARGETS
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import resolve

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Analysis:
    """The records of one study, opened for tables and figures.

    Attributes
    ----------
    checkout : Checkout
        Where they stand.
    settings : Study
    records : tuple of Record
        None where nothing is recorded yet.
    planned : bool
        Whether the records are runs of the study as its file and this machine's packages and data have it now. If not,
        they are the committed ones, made with the settings, versions and data that they state.
    resamples, seed : int
        Bootstrap replicates, and the state that draws them.
    """

    checkout: Checkout
    settings: Study
    records: tuple[Record, ...]
    planned: bool
    resamples: int
    seed: int

    @property
    def study(self) -> str:
        """Name of the study."""
        return self.settings.name

    @cached_property
    def store(self) -> Store:
        """All records of the checkout."""
        return self.checkout.store()

    @cached_property
    def replicates(self) -> dict[str, Replicates]:
        """Bootstrap replicates by target, in the order of the task registry; none where nothing is recorded."""
        if not self.recorded:
            return {}
        counts = read_counts(self.store, self.records)
        ordered = {name: counts[name] for name in sort_by_order(counts, TARGETS)}
        drawn = resample(ordered, self.resamples, self.generator())
        return {name: drawn[name] for name in ordered}

    @cached_property
    def dev_scores(self) -> "pd.DataFrame":
        """Return the English dev score of each training of a target, see `learning.tabulate_dev_scores`."""
        return learning.tabulate_dev_scores(self.records, self.guessing)

    @cached_property
    def guessing(self) -> "pd.DataFrame":
        """Return what guessing scores on the dev and test sets of runs, see `chance.read_guessing_notes`."""
        return chance.read_guessing(self.records, self.store)

    @cached_property
    def floors(self) -> dict[str, float]:
        """What guessing scores on test sets with labels, see `stilts.analysis.chance.average_test_floors`."""
        return chance.average_test_floors(self.records, self.guessing)

    @cached_property
    def failed(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells whose target was not learned in English, and why."""
        return learning.find_not_learned(self.dev_scores)

    @cached_property
    def learned(self) -> dict[str, Replicates]:
        """The replicates of what was learned: what averages, tests and verdicts rest on."""
        return learning.keep_learned(self.replicates, self.failed)

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """One row per zero-shot run and language."""
        return tabulate_scores(self.records)

    @property
    def recorded(self) -> bool:
        """Whether there is a zero-shot record."""
        return bool(self.phase("zero-shot"))

    @property
    def conditions(self) -> dict[str, tuple[str, ...]]:
        """Conditions with a record, in the order of the study, and the intermediate tasks of each."""
        return {record.run.condition: record.run.settings.condition.tasks for record in self.records}

    @property
    def languages(self) -> list[str]:
        """Languages with a zero-shot score, English among them."""
        return sorted(set(self.scores["language"]))

    def phase(self, phase: str) -> list[Record]:
        """Return the records of one phase."""
        return [record for record in self.records if record.run.phase == phase]

    def generator(self) -> np.random.Generator:
        """Return a fresh random generator; each starts in the same state."""
        return np.random.default_rng(self.seed)


def sort_by_order(things: Iterable, order: Iterable[str], name: Callable[[Any], str] = str) -> list:
    """Return things by the place of their name in an order; those that it does not hold last, as they came."""
    places = {known: place for place, known in enumerate(order)}
    return sorted(things, key=lambda thing: places.get(name(thing), len(places)))


def find_records(checkout: Checkout, study: Study) -> tuple[list[Record], bool]:
    """Return the records of a study's planned runs; where none that trained is there, the committed ones of that study.

    Untrained runs do not count: studies that differ in training share them.

    Returns
    -------
    records : list of Record
        In the order of the study's file; empty where there are none at all.
    planned : bool
        Whether they are runs of the plan.
    """
    planned = _planned_records(checkout, study)
    conditions = [entry if isinstance(entry, str) else entry.name for entry in study.intermediates]
    committed = _committed_records(checkout, study, conditions)
    if not committed or any(record.run.parents for record in planned):
        return planned, True
    return sort_by_order(committed, conditions, lambda record: record.run.condition), False


def _committed_records(checkout: Checkout, study: Study, conditions: Collection[str]) -> list[Record]:
    """Committed records of a study; of the one that it is recorded with, those of its conditions and targets."""
    if study.recorded_as is None:
        return list(Store(checkout.root / "results" / study.name / "records"))
    records = Store(checkout.root / "results" / study.recorded_as / "records")
    return [
        record
        for record in records
        if record.run.condition in conditions and record.run.target in (None, *study.targets)
    ]


def _planned_records(checkout: Checkout, study: Study) -> list[Record]:
    """Records of the runs of a plan; none where this machine lacks the data that the names of the runs depend on."""
    try:
        runs = resolve(study, checkout).runs
    except UnknownName:  # a mistake in the study's file
        raise
    except StiltsError as error:
        log.info("study %s: no runs can be named here (%s); its committed records are shown", study.name, error)
        return []
    store = checkout.store()
    found = [store.find(run.id) for run in runs]
    return [record for record in found if record is not None]


def open_analysis(checkout: Checkout, study: str, resamples: int = 2000, seed: int = 0) -> Analysis:
    """Open the records of a study.

    Raises
    ------
    UnknownName
        If there is no study of that name.
    StiltsError
        If it has no zero-shot record; says which command makes them.
    """
    opened = open_if_recorded(checkout, study, resamples, seed)
    if opened is None:
        raise StiltsError(f"study '{study}' has no zero-shot records yet; run `stilts run {study}` first")
    return opened


def open_if_recorded(checkout: Checkout, study: str, resamples: int = 2000, seed: int = 0) -> Analysis | None:
    """Open the records of a study, or return None where it has no zero-shot record."""
    opened = open_study(checkout, study, resamples, seed)
    return opened if opened.recorded else None


def open_study(checkout: Checkout, study: str, resamples: int = 2000, seed: int = 0) -> Analysis:
    """Open whatever a study has on record, which may be nothing yet; UnknownName if there is no study of that name."""
    settings = checkout.study(study)
    records, planned = find_records(checkout, settings)
    return Analysis(checkout, settings, tuple(records), planned, resamples, seed)
