"""Scores by guessing: the share of the most frequent label, and balanced accuracy, which weights all labels equally.

Runs record both with their accuracy, but older records have neither. For these, `python -m stilts.analysis.chance
STUDY` computes both from the suite of the records, if it exists, and writes them to a file beside the records.
"""

import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stilts.sources.splits import load
from stilts.study.records import RECORDS, Record, Store
from stilts.study.runs import Run
from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.guessing import balanced_accuracy, majority
from stilts.tasks.registry import Task, get_intermediate, get_target

if TYPE_CHECKING:
    import pandas as pd

FILE = "chance.csv"
COLUMNS = ["run", "language", "majority", "balanced"]


class GoldLabels:
    """Labels of the rows of suites; each split is read once."""

    def __init__(self, suite_of: Callable[[Run], Path]):
        self._suite_of = suite_of
        self._read = lru_cache(maxsize=None)(_labels)

    def of(self, run: Run, task: Task, language: str, split: str, most: int) -> list[str]:
        """Return the labels of the first `most` rows of a split of a run's suite, named as in predictions."""
        return list(self._read(self._suite_of(run), task, language, split)[:most])


def _labels(suite: Path, task: Task, language: str, split: str) -> tuple[str, ...]:
    return tuple(task.format.gold_labels(load(suite, task, language, split, sys.maxsize)))


def tabulate_chance(store: Store, suite_of: Callable[[Run], Path]) -> "pd.DataFrame":
    """Return a table of `COLUMNS` for all runs of a store whose answers are labels.

    A training has a row for its dev set, a zero-shot run one for the test set of each language.

    Parameters
    ----------
    suite_of : callable
        Returns the folder of a run's suite.
    """
    import pandas as pd

    gold, rows = GoldLabels(suite_of), []
    for record in store:
        task = find_task(record.run)
        if task is None or not task.format.answers_are_labels:
            continue
        if record.run.phase != "zero-shot":
            most = record.run.settings.training.dev_examples
            own = majority(gold.of(record.run, task, task.source_language, "validation", most))
            rows.append((record.id, task.source_language, own, np.nan))
            continue
        predictions = store.predictions(record.id).sort_values("example")
        for language, part in predictions.groupby("language", observed=True):
            own = gold.of(record.run, task, str(language), "test", len(part))
            rows.append((record.id, language, majority(own), balanced_accuracy(own, part["prediction"].tolist())))
    return pd.DataFrame(rows, columns=COLUMNS).round(2)


def find_task(run: Run) -> Task | None:
    """Return the only task that a run trains or tests; None if there is no such task."""
    if run.phase in ("target", "zero-shot"):
        return get_target(str(run.target))
    if run.phase == "intermediate" and len(run.settings.condition.tasks) == 1:
        return get_intermediate(run.settings.condition.tasks[0])
    return None


def read_guessing_notes(records: Iterable[Record], folders: Iterable[Path]) -> "pd.DataFrame":
    """Return a table of `COLUMNS` from records, and from the files `chance.csv` in some folders."""
    import pandas as pd

    rows = [
        {"run": record.id, "language": language, "majority": own["majority"], "balanced": own.get("balanced", np.nan)}
        for record in records
        for language, own in record.metrics.items()
        if "majority" in own
    ]
    kept = [pd.read_csv(folder / FILE) for folder in folders if (folder / FILE).is_file()]
    found = [part for part in (pd.DataFrame(rows, columns=COLUMNS), *kept) if len(part)]
    return pd.concat(found).drop_duplicates(["run", "language"]) if found else pd.DataFrame(columns=COLUMNS)


def read_guessing(records: Iterable[Record], store: Store) -> "pd.DataFrame":
    """Return `read_guessing_notes` of records and of the folders of their store's committed records."""
    return read_guessing_notes(records, [folder.parent for folder in store.recorded])


def average_test_floors(records: Iterable[Record], noted: "pd.DataFrame") -> dict[str, float]:
    """Return the score by guessing on each target's test sets, in percent, averaged over languages other than English.

    Targets without recorded values are left out: for F1 no constant answer scores above 0.
    """
    targets = {record.id: str(record.run.target) for record in records if record.run.phase == "zero-shot"}
    tests = noted[noted["run"].isin(list(targets)) & (noted["language"] != SOURCE_LANGUAGE)]
    return tests.groupby(tests["run"].map(targets))["majority"].mean().to_dict()


def main(study: str) -> None:
    """Write `chance.csv` beside the committed records of a study, from the suites of these records."""
    from stilts.workspace.checkout import find_checkout

    checkout = find_checkout()
    folder = checkout.results / study
    tabulate_chance(Store(folder / RECORDS), checkout.suite_folder).to_csv(folder / FILE, index=False)


if __name__ == "__main__":
    main(sys.argv[1])
