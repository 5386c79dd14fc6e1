"""Jobs and analyses as notebooks: their paths, whether their pages exist, and their execution."""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.runs import Job
from stilts.study.storage import readable, set_aside, stands
from stilts.workspace.checkout import Checkout
from stilts.workspace.notebooks.pages import read_book_pages
from stilts.workspace.plan import Plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnalysisJob:
    """An analysis page: its template, its parameters, and the paths of its executed notebook and figures.

    Attributes
    ----------
    page : str
    template, notebook : Path
    root : Path
        Folder of the checkout, in which notebooks run.
    live_study : str
        Study that is run on this machine.
    changes : dict
        Parameters set in the table of pages.
    """

    page: str
    template: Path
    notebook: Path
    root: Path
    live_study: str
    changes: dict[str, Any]

    @property
    def out(self) -> str:
        """Folder of its figures, relative to the checkout: the page shows it, and no path of this machine."""
        return os.path.relpath(self.notebook.parent, self.root)

    def given(self, taken: Collection[str]) -> dict[str, Any]:
        """Return the notebook's parameters: the common ones that are among `taken`, and its changes."""
        common = {"page": self.page, "live_study": self.live_study, "out": self.out}
        return {name: value for name, value in common.items() if name in taken} | self.changes


def find_job_notebook(checkout: Checkout, job: Job) -> Path:
    """Return the path of a job's executed notebook, which exists if the job is done.

    The folder's name has a hash of the template and the modules that it imports, so that pages of older code are not
    shown.
    """
    from stilts.workspace.notebooks.templates import find_imported_modules

    template = checkout.root / "notebooks" / f"{job.phase}.ipynb"
    content = template.read_bytes()
    modules = find_imported_modules(content, str(template))
    key = hashlib.sha256(content + b"".join(module.read_bytes() for module in modules)).hexdigest()[:10]
    return checkout.runs / "jobs" / f"{job.phase}-{key}" / f"{job.id}.ipynb"


def find_log(page: Path) -> Path:
    """Return the path of the log of the job that writes a page."""
    runs = page.parents[2]
    return runs / "logs" / page.relative_to(runs).with_suffix(".log")


def list_analyses(plan: Plan) -> list[AnalysisJob]:
    """Return the analysis pages of the book, sorted by name; see `stilts.workspace.notebooks.pages`.

    The name of an analysis's folder has a hash of its template, its parameters, the package, the study files and the
    records that it may read. Of this machine's records those of the plan's runs are named before they are there, and
    those of other studies, such as live ones, as `Plan.others` does.
    """
    shared = hashlib.sha256()
    for source in sorted((plan.checkout.root / "stilts").rglob("*")):
        if source.suffix in (".py", ".yaml"):
            shared.update(source.read_bytes())
    for run_id in (*sorted(run.id for run in plan.runs), *sorted(plan.others)):
        shared.update(run_id.encode())
    results = [path for kind in ("*.json", "chance.csv") for path in plan.checkout.results.rglob(kind)]
    # A chapter shows its study's question and tests.
    for source in (*plan.checkout.studies().values(), *sorted(results)):
        shared.update(source.read_bytes())
    found = []
    for page in read_book_pages(plan.checkout.root):
        own = page.template.read_bytes() + json.dumps(page.parameters, sort_keys=True).encode()
        key = hashlib.sha256(shared.digest() + own).hexdigest()[:10]
        notebook = _find_analysis_notebook(plan.checkout, f"{page.name}-{key}", page.name)
        root = plan.checkout.root
        found.append(AnalysisJob(page.name, page.template, notebook, root, plan.reference, page.parameters))
    return found


def _find_analysis_notebook(checkout: Checkout, folder: str, page: str) -> Path:
    return checkout.runs / "analyses" / folder / f"{page}.ipynb"


def find_live_questions(plan: Plan) -> dict[str, AnalysisJob]:
    """Return the studies that question chapters run live, with the chapter of each.

    Such a chapter's template has a parameter `live` with a study's name; it is empty on pages without a live part.
    """
    from stilts.workspace.notebooks.execution import read_parameters

    found = {}
    for analysis in list_analyses(plan):
        live = {**read_parameters(analysis.template), **analysis.changes}.get("live")
        if live:
            found[live] = analysis
    return found


