"""Running a plan: Snakemake schedules its jobs and analyses, each a notebook; the terminal shows a bar with an ETA.

A job's notebook is named by the ids of its runs, an analysis by all that it reads, so that what stands is never stale.
"""

import hashlib
import json
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stilts.errors import StiltsError, UnknownName
from stilts.estimates import Estimator
from stilts.records import Store
from stilts.study import Job, Phase, Run
from stilts.workspace import Plan, Workspace

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RECORDED_STUDY = "pocket-full"  # whose committed records the analyses show beside those of this machine


@dataclass(frozen=True)
class AnalysisJob:
    """One analysis notebook: its template's name, and where its executed copy and its figures stand."""

    page: str
    template: Path
    notebook: Path
    out: str
    live_study: str

    @property
    def parameters(self) -> dict[str, str]:
        """What the notebook is given: the recorded study, the one of this machine, and where figures go."""
        return {"study": RECORDED_STUDY, "live_study": self.live_study, "out": self.out}


def job_notebook(workspace: Workspace, job: Job) -> Path:
    """Return where a job's executed notebook stands; that it stands means that the job is done."""
    return workspace.runs / "jobs" / f"{job.id}.ipynb"


def analyses(workspace: Workspace, plan: Plan) -> list[AnalysisJob]:
    """Return the analyses of the book: every notebook that is no phase's.

    The folder of an analysis holds a hash of its template, the package, and the names of all records that it may read.
    """
    shared = hashlib.sha256()
    for source in sorted((workspace.root / "stilts").rglob("*")):
        if source.suffix in (".py", ".yaml"):
            shared.update(source.read_bytes())
    for run_id in sorted(run.id for run in plan.runs):
        shared.update(run_id.encode())
    for result in sorted((workspace.root / "results").rglob("*.json")):
        shared.update(result.read_bytes())
    found = []
    for template in sorted((workspace.root / "notebooks").glob("*.ipynb")):
        if template.stem not in get_args(Phase):
            key = hashlib.sha256(shared.digest() + template.read_bytes()).hexdigest()[:10]
            notebook = workspace.runs / "analyses" / f"{template.stem}-{key}" / f"{template.stem}.ipynb"
            # Relative to the checkout, in which notebooks run: the page shows it, and need not show this machine.
            out = os.path.relpath(notebook.parent, workspace.root)
            found.append(AnalysisJob(template.stem, template, notebook, out, plan.study.name))
    return found


def run_analysis(workspace: Workspace, plan: Plan, page: str) -> None:
    """Execute one analysis with those parameters that it takes; UnknownName if the book has none of that name."""
    from stilts.notebooks import execute, parameters_of

    known = {analysis.page: analysis for analysis in analyses(workspace, plan)}
    if page not in known:
        raise UnknownName("analysis", page, known)
    analysis = known[page]
    taken = parameters_of(analysis.template)
    given = {name: value for name, value in analysis.parameters.items() if name in taken}
    execute(analysis.template, analysis.notebook, given)


def pending(plan: Plan, store: Store) -> list[Job]:
    """Return the jobs with a run that has no record."""
    return [job for job in plan.jobs if any(run.id not in store for run in job.runs)]


def run_job(workspace: Workspace, plan: Plan, job_id: str) -> None:
    """Execute one job's notebook; StiltsError if the study's plan has no such job."""
    from stilts.notebooks import execute

    jobs = {job.id: job for job in plan.jobs}
    if job_id not in jobs:
        raise StiltsError(f"study '{plan.study.name}' plans no job {job_id}; its file changed since the plan was made")
    job = jobs[job_id]
    parameters = {"study": plan.study.name, "condition": job.condition, "seed": job.seed}
    if job.targets:
        parameters["targets"] = ",".join(job.targets)
    execute(workspace.root / "notebooks" / f"{job.phase}.ipynb", job_notebook(workspace, job), parameters)


