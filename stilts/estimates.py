"""What a plan will cost: seconds and memory of runs not done yet, from records where there are any."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from stilts.records import Record
from stilts.study import Run

# Stated wherever it is used: what one core of a small server does with a 12-layer encoder of width 384 in bf16.
ASSUMED_SECONDS = {"intermediate": 45.0, "target": 30.0, "zero-shot": 20.0}
NOTEBOOK_SECONDS = 6.0  # a kernel that loads torch and transformers, on one core


@dataclass(frozen=True)
class Estimate:
    """Expected cost of one run.

    Attributes
    ----------
    seconds : float
        Wall clock.
    memory_mb : float
        Peak memory; 0 where no record tells.
    measured : bool
        Whether records of like runs stand behind it; else it is an assumption.
    """

    seconds: float
    memory_mb: float
    measured: bool


class Estimator:
    """Expects of a run what like runs on record took: the same phase, task, encoder and, for evaluation, test data.

    Their time is scaled by the number of examples.
    """

    def __init__(self, records: Iterable[Record]):
        self._by_kind: dict[tuple[str, ...], list[Record]] = {}
        for record in records:
            self._by_kind.setdefault(_kind(record.run), []).append(record)

    def __call__(self, run: Run) -> Estimate:
        """Return the expected cost of a run."""
        like = self._by_kind.get(_kind(run), [])
        if not like:
            return Estimate(ASSUMED_SECONDS[run.phase], 0.0, measured=False)
        per_unit = median(record.provenance.seconds / _units(record.run) for record in like)
        memory = max(record.provenance.peak_memory_mb for record in like)
        return Estimate(per_unit * _units(run), memory, measured=True)


def _kind(run: Run) -> tuple[str, ...]:
    # The suite's fingerprint stands for the languages and sizes of the test sets.
    evaluated = run.data if run.phase == "zero-shot" else ""
    return run.phase, run.target or run.condition, run.settings["encoder"]["name"], evaluated


def _units(run: Run) -> float:
    """Training examples, or test examples per language; 1 where the suite alone decides."""
    if "training" in run.settings:
        return run.settings["training"]["examples"] * run.settings["training"]["epochs"]
    return run.settings["evaluation"].get("examples", 1)
