"""Execution of a plan: Snakemake schedules its jobs and analyses, each of which is a notebook.

A job's notebook is named after the ids of its runs, an analysis after a hash of all its inputs. So an existing page is
never stale.
"""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.leftovers import remove_leftovers, scratch_folder
from stilts.study.runs import Job
from stilts.study.yaml_files import read_yaml
from stilts.workspace.checkout import Checkout
from stilts.workspace.gpus import PLACES, GpuShares, share_gpus
from stilts.workspace.memory import find_memory
from stilts.workspace.notebooks.forked_kernels import SOCKET, can_fork, serve_kernels
from stilts.workspace.notebooks.jobs import (
    explain_runs,
    find_job_notebook,
    find_log,
    list_analyses,
    list_modules,
    list_pages,
)
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.process_groups import process_group
from stilts.workspace.progress import show_progress
from stilts.workspace.starting import build_command, describe_signal, make_environment, make_kernel_environment

log = logging.getLogger(__name__)

ONE_THREAD = {  # as Snakemake sets them for a job of one thread
    "OMP_NUM_THREADS": "1", "GOTO_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1",
}  # fmt: skip
GRACE_SECONDS = 20.0  # for jobs to end their kernels after Ctrl-C
LOCAL_PROFILE = "local"
BUILT_IN_EXECUTORS = ("local", "dryrun", "touch")
_OF_SNAKEFILE = re.compile(r"^\w+ in file .*Snakefile.*, line \d+:$")  # the next line is the error
EXIT_CODE = "exit code: "  # start of the last line of a failed job's log; see the Snakefile


def run_plan(plan: Plan, profile: str, *, with_book: bool = False) -> None:
    """Prepare data and encoders, then let Snakemake run every job that is not done.

    Parameters
    ----------
    with_book : bool
        Whether to also write the missing pages of recorded runs and the analyses.

    Raises
    ------
    UnknownName
        If there is no such profile.
    StiltsError
        If a job fails. Finished runs are kept, and the same command continues from there.
    """
    _require_profile(plan.checkout, profile)
    with plan.checkout.lock(f"study-{plan.study.name}"):
        remove_leftovers(path for place in ("*", "*/*") for path in plan.checkout.runs.glob(f"{place}/*.part-*"))
        recorded = plan.recorded()
        reasons = list(explain_runs(plan, recorded, with_book))
        if not reasons:
            log.info("study %s: every run is recorded%s", plan.study.name, ", every page exists" if with_book else "")
            return
        for reason in reasons:
            log.info(reason)
        prepare(plan)
        todo = plan.pending(recorded)
        _check_checkpoints(plan, todo)
        for job in todo:  # if only the record was lost, Snakemake would take the old page for a finished job
            find_job_notebook(plan.checkout, job).unlink(missing_ok=True)
        start = time.monotonic()
        _snakemake(plan, profile, with_book)
        _require_done(plan, with_book)
        log.info("study %s took %.0f s", plan.study.name, time.monotonic() - start)


def _require_profile(checkout: Checkout, profile: str) -> None:
    known = [path.parent.name for path in (checkout.root / "profiles").glob("*/config.yaml")]
    if profile not in known:
        raise UnknownName("Snakemake profile", profile, known)
    _require_executor(checkout.root / "profiles" / profile / "config.yaml")


def _require_executor(path: Path) -> None:
    """Raise StiltsError if the executor that a profile names is not installed."""
    settings = read_yaml(path, "Snakemake profile")
    if not isinstance(settings, dict):
        raise StiltsError(f"Snakemake profile {path}: must map settings to values (cores: all), but holds {settings!r}")
    executor = settings.get("executor", "local")
    package = f"snakemake-executor-plugin-{executor}"
    if executor not in BUILT_IN_EXECUTORS and find_spec(package.replace("-", "_")) is None:
        raise StiltsError(
            f"{path}: executor '{executor}' needs the package {package}, which is not installed; install it: "
            f"{sys.executable} -m pip install -c constraints.txt "
            + ("-e '.[slurm]'" if executor == "slurm" else package)
        )


def _require_done(plan: Plan, with_book: bool) -> None:
    """Raise StiltsError if a record or page is missing, even if Snakemake reported no error."""
    recorded = plan.recorded()
    lacking = [f"record {run.id}" for run in plan.runs if run.id not in recorded]
    if with_book:
        lacking += [f"page {page}" for page in list_pages(plan, with_book).values() if not page.exists()]
    if lacking:
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        raise StiltsError(
            f"Snakemake reported no error, but some of its outputs are missing: {shown}; run the same command "
            f"again. Logs of its jobs: {plan.checkout.runs / 'logs'}"
        )


def _check_checkpoints(plan: Plan, todo: Collection[Job]) -> None:
    """Set damaged checkpoints of parents aside now, so that the message is on the terminal and not in a notebook."""
    runs = plan.by_id
    needed = dict.fromkeys(parent for job in todo for run in job.runs for parent in run.parents)
    while needed:
        run_id = needed.popitem()[0]
        if not plan.checkout.checkpoints.intact(run_id):
            needed |= dict.fromkeys(runs[run_id].parents)


# --- Snakemake -------------------------------------------------------------------------------------------------------


