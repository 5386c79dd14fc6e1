"""What an analysis notebook opens: the records of one study, and the bootstrap replicates drawn from them."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts import chance, learning
from stilts.errors import StiltsError, UnknownName
from stilts.linguistics import language_table
from stilts.markup import code, harmless
from stilts.records import Record, Store, tidy
from stilts.statistics import (
    SOURCE_LANGUAGE,
    Replicates,
    average_gains,
    baseline_by_language,
    by_language_and_condition,
    gains,
    read_counts,
    resample,
)
from stilts.study import Study
from stilts.tasks import TARGETS
from stilts.workspace import Workspace, workspace

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown

log = logging.getLogger(__name__)

GAIN_COLUMNS = {
    **dict.fromkeys(("condition", "target"), str),
    **dict.fromkeys(("baseline_score", "score", "gain", "low", "high", "p", "p_holm"), float),
    **dict.fromkeys(("excludes_zero", "survives_holm", "learned"), bool),
}


@dataclass(frozen=True)
class Analysis:
    """The records of one study, opened for tables and figures.

    Attributes
    ----------
    study, suite : str
    store : Store
    records : tuple of Record
        None where nothing is recorded yet.
    planned : bool
        Whether the records are runs of the study as its file and this machine's packages and data have it now. If not,
        they are the committed ones, made with the settings, versions and data that they state.
    resamples, seed : int
        Bootstrap replicates, and the state that draws them.
    """

    study: str
    suite: str
    store: Store
    records: tuple[Record, ...]
    planned: bool
    resamples: int
    seed: int

    @cached_property
    def replicates(self) -> dict[str, Replicates]:
        """Bootstrap replicates by target, in the order of the task registry; none where nothing is recorded."""
        if not self.recorded:
            return {}
        counts = read_counts(self.store, self.records)
        ordered = {name: counts[name] for name in in_order(counts, TARGETS)}
        drawn = resample(ordered, self.resamples, self.generator())
        return {name: drawn[name] for name in ordered}

    @cached_property
    def dev_scores(self) -> "pd.DataFrame":
        """Return the English dev score of each training of a target, see `stilts.learning.dev_scores`."""
        return learning.dev_scores(self.records, self.guessing)

    @cached_property
    def guessing(self) -> "pd.DataFrame":
        """Return what guessing scores on the dev and test sets of runs, see `stilts.chance.noted`."""
        return chance.guessing(self.records, self.store)

    @cached_property
    def floors(self) -> dict[str, float]:
        """What guessing scores on the test sets of targets with labels, see `stilts.chance.test_floors`."""
        return chance.test_floors(self.records, self.guessing)

    @cached_property
    def failed(self) -> dict[tuple[str, str], str]:
        """Condition and target of the cells whose target was not learned in English, and why."""
        return learning.not_learned(self.dev_scores)

    @cached_property
    def learned(self) -> dict[str, Replicates]:
        """The replicates of what was learned: what averages, tests and verdicts rest on."""
        return learning.learned_parts(self.replicates, self.failed)

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """One row per zero-shot run and language."""
        return tidy(self.records)

    @property
    def recorded(self) -> bool:
        """Whether there is a zero-shot record."""
        return bool(self.phase("zero-shot"))

    @property
    def conditions(self) -> dict[str, tuple[str, ...]]:
        """Conditions with a record, in the order of the study, and the intermediate tasks of each."""
        return {record.run.condition: tuple(record.run.settings["condition"]["tasks"]) for record in self.records}

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


def in_order(things: Iterable, order: Iterable[str], name: Callable[[Any], str] = str) -> list:
    """Return things by the place of their name in an order; those that it does not hold last, as they came."""
    places = {known: place for place, known in enumerate(order)}
    return sorted(things, key=lambda thing: places.get(name(thing), len(places)))


def find_records(here: Workspace, study: str) -> tuple[list[Record], bool]:
    """Return the records of a study's planned runs; where none that trained is there, the committed ones of that study.

    Untrained runs do not count: studies that differ in training share them.

    Returns
    -------
    records : list of Record
        In the order of the study's file; empty where there are none at all.
    planned : bool
        Whether they are runs of the plan.
    """
    settings = here.study(study)
    planned = _planned_records(here, settings)
    conditions = [entry if isinstance(entry, str) else entry.name for entry in settings.intermediates]
    committed = _committed_records(here, settings, conditions)
    if not committed or any(record.run.parents for record in planned):
        return planned, True
    return in_order(committed, conditions, lambda record: record.run.condition), False


def _committed_records(here: Workspace, settings: Study, conditions: Collection[str]) -> list[Record]:
    """Committed records of a study; of the one that it is recorded with, those of its conditions and targets."""
    if settings.recorded_as is None:
        return list(Store(here.root / "results" / settings.name / "records"))
    records = Store(here.root / "results" / settings.recorded_as / "records")
    return [
        record
        for record in records
        if record.run.condition in conditions and record.run.target in (None, *settings.targets)
    ]


def _planned_records(here: Workspace, settings: Study) -> list[Record]:
    """Records of the runs of a plan; none where this machine lacks the data that the names of the runs depend on."""
    try:
        runs = here.plan(settings).runs
    except UnknownName:  # a mistake in the study's file
        raise
    except StiltsError as error:
        log.info("study %s: no runs can be named here (%s); its committed records are shown", settings.name, error)
        return []
    store = here.store()
    found = [store.find(run.id) for run in runs]
    return [record for record in found if record is not None]


def open_analysis(study: str, resamples: int = 2000, seed: int = 0) -> Analysis:
    """Open the records of a study.

    Raises
    ------
    UnknownName
        If there is no study of that name.
    StiltsError
        If it has no zero-shot record; says which command makes them.
    """
    opened = open_if_recorded(study, resamples, seed)
    if opened is None:
        raise StiltsError(f"study '{study}' has no zero-shot records yet; run `stilts run {study}` first")
    return opened


def open_if_recorded(study: str, resamples: int = 2000, seed: int = 0) -> Analysis | None:
    """Open the records of a study, or return None where it has no zero-shot record."""
    opened = open_study(study, resamples, seed)
    return opened if opened.recorded else None


def open_study(study: str, resamples: int = 2000, seed: int = 0) -> Analysis:
    """Open whatever a study has on record, which may be nothing yet; UnknownName if there is no study of that name."""
    here = workspace()
    records, planned = find_records(here, study)
    return Analysis(study, here.study(study).data.suite, here.store(), tuple(records), planned, resamples, seed)


def gains_of(analysis: Analysis | None) -> "pd.DataFrame":
    """Return the gains of an analysis as `stilts.statistics.gains` does; no row where nothing can be compared."""
    return _with_columns(gains(analysis.replicates, analysis.failed) if analysis else None, GAIN_COLUMNS)


def average_gains_of(analysis: Analysis) -> "pd.DataFrame":
    """Return the gains averaged over the targets that were learned as `stilts.statistics.average_gains` does."""
    dropped = ("target", "baseline_score", "score", "learned")
    columns = {name: kind for name, kind in GAIN_COLUMNS.items() if name not in dropped}
    return _with_columns(average_gains(analysis.learned), {**columns, "targets": int})


def _with_columns(table: "pd.DataFrame | None", columns: Mapping[str, type]) -> "pd.DataFrame":
    import pandas as pd

    if table is not None and len(table):
        return table
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def retrieval_scores(analysis: Analysis) -> "pd.DataFrame":
    """Return the scores of the retrieval task with its accuracy by layer; StiltsError if no run has any."""
    scores = analysis.scores
    layers = [name for name in scores.columns if name.startswith("layer_")]
    found = scores.dropna(subset=layers) if layers else scores.iloc[:0]
    if found.empty:
        raise StiltsError(f"study '{analysis.study}' has no retrieval run yet; run `stilts run {analysis.study}` first")
    return found


def rows_of(table: "pd.DataFrame", condition: str) -> "pd.DataFrame":
    """Return the rows of one condition; UnknownName if the table has none."""
    known = list(dict.fromkeys(table["condition"]))
    if condition not in known:
        raise UnknownName("condition", condition, known)
    return table[table["condition"] == condition].reset_index(drop=True)


def well_covered(averages: "pd.DataFrame", least: int) -> "pd.DataFrame":
    """Return the languages of `average_language_gains` that take part in so many target tasks at least.

    An average over one task cannot be set beside one over seven. StiltsError if no language takes part in so many.
    """
    kept = averages[averages["targets"] >= least].reset_index(drop=True)
    if kept.empty:
        most = int(averages["targets"].max())
        raise StiltsError(f"no language takes part in {least} target tasks; 'least_targets' can be {most} at most")
    return kept


def with_distances(averages: "pd.DataFrame", cells: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per language other than English: score without, gain, and its distances to English.

    Parameters
    ----------
    averages, cells : DataFrame
        Rows of one condition of `average_language_gains` and of `language_gains`.
    """
    scores = baseline_by_language(cells).rename(columns={"baseline_score": "score without"})
    table = averages.merge(scores, on="language")
    table = table[table["language"] != SOURCE_LANGUAGE]
    facts = language_table(table["language"])
    return table[["language", "score without", "gain"]].merge(facts, left_on="language", right_on="code")


def language_matrix(averages: "pd.DataFrame") -> "pd.DataFrame":
    """Return one row per language with its facts and a column with its gain for each condition."""
    wide = by_language_and_condition(averages)
    facts = language_table(wide["language"])[["name", "code", "family", "script"]]
    return facts.join(wide.drop(columns="language")).rename(columns={"name": "language"})


def say(text: str) -> "Markdown":
    """Return computed prose for a notebook cell to display; see `stilts.markup` for what of Markdown it may have."""
    from IPython.display import Markdown

    shown = Markdown()  # given to it, a text that is an address or the name of a file would be fetched or read
    shown.data = harmless(text)
    return shown


def count(things: Sequence, noun: str) -> str:
    """Return how many there are, with the noun in its number: "1 seed", "3 seeds"."""
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


def listed(names: Sequence[str]) -> str:
    """Return names in code type with commas and an "and"."""
    marked = [code(name) for name in names]
    return " and ".join(marked) if len(marked) < 3 else ", ".join(marked[:-1]) + f" and {marked[-1]}"
