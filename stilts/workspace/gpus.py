"""The GPUs of this machine, and how the jobs of a plan share them."""

import csv
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from stilts.study.provenance import ran_on_gpu
from stilts.workspace.checkout import Checkout
from stilts.workspace.forecast import Estimator
from stilts.workspace.plan import Plan

VISIBLE = "CUDA_VISIBLE_DEVICES"
PLACES = "STILTS_GPU_PLACES"  # variable that tells a job where it may run, see `GpuShares.places`
QUERY = ("nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits")
# Assumed, not measured: what a process holds besides the tensors of the record (CUDA's context, free blocks of the
# allocator), so that jobs that share a GPU rarely have to halve their passes.
CONTEXT_MB, SPARE = 600.0, 1.25


class Gpu(NamedTuple):
    """A GPU: its name for `CUDA_VISIBLE_DEVICES`, and its memory in MB if that is known."""

    name: str
    memory_mb: float | None


def find_gpus(variables: Mapping[str, str] = os.environ) -> list[Gpu]:
    """Return the GPUs that processes with these environment variables can use; none without NVIDIA's driver."""
    found = list(_installed())
    if VISIBLE not in variables:
        return [Gpu(uuid, memory) for _, uuid, memory in found]
    visible, indices = [], {index for index, _, _ in found}
    for name in filter(None, map(str.strip, variables[VISIBLE].split(","))):
        if name.startswith("-") or not found or (name.isdigit() and name not in indices):
            break  # CUDA takes no device behind one that does not exist
        memory = next((memory for index, uuid, memory in found if index == name or uuid.startswith(name)), None)
        visible.append(Gpu(name, memory))
    return visible


def _installed() -> Iterator[tuple[str, str, float | None]]:
    """Yield index, UUID and memory in MB of each GPU that NVIDIA's driver knows."""
    try:
        told = subprocess.run(QUERY, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):  # no driver, or one that finds no device
        return
    for index, uuid, memory in filter(None, csv.reader(told.split("\n"), skipinitialspace=True)):
        yield index, uuid, float(memory) if memory.isdigit() else None


@dataclass(frozen=True)
class GpuShares:
    """How jobs share the GPUs of this machine.

    Attributes
    ----------
    gpus : tuple of Gpu
    per_gpu : int
        Jobs at a time on each GPU; 0 if a job takes all of them, since its processes train together.
    asked : int
        `schedule.jobs_per_gpu`.
    peak_mb : float
        Most memory that a similar run on record had allocated; 0 without one.
    """

    gpus: tuple[Gpu, ...]
    per_gpu: int
    asked: int
    peak_mb: float

    @property
    def jobs(self) -> int:
        """Number of jobs at a time."""
        return max(1, len(self.gpus) * self.per_gpu)

    @property
    def places(self) -> list[str]:
        """Places of jobs, "share:GPU"; GPUs take turns, so that few jobs lie on different ones."""
        return [f"{share}:{gpu.name}" for share in range(self.per_gpu) for gpu in self.gpus]

    def __str__(self) -> str:
        known = "no similar run is recorded"
        if self.peak_mb:
            known = f"similar runs used at most {self.peak_mb:.0f} MB of a GPU"
        if not self.per_gpu:
            return f"GPUs: {len(self.gpus)}, all for one job at a time; {known}"
        less = f", for which memory is short of {self.asked}" if self.per_gpu < self.asked else ""
        return f"GPUs: {len(self.gpus)}, {self.per_gpu} job(s) at a time on each{less}; {known}"


def share_gpus(plan: Plan, gpus: Sequence[Gpu] | None = None) -> GpuShares | None:
    """Return how the jobs of a plan share GPUs; None where there are none.

    At most `schedule.jobs_per_gpu` share one, and no more than have the memory that similar runs on record had.

    Parameters
    ----------
    gpus : sequence of Gpu, optional
        Those of this machine by default.
    """
    gpus = tuple(find_gpus() if gpus is None else gpus)
    if not gpus:
        return None
    asked, peak = plan.study.schedule.jobs_per_gpu, _find_peak(plan)
    if plan.study.schedule.processes > 1:
        return GpuShares(gpus, 0, asked, peak)
    smallest = min((gpu.memory_mb for gpu in gpus if gpu.memory_mb), default=None)
    fitting = int(smallest / (SPARE * peak + CONTEXT_MB)) if smallest and peak else asked
    return GpuShares(gpus, max(1, min(asked, fitting)), asked, peak)


def _find_peak(plan: Plan) -> float:
    """Return the most GPU memory in MB that is on record for runs like those of a plan that have no record."""
    records = {record.id: record for record in plan.checkout.store()}
    expect = Estimator(record for record in records.values() if ran_on_gpu(record.provenance))
    forecasts = [expect(run) for run in plan.runs if run.id not in records]
    return max((each.memory_mb for each in forecasts if each.measured), default=0.0)


@contextmanager
def hold_gpu(checkout: Checkout) -> Iterator[None]:
    """Hold the first free place of `STILTS_GPU_PLACES` and make its GPU the only visible one; without it, do nothing.

    Waits while other commands of this checkout hold all places.
    """
    places = os.environ.get(PLACES)
    if not places:
        yield
        return
    names = {f"gpu-{platform.node()}-{place}": place.partition(":")[2] for place in places.split(",")}
    with checkout.lock_one(list(names), "this machine's GPUs") as held:
        os.environ[VISIBLE] = names[held]  # of this job's process and its kernel
        yield
