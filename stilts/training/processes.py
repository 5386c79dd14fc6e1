"""The processes of a distributed training: connecting them, and their collective operations."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch

PATIENCE = timedelta(days=1)  # others wait while the main process evaluates; a dead process is noticed at once
NO_BOUND = 2**62  # represents None in a minimum


@dataclass(frozen=True)
class Processes:
    """One process's view of the processes of a training.

    All processes must call the same methods in the same order. With a single process, the methods return their input.

    Attributes
    ----------
    count : int
        Number of processes.
    rank : int
        Rank of this process; only rank 0, the main process, evaluates and writes.
    hosts : ProcessGroup, optional
        The same processes, for numbers in CPU memory: to agree on them, no process waits for its GPU.
    """

    count: int = 1
    rank: int = 0
    hosts: torch.distributed.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        """Whether this process evaluates and writes."""
        return self.rank == 0

    def all_reduce_min(self, bound: int | None) -> int | None:
        """Return the lowest bound of all processes; None means no bound."""
        if self.count == 1:
            return bound
        own = torch.tensor(NO_BOUND if bound is None else bound)
        torch.distributed.all_reduce(own, torch.distributed.ReduceOp.MIN, self.hosts)
        return None if own.item() == NO_BOUND else int(own.item())

    def broadcast(self, number: int) -> int:
        """Return the main process's number."""
        if self.count == 1:
            return number
        own = torch.tensor(number)
        torch.distributed.broadcast(own, 0, self.hosts)
        return int(own.item())

    def all_reduce(self, loss: torch.Tensor, weights: Iterable[torch.nn.Parameter]) -> torch.Tensor:
        """Return the sum of a loss over all processes, and sum the gradients of weights in place.

        A weight without a gradient in any process keeps none, so that the optimizer skips it.
        """
        if self.count == 1:
            return loss
        trained = [weight for weight in weights if weight.requires_grad]
        counts = torch.tensor([weight.grad is not None for weight in trained], dtype=torch.int32)
        torch.distributed.all_reduce(loss)
        torch.distributed.all_reduce(counts, group=self.hosts)
        reached = [weight for weight, count in zip(trained, counts.tolist(), strict=True) if count]
        for weight in reached:
            weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
        for work in [torch.distributed.all_reduce(weight.grad, async_op=True) for weight in reached]:
            work.wait()
        return loss


ALONE = Processes()


def connect(rendezvous: Path) -> Processes:
    """Connect this process with the others of a training; each takes a GPU if the machine has any.

    Parameters
    ----------
    rendezvous : Path
        The same file in all processes, which must not exist from an earlier training.
    """
    from accelerate import PartialState

    state = PartialState(
        cpu=not torch.cuda.is_available(),
        init_method=rendezvous.resolve().as_uri(),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=PATIENCE,
    )
    hosts = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(state.num_processes, state.process_index, hosts)
