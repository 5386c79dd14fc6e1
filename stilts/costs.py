"""What runs cost, and how fast the training loop is beside others."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from stilts.errors import StiltsError
from stilts.records import Record

THROUGHPUT = Path("results") / "benchmarks" / "throughput.json"
_FIELDS = {"name", "description", "examples_per_second", "seconds", "dev_score", "dev_interval"}


def run_costs(records: Iterable[Record]) -> pd.DataFrame:
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
    return pd.DataFrame(rows)


def costs_by_phase(runs: pd.DataFrame) -> pd.DataFrame:
    """Return condition, phase, runs, seconds, summed over the rows of `run_costs`; phases in their own order."""
    grouped = runs.groupby(["condition", "phase"], sort=False)["seconds"].agg(["count", "sum"]).reset_index()
    table = grouped.rename(columns={"count": "runs", "sum": "seconds"})
    phases = pd.Categorical(table["phase"], ["intermediate", "target", "zero-shot"], ordered=True)
    return table.assign(phase=phases).sort_values("phase", kind="stable").astype({"phase": str}).reset_index(drop=True)


def read_throughput(path: Path) -> pd.DataFrame:
    """Return the recorded comparison of training loops, the slowest first.

    Returns
    -------
    DataFrame
        name, description, examples_per_second, times (the slowest one), seconds, dev_score, dev_low, dev_high
        (percent).

    Raises
    ------
    StiltsError
        If the file is missing, is no list of measurements, or a measurement lacks a field.
    """
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StiltsError(f"{path}: no throughput measurements ({error}); restore the committed file") from None
    if not isinstance(measured, list) or not measured:
        raise StiltsError(f"{path}: a list of measurements is wanted; restore the committed file")
    for entry in measured:
        missing = sorted(_FIELDS - set(entry))
        if missing:
            raise StiltsError(f"{path}: measurement {entry.get('name', '?')} lacks {', '.join(missing)}")
    table = pd.DataFrame([{name: entry[name] for name in sorted(_FIELDS)} for entry in measured])
    table[["dev_low", "dev_high"]] = table["dev_interval"].tolist()
    table["times"] = table["examples_per_second"] / table["examples_per_second"].min()
    columns = ["name", "description", "examples_per_second", "times", "seconds", "dev_score", "dev_low", "dev_high"]
    return table.sort_values("examples_per_second", ignore_index=True)[columns]


def throughput_summary(table: pd.DataFrame) -> str:
    """Return a sentence for each loop but the fastest: how many times it is outrun, and whether dev scores agree."""
    fastest = table.iloc[-1]
    lines = []
    for row in table.iloc[:-1].itertuples():
        times = fastest["examples_per_second"] / row.examples_per_second
        place = "inside" if row.dev_low <= fastest["dev_score"] <= row.dev_high else "outside"
        lines.append(
            f"- **{fastest['name']}** handles {times:.1f} times as many training examples per second as "
            f"**{row.name}**; its English dev score, {fastest['dev_score']:.1f}, lies {place} the other's interval, "
            f"{row.dev_low:.1f} to {row.dev_high:.1f}."
        )
    return "\n".join(lines)
