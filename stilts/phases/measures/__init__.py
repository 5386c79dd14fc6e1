"""The phase `measure`: measurements of tasks, whose runs leave no checkpoint.

`measure_similarity` compares the study's intermediate and target tasks with the prepared encoder. `measure_complexity`
measures how hard an intermediate task is to learn. Both take a run and return the metrics and the table of its record.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stilts.phases.measures.complexity import measure_complexity
from stilts.phases.measures.similarity import measure_similarity
from stilts.study.provenance import Work

if TYPE_CHECKING:
    import pandas as pd

    from stilts.study.runs import Run
    from stilts.workspace.checkout import Checkout

Metrics = dict[str, dict[str, float]]

_KINDS = {"similarity": measure_similarity, "complexity": measure_complexity}


def measure(
    run: "Run", checkout: "Checkout", state: Mapping[str, Any] | None
) -> "tuple[Metrics, pd.DataFrame, Work]":
    """Return the metrics and the table of a run of phase `measure`, and the work of the encoder.

    Parameters
    ----------
    run : Run
        With the settings of one of the two measures.
    state : mapping of str to Tensor, optional
        Weights to start from instead of the prepared encoder's.
    """
    return _KINDS[run.settings.measure.kind](run, checkout, state)
