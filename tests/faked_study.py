"""Records of a study as its runs would leave them, with effects that the tests know; no model is involved."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from fakes import make_provenance

from stilts.study.files import read_study
from stilts.study.planning import drop_repeated, plan_runs
from stilts.study.records import Record, Store
from stilts.study.runs import ComplexityRunSettings, Run
from stilts.study.settings import Study
from stilts.tasks.registry import get_intermediate, get_target, list_measured_tasks, resolve_condition
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import resolve

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
    # of suite xtreme
    "mnli": 0.08,
    ("mnli", "xnli"): 0.0,
    "mnli-mlm": -0.12,
    "squad": 0.10,
    ("squad", "tydiqa"): 0.25,
    ("squad", "tatoeba"): 0.25,
    "squad-mlm": 0.10,
    ("squad-mlm", "tydiqa"): 0.25,
    "hellaswag": 0.05,
    "xnli-dev-translated": 0.08,
    ("xnli-dev-translated", "xnli"): 0.2,
}
NOTED = {
    "seconds": 12.5, "examples": 1500, "tokens": 21000, "examples_per_second": 120.0, "tokens_per_second": 1680.0,
    "peak_memory_mb": 900.0, "device": "a processor, 1 thread", "precision": "fp32", "packages": {"torch": "2.13.0"},
}  # fmt: skip
PARALLEL = ("ui-retrieval", "ui-mining", "tatoeba", "bucc2018")  # English is the other side of every pair
PRETRAINED = {
    "score": 20.0, "n": 256.0, "training_tokens_read": 2_048_000.0, "training_tokens_predicted": 307_200.0,
    "parameters": 3_300_000.0, "embeddings": 900_000.0,
}  # fmt: skip
RETRIEVAL = ("ui-retrieval", "tatoeba")
PILOT = {
    "name": "pilot",
    "title": "A faked study on XTREME",
    "encoder": {"name": "multilingual-e5-small"},
    "data": {"suite": "xtreme", "folder": "a-folder-that-is-not-there"},
    "intermediates": [
        "none", "mnli", "squad", "hellaswag", {"name": "multi", "tasks": ["mnli", "squad", "hellaswag"]},
        {"name": "mnli-mlm", "tasks": ["mnli", "mlm"]}, {"name": "squad-mlm", "tasks": ["squad", "mlm"]},
        "xnli-dev-translated",
    ],
    "targets": ["xnli", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba"],
}  # fmt: skip
PILOT_SUITE = {
    "suite": "xtreme",
    "fingerprint": "0123456789ab",
    "files": {},
    "seed": 0,
    "rows": {
        "xnli.en": {"train": 500, "validation": 100, "test": 60},
        "xnli.de": {"test": 60},
        "xnli.sw": {"test": 20},
        "tatoeba.de": {"test": 200},
        "xcopa.qu": {"test": 10},
        "intermediate.mnli.en": {"train": 900, "validation": 100},
    },
    "sources": {"google/xtreme/XNLI/test": {"rows": 75150, "published": 75150},
                "google/xtreme/tatoeba.deu/validation": {"rows": 500, "published": 1000}},
    "revisions": {"google/xtreme": "0a1b2c"},
    "notes": {"xnli": ["English trains on MNLI."], "xcopa": ["-"]},
    "overlap": [
        {"training": "intermediate.mnli.en", "evaluation": "xnli.en test", "compared": "example"}
        | {"rows": 60, "shared": 3},
        {"training": "intermediate.siqa.en", "evaluation": "xcopa.qu test", "compared": "example"}
        | {"rows": 9, "shared": 1},
    ],
    "left_out": {"xnli": {"th": "no file"}, "ccg": {"all": "no folder of CCGbank"}, "lareqa": {"th": "-"}},
}


def fill(here: Checkout, study: str, languages=LANGUAGES, examples: int = 30) -> None:
    """Write a record for every run of a study's plan that has none; studies share some runs."""
    settings = here.study(study)
    store = here.store()
    for run in resolve(settings, here).runs:
        if run.id in store:
            continue
        _write(store, run, settings.name, languages, examples)


def write(store: Store, study: Study, languages=LANGUAGES, examples: int = 30) -> None:
    """Write a record for every run of a study whose data and encoders are nowhere."""
    targets = [get_target(name, study.data.suite) for name in study.targets]
    trained = {task.name: task.training_task for task in targets if task.trained}
    conditions = [resolve_condition(entry, study.data) for entry in study.intermediates]
    encoders = dict.fromkeys((None, *study.encoders), "some-encoder")
    for run in drop_repeated(plan_runs(study, conditions, trained, "some-data", encoders, list_measured_tasks(study))):
        _write(store, run, study.name, languages, examples)


