"""Running a plan: Snakemake schedules its jobs and analyses, each a notebook; the terminal shows a bar with an ETA.

A job's notebook is named by the ids of its runs, an analysis by all that it reads, so that what stands is never stale.
"""

import hashlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import yaml
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stilts.errors import StiltsError, UnknownName
from stilts.estimates import Estimator
from stilts.leftovers import remove_leftovers, scratch_folder
from stilts.memory import memory_mb
from stilts.pages import book_pages
from stilts.process_groups import process_group
from stilts.records import Store
from stilts.starting import ended_by_signal, environment, python
from stilts.storage import readable, set_aside, stands
from stilts.study import Job, Study
from stilts.workspace import Plan, Workspace

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
REPORT_SECONDS = 60.0  # between two lines of progress where there is no terminal for a bar
GRACE_SECONDS = 20.0  # that jobs have to end their kernels after Ctrl-C
LOCAL_PROFILE = "local"
BUILT_IN_EXECUTORS = ("local", "dryrun", "touch")
_OF_SNAKEFILE = re.compile(r"^\w+ in file .*Snakefile.*, line \d+:$")  # what follows is the error
EXIT_CODE = "exit code: "  # begins the last line of a failed job's log; see the Snakefile


@dataclass(frozen=True)
class AnalysisJob:
    """One analysis page: its template, the parameters in which it differs, where its executed copy and figures stand.

    Attributes
    ----------
    page : str
    template, notebook : Path
    out : str
        Folder of its figures, relative to the checkout.
    live_study : str
        Study of this machine.
    changes : dict
        What the table of pages sets.
    """

    page: str
    template: Path
    notebook: Path
    out: str
    live_study: str
    changes: dict[str, Any]

    def given(self, taken: Collection[str]) -> dict[str, Any]:
        """Return what the notebook is given: of the book's own parameters those that it takes, and its changes."""
        common = {"page": self.page, "live_study": self.live_study, "out": self.out}
        return {name: value for name, value in common.items() if name in taken} | self.changes


def job_notebook(workspace: Workspace, job: Job) -> Path:
    """Return where a job's executed notebook stands; that it stands means that the job is done.

    Its folder holds a hash of what the page is made by, the template and the modules that its code calls, so that a
    page of older ones is not shown.
    """
    from stilts.templates import imported_modules

    template = workspace.root / "notebooks" / f"{job.phase}.ipynb"
    content = template.read_bytes()
    modules = imported_modules(content, str(template))
    key = hashlib.sha256(content + b"".join(module.read_bytes() for module in modules)).hexdigest()[:10]
    return workspace.runs / "jobs" / f"{job.phase}-{key}" / f"{job.id}.ipynb"


def log_of(page: Path) -> Path:
    """Return where it stands what a job printed that writes a page below the folder of runs."""
    runs = page.parents[2]
    return runs / "logs" / page.relative_to(runs).with_suffix(".log")


def analyses(workspace: Workspace, plan: Plan) -> list[AnalysisJob]:
    """Return the analysis pages of the book, by name; see `stilts.pages`.

    The folder of an analysis holds a hash of its template, its parameters, the package, the study files, and the
    records that it may read.
    """
    shared = hashlib.sha256()
    for source in sorted((workspace.root / "stilts").rglob("*")):
        if source.suffix in (".py", ".yaml"):
            shared.update(source.read_bytes())
    for run_id in sorted(run.id for run in plan.runs):
        shared.update(run_id.encode())
    results = [path for kind in ("*.json", "chance.csv") for path in (workspace.root / "results").rglob(kind)]
    for source in (*workspace.studies().values(), *sorted(results)):  # a chapter shows its study's question and tests
        shared.update(source.read_bytes())
    found = []
    for page in book_pages(workspace.root):
        own = page.template.read_bytes() + json.dumps(page.parameters, sort_keys=True).encode()
        key = hashlib.sha256(shared.digest() + own).hexdigest()[:10]
        notebook = workspace.runs / "analyses" / f"{page.name}-{key}" / f"{page.name}.ipynb"
        # Relative to the checkout, in which notebooks run: the page shows it, and need not show this machine.
        out = os.path.relpath(notebook.parent, workspace.root)
        found.append(AnalysisJob(page.name, page.template, notebook, out, plan.reference, page.parameters))
    return found


