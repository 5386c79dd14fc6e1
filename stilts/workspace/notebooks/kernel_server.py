"""A process that has imported what kernels need, and forks them on request: `python -m`, started by `serve_kernels`.

It runs no thread, makes no ZMQ context and touches no GPU, none of which survives a fork. A request is one message on
a socket: the kernel's command, environment and working folder, and its standard output and error as open files. The
forked kernel answers with its process id, and the server with the kernel's exit code when it has ended. A kernel is
killed when the connection of whoever asked for it closes, and ends by itself soon after the server has ended.
"""

import builtins
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TextIO

from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout
from stilts.workspace.notebooks import kernel
from stilts.workspace.resolution import open_plan

LARGEST_REQUEST = 2**20  # bytes
# Variables that nothing reads while modules are imported; every other one must be the same in the server and a kernel.
OF_ONE_KERNEL = {
    "_", "SHLVL", "PWD", "OLDPWD", "JUPYTER_RUNTIME_DIR", "JPY_SESSION_NAME", "JPY_PARENT_PID", "JPY_CURVE_PUBLICKEY",
    "TMPDIR", "TEMPDIR", "TEMP", "TMP", "COLUMNS", "LINES",
}  # fmt: skip


class Request(NamedTuple):
    """What a kernel is started with."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str


class Server:
    """Forks kernels for those who connect to a socket.

    Parameters
    ----------
    listener : socket.socket
        Listens for connections.
    environment : mapping of str to str
        Environment with which the server started.
    """

    def __init__(self, listener: socket.socket, environment: Mapping[str, str]):
        self._environment = environment
        self._selector = selectors.PollSelector()  # without an open file, which kernels would inherit
        self._watch(listener, self._accept)

    def wait_for_request(self) -> Request:
        """Serve until a kernel is asked for, and return its request in the forked process; the server never returns."""
        while True:
            for key, _ in self._selector.select():
                # A kernel that has ended may take its connection with it.
                if key.fd in self._selector.get_map() and (request := key.data(key.fileobj)):
                    return request

    def _watch(self, file: socket.socket | int, act: Any) -> None:
        self._selector.register(file, selectors.EVENT_READ, act)

    def _accept(self, listener: socket.socket) -> None:
        self._watch(listener.accept()[0], self._answer)

    def _answer(self, connection: socket.socket) -> Request | None:
        """Fork a kernel, and return its request there; None in the server."""
        try:
            message, files, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 2)
            request = Request(**json.loads(message)) if message else None
        except (OSError, ValueError, TypeError):
            request, files = None, []
        if request is None:
            self._close(connection)
            return None
        if differing := self._differing(request.environment):
            _send(connection, refused=f"its environment differs: {', '.join(differing)}")
            self._close(connection)
            process = None
        else:
            process = os.fork()
        if process == 0:
            self._leave_to(request, connection, files)
            return request
        for file in files:
            os.close(file)
        if process:
            self._selector.modify(connection, selectors.EVENT_READ, partial(self._kill, process))
            self._watch(os.pidfd_open(process), partial(self._collect, process, connection))
        return None

    def _differing(self, environment: Mapping[str, str]) -> list[str]:
        """Return the names of the variables that what is already imported may have read with another value."""
        names = (self._environment.keys() | environment.keys()) - OF_ONE_KERNEL
        return sorted(name for name in names if self._environment.get(name) != environment.get(name))

    def _leave_to(self, request: Request, connection: socket.socket, files: Sequence[int]) -> None:
        """Make this forked process the kernel that was asked for, with no file of the server."""
        os.setsid()
        _send(connection, process=os.getpid())
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, int):
                os.close(key.fileobj)
            else:
                key.fileobj.close()
        for place, file in enumerate(files, start=1):
            os.dup2(file, place)
            os.close(file)
        os.chdir(request.folder)
        keep = {name: os.environ[name] for name in ("JPY_PARENT_PID", "MPLBACKEND")}
        os.environ.clear()
        os.environ.update(request.environment | keep)
        tempfile.tempdir = None  # it was found in the server's environment
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed()  # no kernel draws what another does; Python's own generator knows of forks

    def _kill(self, process: int, connection: socket.socket) -> None:
        """Kill a kernel, since whoever asked for it has ended; `_collect` follows."""
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        self._selector.unregister(connection)

    def _collect(self, process: int, connection: socket.socket, ended: int) -> None:
        """Say how a kernel has ended."""
        self._selector.unregister(ended)
        os.close(ended)
        _, status = os.waitpid(process, 0)
        _send(connection, code=os.waitstatus_to_exitcode(status))
        self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        with suppress(KeyError):  # the other side has closed it before
            self._selector.unregister(connection)
        connection.close()


class Follower:
    """A standard stream that imported modules may keep, as their loggers do: it writes to the one of this time.

    Parameters
    ----------
    name : str
        Name of the stream in `sys`, which a kernel replaces.
    """

    encoding = "UTF-8"  # of a kernel's streams

    def __init__(self, name: str):
        self._name = name

    def write(self, text: str) -> int:
        """Write a text."""
        return self._now().write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._now().flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def _now(self) -> TextIO:
        found = getattr(sys, self._name)
        return getattr(sys, f"__{self._name}__") if found is self else found


def _send(connection: socket.socket, **content: Any) -> None:
    with suppress(OSError):  # nobody is left who would read it
        connection.send(json.dumps(content).encode())


def _import_for_kernels(study: str, modules: Sequence[str]) -> None:
    """Import what kernels need, as they would, and read what the plan of a study is made from."""
    # Read when ipykernel is imported: a kernel ends after the process that it names.
    os.environ["JPY_PARENT_PID"] = str(os.getpid())
    # Every kernel sets it before its first cell.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    with _as_in_kernel():
        for module in ("ipykernel.kernelapp", "ipykernel.ipkernel", *modules):
            importlib.import_module(module)
    with suppress(StiltsError):  # a kernel says what is wrong
        open_plan(Checkout(Path.cwd()), study)


@contextmanager
def _as_in_kernel() -> Iterator[None]:
    """Answer modules that ask while they are imported whether this is a kernel: pandas then shows more columns."""
    builtins.get_ipython = lambda: SimpleNamespace(kernel=None)
    try:
        yield
    finally:
        del builtins.get_ipython


def main() -> None:
    """Serve on the listening socket whose number is the first argument; a study and names of modules follow."""
    number, study, *modules = sys.argv[1:]
    environment = dict(os.environ)
    listener = socket.socket(fileno=int(number))
    sys.stdout, sys.stderr = Follower("stdout"), Follower("stderr")
    _import_for_kernels(study, modules)
    os.close(os.pidfd_open(os.getpid()))  # an old system knows none: better now than after the first fork
    if threading.active_count() > 1:
        sys.exit(f"no kernel can be forked: an import has started {threading.enumerate()[1:]}")
    gc.collect()
    gc.freeze()  # so that a kernel's collector does not copy the pages of all that it shares
    request = Server(listener, environment).wait_for_request()
    gc.unfreeze()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a kernel replaces them, and keeps these for itself
    sys.argv = [kernel.__file__, *request.arguments]
    kernel.run_kernel(request.arguments)


if __name__ == "__main__":
    main()
