"""Commands that look, and neither start nor change anything."""

from enum import StrEnum
from typing import Annotated

import typer

from stilts.cli import tables
from stilts.cli.shared import LOOK, AsJson, StudyName, commands, open_named, print_json, print_scores, print_table, say
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout, find_checkout
from stilts.workspace.progress import Tally, read_noted_share


class By(StrEnum):
    """What scores are shown by."""

    TARGET = "target"
    LANGUAGE = "language"



@commands.command(rich_help_panel=LOOK)
def studies(as_json: AsJson = False) -> None:
    """List the studies of the checkout and how far each is."""
    from stilts.workspace.studies import list_studies

    found = list_studies(find_checkout())
    if as_json:
        print_json(found)
    else:
        print_table(*tables.show_studies(found))


@commands.command(rich_help_panel=LOOK)
def scores(
    study: StudyName = "pocket",
    by: Annotated[By, typer.Option(help="a row for each condition and a column for each target, or a row for each "
                                        "target and language and a column for each condition")] = By.TARGET,
    as_json: AsJson = False,
) -> None:
    """Show the zero-shot scores of a study by condition and target, or by language."""
    from stilts.analysis.opened import open_analysis
    from stilts.analysis.score_tables import average_scores

    found = average_scores(open_analysis(find_checkout(), study), by_language=by is By.LANGUAGE)
    if as_json:
        print_json(found)
    else:
        print_scores(found)


@commands.command(rich_help_panel=LOOK)
def compare(
    study: StudyName,
    first: Annotated[str, typer.Argument(help="condition")],
    second: Annotated[str, typer.Argument(help="condition that is subtracted from it")],
    target: Annotated[str | None, typer.Option(help="compare on this target task alone")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how much two conditions of a study differ, with 95 % intervals."""
    from stilts.analysis.opened import open_analysis
    from stilts.analysis.score_tables import compare_conditions

    found = compare_conditions(open_analysis(find_checkout(), study), first, second, target)
    if as_json:
        print_json(found)
        return
    print_table(*tables.show_differences(found, first, second))
    say(tables.ABOUT_DIFFERENCES)
    if not all(each.learned for each in found):
        say(tables.NOT_LEARNED_BY_BOTH)


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
