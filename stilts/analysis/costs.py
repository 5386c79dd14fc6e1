"""Costs of runs, and the speed of the training loop compared with others."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from pydantic import BaseModel, Field

from stilts.analysis.wording import LOOP_TITLES, WORK_TITLES
from stilts.study.errors import StiltsError
from stilts.study.records import Record
from stilts.study.settings import Phase

COLUMNS = (
    "phase", "condition", "target", "seed", "seconds", "examples", "examples/s", "tokens/s", "peak MB", "precision",
    "device",
)  # fmt: skip
THROUGHPUT = Path("results") / "benchmarks" / "throughput.json"


def tabulate_run_costs(records: Iterable[Record]) -> pd.DataFrame:
    """Return one row per run: phase, condition, target, seed, seconds, examples, speed, memory, precision, device."""
    rows = [
        {
            "phase": record.run.phase,
            "condition": record.run.condition,
            "target": record.run.target or "",
            "seed": record.run.seed,
            "seconds": record.provenance.seconds,
            "examples": record.provenance.examples,
            "examples/s": record.provenance.examples_per_second,
            "tokens/s": record.provenance.tokens_per_second,
            "peak MB": record.provenance.peak_memory_mb,
            "precision": record.provenance.precision,
            "device": record.provenance.device,
        }
        for record in records
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def keep_main_device(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `tabulate_run_costs` of the device that computed longest: times of two cannot be added."""
    by_device = runs.groupby("device")["seconds"].sum()
    return runs if by_device.empty else runs[runs["device"] == by_device.idxmax()]


def sum_costs_by_phase(runs: pd.DataFrame) -> pd.DataFrame:
    """Return condition, phase, runs, seconds, summed over `tabulate_run_costs`, in its order of conditions."""
    grouped = runs.groupby(["condition", "phase"], sort=False)["seconds"].agg(["count", "sum"]).reset_index()
    table = grouped.rename(columns={"count": "runs", "sum": "seconds"})
    orders = {"condition": list(dict.fromkeys(runs["condition"])), "phase": list(get_args(Phase))}
    return table.sort_values(list(orders), key=lambda column: column.map(orders[column.name].index), ignore_index=True)


class Loop(BaseModel):
    """Measurements of one training loop by `benchmarks/throughput.py`.

    Attributes
    ----------
    name, description : str
    seconds : float
        Wall-clock time of the training.
    examples : int
        Training examples over all epochs.
    examples_per_second : float
    operations : float
        Floating-point operations that the training takes without padding.
    dev_score : float
        On the English dev set, percent.
    dev_interval : tuple of float
        Its 95 % confidence interval.
    trained_parameters : int
        Number of weights that the loop trains.
    """

    name: str
    description: str
    seconds: float
    examples: int
    examples_per_second: float
    operations: float
    dev_score: float
    dev_interval: tuple[float, float]
    trained_parameters: int


class Work(BaseModel):
    """The recorded comparison of training loops on the same examples; `name` says which weights they train."""

    name: str
    task: str
    settings: dict[str, Any]
    dev_examples: int
    rows: list[Loop] = Field(min_length=1)


class Throughput(BaseModel):
    """The recorded comparisons of training loops on one device.

    Attributes
    ----------
    device : str
    peak : float
        Operations per second of a product of large bfloat16 matrices on it.
    works : list of Work
        The first is that in which each loop trains what it usually trains.
    """

    device: str
    peak: float
    works: list[Work] = Field(min_length=1)


def read_throughput(path: Path) -> Throughput:
    """Return the recorded comparison. Raises StiltsError if the file is missing or invalid."""
    try:
        return Throughput.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StiltsError(
            f"{path}: no measurements of training loops ({error}); restore the committed file, or run "
            "`python benchmarks/throughput.py`"
        ) from None


def tabulate_throughput(work: Work, peak: float) -> pd.DataFrame:
    """Return one row per loop, the slowest first.

    Parameters
    ----------
    peak : float
        Operations per second that the device can do.

    Returns
    -------
    DataFrame
        work, name, description, trained_parameters, seconds, examples_per_second, times (relative to the slowest),
        peak_share (percent), dev_score, dev_low, dev_high (percent).
    """
    rows = [
        {
            "work": work.name,
            "name": loop.name,
            "description": loop.description,
            "trained_parameters": loop.trained_parameters,
            "seconds": loop.seconds,
            "examples_per_second": loop.examples_per_second,
            "times": loop.examples_per_second / min(other.examples_per_second for other in work.rows),
            "peak_share": 100 * loop.operations / loop.seconds / peak,
            "dev_score": loop.dev_score,
            "dev_low": loop.dev_interval[0],
            "dev_high": loop.dev_interval[1],
        }
        for loop in work.rows
    ]
    return pd.DataFrame(rows).sort_values("examples_per_second", ignore_index=True)


def show_loops(table: pd.DataFrame) -> pd.DataFrame:
    """Return `tabulate_throughput` for readers: loop, weights, seconds, speed, share of the peak, dev score.

    Where several works stand below each other, a column says what each row trains.
    """
    millions = (table["trained_parameters"] / 1e6).map("{:.0f} M".format)
    interval = [f"{row.dev_score:.1f} [{row.dev_low:.1f}, {row.dev_high:.1f}]" for row in table.itertuples()]
    shown = pd.DataFrame(
        {
            "loop": table["name"].map(LOOP_TITLES),
            "trains": table["work"].map(WORK_TITLES),
            "trained weights": millions,
            "seconds": table["seconds"],
            "examples/s": table["examples_per_second"],
            "times the slowest": table["times"],
            "share of the peak": table["peak_share"].map("{:.1f} %".format),
            "English dev score": interval,
        }
    )
    return shown if table["work"].nunique() > 1 else shown.drop(columns="trains")