def live_questions(workspace: Workspace, plan: Plan) -> dict[str, AnalysisJob]:
    """Return the studies that chapters of questions run live, and the chapter of each.

    Such a chapter's template has a parameter `live`, a study's name; it is empty on pages that have no live part.
    """
    from stilts.notebooks import parameters_of

    found = {}
    for analysis in analyses(workspace, plan):
        live = {**parameters_of(analysis.template), **analysis.changes}.get("live")
        if live:
            found[live] = analysis
    return found


def run_analysis(workspace: Workspace, plan: Plan, page: str) -> None:
    """Execute one analysis; UnknownName if the book has none of that name."""
    from stilts.notebooks import execute, parameters_of

    known = {analysis.page: analysis for analysis in analyses(workspace, plan)}
    if page not in known:
        raise UnknownName("analysis", page, known)
    analysis = known[page]
    execute(analysis.template, analysis.notebook, analysis.given(parameters_of(analysis.template)))


def run_job(workspace: Workspace, plan: Plan, job_id: str) -> None:
    """Execute one job's notebook; StiltsError if the study's plan has no such job."""
    from stilts.notebooks import execute

    jobs = {job.id: job for job in plan.jobs}
    if job_id not in jobs:
        raise StiltsError(f"study '{plan.study.name}' plans no job {job_id}; its file changed since the plan was made")
    job = jobs[job_id]
    parameters = {"study": plan.reference, "condition": job.condition, "seed": job.seed}
    if job.targets:
        parameters["targets"] = ",".join(job.targets)
    execute(workspace.root / "notebooks" / f"{job.phase}.ipynb", job_notebook(workspace, job), parameters)


def recorded_runs(plan: Plan, store: Store) -> set[str]:
    """Return the ids of a plan's runs that have a record; a corrupt record is set aside and counts as none."""
    return {run_id for run_id in plan.by_id.keys() & store.names() if run_id in store}


def pending(plan: Plan, recorded: Collection[str]) -> list[Job]:
    """Return the jobs with a run that has no record."""
    return [job for job in plan.jobs if any(run.id not in recorded for run in job.runs)]


def run_plan(workspace: Workspace, plan: Plan, profile: str, *, with_book: bool = False) -> None:
    """Prepare data and encoder, then have Snakemake run every job that is not done.

    For the book also the pages of what is recorded are written where they are missing, and the analyses.

    Raises
    ------
    UnknownName
        If there is no such profile.
    StiltsError
        If a job fails; finished runs are kept, and the same command goes on from there.
    """
    _require_profile(workspace, profile)
    with workspace.lock(f"study-{plan.study.name}"):
        remove_leftovers(path for place in ("*", "*/*") for path in workspace.runs.glob(f"{place}/*.part-*"))
        recorded = recorded_runs(plan, workspace.store())
        reasons = list(_reasons(workspace, plan, recorded, with_book))
        if not reasons:
            log.info("study %s: every run is recorded%s", plan.study.name, ", every page stands" if with_book else "")
            return
        for reason in reasons:
            log.info(reason)
        workspace.prepare(plan.study)
        todo = pending(plan, recorded)
        _check_checkpoints(workspace, plan, todo)
        for job in todo:  # a page from before its record was lost would make Snakemake believe that the job is done
            job_notebook(workspace, job).unlink(missing_ok=True)
        start = time.monotonic()
        _snakemake(workspace, plan, profile, with_book)
        _require_done(workspace, plan, with_book)
        log.info("study %s took %.0f s", plan.study.name, time.monotonic() - start)


