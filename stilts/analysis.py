"""What an analysis notebook opens: the records of one study, and the bootstrap replicates drawn from them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.errors import StiltsError, UnknownName
from stilts.linguistics import language_table
from stilts.records import Record, Store, tidy
from stilts.statistics import (
    SOURCE_LANGUAGE,
    Replicates,
    baseline_by_language,
    by_language_and_condition,
    gains,
    read_counts,
    resample,
)
from stilts.tasks import TARGETS
from stilts.workspace import Workspace, workspace

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown


@dataclass(frozen=True)
class Analysis:
    """The records of one study, opened for tables and figures.

    Attributes
    ----------
    study : str
    store : Store
    records : tuple of Record
    planned : bool
        Whether the records are runs of the study as its file and this machine's packages have it now. If not, they are
        the committed ones, made with the settings and versions that they state.
    resamples, seed : int
        Bootstrap replicates, and the state that draws them.
    """

    study: str
    store: Store
    records: tuple[Record, ...]
    planned: bool
    resamples: int
    seed: int

    @cached_property
    def replicates(self) -> dict[str, Replicates]:
        """Bootstrap replicates by target, in the order of the task registry."""
        counts = read_counts(self.store, self.records)
        ordered = {name: counts[name] for name in in_order(counts, TARGETS)}
        drawn = resample(ordered, self.resamples, self.generator())
        return {name: drawn[name] for name in ordered}

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """One row per zero-shot run and language."""
        return tidy(self.records)

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
    store = here.store()
    found = [store.find(run.id) for run in here.plan(settings).runs]
    planned = [record for record in found if record is not None]
    committed = list(Store(here.root / "results" / settings.name / "records"))
    if not committed or any(record.run.parents for record in planned):
        return planned, True
    conditions = [entry if isinstance(entry, str) else entry.name for entry in settings.intermediates]
    return in_order(committed, conditions, lambda record: record.run.condition), False


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
    here = workspace()
    records, planned = find_records(here, study)
    if not any(record.run.phase == "zero-shot" for record in records):
        return None
    return Analysis(study, here.store(), tuple(records), planned, resamples, seed)


def gains_of(analysis: Analysis | None) -> "pd.DataFrame":
    """Return the gains of an analysis as `stilts.statistics.gains` does; none where there is no analysis."""
    import pandas as pd

    table = gains(analysis.replicates) if analysis else pd.DataFrame()
    return table if len(table) else pd.DataFrame(columns=["condition", "target", "gain", "low", "high"], dtype=float)


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
    """Return computed prose for a notebook cell to display."""
    from IPython.display import Markdown

    return Markdown(text)


def count(things: Sequence, noun: str) -> str:
    """Return how many there are, with the noun in its number: "1 seed", "3 seeds"."""
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


def listed(names: Sequence[str]) -> str:
    """Return names in code type with commas and an "and"."""
    marked = [f"`{name}`" for name in names]
    return " and ".join(marked) if len(marked) < 3 else ", ".join(marked[:-1]) + f" and {marked[-1]}"
