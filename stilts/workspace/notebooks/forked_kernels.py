"""Kernels that are forked from one process, the server, which has imported what they need.

The server lives as long as the command that started it, on one machine. Where there is none, kernels start by
themselves, with the same results.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from stilts.study.errors import StiltsError
from stilts.workspace.gpus import VISIBLE
from stilts.workspace.process_groups import process_group
from stilts.workspace.starting import build_command

log = logging.getLogger(__name__)

KERNEL = "stilts.workspace.notebooks.kernel"  # module of a kernel that starts by itself
SOCKET = "STILTS_KERNELS"  # variable that names the server's socket
PATIENCE = 300.0  # seconds for the server to import
ANSWER_SIZE = 2**16
GPUS = ("/dev/nvidiactl", "/dev/kfd")


def can_fork() -> bool:
    """Return whether kernels of this machine can be forked: not on macOS, nor where they use a GPU."""
    uses_gpu = os.environ.get(VISIBLE) != "" and any(map(os.path.exists, GPUS))
    return sys.platform == "linux" and not uses_gpu


@contextmanager
def serve_kernels(
    path: Path, study: str, modules: Sequence[str], output: TextIO, *, cwd: Path, env: Mapping[str, str]
) -> Iterator[None]:
    """Have a server of kernels, which ends with the body or with this process.

    Parameters
    ----------
    path : Path
        The server's socket, in a folder that is this user's alone.
    study : str
        Name or path of the study whose plan the kernels open.
    modules : sequence of str
        Modules that the kernels import.
    output : file
        Log for what the server prints.
    cwd : Path
        Checkout, the kernels' working folder.
    env : mapping of str to str
        The kernels' environment.
    """
    with _listen(path) as listener, process_group() as group:
        server = subprocess.Popen(
            build_command("-m", "stilts.workspace.notebooks.kernel_server", str(listener.fileno()), study, *modules),
            process_group=group, pass_fds=[listener.fileno()], cwd=cwd, env=env,
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        listener.close()  # so that without a server nobody waits for one
        yield
        if (code := server.poll()) is not None:
            told = "the server of kernels ended with exit code %s, so kernels started by themselves; its log: %s"
            log.warning(told, code, output.name)
    server.wait()


@contextmanager
def _reach(folder: Path) -> Iterator[Path]:
    """Yield a short path of a folder: that of a socket may have no more than 107 bytes."""
    number = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{number}")
    finally:
        os.close(number)


def _listen(path: Path) -> socket.socket:
    """Return a socket that listens at a path; who connects before the server accepts it waits."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _reach(path.parent) as folder:
        listener.bind(str(folder / path.name))
        (folder / path.name).chmod(0o600)  # who may connect may run code as this user
    listener.listen()
    return listener


class ForkedKernel:
    """A kernel that the server has forked, with the methods of `subprocess.Popen`.

    Parameters
    ----------
    server : Path
        The server's socket.
    command : sequence of str
        Command of a kernel that starts by itself.
    env : mapping of str to str
    cwd : str or Path

    Raises
    ------
    StiltsError
        If the server refuses it.
    OSError
        If there is no server, or it ends before it answers.
    """

    stdin = stdout = stderr = None

    def __init__(self, server: Path, command: Sequence[str], env: Mapping[str, str], cwd: str | Path):
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            answer = self._ask(server, command, env, cwd)
            if "refused" in answer:
                raise StiltsError(answer["refused"])
        except BaseException:
            self._connection.close()
            raise
        self.pid: int = answer["process"]

    def _ask(self, server: Path, command: Sequence[str], env: Mapping[str, str], cwd: str | Path) -> dict[str, Any]:
        arguments = command[command.index(KERNEL) + 1 :]
        request = {"arguments": list(arguments), "environment": dict(env), "folder": str(cwd)}
        with _reach(server.parent) as folder:
            self._connection.connect(str(folder / server.name))
        socket.send_fds(self._connection, [json.dumps(request).encode()], [1, 2])
        self._connection.settimeout(PATIENCE)
        answer = self._connection.recv(ANSWER_SIZE)
        if not answer:
            raise ConnectionError("it ended")
        self._connection.settimeout(None)
        return json.loads(answer)

    def poll(self) -> int | None:
        """Return the exit code, or None if the kernel runs."""
        return self._read(socket.MSG_DONTWAIT)

    def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        return self._read(0)

    def _read(self, flags: int) -> int | None:
        if self.returncode is None:
            with suppress(BlockingIOError):
                answer = self._connection.recv(ANSWER_SIZE, flags)
                self.returncode = json.loads(answer)["code"] if answer else self._end_without_server()
                self._connection.close()
        return self.returncode

    def _end_without_server(self) -> int:
        """End a kernel whose server is gone, and with it whoever could say how the kernel ends."""
        self.send_signal(signal.SIGKILL)
        return -signal.SIGKILL

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel, if it runs."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)
