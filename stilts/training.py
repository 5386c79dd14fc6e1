"""Phases 1 and 2: one loop that trains a shared encoder and the heads of one or several tasks.

Batches hold examples of like length, so that little is padding; frozen word embeddings and a trimmed vocabulary leave
out the four fifths of a small encoder's weights that a step need not touch.
"""

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean

import torch

from stilts.errors import StiltsError
from stilts.formats import get_format
from stilts.formats.base import Input
from stilts.model import MultiTaskModel, autocast, pad, resolve_precision
from stilts.study import TrainingSettings

GROUP = 32  # batches that are sorted together: long enough for little padding, short enough to stay random
LOSS_POINTS = 20  # points of a run's loss curve


@dataclass(frozen=True)
class TaskData:
    """Training inputs of one task: its format's name and encoded examples."""

    form: str
    inputs: Sequence[Input]


@dataclass
class Outcome:
    """What a training left behind: its curve, its best dev score, and how much went through the encoder."""

    history: list[dict[str, float]] = field(default_factory=list)
    best_scores: dict[str, float] = field(default_factory=dict)
    best_update: int = 0
    examples: int = 0
    tokens: int = 0

    @property
    def best_score(self) -> float:
        """Mean over tasks of the best dev scores."""
        return mean(self.best_scores.values()) if self.best_scores else -math.inf


