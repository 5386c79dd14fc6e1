"""What many tests make up: records, where they are from, and waiting for what a process does."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd

from stilts.study.records import Provenance, Record
from stilts.study.runs import Run
from stilts.workspace.checkout import Checkout


def make_provenance(**noted) -> Provenance:
    """Return where a record is from: what is noted, and of the rest as little as a record may say."""
    least = {"study": "s", "started": "2026-01-02T03:04:05+00:00", "seconds": 2.0, "device": "a processor"}
    return Provenance(**least | noted)


ORIGIN = make_provenance()
"""Of a record whose origin plays no part."""

PROVENANCE = make_provenance(
    study="a-study",
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


def make_settings(phase: str, **given) -> dict:
    """Settings of a run as a plan resolves them; of a block that is given, its values replace others."""
    blocks = {
        "pretraining": {"pretraining": {}},
        "intermediate": {"condition": {"name": "nli", "tasks": []}, "training": {}},
        "target": {"condition": {"name": "nli", "tasks": []}, "training": {}},
        "zero-shot": {
            "condition": {"name": "nli", "tasks": []}, "evaluation": {"batch_tokens": 4096}, "languages": "all",
            "max_length": 128,
        },
        "measure": {"measure": {"kind": "similarity"}, "intermediates": [], "targets": []},
    }  # fmt: skip
    base = {"encoder": {"name": "small", "fingerprint": "e1"}, "suite": "pocket", **blocks[phase]}
    merged = {name: {**base[name], **value} if isinstance(base.get(name), dict) else value for name, value in
              given.items()}  # fmt: skip
    return {**base, **merged}


def make_run(phase: str = "zero-shot", condition: str = "nli", /, target: str | None = None, seed: int = 1,
             parents: tuple[str, ...] = (), data: str = "d", **settings) -> Run:  # fmt: skip
    """A run of a phase with the settings that matter to a test."""
    return Run(phase=phase, condition=condition, target=target, seed=seed, settings=make_settings(phase, **settings),
               parents=parents, data=data)  # fmt: skip


def change_settings(run: Run, **changes) -> Run:
    """A run with other settings, and so with an id of its own; blocks are replaced whole."""
    return Run(**{**run.model_dump(), "settings": {**run.settings.model_dump(mode="json"), **changes}})


def make_record(target: str | None = "slots", phase: str = "zero-shot", seed: int = 1, **metrics) -> Record:
    settings = {"evaluation": {"examples": 8}, "languages": ["de", "sw"]} if phase == "zero-shot" else {}
    parents = ("target-nli.slots-s1-0123456789",)
    run = make_run(phase, "nli", target, seed, parents, "suite@1", suite="größe", **settings)
    metrics = metrics or {"de": {"score": 50.0, "n": 2.0}, "sw": {"score": 100 / 3, "n": 1.0}}
    return Record(run=run, metrics=metrics, history=[{"update": 1.0, "loss": 0.1}], provenance=PROVENANCE)


RECORD = make_record()


def record_runs(here: Checkout, runs: Sequence[Run], **noted) -> list[str]:
    """Write a record of each run, and return their ids; `noted` is of their provenance."""
    for run in runs:
        provenance = make_provenance(study="tiny", **noted)
        here.store().write(Record(run=run, metrics={"en": {"score": 50.0, "n": 2}}, provenance=provenance))
    return [run.id for run in runs]


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
