"""The phases that train: pretraining, intermediate and target training."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stilts.models.adapters import has_adapters
from stilts.models.model import MultiTaskModel, build_model, take_encoder
from stilts.models.prepared import load_prepared_tokenizer
from stilts.phases.launch import train_together
from stilts.phases.pretraining import pretrain
from stilts.phases.recording import Metrics, State, clocked, write_record
from stilts.sources.splits import load
from stilts.study.provenance import RunClock, Work
from stilts.study.records import Record
from stilts.study.runs import Run
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats.base import EncodedSplit, TrainedFormat, encode_split
from stilts.tasks.formats.evaluation import Split
from stilts.tasks.guessing import majority
from stilts.tasks.registry import Task, get_intermediate, get_target
from stilts.training.loop import train
from stilts.training.optimization import count_trained
from stilts.training.prediction import score_dev
from stilts.training.processes import ALONE, Processes
from stilts.training.state import Outcome, SavedStates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from stilts.workspace.plan import Plan


def train_phase(run: Run, plan: "Plan", parent: State | None) -> Record:
    """Train a run, in this process or in as many others as the study's schedule says, and return its record."""
    if plan.study.schedule.processes == 1:
        return train_run(run, plan, parent)
    train_together(run, plan)
    return plan.checkout.store().get(run.id)


def train_run(run: Run, plan: "Plan", parent: State | None, processes: Processes = ALONE) -> Record | None:
    """Train a run, save its checkpoint, and write its record with the dev score (of several tasks, their mean).

    Of several processes only the main one writes; the others return None.
    """
    if run.phase == "pretraining":
        return _pretrain(run, plan, processes)
    tasks, earlier = _trained_tasks(run), _earlier_tasks(run)
    settings = run.settings.training
    suite, folder = plan.checkout.suite_folder(run), plan.checkout.encoder_folder(run)
    tokenizer = load_prepared_tokenizer(folder)
    saved = SavedStates(plan.checkout.training_folder(run.id), plan.study.schedule.state_minutes)
    with clocked(plan) as clock:
        splits = {
            name: load(suite, task, task.source_language, "train", settings.examples) for name, task in tasks.items()
        }
        dev = _Dev({**tasks, **earlier}, suite, tokenizer, settings)
        model = build_model(folder, dev.heads, run.seed, run.heads)
        draw = f"{run.phase} {run.seed}"
        model.begin(parent, settings, goes_on=_goes_on_with_adapters(run, parent), draw=draw)
        if parent is not None and run.phase == "intermediate":  # a stage continues with the heads of the one before it
            model.load_heads(parent)
        data = {name: _encode(task, splits[name], tokenizer, settings) for name, task in tasks.items()}
        outcome = train(
            model,
            data,
            settings,
            seed=run.seed,
            dev_scores=lambda: dev.scores(model, tasks),
            example_cap=run.settings.condition.example_cap,
            progress=plan.checkout.progress(run.id) if processes.is_main else lambda done, total: None,
            saved=saved,
            processes=processes,
        )
    if not processes.is_main:
        return None
    metrics = dev.metrics({**outcome.best_scores, **dev.scores(model, earlier)})
    work = Work(outcome.examples, outcome.tokens, processes.count, count_trained(model))
    return _save_and_record(run, plan, model, metrics, clock, work, outcome, saved)


def _pretrain(run: Run, plan: "Plan", processes: Processes) -> Record | None:
    """Pretrain an encoder with random weights, save its checkpoint, and write its record with the held-out loss."""
    settings = run.settings.pretraining
    saved = SavedStates(plan.checkout.training_folder(run.id), plan.study.schedule.state_minutes)
    with clocked(plan) as clock:
        done = pretrain(
            plan.checkout.suite_folder(run),
            plan.checkout.encoder_folder(run),
            settings,
            run.settings.encoder,
            seed=run.seed,
            progress=plan.checkout.progress(run.id) if processes.is_main else lambda done, total: None,
            saved=saved,
            processes=processes,
        )
    if not processes.is_main:
        return None
    outcome = done.outcome
    work = Work(outcome.examples, outcome.tokens, processes.count, count_trained(done.model))
    return _save_and_record(run, plan, done.model, done.metrics, clock, work, outcome, saved)


def _save_and_record(
    run: Run,
    plan: "Plan",
    model: MultiTaskModel,
    metrics: Metrics,
    clock: RunClock,
    work: Work,
    outcome: Outcome,
    saved: SavedStates,
) -> Record:
    """Save a training's checkpoint, then its record, and only then remove its saved states."""
    plan.checkout.checkpoints.save(run.id, model.state_dict())
    record = write_record(run, plan, metrics, clock, work, history=outcome.history)
    saved.forget()
    return record


def _goes_on_with_adapters(run: Run, parent: State | None) -> bool:
    """Return whether a run continues to train its parent's adapters, as all stages of phase 1 do."""
    if run.phase == "intermediate":
        return parent is not None and has_adapters(take_encoder(parent))
    return run.settings.condition.adapters == "continued"


def _trained_tasks(run: Run) -> dict[str, Task]:
    if run.phase == "intermediate":
        return {name: get_intermediate(name) for name in run.settings.condition.tasks}
    return {run.target: get_target(run.target)}


def _earlier_tasks(run: Run) -> dict[str, Task]:
    """Return the tasks of the stages before an intermediate run, which are scored again at its end.

    Target training does not keep the heads of intermediate tasks.
    """
    condition = run.settings.condition
    stages = condition.before if run.phase == "intermediate" else ()
    names = dict.fromkeys(name for stage in stages for name in stage)
    return {name: get_intermediate(name) for name in names if name not in condition.tasks}


def _encode(
    task: Task, split: Split, tokenizer: "PreTrainedTokenizerFast", settings: TrainingSettings
) -> EncodedSplit:
    form = task.format.with_options(doc_stride=settings.doc_stride)
    return encode_split(form, split, tokenizer, settings.max_length)


class _Dev:
    """The encoded dev sets of tasks, each in its training language."""

    def __init__(
        self, tasks: dict[str, Task], suite: Path, tokenizer: "PreTrainedTokenizerFast", settings: TrainingSettings
    ):
        self.tasks, self.precision = tasks, settings.precision
        splits = {
            name: load(suite, task, task.source_language, "validation", settings.dev_examples)
            for name, task in tasks.items()
        }
        self.splits = {name: _encode(task, splits[name], tokenizer, settings) for name, task in tasks.items()}

    @property
    def heads(self) -> dict[str, tuple[TrainedFormat, Sequence[str]]]:
        """Format and labels of each task's head, by name."""
        return {task.name: (task.format, self.splits[name].labels) for name, task in self.tasks.items()}

    def scores(self, model: MultiTaskModel, names: Iterable[str]) -> dict[str, float]:
        """Return a model's scores on some of the tasks, in percent."""
        return {name: score_dev(model, name, self.splits[name], self.precision) for name in names}

    def metrics(self, scores: dict[str, float]) -> dict[str, dict[str, float]]:
        """Return a record's metrics by language: the mean over its tasks, and each task's if there are several."""
        found = {}
        for language in dict.fromkeys(task.source_language for task in self.tasks.values()):
            own = [name for name, task in self.tasks.items() if task.source_language == language]
            each = {f"score.{self.tasks[name].name}": scores[name] for name in own} if len(scores) > 1 else {}
            size = sum(len(self.splits[name].rows) for name in own)
            found[language] = {"score": float(np.mean([scores[name] for name in own])), "n": size, **each}
            if len(own) == 1 and (gold := self.splits[own[0]].gold_labels()):
                found[language]["majority"] = majority(gold)
        return found
