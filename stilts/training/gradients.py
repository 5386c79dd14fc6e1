"""The gradients of one update: gradient accumulation over passes that fit into memory, and over processes."""

import logging
import random
from collections.abc import Sequence

import torch

from stilts.models.model import MultiTaskModel, autocast, products
from stilts.study.errors import StiltsError
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.inputs import Input
from stilts.training.batches import count_padded_tokens, cut_by_tokens, cut_evenly
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

    def compute(self, task: str, form: TrainedFormat, parts: Sequence[Input], update: int) -> float:
        """Set the gradients of the weights, which must have none, for a batch's mean loss, and return that loss.

        Raises
        ------
        StiltsError
            If a single input, or a batch that cannot be split, does not fit into memory.
        """
        while True:
            loss, bound = self._own_passes(task, form, parts, update)
            bound = self.processes.all_reduce_min(bound)
            if bound == self.batch_tokens:
                return self.processes.all_reduce(loss, self.model.parameters())
            log.warning(
                "the memory of %s is full; from update %d on, a pass has at most %d tokens",
                self.model.device, update, bound,
            )  # fmt: skip
            self.batch_tokens = bound
            self.model.zero_grad()
            torch.cuda.empty_cache()

    def _own_passes(
        self, task: str, form: TrainedFormat, parts: Sequence[Input], update: int
    ) -> tuple[torch.Tensor, int | None]:
        """Run this process's passes; return their share of the mean loss, and the limit of tokens that fits."""
        loss = torch.zeros((), device=self.model.device)
        weight = form.weight(parts)
        for number, passed in enumerate(self._passes(form, parts)):
            if number % self.processes.count != self.processes.rank:
                continue
            if self._seeded:
                torch.manual_seed(random.Random(f"{self.seed} {update} {number}").getrandbits(63))
            try:
                loss += self._pass(task, form, passed, weight)
            except torch.OutOfMemoryError:
                return loss, _half(task, form, passed)
        return loss, self.batch_tokens

    @property
    def _seeded(self) -> bool:
        return self.batch_tokens is not None or self.processes.count > 1

    def _passes(self, form: TrainedFormat, parts: Sequence[Input]) -> Sequence[Sequence[Input]]:
        if form.whole_batches:
            return [parts]
        if self.batch_tokens is None:
            return cut_evenly(parts, self.processes.count)
        return cut_by_tokens(parts, self.batch_tokens)

    def _pass(self, task: str, form: TrainedFormat, parts: Sequence[Input], weight: int) -> torch.Tensor:
        """Accumulate the gradients of some of a batch's inputs; return their share of its mean loss."""
        with products(self.precision, self.model.device):
            with autocast(self.precision, self.model.device):
                logits = self.model.logits(task, parts)
            loss = form.loss(logits.float(), parts) / weight
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
