"""Progress of a plan's runs, as a bar on a terminal or as lines."""

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from stilts.study.errors import StiltsError
from stilts.study.storage import stands
from stilts.workspace.checkout import Checkout
from stilts.workspace.forecast import NOTEBOOK_SECONDS, Estimator
from stilts.workspace.plan import Plan

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
ANALYSIS_SECONDS = 16.0  # assumed; measured on two cores over those of the book
REPORT_SECONDS = 60.0  # between two lines of progress if there is no terminal for a bar


class ProgressNote(BaseModel):
    """A run's progress, as it wrote it itself."""

    model_config = ConfigDict(allow_inf_nan=False)

    done: NonNegativeFloat
    total: PositiveFloat


def read_noted_share(checkout: Checkout, run_id: str) -> float:
    """Return the share of a run without a record that is done, from 0 to 0.99."""
    try:
        note = ProgressNote.model_validate_json((checkout.runs / "progress" / f"{run_id}.json").read_bytes())
    except (OSError, ValueError):  # missing, incomplete, or of another version
        return 0.0
    return min(0.99, note.done / note.total)


class Tally:
    """Counts how much of a plan is done, weighted by expected time.

    Parameters
    ----------
    plan : Plan
    analyses : collection of Path
        Executed notebooks of the analyses that are asked for too.

    Attributes
    ----------
    total : float
        Expected seconds of all runs and analyses.
    recorded : set of str
        Runs with a record, as of the last count.
    written : set of Path
        Analyses with a page, as of the last count.
    """

    def __init__(self, plan: Plan, analyses: Collection[Path] = ()):
        shape = plan.checkout.find_shape(plan.study.encoder)
        expect = Estimator(plan.checkout.store(), plan.study, shape, plan.checkout.find_shape)
        self.plan, self.analyses = plan, analyses
        self.written: set[Path] = set()
        self.recorded = plan.recorded()
        self._weights = {run.id: expect(run).seconds for run in plan.runs}
        self.total = sum(self._weights.values()) + ANALYSIS_SECONDS * len(analyses)

    def count(self) -> float:
        """Return the expected seconds of the work that is done."""
        records = self.plan.checkout.records
        open_runs = self._weights.keys() - self.recorded
        self.recorded |= {run_id for run_id in open_runs if stands(records / f"{run_id}.json", "record")}
        self.written = {page for page in self.analyses if stands(page, "page")}
        return ANALYSIS_SECONDS * len(self.written) + sum(
            weight * (1.0 if run_id in self.recorded else read_noted_share(self.plan.checkout, run_id))
            for run_id, weight in self._weights.items()
        )

    def __str__(self) -> str:
        analyses = f", {len(self.written)} of {len(self.analyses)} analyses" if self.analyses else ""
        return f"{self.plan.study.name}: {len(self.recorded)} of {len(self._weights)} runs{analyses}"


@dataclass(frozen=True)
class Started:
    """A run without a record that has noted progress.

    Attributes
    ----------
    id : str
    share : float
        Of its work, from 0 to 0.99.
    state : str
        Whether it runs, in words.
    """

    id: str
    share: float
    state: str


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes
    ----------
    study : str
    runs, recorded : int
    left_seconds : float
        Expected time on one core, with the start of the notebooks.
    started : list of Started
    missing_data : str
        Why no record can be matched with the runs: what is wrong with the data folder, see `Plan.missing_data`.
    """

    study: str
    runs: int
    recorded: int
    left_seconds: float
    started: list[Started]
    missing_data: str = ""


def find_status(plan: Plan) -> Status:
    """Return how far the study of a plan is."""
    tally = Tally(plan)
    work = tally.total - tally.count()
    left = work + NOTEBOOK_SECONDS * len(plan.pending(tally.recorded))
    shares = {run.id: read_noted_share(plan.checkout, run.id) for run in plan.runs if run.id not in tally.recorded}
    started = [Started(run_id, share, _state(plan.checkout, run_id)) for run_id, share in shares.items() if share]
    return Status(plan.study.name, len(plan.runs), len(tally.recorded), left, started, plan.missing_data)


def _state(checkout: Checkout, run_id: str) -> str:
    try:
        return "running" if checkout.in_use(run_id) else "interrupted, resumes with the next `stilts run`"
    except StiltsError as error:  # a lock of another user
        return f"running or interrupted: {error}"


@contextmanager
def show_progress(plan: Plan, analyses: Collection[Path] = ()) -> Iterator[None]:
    """Show the progress of a plan's runs, and of analyses, until the body ends.

    It is a bar on a terminal, otherwise one line per minute, and nothing where only warnings are logged.
    """
    if not log.isEnabledFor(logging.INFO):
        yield
        return
    tally, console, stop = Tally(plan, analyses), Console(stderr=True), threading.Event()
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
        # Earlier records count as done from the start: as progress of the first second they would spoil the ETA.
        task = bar.add_task(str(tally), total=tally.total, completed=tally.count())
        while not stop.wait(POLL_SECONDS):
            bar.update(task, completed=tally.count(), description=str(tally))
        bar.update(task, completed=tally.count(), description=str(tally))


def _show_lines(tally: Tally, stop: threading.Event, console: Console) -> None:
    while not stop.wait(REPORT_SECONDS):
        done = tally.count()
        log.info("%s, %.0f %% of the expected time", tally, 100 * done / tally.total)
