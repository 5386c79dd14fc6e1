"""Inputs become tensors ahead of their update, in a thread, so that the device never waits for them."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from stilts.models.model import Batch, MultiTaskModel
from stilts.models.packing import pin
from stilts.tasks.formats.base import TrainedFormat
from stilts.tasks.formats.inputs import Input

AHEAD = 2  # updates whose tensors wait in memory; one would do if all took equally long

Item = TypeVar("Item")
Made = TypeVar("Made")


class Collated(NamedTuple):
    """A pass: some of a batch's inputs, and the targets of their format, see `TrainedFormat.targets`."""

    batch: Batch
    targets: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Pass:
    """Some of a batch's inputs, in host memory.

    Attributes
    ----------
    number : int
        Place among the passes of the update, those of other processes included.
    """

    number: int
    parts: Sequence[Input]
    tensors: Collated


@dataclass(frozen=True)
class Update:
    """A batch as this process's passes.

    Attributes
    ----------
    number : int
        Number of the update, part of its passes' seeds.
    parts : sequence of Input
        The whole batch.
    weight : int
        Of the whole batch, see `TrainedFormat.weight`.
    batch_tokens : int, optional
        Maximum number of padded tokens of a pass for which it was cut; None: not cut for memory.
    """

    number: int
    task: str
    form: TrainedFormat
    parts: Sequence[Input]
    weight: int
    batch_tokens: int | None
    passes: Sequence[Pass]


def collate(model: MultiTaskModel, form: TrainedFormat, parts: Sequence[Input]) -> Collated:
    """Return inputs as tensors in host memory, from which the model's device copies them without a wait."""
    return pin(Collated(model.collate(parts), form.targets(parts)), model.device)


def make_ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Generator[Made, None, None]:
    """Yield what is made of each item, in order; a thread makes the next `AHEAD` meanwhile.

    An error in the thread is raised where its item is due.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(thread.submit(make, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