def _snakemake(plan: Plan, profile: str, with_book: bool) -> None:
    analyses = [analysis.notebook for analysis in list_analyses(plan)] if with_book else []
    # The profile's path is relative to the checkout: Snakemake would expand brackets in an absolute one.
    command = build_command(
        "-m", "snakemake", "book" if with_book else "all", "--profile", f"profiles/{profile}",
        "--snakefile", str(plan.checkout.root / "Snakefile"), "--nolock",
        "--configfile", str(_write_config(plan, analyses)),
    )  # fmt: skip
    pages = list_pages(plan, with_book)
    for page in pages.values():
        find_log(page).unlink(missing_ok=True)
    log_file = plan.checkout.runs / f"snakemake-{plan.study.name}.log"
    with ExitStack() as stack:
        variables = make_environment(plan.checkout.runs)
        if profile == LOCAL_PROFILE:
            command += ["--resources", f"mem_mb={max(find_memory(), plan.study.schedule.memory_mb)}"]
            if shares := share_gpus(plan):
                command.append(f"gpu_places={shares.jobs}")
                variables[PLACES] = ",".join(shares.places)
            scratch = stack.enter_context(scratch_folder())
            variables["TMPDIR"] = str(scratch)
            if plan.study.schedule.threads_per_job == 1 and can_fork():
                variables |= stack.enter_context(_forked_kernels(plan, with_book, scratch))
        stack.enter_context(show_progress(plan, analyses))
        code = _run_group(command, log_file, cwd=plan.checkout.root, env=variables)
    if code:
        raise StiltsError(
            f"{_why_failed(code, pages, log_file)}\nFinished runs are kept; the same command resumes from there. "
            f"Log: {log_file}"
        )


@contextmanager
def _forked_kernels(plan: Plan, with_book: bool, folder: Path) -> Iterator[dict[str, str]]:
    """Yield the variables by which jobs find the server that forks their kernels, as Snakemake starts a job's."""
    place = {SOCKET: str(folder / "kernels")}
    environment = {"HF_HUB_OFFLINE": "1"} | make_kernel_environment(plan.checkout.runs) | ONE_THREAD | place
    modules, path, root = list_modules(plan, with_book), Path(place[SOCKET]), plan.checkout.root
    with (
        _open_log(plan.checkout.runs / f"kernels-{plan.study.name}.log") as output,
        serve_kernels(path, plan.reference, modules, output, cwd=root, env=environment),
    ):
        yield place


def _write_config(plan: Plan, analyses: Sequence[Path]) -> Path:
    """Write what is asked for to a config file; on the command line Snakemake would read study 007 as a number."""
    path = plan.checkout.runs / f"snakemake-{plan.study.name}.json"
    with _open_log(path) as file:
        named = [str(page.relative_to(plan.checkout.runs)) for page in analyses]
        json.dump({"study": plan.reference, "selection": asdict(plan.selection), "analyses": named}, file)
    return path


def _run_group(command: list[str], log_file: Path, **how: Any) -> int:
    """Run a command in a process group of its own, and return its exit code.

    The group ends with this process, so that no job outlives its scheduler. After Ctrl-C it has `GRACE_SECONDS` to
    end; a second Ctrl-C ends it at once.
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
    """Return why Snakemake failed: the signal that ended it, and the errors of each job without a page."""
    ended = describe_signal(code)
    told = [f"Snakemake was ended by {ended}"] if ended else []
    for name, page in pages.items():
        if not page.exists():
            told += _told(name, find_log(page))
    return "\n".join(dict.fromkeys(told)) or _errors_in(log_file)


def _told(name: str, log_file: Path) -> list[str]:
    """Return the errors in a job's log; if there are none, how the job ended, if it failed."""
    lines = _lines(log_file)
    if errors := [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]:
        return errors
    if not lines or not lines[-1].startswith(EXIT_CODE):
        return []
    code = int(lines.pop().removeprefix(EXIT_CODE))
    if ended := describe_signal(code):
        return [f"{name} was ended by {ended}"]
    return [f"{name} failed: {lines[-1].strip() if lines else f'exit code {code}, and it printed nothing'}"]


def _errors_in(log_file: Path) -> str:
    """Return the errors in a log of Snakemake; if there are none, its last line."""
    lines = [line.strip() for line in _lines(log_file) if line.strip() != "message: None"]
    if wrong := [line for before, line in pairwise(lines) if _OF_SNAKEFILE.search(before)]:
        return wrong[0]
    for mark in ("error: ", "message: "):
        if told := dict.fromkeys(line.removeprefix(mark) for line in lines if line.startswith(mark)):
            return "\n".join(told)
    return f"Snakemake failed: {lines[-1] if lines else 'it printed nothing'}"


def _lines(log_file: Path) -> list[str]:
    """Return the non-empty lines of a log; none if it does not exist."""
    try:
        text = log_file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.split("\n") if line.strip()]


def count_jobs_at_once(plan: Plan, shares: GpuShares | None) -> int:
    """Return how many of a plan's jobs this machine's cores, memory and GPUs can run at the same time."""
    schedule = plan.study.schedule
    by_cores = len(os.sched_getaffinity(0)) // schedule.threads_per_job
    by_gpus = [shares.jobs] if shares else []
    return max(1, min(by_cores, find_memory() // schedule.memory_mb, *by_gpus))
