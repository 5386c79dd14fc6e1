"""What the benchmarks share: a model of the study as `Trainer` wants it, and timing."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from stilts.models.model import Batch, MultiTaskModel
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.inputs import Input


class WithLoss(nn.Module):
    """A model of the study as `Trainer` wants it: the tensors of a batch in, loss out.

    Parameters
    ----------
    model : MultiTaskModel
    task : str
        The task whose head is trained.
    form : TrainedFormat
        The task's format.
    padded_to : int, optional
        Tokens of every input, for formats without a target for each token; by default as many as the longest of the
        batch.
    """

    def __init__(self, model: MultiTaskModel, task: str, form: TrainedFormat, padded_to: int | None = None):
        super().__init__()
        self.model, self.task, self.form, self.padded_to = model, task, form, padded_to

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, weight: int, **targets: torch.Tensor) -> dict:
        """Return the mean loss of a batch."""
        logits = self.model(self.task, Batch(ids, mask))
        return {"loss": self.form.sum_loss(logits.float(), *targets.values()) / weight}

    def collate(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return examples as a batch."""
        parts = [example["part"] for example in examples]
        batch = self.model.collate(parts)
        ids, mask = batch.ids, batch.mask
        if self.padded_to:
            missing = (0, self.padded_to - ids.shape[1])
            ids = nn.functional.pad(ids, missing, value=self.model.encoder.config.pad_token_id)
            mask = nn.functional.pad(mask, missing)
        targets = {f"target_{number}": target for number, target in enumerate(self.form.targets(parts))}
        return {"ids": ids, "mask": mask, "weight": self.form.weight(parts), **targets}


def list_examples(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Return inputs as `WithLoss.collate` takes them; `Trainer` groups them by the length of their ids."""
    return [{"input_ids": part.input_ids, "part": part} for part in inputs]


def measure_products(size: int, dtype: torch.dtype, device: torch.device) -> float:
    """Return the floating-point operations per second of a product of square matrices, in the fastest round."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / time_fastest(lambda: left @ right, device)


def time_fastest(call: Callable[[], Any], device: torch.device, calls: int = 10, rounds: int = 5) -> float:
    """Return the seconds of a call in the fastest round."""
    seconds = []
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        for _ in range(calls):
            call()
        wait(device)
        seconds.append((time.perf_counter() - start) / calls)
    return min(seconds)


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
