"""The processes that train one model together: how they connect, and their collectives."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch

PATIENCE = timedelta(days=1)  # with the main process, which evaluates while others wait; a dead one is noticed at once
NO_BOUND = 2**62  # stands for None among numbers of which the lowest holds


@dataclass(frozen=True)
class Processes:
    """The processes of one training, as one of them sees them.

    All call the same methods in the same order; where there is one process alone, they return what they are given.

    Attributes
    ----------
    count : int
        Number of processes.
    rank : int
        This one's number from 0; the first is the main one, which alone evaluates and writes.
    """

    count: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process evaluates and writes."""
        return self.rank == 0

    def all_reduce_min(self, bound: int | None) -> int | None:
        """Return the lowest bound of all processes; None is no bound."""
        if self.count == 1:
            return bound
        own = torch.tensor(NO_BOUND if bound is None else bound, device=_device())
        torch.distributed.all_reduce(own, torch.distributed.ReduceOp.MIN)
        return None if own.item() == NO_BOUND else int(own.item())

    def broadcast(self, number: int) -> int:
        """Return the main process's number."""
        if self.count == 1:
            return number
        own = torch.tensor(number, device=_device())
        torch.distributed.broadcast(own, src=0)
        return int(own.item())

    def all_reduce(self, loss: torch.Tensor, weights: Iterable[torch.nn.Parameter]) -> float:
        """Sum a loss over all processes, and in place the gradients of weights; return the loss.

        A weight that no process has a gradient of is left without one, so that an optimizer leaves it alone.
        """
        if self.count == 1:
            return loss.item()
        trained = [weight for weight in weights if weight.requires_grad]
        counts = torch.tensor([weight.grad is not None for weight in trained], dtype=torch.int32, device=_device())
        torch.distributed.all_reduce(loss)
        torch.distributed.all_reduce(counts)
        reached = [weight for weight, count in zip(trained, counts.tolist(), strict=True) if count]
        for weight in reached:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        for work in [torch.distributed.all_reduce(weight.grad, async_op=True) for weight in reached]:
            work.wait()
        return loss.item()


ALONE = Processes()


def connect(rendezvous: Path) -> Processes:
    """Connect this process with the others of a training; each takes a GPU where this machine has any.

    Parameters
    ----------
    rendezvous : Path
        File that all name and that none has written to yet.
    """
    from accelerate import PartialState

    state = PartialState(
        cpu=not torch.cuda.is_available(),
        init_method=rendezvous.resolve().as_uri(),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=PATIENCE,
    )
    return Processes(state.num_processes, state.process_index)


def _device() -> torch.device:
    """Return where the processes' backend takes tensors from: this process's GPU, or the CPU."""
    from accelerate import PartialState

    return PartialState().device