def _require_profile(workspace: Workspace, profile: str) -> None:
    known = [path.parent.name for path in (workspace.root / "profiles").glob("*/config.yaml")]
    if profile not in known:
        raise UnknownName("Snakemake profile", profile, known)
    _require_executor(workspace.root / "profiles" / profile / "config.yaml")


def _require_executor(path: Path) -> None:
    """Raise StiltsError if the executor that a profile names is not installed."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StiltsError(f"cannot read Snakemake profile {path}: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise StiltsError(f"Snakemake profile {path}: it maps settings to values (cores: all), but holds {settings!r}")
    executor = settings.get("executor", "local")
    package = f"snakemake-executor-plugin-{executor}"
    if executor not in BUILT_IN_EXECUTORS and find_spec(package.replace("-", "_")) is None:
        raise StiltsError(
            f"{path}: executor '{executor}' needs the package {package}, which is not installed; install it: "
            f"{sys.executable} -m pip install -c constraints.txt "
            + ("-e '.[slurm]'" if executor == "slurm" else package)
        )


def _require_done(workspace: Workspace, plan: Plan, with_book: bool) -> None:
    """Raise StiltsError if a record or a page lacks that Snakemake was asked for, whatever it says itself."""
    recorded = recorded_runs(plan, workspace.store())
    lacking = [f"record {run.id}" for run in plan.runs if run.id not in recorded]
    if with_book:
        lacking += [f"page {page}" for page in _pages(workspace, plan, with_book).values() if not page.exists()]
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise StiltsError(
            f"Snakemake reported no error, but what was asked for is not all there: {shown}; run the same command "
            f"again. What its jobs printed: {workspace.runs / 'logs'}"
        )


def _pages(workspace: Workspace, plan: Plan, with_book: bool) -> dict[str, Path]:
    """Return the pages of a plan's jobs, and for the book of the analyses, by what writes each."""
    found = {f"job {job.id}": job_notebook(workspace, job) for job in plan.jobs}
    shown = analyses(workspace, plan) if with_book else []
    return found | {f"analysis {analysis.page}": analysis.notebook for analysis in shown}


def _reasons(workspace: Workspace, plan: Plan, recorded: Collection[str], with_book: bool) -> Iterator[str]:
    """Say of every job and analysis that will run why it does; damaged pages are set aside on the way."""
    for job in plan.jobs:
        if missing := sum(run.id not in recorded for run in job.runs):
            yield f"job {job.id} runs: {missing} of its {len(job.runs)} runs have no record"
        elif with_book and not _page_stands(job_notebook(workspace, job)):
            yield f"job {job.id}: all runs are recorded, its page is written from them"
    if with_book:
        for analysis in analyses(workspace, plan):
            folder = analysis.notebook.parent
            if not _page_stands(analysis.notebook, (*folder.glob("*.csv"), *folder.glob("*.svg"))):
                made_by = "this notebook, this package, these studies and these records"
                yield f"analysis {analysis.page} runs: it has no page of {made_by}"


def _page_stands(page: Path, files: Iterable[Path] = ()) -> bool:
    """Whether an executed notebook is there and whole, and none of its files is empty; a damaged one is set aside."""
    if not stands(page, "page"):
        return False
    if _is_executed(page) and all(file.stat().st_size for file in files):
        return True
    if aside := set_aside(page):
        log.warning("page %s is damaged; set aside as %s, it will be written again", page, aside.name)
    return False


def _is_executed(page: Path) -> bool:
    try:
        with readable(page, "page"):
            cells = json.loads(page.read_text(encoding="utf-8"))["cells"]
        code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        return all(cell["execution_count"] for cell in code)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _check_checkpoints(workspace: Workspace, plan: Plan, todo: Collection[Job]) -> None:
    """Set damaged checkpoints that jobs start from aside now, where the terminal shows it, and not in a notebook."""
    runs = plan.by_id
    needed = dict.fromkeys(parent for job in todo for run in job.runs for parent in run.parents)
    while needed:
        run_id = needed.popitem()[0]
        if not workspace.checkpoints.intact(run_id):
            needed |= dict.fromkeys(runs[run_id].parents)


