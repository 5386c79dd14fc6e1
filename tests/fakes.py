"""What many tests make up: records, where they are from, and waiting for what a process does."""

import time

import numpy as np
import pandas as pd

from stilts.study.records import Provenance, Record
from stilts.study.runs import Run

ORIGIN = Provenance(study="s", started="2026-01-01T00:00:00Z", seconds=1.0, device="cpu")
"""Of a record whose origin plays no part."""

PROVENANCE = Provenance(
    study="a-study",
    started="2026-01-02T03:04:05+00:00",
    seconds=1.5,
    examples=8,
    tokens=99,
    examples_per_second=5.33,
    tokens_per_second=66.0,
    peak_memory_mb=512.5,
    device="a processor, 1 thread(s)",
    precision="fp32",
    packages={"torch": "2.13.0"},
    git_commit="c0ffee",
    git_dirty=False,
)


PREDICTIONS = pd.DataFrame(
    {
        "language": pd.Categorical(["de", "de", "sw"]),
        "example": np.array([0, 1, 0], dtype=np.int32),
        "prediction": ["an", "", "ja\u200b 😀 \"x\" ,\n"],
        "matches": np.array([1, 0.5, 0], dtype=np.float32),
        "predicted": np.ones(3, dtype=np.float32),
        "gold": np.ones(3, dtype=np.float32),
    }
)


def make_record(target: str | None = "slots", phase: str = "zero-shot", seed: int = 1, **metrics) -> Record:
    run = Run(
        phase=phase,
        condition="nli",
        target=target,
        seed=seed,
        settings={"evaluation": {"examples": 8}, "languages": ["de", "sw"], "note": "größe"},
        parents=("target-nli.slots-s1-0123456789",),
        data="suite@1",
    )
    metrics = metrics or {"de": {"score": 50.0, "n": 2.0}, "sw": {"score": 100 / 3, "n": 1.0}}
    return Record(run=run, metrics=metrics, history=[{"update": 1.0, "loss": 0.1}], provenance=PROVENANCE)


RECORD = make_record()


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
