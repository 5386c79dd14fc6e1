"""The output of `stilts show`: one record, and where it lies."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from stilts.study.errors import StiltsError, find_nearest
from stilts.study.records import Record, Store
from stilts.study.runs import ComplexityRunSettings, Run, TrainingRunSettings
from stilts.study.settings import SOURCE_LANGUAGE, strip_language
from stilts.tasks.registry import INTERMEDIATES, TARGETS

ALWAYS_SHOWN = (
    "learning_rate", "head_learning_rate", "epochs", "updates", "examples", "frozen_layers", "max_length", "length",
)  # fmt: skip
MOST_NAMED = 10  # ids in the message about a beginning that several have


def find_run(store: Store, beginning: str) -> str:
    """Return the id of the recorded run that is given whole or by a beginning that no other has.

    Raises
    ------
    StiltsError
        If no id begins so, or several do.
    """
    names = store.names()
    found = sorted(name for name in names if name.startswith(beginning))
    if beginning in names or len(found) == 1:
        return beginning if beginning in names else found[0]
    if found:
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        named = ", ".join(found[:MOST_NAMED])
        raise StiltsError(f"'{beginning}' begins the ids of {len(found)} records; give more of it: {named}{more}")
    hint = find_nearest(beginning, names)
    meant = f" Did you mean '{hint}'?" if hint else ""
    raise StiltsError(f"no record's id begins with '{beginning}'.{meant} `stilts plan STUDY --runs` lists the ids")


@dataclass(frozen=True)
class RecordReport:
    """A record and the folder that it lies in.

    Attributes
    ----------
    record : Record
    folder : Path
    """

    record: Record
    folder: Path

    @classmethod
    def of(cls, store: Store, beginning: str) -> "RecordReport":
        """Return the report of the record that `find_run` finds. Raises StiltsError if it cannot be read."""
        run_id = find_run(store, beginning)
        found = store.locate(run_id)
        if found is None:
            raise StiltsError(f"record {run_id} is of an earlier version of its phase, or damaged; run its study again")
        return cls(*found)

    @property
    def path(self) -> Path:
        """File of the record."""
        return self.folder / f"{self.record.id}.json"

    @property
    def predictions(self) -> Path | None:
        """File of the predictions or measures; None if the run has none."""
        return self.folder / f"{self.record.id}.parquet" if self.record.predictions_sha256 else None

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the record's content, as its file states it; it was verified when the record was read."""
        return json.loads(self.path.read_text(encoding="utf-8"))["sha256"]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings as the record holds them; `training.epochs` for one."""
        return dict(_flatten(self.record.run.settings.model_dump(mode="json")))

    @cached_property
    def decisive_settings(self) -> dict[str, Any]:
        """The settings that a study must give, those that differ from the defaults, and what a training rests on."""
        given = dict(_flatten(self.record.run.settings.model_dump(mode="json", exclude_defaults=True)))
        return {name: value for name, value in self.settings.items() if name in given or _is_of_a_training(name)}

    @cached_property
    def score_names(self) -> dict[str, str]:
        """The scores of the record by their keys in its metrics and history: of which set, in which metric and unit."""
        run = self.record.run
        if run.phase == "pretraining":
            return {"score": "held-out accuracy, percent", "dev_score": "minus held-out bits per token"}
        if run.phase == "zero-shot":
            return {"score": f"test {_name_metric([run.target])}, percent"}
        tasks = _list_tasks(run)
        dev = "English dev" if self.record.metrics.keys() <= {SOURCE_LANGUAGE} else "dev"
        mean = f"{'mean ' if len(tasks) > 1 else ''}{dev} {_name_metric(tasks)}, percent"
        each = {f"score.{name}": f"{name} {dev} {_name_metric([name])}, percent" for name in tasks}
        return {"score": mean, "dev_score": mean, **each}

    @cached_property
    def origin(self) -> dict[str, Any]:
        """How the run was computed, what is not known left out; `packages.torch` for one."""
        return dict(_flatten(self.record.provenance.model_dump(mode="json", exclude_none=True)))

    def as_json(self) -> dict[str, Any]:
        """Return all that the report shows as JSON types."""
        run = self.record.run
        return {
            "id": run.id, "phase": run.phase, "condition": run.condition, "target": run.target, "seed": run.seed,
            "parents": list(run.parents), "data": run.data, "settings": self.settings, "metrics": self.record.metrics,
            "score_names": self.score_names, "history": self.record.history, "at_chance": self.record.at_chance,
            "provenance": self.origin,
            "file": str(self.path), "sha256": self.checksum,
            "predictions": str(self.predictions) if self.predictions else None,
            "predictions_sha256": self.record.predictions_sha256,
        }  # fmt: skip


def _list_tasks(run: Run) -> list[str]:
    """Return the names of the tasks whose dev sets a run is scored on."""
    if run.phase == "target":
        return [run.target or ""]
    settings = run.settings
    if isinstance(settings, TrainingRunSettings):
        return list(dict.fromkeys(map(strip_language, settings.condition.all_tasks)))
    return [strip_language(settings.task)] if isinstance(settings, ComplexityRunSettings) else []


def _name_metric(tasks: Sequence[str | None]) -> str:
    """Return the metric that tasks share; `score` where they have several, or are not known any more."""
    known = {**INTERMEDIATES, **TARGETS}
    metrics = {known[name].metric if name in known else "score" for name in tasks}
    return metrics.pop() if len(metrics) == 1 else "score"


def _is_of_a_training(name: str) -> bool:
    """Return whether a setting is one of a training that is shown with its default too."""
    block, *_, key = name.split(".")
    return block in ("training", "pretraining") and key in ALWAYS_SHOWN


def _flatten(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value
