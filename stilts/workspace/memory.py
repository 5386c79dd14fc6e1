"""The memory that processes may use on this machine: the smallest of all limits."""

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

UNLIMITED = 2**60  # bytes; without a limit, cgroups version 1 states a number near 2^63
LIMITS = {"memory": ("memory.limit_in_bytes",), "": ("memory.max", "memory.high")}  # controller -> files, v1 and v2


def find_memory(root: Path = Path("/"), variables: Mapping[str, str] | None = None) -> int:
    """Return the memory in MB that jobs may use together.

    This is the smallest of the machine's memory, the limits of this process's control groups (version 1 and 2, with
    their parents), its Slurm allocation and its resource limits.

    Parameters
    ----------
    root : Path
        Folder that contains `proc` and the mounts listed there.
    variables : mapping, optional
        Environment variables; those of this process by default.
    """
    variables = os.environ if variables is None else variables
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [physical, *_of_groups(root), *_of_allocation(variables), *_of_process()]
    return max(1, min(limits) // 2**20)


def _of_groups(root: Path) -> Iterator[int]:
    """Yield the limits in bytes of the control groups that this process is in."""
    groups = dict(_groups(root))
    for kind, top, mounted in _mounts(root):
        if kind not in groups:
            continue
        # A container may see only a part of the tree: the group `top` and those below it are mounted.
        inside = os.path.relpath(groups[kind], top) if Path(groups[kind]).is_relative_to(top) else "."
        folder = root / mounted.lstrip("/") / inside
        for each in (folder, *folder.parents):
            if not each.is_relative_to(root / mounted.lstrip("/")):
                break
            yield from _limits(each, LIMITS[kind])


def _groups(root: Path) -> Iterator[tuple[str, str]]:
    """Yield controller ("memory", or "" for version 2) and group of this process; see `man 7 cgroups`."""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            yield "", group
        elif "memory" in controllers.split(","):
            yield "memory", group


def _mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """Yield controller, group and folder of each mounted cgroup tree that limits memory; see `man 5 proc`."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, described = before.split(), after.split()
        if len(fields) < 5 or len(described) < 3:
            continue
        top, mounted = (_unescaped(field) for field in fields[3:5])
        if described[0] == "cgroup2":
            yield "", top, mounted
        elif described[0] == "cgroup" and "memory" in described[2].split(","):
            yield "memory", top, mounted


def _limits(folder: Path, names: tuple[str, ...]) -> Iterator[int]:
    for name in names:
        for line in _lines(folder / name):
            if line.strip().isdigit() and int(line) < UNLIMITED:
                yield int(line)


def _of_allocation(variables: Mapping[str, str]) -> Iterator[int]:
    """Yield the limits of the Slurm allocation in bytes; Slurm counts in MB, and 0 is all of a machine."""
    per_cpu = _number(variables, "SLURM_MEM_PER_CPU") * _number(variables, "SLURM_CPUS_ON_NODE")
    per_gpu = _number(variables, "SLURM_MEM_PER_GPU") * _number(variables, "SLURM_GPUS_ON_NODE")
    for megabytes in (_number(variables, "SLURM_MEM_PER_NODE"), per_cpu, per_gpu):
        if megabytes:
            yield megabytes * 2**20


def _number(variables: Mapping[str, str], name: str) -> int:
    value = variables.get(name, "")
    return int(value) if value.isdigit() else 0


def _of_process() -> Iterator[int]:
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft = resource.getrlimit(kind)[0]
        if soft != resource.RLIM_INFINITY:
            yield soft


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError):
        return []


def _unescaped(field: str) -> str:
    """Return a path of mountinfo, in which a space is written as \\040."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field
