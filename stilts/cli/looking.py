"""Commands that look, and neither start nor change anything."""

from typing import Annotated

import typer

from stilts.cli.shared import LOOK, StudyName, commands, open_named, print_table, say
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout
from stilts.workspace.progress import Tally, read_noted_share


@commands.command("plan", rich_help_panel=LOOK)
def show_plan(
    study: StudyName = "pocket",
    runs: Annotated[bool, typer.Option("--runs", help="list every run with its id")] = False,
) -> None:
    """Show the runs of a study, how many are recorded, and the estimated cost of the others; start nothing."""
    from stilts.workspace.plan_report import PlanReport

    report = PlanReport(open_named(study, provisional=True))
    for headers, rows in [report.summary(), *([report.listing()] if runs else [])]:
        print_table(headers, rows)
    for line in report.lines():
        say(line)


@commands.command(rich_help_panel=LOOK)
def status(study: StudyName = "pocket") -> None:
    """Show the progress of a study."""
    plan = open_named(study)
    tally = Tally(plan)
    left = tally.total - tally.count()
    for run in plan.runs:
        share = 0 if run.id in tally.recorded else read_noted_share(plan.checkout, run.id)
        if share:
            say(f"{run.id}: {share:.0%}, {_state(plan.checkout, run.id)}")
    say(f"{tally} recorded, about {left / 60:.0f} core minutes left")


def _state(checkout: Checkout, run_id: str) -> str:
    try:
        return "running" if checkout.in_use(run_id) else "interrupted, resumes with the next `stilts run`"
    except StiltsError as error:  # a lock of another user
        return f"running or interrupted: {error}"
