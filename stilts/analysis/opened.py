"""The input of an analysis notebook: the records of one study, and bootstrap replicates of its scores."""

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.analysis import chance, learning, room
from stilts.analysis.bootstrap import Replicates, read_counts, resample
from stilts.analysis.wording import join_words
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.records import RECORDS, Record, Store, tabulate_scores
from stilts.study.runs import TrainingRunSettings, ZeroShotRunSettings
from stilts.study.settings import BASELINE, Condition, Study
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
        Checkout that contains the records.
    settings : Study
    records : tuple of Record
        Empty if nothing is recorded yet.
    planned : bool
        Whether the records are those of the study's current plan, with this machine's packages and data. If not, they
        are the committed ones, with the settings, versions and data that they state.
    resamples, seed : int
        Number of bootstrap replicates, and seed of the random generator.
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
        """Bootstrap replicates by target, in the order of the task registry; empty if nothing is recorded."""
        if not self.recorded:
            return {}
        counts = read_counts(self.store, self.records)
        ordered = {name: counts[name] for name in sort_by_order(counts, TARGETS)}
        drawn = resample(ordered, self.resamples, self.generator())
        return {name: drawn[name] for name in ordered}

    @cached_property
    def dev_scores(self) -> "pd.DataFrame":
        """English dev score of each target training, see `learning.tabulate_dev_scores`."""
        return learning.tabulate_dev_scores(self.records, self.guessing)

    @cached_property
    def guessing(self) -> "pd.DataFrame":
        """Scores by guessing on the dev and test sets of runs, see `chance.read_guessing_notes`."""
        return chance.read_guessing(self.records, self.store)

    @cached_property
    def floors(self) -> dict[str, float]:
        """Scores by guessing on test sets with labels, see `stilts.analysis.chance.average_test_floors`."""
        return chance.average_test_floors(self.records, self.guessing)

    @cached_property
    def failed(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells whose target was not learned in English, with the reason."""
        heads = learning.tabulate_head_scores(self.records, self.guessing)
        return learning.find_not_learned(self.dev_scores) | learning.find_not_learned(heads, "test")

    @cached_property
    def frozen_layers(self) -> dict[str, int]:
        """Number of lowest layers that intermediate training froze, by condition."""
        return room.find_frozen_layers(self.records)

    @cached_property
    def read_layers(self) -> dict[str, int]:
        """Hidden layer after which retrieval and mining are read, by target; see `room.find_read_layers`."""
        return room.find_read_layers(self.records)

    @cached_property
    def encoder_layers(self) -> int:
        """Number of the encoder's hidden layers; 0 if it is not known."""
        shape = self.checkout.find_shape(self.settings.encoder)
        return shape.layers if shape else 0

    @cached_property
    def without_room(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells that had no room for an effect, with the reason."""
        return room.find_without_room(self.replicates, self.frozen_layers, self.read_layers, self.encoder_layers)

    @cached_property
    def single_seeds(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells of one seed beside others of several, with the reason."""
        return learning.find_single_seeds(self.replicates)

    @cached_property
    def set_aside(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells that do not count, learned or not, with the reason.

        They had no room for an effect, or one seed where other conditions have several.
        """
        return self.single_seeds | self.without_room

    @property
    def uncounted(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells that no average, test or verdict holds, with the reason."""
        return self.set_aside | self.failed

    @cached_property
    def counted(self) -> dict[str, Replicates]:
        """Replicates on which averages, tests and verdicts are based."""
        return learning.keep_counted(self.replicates, self.uncounted)

    @cached_property
    def counted_with_failures(self) -> dict[str, Replicates]:
        """Those of `counted` and of the conditions under which a target that the baseline has learned was not."""
        kept = {key: why for key, why in self.failed.items() if key[0] == BASELINE}
        return learning.keep_counted(self.replicates, self.set_aside | kept)

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """One row per zero-shot run and language."""
        return tabulate_scores(self.records)

    @property
    def recorded(self) -> bool:
        """Whether the study has zero-shot records."""
        return bool(self.phase("zero-shot"))

    @property
    def conditions(self) -> dict[str, tuple[str, ...]]:
        """The study's conditions with a record, in its order, with the tasks of their last intermediate stage."""
        return {name: each.tasks for name, each in self._recorded_conditions.items()}

    @property
    def trained_tasks(self) -> set[str]:
        """Intermediate tasks of the conditions with a record, in whichever stage."""
        return {task for each in self._recorded_conditions.values() for task in each.all_tasks}

    @property
    def _recorded_conditions(self) -> dict[str, Condition]:
        """Conditions as their runs have them; a stage that some of them share is none."""
        with_condition = TrainingRunSettings | ZeroShotRunSettings
        runs = [record.run for record in self.records if isinstance(record.run.settings, with_condition)]
        own = set(self.settings.condition_names)
        return {run.condition: run.settings.condition for run in runs if run.condition in own}

    @property
    def languages(self) -> list[str]:
        """Languages with a zero-shot score, English among them."""
        return sorted(set(self.scores["language"]))

    def phase(self, phase: str) -> list[Record]:
        """Return the records of one phase."""
        return [record for record in self.records if record.run.phase == phase]

    def generator(self) -> np.random.Generator:
        """Return a new random generator, always in the same state."""
        return np.random.default_rng(self.seed)


def sort_by_order(things: Iterable, order: Iterable[str], name: Callable[[Any], str] = str) -> list:
    """Return things sorted by the position of their name in `order`; things that are not in it come last."""
    places = {known: place for place, known in enumerate(order)}
    return sorted(things, key=lambda thing: places.get(name(thing), len(places)))


def find_records(checkout: Checkout, study: Study) -> tuple[list[Record], bool]:
    """Return the records of a study's planned runs; if no planned training is recorded, the study's committed records.

    Runs without training do not count, since studies with different training share them.

    Returns
    -------
    records : list of Record
        In the order of the study's file; empty if there are none.
    planned : bool
        Whether they are runs of the plan.

    Raises
    ------
    StiltsError
        If two committed records are of one condition, target and seed: tables would hold the scores of both.
    """
    planned = _planned_records(checkout, study)
    if any(record.run.parents for record in planned):
        return planned, True
    conditions = study.condition_names
    committed = sort_by_order(
        _committed_records(checkout, study, conditions), conditions, lambda record: record.run.condition
    )
    return (committed, False) if committed else (planned, True)


def _committed_records(checkout: Checkout, study: Study, conditions: Collection[str]) -> list[Record]:
    """Return the committed records of a study; if it is recorded as another study, those of its own runs there."""
    folder = checkout.results / (study.recorded_as or study.name) / RECORDS
    records = list(Store(folder))
    if study.recorded_as:
        own = (None, *study.targets)
        records = [each for each in records if each.run.condition in conditions and each.run.target in own]
    if repeated := _find_repeated(records):
        raise StiltsError(
            f"{folder}: {join_words(repeated)} are records of the same condition, target and seed with other settings "
            "or data; remove those of the older plan"
        )
    return records


def _find_repeated(records: Iterable[Record]) -> list[str]:
    """Return the ids of the first records of one phase that share condition, target and seed; none if none do."""
    ids: dict[tuple, list[str]] = {}
    for run in (record.run for record in records if record.run.target):
        ids.setdefault((run.phase, run.condition, run.target, run.seed), []).append(run.id)
    return next((same for same in ids.values() if len(same) > 1), [])


def _planned_records(checkout: Checkout, study: Study) -> list[Record]:
    """Return the records of planned runs; none if this machine does not have the data that determine the runs' ids."""
    try:
        runs = resolve(study, checkout).runs
    except UnknownName:  # a mistake in the study's file
        raise
    except StiltsError as error:
        log.info("study %s: its runs cannot be planned here (%s); its committed records are shown", study.name, error)
        return []
    store = checkout.store()
    found = [store.find(run.id) for run in runs]
    return [record for record in found if record is not None]


def open_analysis(checkout: Checkout, study: str, resamples: int = 2000, seed: int = 0) -> Analysis:
    """Return the analysis of a study.

    Raises
    ------
    UnknownName
        If there is no study of that name.
    StiltsError
        If it has no zero-shot records; the error names the command that makes them.
    """
    opened = open_if_recorded(checkout, study, resamples, seed)
    if opened is None:
        raise StiltsError(f"study '{study}' has no zero-shot records yet; run `stilts run {study}` first")
    return opened


def open_if_recorded(checkout: Checkout, study: str, resamples: int = 2000, seed: int = 0) -> Analysis | None:
    """Return the analysis of a study, or None if it has no zero-shot records."""
    opened = open_study(checkout, study, resamples, seed)
    return opened if opened.recorded else None


def open_study(checkout: Checkout, study: str, resamples: int = 2000, seed: int = 0) -> Analysis:
    """Return the analysis of a study, which may have no records yet. Raises UnknownName if there is no such study."""
    settings = checkout.study(study)
    records, planned = find_records(checkout, settings)
    return Analysis(checkout, settings, tuple(records), planned, resamples, seed)
