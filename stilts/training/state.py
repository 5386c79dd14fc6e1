"""The state of a training, and saved copies from which an interrupted training resumes."""

import logging
import math
import random
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from stilts.models.model import MultiTaskModel
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError, describe_reasons
from stilts.training.gradients import Gradients
from stilts.training.optimization import copy_trained_weights

log = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]
STATE_VERSION = 1  # increase it when the content or the meaning of a saved state changes


@dataclass
class Outcome:
    """The result of a training: its curve, its best dev score, and how much the encoder processed."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_scores: dict[str, float] = field(default_factory=dict)
    best_update: int = 0
    examples: int = 0
    tokens: int = 0

    @property
    def best_score(self) -> float:
        """The mean over tasks of the best dev scores."""
        return mean(self.best_scores.values()) if self.best_scores else -math.inf

    @property
    def evaluations_without_gain(self) -> int:
        """The number of evaluations since the last improvement; an equal score is not one."""
        scores = [point["dev_score"] for point in self.history if "dev_score" in point]
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0


class Losses:
    """The losses of updates since the last point of the curve, which stay on the device until they are read."""

    def __init__(self, read: Sequence[float] = ()):
        self._read, self._unread = list(read), list[tuple[str, torch.Tensor]]()

    def add(self, task: str, loss: torch.Tensor) -> None:
        """Append the loss of an update, a scalar; it is not waited for."""
        self._unread.append((task, loss))

    def read(self) -> list[float]:
        """Return the losses; StiltsError if one is not finite."""
        if self._unread:
            tasks, losses = zip(*self._unread, strict=True)
            values = torch.stack(losses).tolist()
            for task, value in zip(tasks, values, strict=True):
                if not math.isfinite(value):
                    raise StiltsError(
                        f"loss of task '{task}' is {value}; lower the learning rate or check its examples"
                    )
            self._read += values
            self._unread.clear()
        return self._read

    def __len__(self) -> int:
        return len(self._read) + len(self._unread)


@dataclass
class TrainingState:
    """A training after `done` updates, with its model, optimizer and schedule.

    Attributes
    ----------
    losses : Losses
        Of the updates since the last point of the curve.
    best : dict of str to Tensor
        Weights of the best dev score; empty before the first evaluation, or if the last update has the best score.
    """

    model: MultiTaskModel
    optimizer: torch.optim.Optimizer
    rates: torch.optim.lr_scheduler.LRScheduler
    gradients: Gradients
    outcome: Outcome = field(default_factory=Outcome)
    done: int = 0
    losses: Losses = field(default_factory=Losses)
    best: Tensors = field(default_factory=dict)

    def note_loss(self) -> None:
        """Append the mean loss since the last point to the curve; StiltsError if a loss is not finite."""
        losses = self.losses.read()
        self.outcome.history.append({"update": self.done, "loss": sum(losses) / len(losses)})
        self.losses = Losses()

    def tensors(self) -> Tensors:
        """Return copies of weights, best weights, AdamW's moments and random states in CPU memory."""
        moments = {
            f"{number}.{name}": value.to("cpu", copy=True)
            for number, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        states = {"cpu": torch.get_rng_state()}
        if self.model.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.model.device)
        parts = {"weights": copy_trained_weights(self.model), "best": self.best, "moments": moments, "random": states}
        return {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}

    def notes(self) -> dict[str, Any]:
        """Return all other parts of the state, as JSON types; StiltsError if a loss is not finite."""
        return {
            "done": self.done,
            "losses": self.losses.read(),
            "outcome": asdict(self.outcome),
            "batch_tokens": self.gradients.batch_tokens,
            "groups": self.optimizer.state_dict()["param_groups"],
            "rates": self.rates.state_dict(),
            "random": random.getstate(),
            "version": STATE_VERSION,
        }

    def restore(self, tensors: Mapping[str, torch.Tensor], notes: Mapping[str, Any]) -> None:
        """Load a saved state; StiltsError if its model has other weights."""
        weights = _part(tensors, "weights")
        if weights.keys() != copy_trained_weights(self.model).keys():
            raise StiltsError("the saved state of this training belongs to a model with other weights")
        self.model.load_state_dict(weights, strict=False)
        moments: dict[int, Tensors] = {}
        for name, value in _part(tensors, "moments").items():
            number, _, kind = name.partition(".")
            moments.setdefault(int(number), {})[kind] = value
        self.optimizer.load_state_dict({"state": moments, "param_groups": notes["groups"]})
        self.rates.load_state_dict(notes["rates"])
        self.gradients.batch_tokens = notes["batch_tokens"]
        self.outcome, self.done = Outcome(**notes["outcome"]), notes["done"]
        self.losses, self.best = Losses(notes["losses"]), _part(tensors, "best")
        self._restore_random(_part(tensors, "random"), notes["random"])

    def _restore_random(self, states: Tensors, own: list) -> None:
        version, numbers, rest = own
        random.setstate((version, tuple(numbers), rest))
        torch.set_rng_state(states["cpu"])
        if self.model.device.type == "cuda" and "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.model.device)


