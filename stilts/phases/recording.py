"""Clock, predictions and record of a run, for all phases."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from stilts.models.model import find_default_device, resolve_precision
from stilts.study import provenance
from stilts.study.provenance import RunClock, Work
from stilts.study.records import Record
from stilts.study.runs import PretrainingRunSettings, Run, SimilarityRunSettings, ZeroShotRunSettings
from stilts.tasks.formats.evaluation import Scored

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.plan import Plan

State = dict[str, torch.Tensor]  # a model's weights by name
Metrics = dict[str, dict[str, float]]


def find_precision(run: Run) -> str:
    """Return the precision of a run; a run that trains nothing has the same one on all machines."""
    match run.settings:
        case ZeroShotRunSettings(evaluation=evaluation):
            return evaluation.precision
        case SimilarityRunSettings(measure=measure):
            return measure.precision
        case PretrainingRunSettings(pretraining=trained):
            return resolve_precision(trained.precision, find_default_device())
        case settings:
            return resolve_precision(settings.training.precision, find_default_device())


def tabulate_predictions(scored: Scored) -> "pd.DataFrame":
    """Return a language's rows of a record's table of predictions."""
    import pandas as pd

    counts, items = scored.counts, {} if scored.items is None else {"item": list(scored.items)}
    return pd.DataFrame(
        {
            "language": scored.language,
            "example": np.arange(len(scored.predictions), dtype=np.int32),
            "prediction": list(scored.predictions),
            "matches": counts.matches.astype(np.float32),
            "predicted": counts.predicted.astype(np.float32),
            "gold": counts.gold.astype(np.float32),
            **items,
        }
    )


def concatenate(tables: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    """Return one table from several tables of predictions."""
    import pandas as pd

    return pd.concat(tables, ignore_index=True).astype({"language": "category"})


@contextmanager
def clocked(plan: "Plan") -> Iterator[RunClock]:
    """Set the number of threads to that of the plan's jobs, and yield a clock for the run."""
    torch.set_num_threads(plan.study.schedule.threads_per_job)
    with provenance.clocked() as clock:
        yield clock


def write_record(
    run: Run,
    plan: "Plan",
    metrics: Metrics,
    clock: RunClock,
    work: Work,
    *,
    history: Sequence[dict[str, float]] = (),
    at_chance: Sequence[float] = (),
    table: "pd.DataFrame | None" = None,
) -> Record:
    """Write the record of a run and return it; the record of a run that is repeated for its checkpoint is not replaced.

    Parameters
    ----------
    table : DataFrame, optional
        The predictions, or the table of a measure.
    """
    record = Record(
        run=run,
        metrics=metrics,
        history=list(history),
        at_chance=list(at_chance),
        provenance=provenance.collect_provenance(
            plan.checkout.root, plan.study.name, clock, work, find_precision(run)
        ),
    )
    store = plan.checkout.store()
    if run.id not in store:
        record = store.write(record, table)
    plan.checkout.forget_progress(run.id)
    return record
