"""The book's papermill engine, which checks parameters, fills the template's text and removes traces of execution.

Papermill sets variables but leaves Markdown and captions alone. This engine fills them, states every parameter with its
comment in the injected cell, and names the template in the notebook's metadata.

Papermill imports this module while it is imported itself (an entry point), so papermill must be imported first.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from click import ClickException
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.leftovers import scratch_folder
from stilts.workspace.notebooks.forked_kernels import KERNEL, SOCKET, ForkedKernel
from stilts.workspace.notebooks.templates import (
    check_parameters,
    drop_unshown,
    fill,
    find_repository,
    read_defaults,
    remove_traces,
    state_findings,
    state_parameters,
)
from stilts.workspace.starting import build_command, describe_signal, find_runs_folder, make_kernel_environment

log = logging.getLogger(__name__)

MISTAKES = {StiltsError.__name__, UnknownName.__name__}  # what a kernel calls the errors of a cell


class OwnKernels(AsyncKernelManager):
    """Starts kernels of this process's Python, regardless of the kernels that the user has registered."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """Kernel specification, the same for every kernel name."""
        argv = build_command("-m", KERNEL, "-f", "{connection_file}")
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class ForkingProvisioner(LocalProvisioner):
    """Has the server fork a kernel; where that fails, the log says why and the kernel starts by itself."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start a kernel with a command."""
        server = os.environ.get(SOCKET)
        if not server:
            return await super().launch_kernel(cmd, **kwargs)
        try:
            self.process = ForkedKernel(Path(server), cmd, kwargs["env"], kwargs["cwd"])
        except (StiltsError, OSError) as error:
            log.warning("kernel starts by itself, since the server of kernels cannot fork it: %s", error)
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info


class _Client(PapermillNotebookClient):
    """Papermill's client, with errors that state how a kernel ended."""

    def papermill_execute_cells(self) -> None:
        """Execute the cells. Raises DeadKernelError, with the reason if it is known, if the kernel ends."""
        try:
            super().papermill_execute_cells()
        except DeadKernelError:
            code = self.km.provisioner.process.poll()
            if code is None:
                raise
            raise DeadKernelError(f"ended by {describe_signal(code) or f'exit code {code}'}") from None


class PageEngine(NBClientEngine):
    """Papermill's default engine that first checks the parameters and fills the text.

    Cells tagged `if-shown` without output are dropped. The executed notebook contains no times, no paths of the machine
    and no random cell ids, so that equal results make equal files.
    """

    @classmethod
    def execute_notebook(
        cls, nb: NotebookNode, kernel_name: str, output_path: str | None = None, **options: Any
    ) -> NotebookNode:
        """Return a parameterised notebook after checking, filling and executing it, without traces of execution."""
        template = Path(options.pop("input_path", None) or "notebook")
        defaults, given = read_defaults(nb, template.name), nb.metadata.papermill.get("parameters", {})
        check_parameters(defaults, given, template.name)
        values = {**defaults, **given}
        state_parameters(nb, values)
        fill(nb, values)
        nb.metadata.template = template.resolve().relative_to(find_repository(template)).as_posix()
        runs = find_runs_folder(find_repository(template))
        nb = super().execute_notebook(nb, kernel_name, output_path, runs=runs, **options)
        remove_traces(nb)
        state_findings(nb)
        if not _failed(nb):  # cells after a failed one were not executed and have no output yet
            drop_unshown(nb)
        return nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        cwd: str | None = None,
        *,
        runs: Path,
        **options: Any,
    ) -> None:
        """Execute the cells in a kernel without progress widgets and without the user's history and settings.

        Parameters
        ----------
        kernel_name : str
            Without effect: the kernel runs this process's Python.
        cwd : str or None, default=None
            The kernel's working folder; None is that of this process.
        runs : Path
            Runs folder of the checkout.
        """
        client = _Client(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
            resources={"metadata": {"path": cwd or os.getcwd()}},
            extra_arguments=["--HistoryManager.enabled=False", "--log-level=CRITICAL"],
            **options,
        )
        with scratch_folder() as scratch:
            # A manager passed to the constructor would not be shut down by the client.
            client.km = OwnKernels(kernel_name=kernel_name, connection_file=str(scratch / "kernel.json"))
            client.km.provisioner = ForkingProvisioner(kernel_spec=client.km.kernel_spec, parent=client.km)
            client.execute(env=make_kernel_environment(runs) | {"JUPYTER_RUNTIME_DIR": str(scratch)})


class Refused(ClickException):
    """A user's mistake, which papermill's command line ends with: one line in place of a traceback."""

    def show(self, file: TextIO | None = None) -> None:
        """Print the line as `stilts` prints its own."""
        print(f"error: {self.message}", file=file or sys.stderr)


class BookEngine(PageEngine):
    """The engine of `papermill --engine stilts`: a mistake in a parameter is said in one line."""

    @classmethod
    def execute_notebook(cls, nb: NotebookNode, *given: Any, **options: Any) -> NotebookNode:
        """Return the executed notebook, see `PageEngine`.

        Raises
        ------
        Refused
            If a parameter is unknown or its value is wrong, be it found before the notebook runs or by a cell. The
            cells until then are in the output.
        """
        try:
            executed = super().execute_notebook(nb, *given, **options)
        except StiltsError as error:
            raise Refused(str(error)) from None
        for error in _errors(executed):
            if error.ename in MISTAKES:
                raise Refused(error.evalue)
        return executed


def _failed(notebook: NotebookNode) -> bool:
    return any(True for _ in _errors(notebook))


def _errors(notebook: NotebookNode) -> Iterator[NotebookNode]:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return (output for output in outputs if output.output_type == "error")
