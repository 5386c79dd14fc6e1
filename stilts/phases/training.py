"""The phases that train: pretraining, intermediate and target training."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stilts.models.adapters import has_adapters
from stilts.models.model import MultiTaskModel, build_model, encoder_part, resolve_precision
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.launch import train_together
from stilts.phases.pretraining import pretrain
from stilts.phases.recording import State, measuring, write_record
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import PretrainingSettings, ScratchSettings, TrainingSettings
from stilts.tasks.formats import get_format
from stilts.tasks.formats.base import Input
from stilts.tasks.guessing import LABELLED, gold_labels, majority
from stilts.tasks.metrics import score
from stilts.tasks.registry import Task, get_intermediate, get_target
from stilts.tasks.splits import load
from stilts.training.batches import TaskData
from stilts.training.loop import train
from stilts.training.optimization import trained_count
from stilts.training.prediction import dev_counts
from stilts.training.processes import ALONE, Processes
from stilts.training.state import Outcome, SavedStates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from stilts.workspace.checkout import Workspace


def train_phase(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    """Train in this process, or in as many others as the study's schedule says; return the run's record."""
    if workspace.processes == 1:
        return train_run(run, workspace, parent)
    train_together(run, workspace)
    return workspace.store().get(run.id)


def train_run(run: Run, workspace: "Workspace", parent: State | None, processes: Processes = ALONE) -> Record | None:
    """Train, save the checkpoint, and record the English dev score (the mean over tasks where there are several).

    Of several processes the main one alone writes, and returns the record.
    """
    if run.phase == "pretraining":
        return _pretrain(run, workspace, processes)
    tasks, earlier = _trained_tasks(run), _earlier_tasks(run)
    settings = TrainingSettings(**run.settings["training"])
    suite, folder = workspace.suite_folder(run), workspace.encoder_folder(run)
    tokenizer = load_prepared_tokenizer(folder)
    saved = SavedStates(workspace.training_folder(run.id), workspace.state_minutes)
    with measuring(run, workspace) as measured:
        splits = {
            name: load(suite, task, task.source_language, "train", settings.examples) for name, task in tasks.items()
        }
        dev = _Dev({**tasks, **earlier}, suite, tokenizer, settings)
        model = build_model(folder, dev.heads, run.seed, run.heads)
        draw = f"{run.phase} {run.seed}"
        model.begin(parent, settings, goes_on=_goes_on_with_adapters(run, parent), draw=draw)
        if parent is not None and run.phase == "intermediate":  # a stage goes on with what the one before it trained
            model.load_heads(parent)
        data = {
            name: TaskData(
                task.format,
                get_format(task.format, doc_stride=settings.doc_stride).encode(
                    splits[name].rows, tokenizer, settings.max_length
                ),
            )
            for name, task in tasks.items()
        }
        outcome = train(
            model,
            data,
            settings,
            seed=run.seed,
            dev_scores=lambda: dev.scores(model, tasks),
            example_cap=run.settings["condition"]["example_cap"],
            progress=workspace.progress(run.id) if processes.is_main else lambda done, total: None,
            saved=saved,
            processes=processes,
        )
        measured.update(
            examples=outcome.examples,
            tokens=outcome.tokens,
            processes=processes.count,
            trained_weights=trained_count(model),
        )
    if not processes.is_main:
        return None
    metrics = dev.metrics({**outcome.best_scores, **dev.scores(model, earlier)})
    return _keep(run, workspace, model, metrics, measured, settings.precision, outcome, saved)


def _pretrain(run: Run, workspace: "Workspace", processes: Processes) -> Record | None:
    """Train an encoder with random weights on texts, save the checkpoint, and record the held-out loss."""
    settings = PretrainingSettings(**run.settings["pretraining"])
    saved = SavedStates(workspace.training_folder(run.id), workspace.state_minutes)
    with measuring(run, workspace) as measured:
        done = pretrain(
            workspace.suite_folder(run),
            workspace.encoder_folder(run),
            settings,
            ScratchSettings(**run.settings["encoder"]["scratch"]),
            seed=run.seed,
            progress=workspace.progress(run.id) if processes.is_main else lambda done, total: None,
            saved=saved,
            processes=processes,
        )
        measured.update(
            examples=done.outcome.examples,
            tokens=done.outcome.tokens,
            processes=processes.count,
            trained_weights=trained_count(done.model),
        )
    if not processes.is_main:
        return None
    return _keep(run, workspace, done.model, done.metrics, measured, settings.precision, done.outcome, saved)


def _keep(
    run: Run,
    workspace: "Workspace",
    model: MultiTaskModel,
    metrics: dict,
    measured: dict[str, Any],
    precision: str,
    outcome: Outcome,
    saved: SavedStates,
) -> Record:
    """Save the checkpoint that a training ends with, then its record, and only then forget how far it was."""
    workspace.checkpoints.save(run.id, model.state_dict())
    record = write_record(run, workspace, metrics, measured, resolve_precision(precision, model.device), outcome)
    saved.forget()
    return record


def _goes_on_with_adapters(run: Run, parent: State | None) -> bool:
    """Whether a run trains the adapters of its parent on: all stages of phase 1 train the same ones."""
    if run.phase == "intermediate":
        return parent is not None and has_adapters(encoder_part(parent))
    return run.settings["condition"].get("adapters") == "continued"


def _trained_tasks(run: Run) -> dict[str, Task]:
    if run.phase == "intermediate":
        return {name: get_intermediate(name) for name in run.settings["condition"]["tasks"]}
    return {run.target: get_target(run.target)}


def _earlier_tasks(run: Run) -> dict[str, Task]:
    """Return the tasks of the stages before an intermediate run; what is left of them is scored at its end.

    Target training leaves the heads of intermediate tasks behind.
    """
    condition = run.settings["condition"]
    stages = condition.get("before", ()) if run.phase == "intermediate" else ()
    names = dict.fromkeys(name for stage in stages for name in stage)
    return {name: get_intermediate(name) for name in names if name not in condition["tasks"]}


class _Dev:
    """The dev sets of tasks in the languages that they train in, encoded once."""

    def __init__(
        self, tasks: dict[str, Task], suite: Path, tokenizer: "PreTrainedTokenizerFast", settings: TrainingSettings
    ):
        self.tasks, self.precision = tasks, settings.precision
        self.splits = {
            name: load(suite, task, task.source_language, "validation", settings.dev_examples)
            for name, task in tasks.items()
        }
        self.inputs: dict[str, list[Input]] = {
            name: get_format(task.format, doc_stride=settings.doc_stride).encode(
                self.splits[name].rows, tokenizer, settings.max_length
            )
            for name, task in tasks.items()
        }

    @property
    def heads(self) -> dict[str, tuple[str, list[str]]]:
        """Format and labels of the heads that the tasks need, by name."""
        return {task.name: (task.format, self.splits[name].labels) for name, task in self.tasks.items()}

    def scores(self, model: MultiTaskModel, names: Iterable[str]) -> dict[str, float]:
        """Return a model's scores on some of the tasks, in percent."""
        return {name: self._score(model, name) for name in names}

    def _score(self, model: MultiTaskModel, name: str) -> float:
        split, task = self.splits[name], self.tasks[name]
        return score(
            dev_counts(
                model,
                name,
                task.format,
                split.rows,
                self.inputs[name],
                split.labels,
                task.source_language,
                batch_tokens=4096,
                precision=resolve_precision(self.precision, model.device),
            )
        )

    def metrics(self, scores: dict[str, float]) -> dict[str, dict[str, float]]:
        """Return a record's metrics: by language the mean over its tasks, and each where there are several."""
        found = {}
        for language in dict.fromkeys(task.source_language for task in self.tasks.values()):
            own = [name for name, task in self.tasks.items() if task.source_language == language]
            each = {f"score.{self.tasks[name].name}": scores[name] for name in own} if len(scores) > 1 else {}
            size = sum(len(self.splits[name].rows) for name in own)
            found[language] = {"score": float(np.mean([scores[name] for name in own])), "n": size, **each}
            if len(own) == 1 and self.tasks[own[0]].format in LABELLED:
                found[language]["majority"] = majority(gold_labels(self.splits[own[0]]))
        return found
