"""What every phase notes while it works, and the record that it leaves."""

import time
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stilts.models.model import MultiTaskModel, default_device, resolve_precision
from stilts.study import provenance
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import EVALUATION_PRECISION
from stilts.tasks.metrics import Counts
from stilts.training.prediction import counted
from stilts.training.state import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from stilts.workspace.checkout import Workspace


State = dict[str, torch.Tensor]  # a model's weights by name


def precision_of(run: Run) -> str:
    """Return the precision that a run computes in; where it trains nothing it is the same on all machines."""
    if "training" in run.settings:
        return resolve_precision(run.settings["training"]["precision"], default_device())
    settings = run.settings["evaluation" if run.phase == "zero-shot" else "measure"]
    return settings.get("precision", EVALUATION_PRECISION)


def passing(run: Run, workspace: "Workspace", model: MultiTaskModel, count: int) -> dict[str, Any]:
    """Return how an evaluation passes so many inputs through its model: options of `head_outputs` and `embed`."""
    return {
        "batch_tokens": run.settings["evaluation"]["batch_tokens"],
        "precision": precision_of(run),
        "progress": counted(workspace.progress(run.id), count),
    }


def prediction_table(
    language: str, numbers: Sequence[int], predictions: Sequence[str], counts: Counts
) -> "pd.DataFrame":
    """Return a language's rows of the table of predictions that a record keeps."""
    import pandas as pd

    return pd.DataFrame(
        {
            "language": language,
            "example": np.asarray(numbers, dtype=np.int32),
            "prediction": list(predictions),
            "matches": counts.matches.astype(np.float32),
            "predicted": counts.predicted.astype(np.float32),
            "gold": counts.gold.astype(np.float32),
        }
    )


def concatenate(tables: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    """Return tables of predictions as one."""
    import pandas as pd

    return pd.concat(tables, ignore_index=True).astype({"language": "category"})


@contextmanager
def measuring(run: Run, workspace: "Workspace"):
    """Yield a dict that holds start and wall clock afterwards; the body adds examples and tokens."""
    measured: dict[str, Any] = {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    torch.set_num_threads(workspace.threads)
    start = time.perf_counter()
    yield measured
    measured["seconds"] = time.perf_counter() - start


def write_record(
    run: Run,
    workspace: "Workspace",
    metrics: dict,
    measured: dict[str, Any],
    precision: str,
    outcome: Outcome | None = None,
    predictions: "pd.DataFrame | None" = None,
) -> Record:
    """Write the record of a run and return it; one that is done again for its checkpoint keeps its first record."""
    record = Record(
        run=run,
        metrics=metrics,
        history=outcome.history if outcome else [],
        provenance=provenance.collect(workspace.root, workspace.study_name, precision=precision, **measured),
    )
    store = workspace.store()
    if run.id not in store:  # a run that is done again for its checkpoint keeps its first record
        record = store.write(record, predictions)
    workspace.forget_progress(run.id)
    return record