# --- Snakemake -------------------------------------------------------------------------------------------------------


def _snakemake(workspace: Workspace, plan: Plan, profile: str, with_book: bool) -> None:
    # The profile's path is relative to the checkout, since in a whole one Snakemake would expand brackets.
    command = python(
        "-m", "snakemake", "book" if with_book else "all", "--profile", f"profiles/{profile}",
        "--snakefile", str(workspace.root / "Snakefile"), "--nolock",
        "--configfile", str(_write_config(workspace, plan)),
    )  # fmt: skip
    pages = _pages(workspace, plan, with_book)
    for page in pages.values():
        log_of(page).unlink(missing_ok=True)
    log_file = workspace.runs / f"snakemake-{plan.study.name}.log"
    with ExitStack() as stack:
        variables = environment(workspace.runs)
        if profile == LOCAL_PROFILE:
            command += ["--resources", f"mem_mb={max(memory_mb(), plan.study.schedule.memory_mb)}"]
            variables["TMPDIR"] = str(stack.enter_context(scratch_folder()))
        stack.enter_context(progress_bar(workspace, plan))
        code = _run_group(command, log_file, cwd=workspace.root, env=variables)
    if code:
        raise StiltsError(
            f"{_why_failed(code, pages, log_file)}\nWhat ran until then is kept; the same command goes on. "
            f"Log: {log_file}"
        )


def _write_config(workspace: Workspace, plan: Plan) -> Path:
    """Write the study's reference to a file: of one on the command line, such as 007, Snakemake would make a number."""
    path = workspace.runs / f"snakemake-{plan.study.name}.json"
    with _open_log(path) as file:
        json.dump({"study": plan.reference}, file)
    return path


