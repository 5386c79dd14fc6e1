"""The command line: a thin door to the package."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the current folder, whose modules `python -m` would run in place of those that follow

import logging
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from stilts.sources import suite
from stilts.study.errors import StiltsError
from stilts.workspace import preparation
from stilts.workspace.checkout import Checkout, find_checkout
from stilts.workspace.notebooks.jobs import find_job_notebook, find_live_questions, list_analyses, run_analysis, run_job
from stilts.workspace.plan import Plan
from stilts.workspace.progress import Tally, read_noted_share
from stilts.workspace.resolution import open_plan
from stilts.workspace.scheduling import run_plan

commands = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Plan and run studies, and build their book.",
    pretty_exceptions_enable=False,
)  # fmt: skip
# A pipe or a file has no width, and ids of runs must not be broken in it.
console = Console(width=None if sys.stdout.isatty() else 140)

INTERRUPTED = 130  # exit code that typer turns Ctrl-C into

StudyName = Annotated[str, typer.Argument(help="name of a study in studies/, or path of a .yml file")]


def app() -> None:
    """Run the command line; a user's mistake ends it with one clear line and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    _end_in_order()
    try:
        commands()
    except StiltsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("interrupted; finished runs are kept, and the same command resumes from there", file=sys.stderr)
        raise


