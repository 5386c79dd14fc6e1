"""Phases 1 and 2: one loop that trains a shared encoder and the heads of one or several tasks.

Batches contain examples of similar length, for little padding. Frozen word embeddings and a trimmed vocabulary save
updates of four fifths of a small encoder's weights.
"""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from statistics import mean

import torch

from stilts.models.model import MultiTaskModel, resolve_precision
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings
from stilts.tasks.formats.base import EncodedSplit
from stilts.training.batches import schedule_updates
from stilts.training.collation import Update, make_ahead
from stilts.training.gradients import Gradients
from stilts.training.optimization import checkpoint_gradients, copy_trained_weights, freeze, make_optimizer
from stilts.training.processes import ALONE, Processes
from stilts.training.state import Outcome, SavedStates, TrainingState

log = logging.getLogger(__name__)

LOSS_POINTS = 20  # points of a run's loss curve

DevScores = Callable[[], dict[str, float]]


def train(
    model: MultiTaskModel,
    tasks: Mapping[str, EncodedSplit],
    settings: TrainingSettings,
    *,
    seed: int,
    dev_scores: DevScores,
    example_cap: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    saved: SavedStates | None = None,
    processes: Processes = ALONE,
) -> Outcome:
    """Train a model in place and restore the weights of its best dev score.

    Parameters
    ----------
    tasks : mapping of str to EncodedSplit
        Tasks to train together; each needs a head in the model.
    seed : int
        Seed of data order and dropout.
    dev_scores : callable
        Returns the model's score on each task's English dev set, in percent. The best mean selects the weights.
    example_cap : int, optional
        Maximum number of examples of one task in an epoch; None: all.
    progress : callable
        Called with the numbers of completed and of all updates.
    saved : SavedStates, optional
        Saved states for resuming an interrupted training.
    processes : Processes
        The processes that train the model together, each with a copy. Only the main one evaluates and ends with the
        best weights and scores.

    Raises
    ------
    StiltsError
        If a loss is not finite (the rate is too high or an example is invalid), the settings give no update, the
        encoder does not support them, or one example does not fit into memory.
    """
    updates = schedule_updates(tasks, settings.batch_size, settings.epochs, example_cap, seed)
    if not updates:
        raise StiltsError(
            f"{settings.epochs} epochs are less than one update of {settings.batch_size} examples; raise epochs"
        )
    state = _first_state(model, settings, seed, len(updates), processes)
    if saved and (done := processes.broadcast(saved.newest() if processes.is_main else 0)):
        saved.restore(state, done)
    stops = _stops(settings, len(updates))
    with closing(_collated(state, tasks, updates)) as collated:
        for update in collated:
            _update(state, update, settings.clip)
            if state.done % max(1, len(updates) // LOSS_POINTS) == 0 or state.done == len(updates):
                state.note_loss()
            if state.done in stops and _ends(state, dev_scores, len(updates), settings.patience, processes):
                break
            if saved and processes.is_main:
                saved.save_when_due(state)
            progress(state.done, len(updates))
    if state.losses:
        state.note_loss()
    if state.best:
        model.load_state_dict(state.best, strict=False)
    return state.outcome


def _first_state(
    model: MultiTaskModel, settings: TrainingSettings, seed: int, updates: int, processes: Processes
) -> TrainingState:
    freeze(model, settings)
    if settings.gradient_checkpointing:
        checkpoint_gradients(model)
    optimizer, rates = make_optimizer(model, settings, updates)
    precision = resolve_precision(settings.precision, model.device)
    torch.manual_seed(seed)
    return TrainingState(model, optimizer, rates, Gradients(model, precision, seed, settings.batch_tokens, processes))


def _stops(settings: TrainingSettings, updates: int) -> set[int]:
    """Return the updates after which the dev set is evaluated."""
    if settings.evaluate_every:
        return {*range(settings.evaluate_every, updates, settings.evaluate_every), updates}
    return {round(updates * (i + 1) / settings.evaluations) for i in range(settings.evaluations)}


def _collated(
    state: TrainingState, tasks: Mapping[str, EncodedSplit], updates: Sequence[tuple[str, list[int]]]
) -> Generator[Update, None, None]:
    """Yield the updates that are left to do; a thread collates the next ones."""

    def collate(number: int) -> Update:
        task, positions = updates[number - 1]
        data = tasks[task]
        return state.gradients.collate(task, data.form, [data.inputs[i] for i in positions], number)

    return make_ahead(collate, range(state.done + 1, len(updates) + 1))


def _update(state: TrainingState, update: Update, clip: float) -> None:
    """Update the weights once, with the clipped gradients of a batch's mean loss; nothing here waits for a GPU."""
    before = state.gradients.batch_tokens
    state.model.train()
    loss = state.gradients.compute(update)
    trained = [weight for group in state.optimizer.param_groups for weight in group["params"]]
    torch.nn.utils.clip_grad_norm_(trained, clip)  # on a GPU a few kernels over all weights together, as AdamW's fused
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.rates.step()
    state.done = update.number
    state.losses.add(update.task, loss)
    state.outcome.examples += len(update.parts)
    state.outcome.tokens += sum(part.tokens for part in update.parts)
    if state.gradients.batch_tokens != before:  # memory was full: from here on, passes and their dropout differ
        state.outcome.history.append({"update": state.done, "batch_tokens": state.gradients.batch_tokens})


def _ends(
    state: TrainingState, dev_scores: DevScores, updates: int, patience: int | None, processes: Processes
) -> bool:
    """Evaluate the dev set in the main process; return in all processes whether the patience is exhausted."""
    state.losses.read()  # a model whose loss is not finite is not scored
    if processes.is_main:
        _evaluate(state, dev_scores, updates)
    idle = processes.broadcast(state.outcome.evaluations_without_gain)
    if patience is None or idle < patience:
        return False
    log.info("training ends after update %d of %d: no gain in %d evaluations", state.done, updates, idle)
    return True


def _evaluate(state: TrainingState, dev_scores: DevScores, updates: int) -> None:
    """Score the dev set; keep a copy of the weights if they are the best so far and training continues.

    Of equal scores, the later one counts as the best, since it has seen more examples.
    """
    # Prediction must not change the random state: dropout would depend on the number of evaluations.
    random_state = torch.get_rng_state()
    scores = dev_scores()
    torch.set_rng_state(random_state)
    outcome = state.outcome
    outcome.history.append({"update": state.done, "dev_score": mean(scores.values())})
    if mean(scores.values()) < outcome.best_score:
        return
    outcome.best_scores, outcome.best_update = scores, state.done
    state.best = {} if state.done == updates else copy_trained_weights(state.model)