def run_analysis(plan: Plan, page: str, folder: str | None = None) -> None:
    """Execute an analysis. Raises UnknownName if the book has no analysis of that name.

    Parameters
    ----------
    folder : str, optional
        Name of the folder that it was asked for in; another study may have been recorded since. By default it is the
        one that `list_analyses` gives now.
    """
    from stilts.workspace.notebooks.execution import execute, read_parameters

    known = {analysis.page: analysis for analysis in list_analyses(plan)}
    if page not in known:
        raise UnknownName("analysis", page, known)
    analysis = known[page]
    if folder:
        analysis = replace(analysis, notebook=_find_analysis_notebook(plan.checkout, folder, page))
    execute(analysis.template, analysis.notebook, analysis.given(read_parameters(analysis.template)))


def run_job(plan: Plan, job_id: str) -> None:
    """Execute a job's notebook. Raises StiltsError if the plan has no such job."""
    from stilts.workspace.notebooks.execution import execute

    jobs = {job.id: job for job in plan.jobs}
    if job_id not in jobs:
        raise StiltsError(f"study '{plan.study.name}' has no job {job_id}; its file changed after the plan was made")
    job = jobs[job_id]
    parameters = {"study": plan.reference, "condition": job.condition, "seed": job.seed}
    if job.targets:
        parameters["targets"] = ",".join(job.targets)
    execute(plan.checkout.root / "notebooks" / f"{job.phase}.ipynb", find_job_notebook(plan.checkout, job), parameters)


def list_pages(plan: Plan, with_book: bool) -> dict[str, Path]:
    """Return the pages of a plan's jobs, and with the book those of its analyses, by "job ..." or "analysis ..."."""
    found = {f"job {job.id}": find_job_notebook(plan.checkout, job) for job in plan.jobs}
    shown = list_analyses(plan) if with_book else []
    return found | {f"analysis {analysis.page}": analysis.notebook for analysis in shown}


def list_modules(plan: Plan, with_book: bool) -> list[str]:
    """Return the modules of this package that notebooks of a plan import, with the book those of its analyses too."""
    from stilts.workspace.notebooks.templates import PACKAGE, find_imported_modules

    templates = {plan.checkout.root / "notebooks" / f"{job.phase}.ipynb" for job in plan.jobs}
    templates |= {analysis.template for analysis in list_analyses(plan)} if with_book else set()
    files = {file for path in templates for file in find_imported_modules(path.read_bytes(), str(path))}
    modules = (file.relative_to(PACKAGE.parent).with_suffix("").parts for file in files)
    return sorted(".".join(parts).removesuffix(".__init__") for parts in modules)


def explain_runs(plan: Plan, recorded: Collection[str], with_book: bool) -> Iterator[str]:
    """Yield why each job and analysis will run; damaged pages are set aside."""
    for job in plan.jobs:
        if missing := sum(run.id not in recorded for run in job.runs):
            yield f"job {job.id} runs: {missing} of its {len(job.runs)} runs have no record"
        elif with_book and not _page_stands(find_job_notebook(plan.checkout, job)):
            yield f"job {job.id}: all runs are recorded; only its page is written"
    if with_book:
        for analysis in list_analyses(plan):
            folder = analysis.notebook.parent
            if not _page_stands(analysis.notebook, (*folder.glob("*.csv"), *folder.glob("*.svg"))):
                inputs = "the current notebook, package, studies and records"
                yield f"analysis {analysis.page} runs: it has no page made from {inputs}"


def _page_stands(page: Path, files: Iterable[Path] = ()) -> bool:
    """Return whether a page exists, is complete and has no empty file; a damaged page is set aside."""
    if not stands(page, "page"):
        return False
    if _is_executed(page) and all(file.stat().st_size for file in files):
        return True
    if aside := set_aside(page):
        log.warning("page %s is damaged; it was set aside as %s and will be written again", page, aside.name)
    return False


def _is_executed(page: Path) -> bool:
    try:
        with readable(page, "page"):
            cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        return all(cell["execution_count"] for cell in code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