def grouped_batches(lengths: Sequence[int], batch_size: int, rng: random.Random) -> list[list[int]]:
    """Return one epoch's batches: every position once, shuffled, with inputs of like length together."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), GROUP * batch_size):
        group = sorted(order[start : start + GROUP * batch_size], key=lambda i: lengths[i])
        batches += [group[i : i + batch_size] for i in range(0, len(group), batch_size)]
    rng.shuffle(batches)
    return batches


def schedule(
    tasks: Mapping[str, TaskData], batch_size: int, epochs: float, example_cap: int, seed: int
) -> list[tuple[str, list[int]]]:
    """Return the updates of a training: (task, positions of its inputs).

    Each task takes part with min(size, cap) examples an epoch, drawn anew each epoch where the cap is smaller, so that
    tasks are sampled in proportion to their capped sizes. A part of an epoch is that part of its updates.
    """
    rng = random.Random(seed)
    updates: list[tuple[str, list[int]]] = []
    per_epoch = 0
    for epoch in range(math.ceil(epochs)):
        current = []
        for name, data in tasks.items():
            chosen = sorted(rng.sample(range(len(data.inputs)), min(len(data.inputs), example_cap)))
            lengths = [data.inputs[i].longest for i in chosen]
            batches = grouped_batches(lengths, batch_size, rng)
            current += [(name, [chosen[i] for i in batch]) for batch in batches]
        rng.shuffle(current)
        per_epoch = len(current)
        updates += current[: round(per_epoch * min(1.0, epochs - epoch))]
    return updates


def train(
    model: MultiTaskModel,
    tasks: Mapping[str, TaskData],
    settings: TrainingSettings,
    *,
    seed: int,
    dev_scores: Callable[[], dict[str, float]],
    example_cap: int = 2**17,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Train a model in place and leave it with the weights of its best dev score.

    Parameters
    ----------
    tasks : mapping of str to TaskData
        Tasks that train together; each needs a head in the model.
    seed : int
        Decides data order and dropout.
    dev_scores : callable
        Returns the model's score on each task's English dev set, in percent; the highest mean is kept.
    example_cap : int
        Examples of one task that count in an epoch.
    progress : callable
        Called with updates done and all updates.

    Raises
    ------
    StiltsError
        If a loss is not finite (the rate is too high or an example is broken), or the settings leave no update.
    """
    updates = schedule(tasks, settings.batch_size, settings.epochs, example_cap, seed)
    if not updates:
        raise StiltsError(
            f"{settings.epochs} epochs are less than one update of {settings.batch_size} examples; raise epochs"
        )
    optimizer, rates = _optimizer(model, settings, len(updates))
    torch.manual_seed(seed)
    outcome = Outcome()
    stops = {round(len(updates) * (i + 1) / settings.evaluations) for i in range(settings.evaluations)}
    best: dict[str, torch.Tensor] = {}
    losses: list[float] = []
    for done, (task, positions) in enumerate(updates, start=1):
        parts = [tasks[task].inputs[i] for i in positions]
        losses.append(_update(model, task, tasks[task].form, parts, settings, optimizer))
        rates.step()
        outcome.examples += len(parts)
        outcome.tokens += sum(part.tokens for part in parts)
        if done % max(1, len(updates) // LOSS_POINTS) == 0 or done == len(updates):
            outcome.history.append({"update": done, "loss": sum(losses) / len(losses)})
            losses.clear()
        if done in stops:
            best = _evaluate(model, dev_scores, done, len(updates), outcome, best)
        progress(done, len(updates))
    if best:
        model.load_state_dict(best, strict=False)
    return outcome


def _update(
    model: MultiTaskModel,
    task: str,
    form: str,
    parts: Sequence[Input],
    settings: TrainingSettings,
    optimizer: torch.optim.Optimizer,
) -> float:
    model.train()
    ids, mask = pad(parts, model.encoder.config.pad_token_id, model.device)
    with autocast(resolve_precision(settings.precision, model.device), model.device):
        logits = model(task, ids, mask)
    loss = get_format(form).loss(logits.float(), parts) / get_format(form).weight(parts)
    if not torch.isfinite(loss):
        raise StiltsError(f"loss of task '{task}' is {loss.item()}; lower the learning rate or look at its examples")
    loss.backward()
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, settings.clip)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def _evaluate(
    model: MultiTaskModel,
    dev_scores: Callable[[], dict[str, float]],
    done: int,
    total: int,
    outcome: Outcome,
    best: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Score the dev set; return the weights to keep: a copy of the current ones if they are the best and not the last.

    Of equal scores the later one holds: it has seen more.
    """
    # Prediction must not move the random state: dropout would depend on how often the dev set is looked at.
    state = torch.get_rng_state()
    scores = dev_scores()
    torch.set_rng_state(state)
    outcome.history.append({"update": done, "dev_score": mean(scores.values())})
    if mean(scores.values()) < outcome.best_score:
        return best
    outcome.best_scores, outcome.best_update = scores, done
    if done == total:
        return {}
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: value.clone() for name, value in model.state_dict().items() if name in trained}


def _optimizer(model: MultiTaskModel, settings: TrainingSettings, updates: int):
    """AdamW with two rates (encoder, heads) and decay on matrices alone; linear warm-up, then linear decay."""
    from transformers import get_linear_schedule_with_warmup

    _freeze(model, settings)
    rates = {"encoder": settings.learning_rate, "heads": settings.head_learning_rate}
    groups = [
        {"params": weights, "lr": rates[part], "weight_decay": settings.weight_decay if decayed else 0.0}
        for part in rates
        for decayed in (True, False)
        if (weights := list(_weights(model, part, decayed)))
    ]
    optimizer = torch.optim.AdamW(groups, eps=1e-8, fused=True)
    return optimizer, get_linear_schedule_with_warmup(optimizer, round(settings.warmup * updates), updates)


def _freeze(model: MultiTaskModel, settings: TrainingSettings) -> None:
    """Leave out what the settings do not train: word embeddings, or all that lies below a layer."""
    for name, weight in model.encoder.named_parameters():
        layer = re.search(r"\blayers?\.(\d+)\.", name)
        below = int(layer[1]) < settings.frozen_layers if layer else "embed" in name and settings.frozen_layers > 0
        weight.requires_grad_(not below)
    if not settings.train_embeddings:
        model.encoder.get_input_embeddings().weight.requires_grad_(False)


def _weights(model: MultiTaskModel, part: str, decayed: bool) -> Iterator[torch.nn.Parameter]:
    for name, weight in model.named_parameters():
        # Biases and LayerNorm weights are the vectors of the model.
        if weight.requires_grad and name.startswith(part) and (weight.dim() > 1) == decayed:
            yield weight
