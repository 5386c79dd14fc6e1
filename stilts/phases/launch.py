"""Start and supervision of the processes that train one model together.

They are not forks of the notebook's kernel, since CUDA does not survive a fork. torch's own launcher is not used: it
starts its workers in their own sessions, where they outlive a killed kernel.
"""

import json
import logging
import shutil
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError
from stilts.study.runs import Run
from stilts.workspace.process_groups import process_group
from stilts.workspace.starting import build_command, describe_signal, make_environment

if TYPE_CHECKING:
    from stilts.workspace.plan import Plan

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class _Member:
    """One of the processes, and the file of its output."""

    rank: int
    process: subprocess.Popen
    output: Path

    @property
    def lines(self) -> list[str]:
        return [line for line in self.output.read_text(errors="replace").split("\n") if line.strip()]


def train_together(run: Run, plan: "Plan") -> None:
    """Train a run in as many processes as the study's schedule says; the first one writes its record.

    The caller holds the run's lock, and the checkpoint of its parent exists.

    Raises
    ------
    StiltsError
        If there are fewer GPUs than processes, or a process fails; then all processes are ended.
    """
    count = plan.study.schedule.processes
    _check_gpus(count)
    folder = plan.checkout.runs / "processes" / run.id
    shutil.rmtree(folder, ignore_errors=True)  # files of processes that were killed
    folder.mkdir(parents=True)
    request = folder / "request.json"
    request.write_text(json.dumps(_request(run, plan)))
    log.info("%s: trains in %d processes; their output is in %s", run.id, count, folder)
    with process_group() as group, ExitStack() as stack:
        members = [_start(rank, plan, request, group, stack) for rank in range(count)]
        failed = _wait(members)
    for member in members:
        member.process.wait()  # processes that still ran were killed with their group
    for line in members[0].lines:
        log.info(line)
    if failed:
        raise StiltsError(_reason(failed, members))
    shutil.rmtree(folder)


def _request(run: Run, plan: "Plan") -> dict:
    schedule = plan.study.schedule.model_copy(update={"threads_per_job": _threads(plan)})
    return {
        "run": run.model_dump(mode="json"),
        "study": plan.study.model_dump(mode="json") | {"schedule": schedule.model_dump()},
        "reference": plan.reference,
        "checkout": {"root": str(plan.checkout.root), "runs": str(plan.checkout.runs)},
    }


def _threads(plan: "Plan") -> int:
    """Return the CPU threads of each process, an equal share of the job's."""
    return max(1, plan.study.schedule.threads_per_job // plan.study.schedule.processes)


def _check_gpus(processes: int) -> None:
    import torch

    gpus = torch.cuda.device_count()
    if torch.cuda.is_available() and gpus < processes:
        raise StiltsError(f"schedule.processes is {processes}, but this machine has {gpus} GPUs; lower it to {gpus}")


def _start(rank: int, plan: "Plan", request: Path, group: int, stack: ExitStack) -> _Member:
    output = request.with_name(f"process-{rank}.log")
    printed = stack.enter_context(output.open("w"))
    process = subprocess.Popen(
        build_command("-m", "stilts.cli", "train", str(request)),
        cwd=plan.checkout.root,
        env=make_environment(plan.checkout.runs) | _rank_variables(rank, plan),
        process_group=group,
        stdin=subprocess.DEVNULL,
        stdout=printed,
        stderr=subprocess.STDOUT,
    )
    return _Member(rank, process, output)


def _rank_variables(rank: int, plan: "Plan") -> dict[str, str]:
    """Return the environment variables that torch.distributed and accelerate read on one machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(plan.study.schedule.processes),
        "LOCAL_WORLD_SIZE": str(plan.study.schedule.processes),
        "OMP_NUM_THREADS": str(_threads(plan)),
    }


def _wait(members: list[_Member]) -> list[_Member]:
    """Wait until all processes have ended or one has failed; return the failed ones."""
    while any(member.process.poll() is None for member in members):
        if failed := [member for member in members if member.process.poll()]:
            return failed
        time.sleep(POLL_SECONDS)
    return [member for member in members if member.process.returncode]


def _reason(failed: list[_Member], members: list[_Member]) -> str:
    """Return why a training failed: its error message, else the signal that ended it, else its last line of output."""
    told = [line.removeprefix("error: ") for each in failed for line in each.lines if line.startswith("error: ")]
    if told:
        return told[0]
    first = min(failed, key=lambda each: each.process.returncode)  # ended by a signal: negative
    place = f"process {first.rank + 1} of the {len(members)} that train together"
    what = f"Its output: {first.output}; the same command resumes from the last saved state"
    if ended := describe_signal(first.process.returncode):
        return f"{place} was ended by {ended}. {what}"
    return f"{place} failed: {first.lines[-1] if first.lines else 'it printed nothing'}. {what}"
