"""The gradients of one update: gradient accumulation over passes that fit into memory, and over processes."""

import logging
import random
from collections.abc import Sequence

import torch

from stilts.models.model import MultiTaskModel, autocast, keep_casts, products
from stilts.models.packing import move
from stilts.study.errors import StiltsError
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.inputs import Input
from stilts.training.batches import count_padded_tokens, cut_by_tokens, cut_evenly
from stilts.training.collation import Collated, Pass, Update, collate
from stilts.training.processes import ALONE, Processes

log = logging.getLogger(__name__)


class Gradients:
    """Computes the gradients of a batch's mean loss, and reduces the size of passes when memory is full.

    A single pass for the whole batch draws its dropout from the training's random stream. If there are several passes,
    each has its own seed, so that it does not matter which process computes it.

    Parameters
    ----------
    precision : str
        "bf16" or "fp32".
    seed : int
        Part of a pass's seed, with the numbers of the update and of the pass.
    batch_tokens : int, optional
        Maximum number of padded tokens of a pass; None for the whole batch, or an equal share of it per process.
    processes : Processes
        The processes that share the passes.

    Attributes
    ----------
    batch_tokens : int or None
        The current limit, which is the same in all processes.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        precision: str,
        seed: int,
        batch_tokens: int | None = None,
        processes: Processes = ALONE,
    ):
        self.model, self.precision, self.seed = model, precision, seed
        self.batch_tokens, self.processes = batch_tokens, processes

    def collate(self, task: str, form: TrainedFormat, parts: Sequence[Input], number: int) -> Update:
        """Return a batch as the passes of this process, for an update. A thread may do so while others are computed."""
        limit = self.batch_tokens
        passes = [
            Pass(place, passed, collate(self.model, form, passed))
            for place, passed in enumerate(self._cut(form, parts, limit))
            if place % self.processes.count == self.processes.rank
        ]
        return Update(number, task, form, parts, form.weight(parts), limit, passes)

    def compute(self, update: Update) -> torch.Tensor:
        """Set the gradients of the weights, which must have none, for a batch's mean loss, and return that loss.

        Raises
        ------
        StiltsError
            If a single input, or a batch that cannot be split, does not fit into memory.
        """
        while True:
            if update.batch_tokens != self.batch_tokens:  # collated before the memory was found to be full
                update = self.collate(update.task, update.form, update.parts, update.number)
            loss, bound = self._own_passes(update)
            bound = self.processes.all_reduce_min(bound)
            if bound == self.batch_tokens:
                return self.processes.all_reduce(loss, self.model.parameters())
            log.warning(
                "the memory of %s is full; from update %d on, a pass has at most %d tokens",
                self.model.device, update.number, bound,
            )  # fmt: skip
            self.batch_tokens = bound
            self.model.zero_grad()
            torch.cuda.empty_cache()

    def _own_passes(self, update: Update) -> tuple[torch.Tensor, int | None]:
        """Run this process's passes; return their share of the mean loss, and the limit of tokens that fits."""
        loss = torch.zeros((), device=self.model.device)
        with keep_casts(self.model.device):
            for each in update.passes:
                if self._seeded:
                    torch.manual_seed(random.Random(f"{self.seed} {update.number} {each.number}").getrandbits(63))
                try:
                    loss += self._pass(update, each.tensors)
                except torch.OutOfMemoryError:
                    return loss, _half(update.task, update.form, each.parts)
        return loss, self.batch_tokens

    @property
    def _seeded(self) -> bool:
        return self.batch_tokens is not None or self.processes.count > 1

    def _cut(self, form: TrainedFormat, parts: Sequence[Input], limit: int | None) -> Sequence[Sequence[Input]]:
        if form.whole_batches:
            return [parts]
        return cut_evenly(parts, self.processes.count) if limit is None else cut_by_tokens(parts, limit)

    def _pass(self, update: Update, tensors: Collated) -> torch.Tensor:
        """Accumulate the gradients of some of a batch's inputs; return their share of its mean loss."""
        batch, targets = move(tensors, self.model.device)
        with products(self.precision, self.model.device):
            with autocast(self.precision, self.model.device):
                logits = self.model(update.task, batch)
            loss = update.form.sum_loss(logits.float(), *targets) / update.weight
            loss.backward()
        return loss.detach()


def _half(task: str, form: TrainedFormat, parts: Sequence[Input]) -> int:
    """Return half the padded tokens of a pass that did not fit; StiltsError if it cannot be split."""
    longest, remedy = max(part.longest for part in parts), "max_length"
    if form.whole_batches:
        what, remedy = f"a batch of {len(parts)} inputs, which its loss compares with each other", "batch_size"
    elif len(parts) > 1:
        return count_padded_tokens(parts) // 2
    elif parts[0].alternatives:
        what = f"one input of {len(parts[0].sequences)} sequences"
    else:
        what = "one input"
    raise StiltsError(
        f"task '{task}': {what} of up to {longest} tokens does not fit into the device's memory; lower {remedy}, set "
        "gradient_checkpointing to true or precision to bf16, or train fewer layers (frozen_layers)"
    )
