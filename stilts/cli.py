"""The command line: a thin door to the package."""

import logging
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stilts.errors import StiltsError
from stilts.estimates import NOTEBOOK_SECONDS, Estimator
from stilts.workspace import Plan, Workspace, workspace

commands = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console()

StudyName = Annotated[str, typer.Argument(help="name of a file in studies/, or a path ending in .yml")]


def app() -> None:
    """Run the command line; a user's mistake ends it with one clear line and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        commands()
    except StiltsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; finished runs are kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)


def _open(name: str) -> tuple[Workspace, Plan]:
    study = workspace().study(name)
    here = workspace(study)
    return here, here.plan(study)


@commands.command("plan")
def show_plan(study: StudyName = "pocket") -> None:
    """List a study's runs, which exist, and what the others will take; nothing starts."""
    here, plan = _open(study)
    store = here.store()
    expect = Estimator(store)
    table = Table("phase", "condition", "target", "seed", "state", "expected", "run")
    missing, assumed = [], 0
    for run in plan.runs:
        estimate = expect(run)
        if run.id in store:
            state, cost = "recorded", ""
        else:
            state, cost = "to do", f"{estimate.seconds:.0f} s" + ("" if estimate.measured else " (assumed)")
            missing.append(estimate)
            assumed += not estimate.measured
        table.add_row(run.phase, run.condition, run.target or "", str(run.seed), state, cost, run.id)
    console.print(table)
    jobs = [job for job in plan.jobs if any(run.id not in store for run in job.runs)]
    core_seconds = sum(estimate.seconds for estimate in missing) + NOTEBOOK_SECONDS * len(jobs)
    memory = max((estimate.memory_mb for estimate in missing), default=0)
    console.print(
        f"{len(plan.runs)} runs, {len(plan.runs) - len(missing)} recorded, {len(missing)} to do "
        f"in {len(jobs)} notebooks: about {core_seconds / 60:.0f} minutes on one core, {core_seconds / 120:.0f} on two"
        + (f" ({assumed} runs by assumption, no like run is recorded)" if assumed else "")
        + (
            f"; {memory:.0f} MB a process on record"
            if memory
            else f"; {plan.study.schedule.memory_mb} MB a job reserved"
        )
    )


@commands.command()
def status(study: StudyName = "pocket") -> None:
    """Show how far a study is."""
    from stilts.scheduling import fraction_done

    here, plan = _open(study)
    store = here.store()
    shares = {run.id: fraction_done(here, run, store) for run in plan.runs}
    for run_id, share in shares.items():
        if 0 < share < 1:
            console.print(f"running: {run_id} {share:.0%}")
    done = sum(share == 1 for share in shares.values())
    expect = Estimator(store)
    left = sum(expect(run).seconds * (1 - shares[run.id]) for run in plan.runs)
    console.print(
        f"{plan.study.name}: {done} of {len(plan.runs)} runs recorded, about {left / 60:.0f} core minutes left"
    )


@commands.command()
def prepare(study: StudyName = "pocket") -> None:
    """Build a study's suite and its encoder, so that its runs need nothing but this machine."""
    here, plan = _open(study)
    here.prepare(plan.study)
    console.print(f"suite: {here.suite_folder(plan.study)}\nencoder: {here.encoder_folder(plan.study)}")


@commands.command()
def run(
    study: StudyName = "pocket",
    profile: Annotated[str, typer.Option(help="Snakemake profile: local or slurm")] = "local",
) -> None:
    """Do all runs of a study that have no record."""
    from stilts.scheduling import run_plan

    here, plan = _open(study)
    run_plan(here, plan, profile)


@commands.command()
def book(
    study: StudyName = "pocket",
    profile: Annotated[str, typer.Option(help="Snakemake profile: local or slurm")] = "local",
) -> None:
    """Do what a study still lacks, execute the analyses, build the book and check it."""
    from stilts import site
    from stilts.scheduling import analyses, job_notebook, run_plan

    here, plan = _open(study)
    clock = Clock()
    run_plan(here, plan, profile, with_book=True)
    clock.lap("runs and analyses")
    if site.update_toc(here.root, plan.jobs):
        console.print(f"_toc.yml: the appendix now lists the runs of study {study}")
    site.assemble(
        here.root,
        {page: job_notebook(here, job) for page, job in site.run_pages(plan.jobs).items()},
        [analysis.notebook.parent for analysis in analyses(here, plan)],
    )
    html = site.build(here.root)
    clock.lap("book")
    problems = site.check(html)
    clock.lap("check")
    if problems:
        raise StiltsError("the built book has faults:\n" + "\n".join(problems))
    console.print(f"measured: {clock}\nopen: {html / 'index.html'}", soft_wrap=True)


@commands.command()
def record(study: StudyName) -> None:
    """Copy the records of a finished study to results/, to be committed."""
    from stilts.records import publish

    here, plan = _open(study)
    folder = here.root / "results" / plan.study.name
    publish(here.store(), [run.id for run in plan.runs], folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    console.print(f"{len(plan.runs)} records, {size / 2**20:.1f} MB: {folder}", soft_wrap=True)


class Clock:
    """Wall clock of the steps of a command."""

    def __init__(self):
        self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, step: str) -> None:
        """Note what a step took that ends now."""
        now = time.perf_counter()
        self._laps[step] = now - self._last
        self._last = now

    def __str__(self) -> str:
        steps = ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self._laps.items())
        return f"{steps}; together {sum(self._laps.values()):.0f} s"


@commands.command(hidden=True)
def analysis(study: str, page: str) -> None:
    """Execute one analysis notebook (called by Snakemake)."""
    from stilts.scheduling import run_analysis

    here, plan = _open(study)
    run_analysis(here, plan, page.rsplit("/", 1)[-1])


@commands.command(hidden=True)
def job(study: str, job_id: str) -> None:
    """Execute one job's notebook (called by Snakemake)."""
    from stilts.scheduling import run_job

    here, plan = _open(study)
    run_job(here, plan, job_id)


if __name__ == "__main__":
    app()
