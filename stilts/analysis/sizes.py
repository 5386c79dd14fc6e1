"""Sizes and training settings of studies, from their records."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stilts.analysis.wording import format_rate
from stilts.study.records import Record
from stilts.study.runs import UNTRAINED_SEED, Run
from stilts.study.settings import Study

if TYPE_CHECKING:
    import pandas as pd

PHASES = ("intermediate", "target", "zero-shot")
REAL = ("epochs", "learning_rate")
TRAINING = (
    "examples", *REAL, "batch_size", "frozen_layers", "max_length", "dev_examples", "evaluations",
)  # fmt: skip


def tabulate_sizes(studies: Mapping[str, Iterable[Record]]) -> "pd.DataFrame":
    """Return one row for each study, phase and set of settings.

    Parameters
    ----------
    studies : mapping
        Study -> its records.

    Returns
    -------
    DataFrame
        study, phase, of (conditions of the intermediate phase, targets of the others; `all` if all have the same),
        seeds (their number), examples (maximum for training, or for a language's test set), and for training epochs,
        learning_rate (peak, of the encoder or of adapters in its place), batch_size, frozen_layers, max_length
        (tokens), dev_examples, evaluations.
    """
    import pandas as pd

    rows = [row for study, records in studies.items() for row in _rows(study, list(records))]
    table = pd.DataFrame(rows, columns=["study", "phase", "of", "seeds", *TRAINING])
    return table.astype({name: float if name in REAL else "Int64" for name in TRAINING})


def _rows(study: str, records: list[Record]) -> Iterator[dict[str, Any]]:
    for phase in PHASES:
        named: dict[tuple, dict[str, None]] = {}
        runs = [record.run for record in records if record.run.phase == phase]
        for run in runs:
            named.setdefault(_settings(run), {})[run.target or run.condition] = None
        for settings, names in named.items():
            seeds = {run.seed for run in runs if _settings(run) == settings} - {UNTRAINED_SEED}
            row = {"study": study, "phase": phase, "of": "all" if len(named) == 1 else ", ".join(names)}
            yield row | {"seeds": len(seeds)} | dict(zip(TRAINING, settings, strict=False))


def _settings(run: Run) -> tuple:
    if run.phase == "zero-shot":
        return (run.settings.evaluation.examples,)  # not a limit for retrieval and mining, which read all rows
    training = run.settings.training
    return tuple(training.peak_rate if name == "learning_rate" else getattr(training, name) for name in TRAINING)


def show_sizes(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return `tabulate_sizes` for readers, with rates such as 2e-4 and headings in words."""
    rates = [format_rate(value) for value in table["learning_rate"]]
    epochs = [None if math.isnan(value) else f"{value:g}" for value in table["epochs"]]
    return table.assign(epochs=epochs, learning_rate=rates).rename(columns=lambda name: name.replace("_", " "))



def describe_difference(live: Study, recorded: Study) -> str:
    """State the sizes of two studies of the same design."""
    own, other = _extent(live), _extent(recorded)
    said = ", ".join(f"{number} {what}" for what, number in own.items())
    beside = ", ".join(f"{number} {what}" for what, number in other.items())
    return f"Study `{live.name}` takes {said}; study `{recorded.name}` takes {beside}."


def _extent(study: Study) -> dict[str, int]:
    return {
        "examples for intermediate training": study.training("intermediate").examples,
        "for target training": study.training("target").examples,
        "of a language's test set": study.evaluation.examples,
        f"seed{'' if len(study.seeds) == 1 else 's'}": len(study.seeds),
    }
