"""The phase `measure`: what is measured of tasks, beside any training that others start from.

`similarity` compares the study's intermediate and target tasks by the prepared encoder, `complexity` says how hard an
intermediate task is to learn. Each takes a run and returns the metrics of its record and the table that stands beside.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stilts.phases.measures.complexity import complexity
from stilts.phases.measures.similarity import similarity

if TYPE_CHECKING:
    import pandas as pd

    from stilts.study.runs import Run
    from stilts.workspace.checkout import Workspace

Metrics = dict[str, dict[str, float]]

_KINDS = {"similarity": similarity, "complexity": complexity}


def measure(
    run: "Run", workspace: "Workspace", state: Mapping[str, Any] | None, measured: dict[str, Any]
) -> "tuple[Metrics, pd.DataFrame]":
    """Return the metrics and the table of a run of phase `measure`.

    Parameters
    ----------
    run : Run
        Its settings hold `encoder` and `suite` as every run's, `measure` (`SimilaritySettings` or `ComplexitySettings`,
        dumped); for similarity `intermediates` and `targets`, lists of task references; for complexity `task`, a task
        reference, and `training`, the settings that the study trains it with.
    state : mapping of str to Tensor, optional
        Weights to start from in place of the prepared encoder's.
    measured : dict
        Gets `examples` and `tokens` that went through the encoder, for the record's provenance.
    """
    return _KINDS[run.settings["measure"]["kind"]](run, workspace, state, measured)