def commit_pilot(root: Path, **changes: Any) -> None:
    """Write the study file of a pilot on XTREME whose data are nowhere, and its records and suite as committed ones."""
    path = root / "studies" / "pilot.yml"
    path.write_text(yaml.safe_dump({**PILOT, **changes}))
    study, folder = read_study(path), root / "results" / "pilot"
    write(Store(folder / "records"), study)
    (folder / "suite.json").write_text(json.dumps(PILOT_SUITE))


def _write(store: Store, run: Run, study: str, languages, examples: int) -> None:
    generator = np.random.default_rng(zlib.crc32(run.id.encode()))
    metrics, history, predictions = _outcome(run, languages, examples, generator)
    origin = make_provenance(study=study, **NOTED)
    store.write(Record(run=run, metrics=metrics, history=history, provenance=origin), predictions)


def _effect(run: Run) -> float:
    return EFFECTS.get((run.condition, run.target), EFFECTS.get(run.condition, 0.0))


def _outcome(run: Run, languages, examples, generator):
    if run.phase == "pretraining":
        return {"mul": {**PRETRAINED, "bits_per_token": 6 + generator.random()}}, [], None
    if isinstance(run.settings, ComplexityRunSettings):
        return _complexity(run, generator)
    if run.phase == "measure":
        return _measured(run, generator)
    if run.phase == "intermediate":
        return _dev_scores(run, generator), [{"update": 1, "loss": 1.0}], None
    if run.phase != "zero-shot":
        dev = {"score": 100 * (0.7 + _effect(run)), "n": 200.0, "majority": 10.0}
        return {"en": dev}, [{"update": 1, "loss": 1.0}], None
    tested = [code for code in languages if code != "en" or run.target not in PARALLEL]
    frames = [_answers(run, code, examples, generator) for code in tested]
    metrics = {frame["language"].iloc[0]: _metrics(run, frame, generator) for frame in frames}
    return metrics, [], pd.concat(frames, ignore_index=True)


def _measured(run: Run, generator):
    """Return similarities of tasks that agree a little: each pair has a likeness of its own, which measures blur."""
    rows = [
        (measure, first, second, np.random.default_rng(zlib.crc32(f"{first}{second}".encode())).random()
         + generator.normal(0, 0.1))
        for measure in ("text", "fisher", "gradient")
        for first in run.settings.intermediates
        for second in run.settings.targets
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["measure", "intermediate", "target", "value"])
    return {"en": {"n": float(len(rows) // 3)}}, [], table


def _complexity(run: Run, generator):
    """Return measures of a task whose code is the longer the longer its name, and a learning curve."""
    bits = len(run.settings.task.partition(".")[0]) * generator.uniform(0.9, 1.1)
    measures = {
        "code_bits_per_example": bits, "code_bits_per_label": bits / 2, "examples_to_share": 10 * bits,
        "tokens_per_example": 20.0, "label_entropy": 1.5, "n": 200.0, "score": 80.0, "chance": 33.0, "censored": 0.0,
    }  # fmt: skip
    curve = pd.DataFrame({"examples": [0, 16, 200], "score": [33.0, 50.0, 80.0]})
    return {get_intermediate(run.settings.task).source_language: measures}, [], curve


def _dev_scores(run: Run, generator) -> dict[str, dict[str, float]]:
    """Return dev scores in the languages of all stages; those of earlier stages are lower.

    Of several tasks in one language each has a score beside their mean.
    """
    stages = [*run.settings.condition.before, run.settings.condition.tasks]
    codes = {get_intermediate(task).source_language: place for place, stage in enumerate(stages, 1) for task in stage}
    best = 100 * (0.7 + _effect(run))
    drops = {code: (len(stages) - place) * generator.uniform(4, 6) for code, place in codes.items()}
    tasks = map(get_intermediate, run.settings.condition.tasks if len(run.settings.condition.tasks) > 1 else ())
    scores = {code: {"score": best - drop, "n": 200.0, "majority": 10.0} for code, drop in drops.items()}
    for task in tasks:
        scores[task.source_language][f"score.{task.name}"] = scores[task.source_language]["score"]
    return scores


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
            "prediction": np.where(right, "as it should be", "otherwise"),
            "matches": right.astype(float),
            "predicted": 1.0,
            "gold": 1.0,
        }
    )


def _metrics(run: Run, frame: pd.DataFrame, generator) -> dict[str, float]:
    score = 100 * frame["matches"].mean()
    metrics = {"score": score, "n": float(len(frame))}
    if run.target in RETRIEVAL:
        metrics |= {f"layer_{layer}": score * layer / LAYERS for layer in range(1, LAYERS + 1)}
    return metrics