def _part(tensors: Mapping[str, torch.Tensor], part: str) -> Tensors:
    prefix = f"{part}/"
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


class _Notes(BaseModel):
    """The schema of a saved state's notes, see `TrainingState.notes`."""

    model_config = ConfigDict(extra="forbid")

    done: PositiveInt
    losses: list[float]
    outcome: Outcome
    batch_tokens: PositiveInt | None
    groups: list[dict[str, Any]]
    rates: dict[str, Any]
    random: tuple[int, list[int], float | None]
    version: Literal[1] = STATE_VERSION  # older states have none


class SavedStates:
    """The saved states of one training: the last one and, while it is written, the previous one.

    Parameters
    ----------
    folder : Path
        Folder with a checkpoint for each state, named by its updates. The caller must hold the run's lock.
    minutes : float
        Minutes between two states; 0 for one after each update.
    """

    def __init__(self, folder: Path, minutes: float):
        self.folder, self.minutes = folder, minutes
        self._checkpoints = Checkpoints(folder)
        self._last = time.monotonic()

    def newest(self) -> int:
        """Return the number of updates of the newest usable state, 0 if there is none.

        Damaged states are set aside and states of other versions of stilts are removed; both are logged.
        """
        for done in sorted(self._saved(), reverse=True):
            if not self._checkpoints.intact(_name(done)):
                log.warning("%s: the state after update %d was damaged", self.folder.name, done)
            elif unknown := self._unknown(done):
                self._checkpoints.discard(_name(done))
                log.warning(
                    "%s: the state after update %d was saved by another version of stilts (%s) and is removed",
                    self.folder.name, done, unknown,
                )  # fmt: skip
            else:
                log.info("%s: training resumes after update %d, where it was interrupted", self.folder.name, done)
                return done
        return 0

    def _unknown(self, done: int) -> str | None:
        """Return the reason why this version cannot read a state's notes; None if it can."""
        try:
            _Notes.model_validate(self._checkpoints.notes(_name(done)))
        except (KeyError, TypeError, ValueError) as error:  # no notes, or no JSON
            return describe_reasons(error) if isinstance(error, ValidationError) else f"no notes: {error}"
        return None

    def restore(self, state: TrainingState, done: int) -> None:
        """Load the state after `done` updates.

        Raises
        ------
        StiltsError
            If it is missing or belongs to another model.
        """
        try:
            state.restore(*self._checkpoints.load_with_notes(_name(done)))
        except (StiltsError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise StiltsError(f"{error}; remove {self.folder} to start this training again") from None

    def save_when_due(self, state: TrainingState) -> None:
        """Save a state if the last one is old enough; StiltsError if the disk is full or cannot be written."""
        if time.monotonic() - self._last < 60 * self.minutes:
            return
        earlier = self._saved()
        self._checkpoints.save(_name(state.done), state.tensors(), state.notes())
        for done in earlier:
            self._checkpoints.discard(_name(done))
        self._last = time.monotonic()

    def forget(self) -> None:
        """Remove all states, including those that were set aside."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _saved(self) -> list[int]:
        names = [path.name for path in self.folder.glob("update-*")]
        return [int(found[1]) for name in names if (found := re.fullmatch(r"update-(\d+)", name))]


def _name(done: int) -> str:
    return f"update-{done}"
