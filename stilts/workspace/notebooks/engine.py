"""Papermill's engine of this book: checks parameters, fills the template's text, leaves no traces.

Papermill sets variables and leaves Markdown and captions alone. Here they are filled, the injected cell states every
parameter with its comment, and the notebook's metadata name its template.

Papermill imports this module while it imports itself (an entry point), so papermill must be imported first.
"""

import os
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from stilts.study.leftovers import scratch_folder
from stilts.workspace.notebooks.templates import (
    check_parameters,
    drop_unshown,
    fill,
    find_repository,
    read_defaults,
    remove_traces,
    state_parameters,
)
from stilts.workspace.starting import build_command, ended_by_signal, find_runs_folder, make_environment

KERNEL_ENVIRONMENT = {
    # Progress bars would be saved as widgets, which ask two other hosts for their scripts when the page opens.
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    # The order of a set of strings must not differ from one run to the next.
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    # tqdm says this, with a path of the machine, where no widgets are installed; none are wanted.
    "PYTHONWARNINGS": "ignore:IProgress not found",
}


class OwnKernels(AsyncKernelManager):
    """Starts kernels of the Python that runs this, whatever the user has registered under a kernel's name."""

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernel that every name stands for."""
        argv = build_command("-m", "ipykernel_launcher", "-f", "{connection_file}")
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class _Client(PapermillNotebookClient):
    """Papermill's client that says how a kernel ended."""

    def papermill_execute_cells(self) -> None:
        """Execute the cells; DeadKernelError, with the reason as far as it is known, if the kernel ends."""
        try:
            super().papermill_execute_cells()
        except DeadKernelError:
            code = self.km.provisioner.process.poll()
            if code is None:
                raise
            raise DeadKernelError(f"ended by {ended_by_signal(code) or f'exit code {code}'}") from None


class BookEngine(NBClientEngine):
    """Papermill's own engine that first checks the parameters and fills the text; `papermill --engine stilts`.

    Cells tagged `if-shown` that had nothing to show are dropped. What it returns holds no time, no path of the machine
    and no random cell name: the same notebook with the same results is the same file.
    """

    @classmethod
    def execute_notebook(cls, nb: NotebookNode, kernel_name: str, output_path: str | None = None, **options):
        """Check, fill and execute a notebook that papermill has parameterised, and return it without traces."""
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
        if not _failed(nb):  # what follows a failed cell was not executed: it has nothing to show yet
            drop_unshown(nb)
        return nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,
        kernel_name: str,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        cwd: str | None = None,
        *,
        runs: Path,
        **options,
    ) -> None:
        """Execute the cells in a kernel without progress widgets, and without the user's history and settings.

        Parameters
        ----------
        kernel_name : str
            Of no effect: the kernel is of the Python that runs this.
        cwd : str or None, default=None
            Folder that the kernel works in; None is this process's.
        runs : Path
            Folder of what this machine has made.
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
            # Set afterwards, so that the client ends what it has not been given.
            client.km = OwnKernels(kernel_name=kernel_name, connection_file=str(scratch / "kernel.json"))
            client.execute(env=make_environment(runs) | KERNEL_ENVIRONMENT | {"JUPYTER_RUNTIME_DIR": str(scratch)})


def _failed(notebook) -> bool:
    return any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
