"""What surrounds a process: whether it lives, how large its files may grow, and the seed of its hashes."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def lives(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def parent(process: int) -> int:
    """Return the parent of a process; 0 if it has just ended."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def session(process: int) -> int:
    """Return the id of a process's session; 0 if it has ended."""
    try:
        return os.getsid(process)
    except OSError:
        return 0


def descendants(process: int) -> list[int]:
    """Return the processes that a process has started, and those that these have started."""
    parents = {int(folder.name): parent(int(folder.name)) for folder in Path("/proc").glob("[0-9]*")}
    found = [process]
    for each in found:
        found += [child for child, its_parent in parents.items() if its_parent == each]
    return found[1:]


def command_line(process: int) -> str:
    """Return a process's arguments, separated by zero bytes; "" if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process can grow beyond `size` bytes: the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def printed_with_two_hash_seeds(code: str) -> set[str]:
    """Return what a program prints in two processes that order their sets differently: one text if it is right."""
    return {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
