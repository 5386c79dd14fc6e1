"""The phases that train: pretraining, intermediate and target training."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from stilts.tasks.formats.kept_inputs import KeptInputs
from stilts.tasks.guessing import GUESSED_F1, is_above_chance, majority
from stilts.tasks.registry import Task, get_intermediate, get_target
from stilts.training.loop import train
from stilts.training.optimization import count_trained
from stilts.training.prediction import score_dev
from stilts.training.processes import ALONE, Processes
from stilts.training.state import Outcome, SavedStates

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from stilts.workspace.plan import Plan

log = logging.getLogger(__name__)

RESTART_STEP = 1000  # between the seeds of a run's trainings; a study's own seeds are closer together


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
    with clocked(plan) as clock:
        training = _Training(run, plan, parent, processes)
        model, outcomes = training.train()
    if not processes.is_main:
        return None
    outcome = outcomes[-1]
    metrics = training.dev.metrics({**outcome.best_scores, **training.dev.scores(model, _earlier_tasks(run))})
    examples, tokens = sum(each.examples for each in outcomes), sum(each.tokens for each in outcomes)
    work = Work(examples, tokens, processes.count, count_trained(model), model.packs, model.compiled)
    at_chance = [each.best_score for each in outcomes[:-1]]
    return _save_and_record(run, plan, model, metrics, clock, work, outcome, training.saved(0), at_chance)


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
    at_chance: Sequence[float] = (),
) -> Record:
    """Save a training's checkpoint, then its record, and only then remove its saved states."""
    plan.checkout.checkpoints.save(run.id, model.state_dict())
    record = write_record(run, plan, metrics, clock, work, history=outcome.history, at_chance=at_chance)
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


@dataclass(frozen=True)
class _Encoding:
    """How the splits of a run's tasks become inputs."""

    tokenizer: "PreTrainedTokenizerFast"
    settings: TrainingSettings
    kept: KeptInputs

    def encode(self, task: Task, split: Split) -> EncodedSplit:
        """Return a split of a task, encoded."""
        form = task.format.with_options(doc_stride=self.settings.doc_stride)
        return encode_split(form, split, self.tokenizer, self.settings.max_length, self.kept.encode)


class _Training:
    """The trainings of a run: from the run's seed, and from others while the dev score is at chance."""

    def __init__(self, run: Run, plan: "Plan", parent: State | None, processes: Processes):
        self.run, self.plan, self.parent, self.processes = run, plan, parent, processes
        self.tasks, self.settings = _trained_tasks(run), run.settings.training
        suite, self.encoder = plan.checkout.suite_folder(run), plan.checkout.encoder_folder(run)
        encoding = _Encoding(load_prepared_tokenizer(self.encoder), self.settings, plan.checkout.kept_inputs(run))
        splits = {
            name: load(suite, task, task.source_language, "train", self.settings.examples)
            for name, task in self.tasks.items()
        }
        self.dev = _Dev({**self.tasks, **_earlier_tasks(run)}, suite, encoding)
        self.data = {name: encoding.encode(self.tasks[name], split) for name, split in splits.items()}

    def train(self) -> tuple[MultiTaskModel, list[Outcome]]:
        """Train until the dev score is above chance or no restart is left.

        Returns
        -------
        MultiTaskModel
            The model of the last training.
        list of Outcome
            One per training, the last one that of the model.
        """
        outcomes: list[Outcome] = []
        while True:
            model, outcome = self._train(len(outcomes))
            outcomes.append(outcome)
            done = len(outcomes) > self.settings.restarts or (self.processes.is_main and self._is_learned(outcome))
            if self.processes.broadcast(done):
                return model, outcomes
            log.warning("%s: the dev score is at chance, another seed is next", self.run.id)

    def saved(self, number: int) -> SavedStates:
        """Return the saved states of an attempt; those of the first are in the folder that holds all of them."""
        folder = self.plan.checkout.training_folder(self.run.id)
        return SavedStates(folder / f"restart-{number}" if number else folder, self.plan.study.schedule.state_minutes)

    def _train(self, number: int) -> tuple[MultiTaskModel, Outcome]:
        run, settings, parent = self.run, self.settings, self.parent
        seed = (run.seed + number * RESTART_STEP) % 2**32
        model = build_model(self.encoder, self.dev.heads, seed, run.heads)
        draw = f"{run.phase} {seed}"
        model.begin(parent, settings, goes_on=_goes_on_with_adapters(run, parent), draw=draw)
        if parent is not None and run.phase == "intermediate":  # a stage continues with the heads of the one before it
            model.load_heads(parent)
        if self.plan.study.schedule.pack_batches and not model.pack_batches():
            name = type(model.encoder).__name__
            log.info("%s: batches are padded, since %s cannot read them in one row", run.id, name)
        if self.plan.study.schedule.compile_layers:
            model.compile_layers()
        outcome = train(
            model,
            self.data,
            settings,
            seed=seed,
            dev_scores=lambda: self.dev.scores(model, self.tasks),
            example_cap=run.settings.condition.example_cap if len(self.tasks) > 1 else None,
            progress=self.plan.checkout.progress(run.id) if self.processes.is_main else lambda done, total: None,
            saved=self.saved(number),
            processes=self.processes,
        )
        return model, outcome

    def _is_learned(self, outcome: Outcome) -> bool:
        """Return whether the dev score of the only task is above chance; True if there are several."""
        if len(self.tasks) > 1:
            return True
        (name,) = self.tasks
        return self.dev.is_above_chance(name, outcome.best_scores[name])


class _Dev:
    """The encoded dev sets of tasks, each in its training language."""

    def __init__(self, tasks: dict[str, Task], suite: Path, encoding: _Encoding):
        self.tasks, self.precision = tasks, encoding.settings.precision
        most = encoding.settings.dev_examples
        self.splits = {
            name: encoding.encode(task, load(suite, task, task.source_language, "validation", most))
            for name, task in tasks.items()
        }

    @property
    def heads(self) -> dict[str, tuple[TrainedFormat, Sequence[str]]]:
        """Format and labels of each task's head, by name."""
        return {task.name: (task.format, self.splits[name].labels) for name, task in self.tasks.items()}

    def scores(self, model: MultiTaskModel, names: Iterable[str]) -> dict[str, float]:
        """Return a model's scores on some of the tasks, in percent."""
        return {name: score_dev(model, name, self.splits[name], self.precision) for name in names}

    def is_above_chance(self, name: str, score: float) -> bool:
        """Return whether a score on a task, in percent, is above that of guessing."""
        gold = self.splits[name].gold_labels()
        return is_above_chance(score, len(self.splits[name].rows), majority(gold) if gold else GUESSED_F1)

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