def run_plan(workspace: Workspace, plan: Plan, profile: str, *, with_book: bool = False) -> None:
    """Prepare data and encoder, then have Snakemake run every job that is not done, and the analyses for the book.

    Raises
    ------
    StiltsError
        If a job fails; finished runs are kept, and the same command goes on from there.
    """
    with workspace.lock(f"study-{plan.study.name}"):
        todo = pending(plan, workspace.store())
        for job in plan.jobs:
            _log_reason(workspace, job, todo)
        wanted = [job_notebook(workspace, job) for job in plan.jobs]
        if with_book:
            wanted += [analysis.notebook for analysis in analyses(workspace, plan)]
        if not todo and all(notebook.exists() for notebook in wanted):
            log.info("study %s: every run is recorded, every page stands", plan.study.name)
            return
        workspace.prepare(plan.study)
        for job in todo:  # a page from before its record was lost would make Snakemake believe that the job is done
            job_notebook(workspace, job).unlink(missing_ok=True)
        _snakemake(workspace, plan, profile, "book" if with_book else "all")


def _snakemake(workspace: Workspace, plan: Plan, profile: str, target: str) -> None:
    stilts = f"{shlex.quote(sys.executable)} -m stilts.cli"
    command = [
        sys.executable, "-m", "snakemake", target, "--profile", str(workspace.root / "profiles" / profile),
        "--snakefile", str(workspace.root / "Snakefile"), "--directory", str(workspace.root), "--nolock",
        "--config", f"study={plan.study.name}", f"stilts={stilts}",
    ]  # fmt: skip
    log_file = workspace.runs / "snakemake.log"
    with log_file.open("w", encoding="utf-8") as output, progress_bar(workspace, plan):
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise StiltsError(
            f"{_last_error(log_file)}\nWhat ran until then is kept; the same command goes on. Log: {log_file}"
        )


def _log_reason(workspace: Workspace, job: Job, todo: Sequence[Job]) -> None:
    if job in todo:
        missing = sum(run.id not in workspace.store() for run in job.runs)
        log.info("job %s runs: %d of its %d runs have no record", job.id, missing, len(job.runs))
    elif not job_notebook(workspace, job).exists():
        log.info("job %s: all runs are recorded, its page is written again from them", job.id)


def _last_error(log_file: Path) -> str:
    lines = [line for line in log_file.read_text(encoding="utf-8").splitlines() if line.startswith("error: ")]
    return lines[-1].removeprefix("error: ") if lines else f"Snakemake failed; see {log_file}"


def fraction_done(workspace: Workspace, run: Run, store: Store) -> float:
    """Return how much of a run is done, 0 to 1."""
    if run.id in store:
        return 1.0
    try:
        note = json.loads((workspace.runs / "progress" / f"{run.id}.json").read_text())
        return min(0.99, note["done"] / note["total"])
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0


@contextmanager
def progress_bar(workspace: Workspace, plan: Plan) -> Iterator[None]:
    """Show a bar over all runs of a plan, weighted by their expected time, until the body ends."""
    store = workspace.store()
    expect = Estimator(store)
    weights = {run.id: expect(run).seconds for run in plan.runs}
    recorded = {run.id for run in plan.runs if run.id in store}
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left:"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )  # fmt: skip
    stop = threading.Event()
    with Progress(*columns, speed_estimate_period=120) as bar:
        task = bar.add_task(plan.study.name, total=sum(weights.values()))

        def poll() -> None:
            while not stop.is_set():
                finished = 0.0
                for run in plan.runs:
                    if run.id not in recorded and (workspace.runs / "records" / f"{run.id}.json").exists():
                        recorded.add(run.id)
                    done = 1.0 if run.id in recorded else fraction_done(workspace, run, store)
                    finished += done * weights[run.id]
                text = f"{plan.study.name}: {len(recorded)} of {len(plan.runs)} runs"
                bar.update(task, completed=finished, description=text)
                stop.wait(POLL_SECONDS)

        watcher = threading.Thread(target=poll, daemon=True)
        watcher.start()
        start = time.monotonic()
        try:
            yield
        finally:
            stop.set()
            watcher.join(timeout=5)
            log.info("study %s took %.0f s", plan.study.name, time.monotonic() - start)