def _end_in_order() -> None:
    """Treat an end by a signal, as of a terminal that closes, like Ctrl-C; nohup's wish to ignore it stands."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _open(name: str, *, provisional: bool = False) -> Plan:
    return open_plan(find_checkout(), name, provisional=provisional)


@commands.command("plan")
def show_plan(
    study: StudyName = "pocket",
    runs: Annotated[bool, typer.Option("--runs", help="list every run with its id")] = False,
) -> None:
    """Show the runs of a study, how many are recorded, and the estimated cost of the others; start nothing."""
    from stilts.workspace.plan_report import PlanReport

    plan = _open(study, provisional=True)
    report = PlanReport(plan)
    for headers, rows in [report.summary(), *([report.listing()] if runs else [])]:
        table = Table(*headers)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in report.lines():
        console.print(line, soft_wrap=True)


@commands.command()
def status(study: StudyName = "pocket") -> None:
    """Show the progress of a study."""
    plan = _open(study)
    tally = Tally(plan)
    left = tally.total - tally.count()
    for run in plan.runs:
        share = 0 if run.id in tally.recorded else read_noted_share(plan.checkout, run.id)
        if share:
            console.print(f"{run.id}: {share:.0%}, {_state(plan.checkout, run.id)}", soft_wrap=True)
    console.print(f"{tally} recorded, about {left / 60:.0f} core minutes left", soft_wrap=True)


def _state(checkout: Checkout, run_id: str) -> str:
    try:
        return "running" if checkout.in_use(run_id) else "interrupted, resumes with the next `stilts run`"
    except StiltsError as error:  # a lock of another user
        return f"running or interrupted: {error}"


@commands.command()
def fetch(
    study: StudyName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the files, but download nothing")] = False,
) -> None:
    """Download all files that a study reads from the Hub to its data folder; later commands need no network."""
    from stilts.workspace import fetching

    checkout = find_checkout()
    opened = checkout.study(study)
    folder = checkout.data_folder(opened)
    fetching.fetch(opened, folder, report=lambda line: console.print(line, soft_wrap=True), dry_run=dry_run)
    if folder and not dry_run:
        console.print(f"data: {folder}", soft_wrap=True)


@commands.command()
def prepare(study: StudyName = "pocket") -> None:
    """Build the suite and the encoder of a study, so that its runs need no network."""
    plan = _open(study)
    preparation.prepare(plan)
    console.print(
        f"suite: {plan.suite_folder}\nencoder: {plan.checkout.encoder_folder(plan.runs[0])}", soft_wrap=True
    )


@commands.command()
def export(
    checkpoint: Annotated[str, typer.Argument(help="id of a training run, or the beginning of its id")],
    folder: Annotated[Path, typer.Argument(help="new folder to write the model to")],
) -> None:
    """Export a checkpoint as a model that `transformers` can load, with its heads and a model card."""
    from stilts.publish import model_export

    model_export.export(find_checkout(), checkpoint, folder)
    console.print(f"load it with: transformers.AutoModel.from_pretrained('{folder.resolve()}')", soft_wrap=True)


@commands.command("export-suite")
def export_suite(
    study: StudyName,
    folder: Annotated[Path, typer.Argument(help="new folder for <config>/<split>-*.parquet, as on the Hub")],
) -> None:
    """Export the suite of a study as a folder that `datasets.load_dataset` can read."""
    plan = _open(study)
    preparation.export_suite(plan, folder)
    console.print(f"load it with: datasets.load_dataset('{folder.resolve()}', 'intent.en')", soft_wrap=True)


@commands.command()
def submit(
    study: StudyName,
    folder: Annotated[Path, typer.Argument(help="new folder for the <task>/test-<language>.tsv files")],
    partial: Annotated[bool, typer.Option("--partial", help="write what exists even if something is missing")] = False,
) -> None:
    """Write the predictions of a study in the format of the XTREME leaderboard."""
    from stilts.publish import submission

    plan = _open(study)
    written = submission.submit(plan, folder, partial=partial)
    for target, choice in written.choices.items():
        console.print(f"{target}: {choice.run.condition}, seed {choice.run.seed}, {choice.run.id}", soft_wrap=True)
    if written.gaps:
        console.print(f"incomplete: {len(written.gaps)} gaps, listed in {submission.MANIFEST}", soft_wrap=True)
    console.print(f"{len(written.files)} files: {folder}", soft_wrap=True)


@commands.command()
def run(
    study: StudyName = "pocket",
    profile: Annotated[str, typer.Option(help="Snakemake profile: local or slurm")] = "local",
) -> None:
    """Execute all runs of a study that have no record."""
    plan = _open(study)
    run_plan(plan, profile)


@commands.command()
def book(
    study: StudyName = "pocket",
    profile: Annotated[str, typer.Option(help="Snakemake profile: local or slurm")] = "local",
) -> None:
    """Execute the missing runs of a study and the analyses, then build and check the book."""
    from stilts.publish import site
    from stilts.publish.downloads import name_run_notebooks

    plan = _open(study)
    clock = Clock()
    run_plan(plan, profile, with_book=True)
    clock.lap("runs and analyses")
    with plan.checkout.lock("book"):
        site.assemble(
            plan.checkout.root,
            {name: find_job_notebook(plan.checkout, job) for name, job in name_run_notebooks(plan.jobs).items()},
            [analysis.notebook.parent for analysis in list_analyses(plan)],
        )
        html = site.build(plan.checkout.root)
        clock.lap("book")
        problems = site.check(html)
        clock.lap("check")
    if problems:
        raise StiltsError("the built book has problems:\n" + "\n".join(problems))
    console.print(f"measured: {clock}\nopen: {html / 'index.html'}", soft_wrap=True)


@commands.command()
def questions(
    study: StudyName = "pocket",
    profile: Annotated[str, typer.Option(help="Snakemake profile: local or slurm")] = "local",
) -> None:
    """Run the live studies of the five questions, then build the book."""
    plan = _open(study)
    pages = find_live_questions(plan)
    for live, stale in pages.items():
        clock, own_plan = Clock(), _open(live)
        new = own_plan.pending(own_plan.recorded())
        run_plan(own_plan, profile)
        clock.lap(f"study {live}")
        console.print(f"measured: {clock}", soft_wrap=True)
        if new:  # the page shows what stood before
            stale.notebook.unlink(missing_ok=True)
    book(study, profile)


@commands.command()
def record(study: StudyName) -> None:
    """Copy the records of a finished study and the description of its suite to results/, ready to commit."""
    from stilts.study.records import publish

    plan = _open(study)
    folder = plan.checkout.root / "results" / plan.study.name
    publish(plan.checkout.store(), [run.id for run in plan.runs], folder)
    suite.publish(plan.suite_folder, folder)
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


def _stay_offline() -> None:
    """Keep a job, and the kernel that it starts, from asking the Hub, unless the user sets HF_HUB_OFFLINE otherwise.

    All that it needs was prepared before; a compute node without a network would wait for one in vain.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is first imported


@commands.command(hidden=True)
def analysis(study: str, page: str) -> None:
    """Execute one analysis notebook (called by Snakemake)."""
    _stay_offline()
    plan = _open(study)
    run_analysis(plan, page.rsplit("/", 1)[-1])


@commands.command(hidden=True)
def train(request: Path) -> None:
    """Train a run as one of several processes (called by the job that started them)."""
    from stilts.phases.worker import take_part

    take_part(request)


@commands.command(hidden=True)
def job(study: str, job_id: str) -> None:
    """Execute one job's notebook (called by Snakemake)."""
    _stay_offline()
    plan = _open(study)
    run_job(plan, job_id)


if __name__ == "__main__":
    app()
