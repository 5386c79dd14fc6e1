"""Records of a study as its runs would leave them, with effects that the tests know; no model is involved."""

import zlib

import numpy as np
import pandas as pd

from stilts.records import Provenance, Record
from stilts.study import Run
from stilts.workspace import Workspace

LANGUAGES = ("ar", "de", "en", "eu", "fi", "hi", "hr", "ja", "sw", "tr")
LAYERS = 12
# Gain in share of right answers by (condition, target); a condition alone stands for its other targets.
EFFECTS = {
    "nli": 0.10,
    ("nli", "command-nli"): 0.0,
    "qa": 0.05,
    ("qa", "command-qa"): 0.25,
    "slots": 0.0,
    "multi": 0.15,
    "para": 0.02,
    "intent": 0.0,
    "dates": -0.10,
}


def fill(here: Workspace, study: str, languages=LANGUAGES, examples: int = 30) -> None:
    """Write a record for every run of a study's plan that has none; studies share some runs."""
    settings = here.study(study)
    store = here.store()
    for run in here.plan(settings).runs:
        if run.id in store:
            continue
        generator = np.random.default_rng(zlib.crc32(run.id.encode()))
        metrics, history, predictions = _outcome(run, languages, examples, generator)
        record = Record(run=run, metrics=metrics, history=history, provenance=_provenance(settings.name))
        store.write(record, predictions)


def _provenance(study: str) -> Provenance:
    return Provenance(
        study=study,
        started="2026-01-02T03:04:05Z",
        seconds=12.5,
        examples=1500,
        tokens=21000,
        examples_per_second=120.0,
        tokens_per_second=1680.0,
        peak_memory_mb=900.0,
        device="a processor, 1 thread",
        precision="fp32",
        packages={"torch": "2.13.0"},
    )


def _effect(run: Run) -> float:
    return EFFECTS.get((run.condition, run.target), EFFECTS.get(run.condition, 0.0))


def _outcome(run: Run, languages, examples, generator):
    if run.phase != "zero-shot":
        return {"en": {"score": 100 * (0.7 + _effect(run)), "n": 200.0}}, [{"update": 1, "loss": 1.0}], None
    untranslated = ("ui-retrieval", "ui-mining")  # English is the other side of every pair
    tested = [code for code in languages if code != "en" or run.target not in untranslated]
    frames = [_answers(run, code, examples, generator) for code in tested]
    metrics = {frame["language"].iloc[0]: _metrics(run, frame, generator) for frame in frames}
    return metrics, [], pd.concat(frames, ignore_index=True)


def _answers(run: Run, language: str, examples: int, generator) -> pd.DataFrame:
    fixed = np.random.default_rng(zlib.crc32(f"{run.target}{language}".encode()))
    level = 0.8 if language == "en" else fixed.uniform(0.3, 0.6)
    hardness = fixed.normal(0, 0.1, examples)
    luck = np.random.default_rng(run.seed).normal(0, 0.01)
    gain = _effect(run) * (0.2 if language == "en" else 1)
    right = generator.random(examples) < level + hardness + luck + gain
    return pd.DataFrame(
        {
            "language": language,
            "example": np.arange(examples),
            "prediction": "x",
            "matches": right.astype(float),
            "predicted": 1.0,
            "gold": 1.0,
        }
    )


def _metrics(run: Run, frame: pd.DataFrame, generator) -> dict[str, float]:
    score = 100 * frame["matches"].mean()
    metrics = {"score": score, "n": float(len(frame))}
    if run.target == "ui-retrieval":
        metrics |= {f"layer_{layer}": score * layer / LAYERS for layer in range(1, LAYERS + 1)}
    return metrics
