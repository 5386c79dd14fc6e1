"""Processes that must not outlive the one that started them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def process_group() -> Iterator[int]:
    """Yield the id of a process group that is killed when the body or this process ends, even by kill -9.

    The group's first process reads from a pipe of this process, and kills the group when the pipe closes.
    """
    guard = subprocess.Popen(
        ["sh", "-c", "trap '' INT TERM HUP; read -r _; kill -KILL 0"], process_group=0, stdin=subprocess.PIPE
    )
    try:
        yield guard.pid
    finally:
        guard.stdin.close()
        guard.wait()