def _run_group(command: list[str], log_file: Path, **how: Any) -> int:
    """Run a command, with all that it starts, as a process group, and return its exit code.

    However this process ends, the group ends with it: jobs that outlive their scheduler would go on unseen. After
    Ctrl-C it has a while to end in order; a second Ctrl-C ends it at once.
    """
    with process_group() as group, _open_log(log_file) as output:
        process = subprocess.Popen(
            command, process_group=group, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, **how
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            os.killpg(group, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            raise


@contextmanager
def _open_log(path: Path) -> Iterator[TextIO]:
    try:
        output = path.open("w", encoding="utf-8")
    except OSError as error:
        raise StiltsError(f"cannot write {path}: {error.strerror}; set STILTS_RUNS to another folder") from error
    with output:
        yield output


def _why_failed(code: int, pages: Mapping[str, Path], log_file: Path) -> str:
    """Say why Snakemake failed: which signal ended it, and what each job told that wrote no page, each once."""
    ended = ended_by_signal(code)
    told = [f"Snakemake was ended by {ended}"] if ended else []
    for name, page in pages.items():
        if not page.exists():
            told += _told(name, log_of(page))
    return "\n".join(dict.fromkeys(told)) or _errors_in(log_file)


def _told(name: str, log_file: Path) -> list[str]:
    """Return the errors that a job told; else how it ended, if it has failed."""
    lines = _lines(log_file)
    if errors := [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]:
        return errors
    if not lines or not lines[-1].startswith(EXIT_CODE):
        return []
    code = int(lines.pop().removeprefix(EXIT_CODE))
    if ended := ended_by_signal(code):
        return [f"{name} was ended by {ended}"]
    return [f"{name} failed: {lines[-1].strip() if lines else f'exit code {code}, and it said nothing'}"]


def _errors_in(log_file: Path) -> str:
    """Return the errors that stand in a log of Snakemake, each once; where none does, the last line of all."""
    lines = [line.strip() for line in _lines(log_file) if line.strip() != "message: None"]
    if wrong := [line for before, line in pairwise(lines) if _OF_SNAKEFILE.search(before)]:
        return wrong[0]
    for mark in ("error: ", "message: "):
        if told := dict.fromkeys(line.removeprefix(mark) for line in lines if line.startswith(mark)):
            return "\n".join(told)
    return f"Snakemake failed: {lines[-1] if lines else 'it said nothing'}"


def _lines(log_file: Path) -> list[str]:
    """Return the lines of a log that are not empty; none if there is no such log."""
    try:
        text = log_file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.split("\n") if line.strip()]


def jobs_at_once(study: Study) -> int:
    """Return how many of a study's jobs this machine does at a time, as its cores and its memory allow."""
    by_cores = len(os.sched_getaffinity(0)) // study.schedule.threads_per_job
    return max(1, min(by_cores, memory_mb() // study.schedule.memory_mb))


# --- progress --------------------------------------------------------------------------------------------------------


class ProgressNote(BaseModel):
    """How far a run is, as it has noted itself."""

    model_config = ConfigDict(allow_inf_nan=False)

    done: NonNegativeFloat
    total: PositiveFloat


def noted_share(workspace: Workspace, run_id: str) -> float:
    """Return how much of a run without a record is done, as it has noted itself: 0 to 0.99."""
    try:
        note = ProgressNote.model_validate_json((workspace.runs / "progress" / f"{run_id}.json").read_bytes())
    except (OSError, ValueError):  # it is being written, or not what this version writes; the run knows better
        return 0.0
    return min(0.99, note.done / note.total)


class Tally:
    """Counts what is done of a plan's runs.

    Attributes
    ----------
    total : float
        Expected seconds of all runs.
    recorded : set of str
        Runs with a record, as of the last count.
    """

    def __init__(self, workspace: Workspace, plan: Plan):
        store = workspace.store()
        expect = Estimator(store)
        self.workspace, self.plan = workspace, plan
        self.recorded = recorded_runs(plan, store)
        self._weights = {run.id: expect(run).seconds for run in plan.runs}
        self.total = sum(self._weights.values())

    def count(self) -> float:
        """Return the expected seconds of what is done now."""
        records = self.workspace.runs / "records"
        open_runs = self._weights.keys() - self.recorded
        self.recorded |= {run_id for run_id in open_runs if stands(records / f"{run_id}.json", "record")}
        return sum(
            weight * (1.0 if run_id in self.recorded else noted_share(self.workspace, run_id))
            for run_id, weight in self._weights.items()
        )

    def __str__(self) -> str:
        return f"{self.plan.study.name}: {len(self.recorded)} of {len(self._weights)} runs"


@contextmanager
def progress_bar(workspace: Workspace, plan: Plan) -> Iterator[None]:
    """Show a bar over all runs of a plan, weighted by their expected time, until the body ends.

    Where standard error is no terminal, a line a minute.
    """
    tally, console, stop = Tally(workspace, plan), Console(stderr=True), threading.Event()
    show = _show_bar if console.is_terminal else _show_lines
    watcher = threading.Thread(target=show, args=(tally, stop, console), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _show_bar(tally: Tally, stop: threading.Event, console: Console) -> None:
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left:"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )  # fmt: skip
    with Progress(*columns, console=console, speed_estimate_period=120) as bar:
        # What stood before counts as done from the start: as progress of the first second it would spoil the ETA.
        task = bar.add_task(str(tally), total=tally.total, completed=tally.count())
        while not stop.wait(POLL_SECONDS):
            bar.update(task, completed=tally.count(), description=str(tally))
        bar.update(task, completed=tally.count(), description=str(tally))


def _show_lines(tally: Tally, stop: threading.Event, console: Console) -> None:
    while not stop.wait(REPORT_SECONDS):
        done = tally.count()
        log.info("%s, %.0f %% of the expected time", tally, 100 * done / tally.total)
