"""Papermill's engine of this book: checks parameters, fills the template's text, leaves no traces.

Papermill sets variables and leaves Markdown and captions alone. Here they are filled, the injected cell states every
parameter with its comment, and the notebook's metadata name its template.

Papermill imports this module while it imports itself (an entry point), so papermill must be imported first.
"""

import os
from pathlib import Path

from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from stilts.templates import check_parameters, default_parameters, fill, remove_traces, repository_of, state_parameters

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


class BookEngine(NBClientEngine):
    """Papermill's own engine that first checks the parameters and fills the text; `papermill --engine stilts`.

    What it returns holds no time, no path of the machine and no random cell name: the same notebook with the same
    results is the same file.
    """

    @classmethod
    def execute_notebook(cls, nb: NotebookNode, kernel_name: str, output_path: str | None = None, **options):
        """Check, fill and execute a notebook that papermill has parameterised, and return it without traces."""
        template = Path(options.pop("input_path", None) or "notebook")
        defaults, given = default_parameters(nb, template.name), nb.metadata.papermill.get("parameters", {})
        check_parameters(defaults, given, template.name)
        values = {**defaults, **given}
        state_parameters(nb, values)
        fill(nb, values)
        nb.metadata.template = template.resolve().relative_to(repository_of(template)).as_posix()
        nb = super().execute_notebook(nb, kernel_name, output_path, **options)
        remove_traces(nb)
        return nb

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,
        kernel_name: str,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        cwd: str | None = None,
        **options,
    ) -> None:
        """Execute the cells in a kernel without progress widgets and without the user's history.

        Parameters
        ----------
        cwd : str or None, default=None
            Folder that the kernel works in; None is this process's.
        """
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
            resources={"metadata": {"path": cwd or os.getcwd()}},
            extra_arguments=["--HistoryManager.enabled=False", "--log-level=CRITICAL"],
            **options,
        )
        client.execute(env={**os.environ, **KERNEL_ENVIRONMENT})
