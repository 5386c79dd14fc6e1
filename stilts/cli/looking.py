"""Commands that look, and neither start nor change anything."""

from enum import StrEnum
from typing import Annotated

import typer

from stilts.cli import tables
from stilts.cli.shared import LOOK, AsJson, StudyName, commands, open_named, print_json, print_scores, print_table, say
from stilts.workspace.checkout import find_checkout


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
def show(
    run: Annotated[str, typer.Argument(help="id of a recorded run, or the beginning of its id")],
    as_json: AsJson = False,
) -> None:
    """Show the record of a run: settings, scores, history, origin, and where its file is."""
    from stilts.workspace.record_report import RecordReport

    report = RecordReport.of(find_checkout().store(), run)
    if as_json:
        print_json(report.as_json())
        return
    record = report.record
    say(record.id)
    print_table(*tables.show_values(report.decisive_settings, "setting"))
    if folded := len(report.settings) - len(report.decisive_settings):
        say(f"{folded} further settings have their defaults; `--json` shows them")
    if record.run.parents:
        say(f"starts from: {', '.join(record.run.parents)}")
    print_table(*tables.show_metrics(record.metrics, report.score_names))
    heads, rows = tables.show_dev_scores(record.history, report.score_names)
    if rows:
        print_table(heads, rows)
    if record.at_chance:
        say(f"trainings at chance before this one: {', '.join(f'{score:.1f}' for score in record.at_chance)}")
    print_table(*tables.show_values(report.origin, "origin"))
    say(f"record: {report.path}\nsha256: {report.checksum}")
    if report.predictions:
        say(f"predictions: {report.predictions}\nsha256: {record.predictions_sha256}")


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
    target: Annotated[
        list[str] | None, typer.Option(help="compare on this target task alone; may be repeated")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how much two conditions of a study differ, with 95 % intervals."""
    from stilts.analysis.opened import open_analysis
    from stilts.analysis.score_tables import compare_conditions

    analysis = open_analysis(find_checkout(), study)
    named = dict.fromkeys(target) if target else (None,)
    found = [row for name in named for row in compare_conditions(analysis, first, second, name)]
    if as_json:
        print_json(found)
        return
    print_table(*tables.show_differences(found, first, second))
    for line in tables.explain_differences(found):
        say(line)


@commands.command(rich_help_panel=LOOK)
def power(study: StudyName, as_json: AsJson = False) -> None:
    """Show which effects the tests of a study can see, and how many seeds the smallest that matters would take."""
    from stilts.analysis.questions.power import ASSUMED, find_power

    found = find_power(find_checkout(), study)
    if as_json:
        print_json(found)
        return
    print_table(*tables.show_power(found))
    for each in found:
        if each.note:
            say(f"{each.test}: {each.note}")
    say(ASSUMED)


@commands.command("plan", rich_help_panel=LOOK)
def show_plan(
    study: StudyName = "pocket",
    runs: Annotated[bool, typer.Option("--runs", help="list every run with its id")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the runs of a study, how many are recorded, and the estimated cost of the others; start nothing."""
    from stilts.workspace.plan_report import PlanReport

    report = PlanReport(open_named(study, provisional=True))
    if as_json:
        print_json(report.as_json())
        return
    for headers, rows in [report.summary(), *([report.listing()] if runs else [])]:
        print_table(headers, rows)
    for line in report.lines():
        say(line)


@commands.command(rich_help_panel=LOOK)
def status(study: StudyName = "pocket", as_json: AsJson = False) -> None:
    """Show the progress of a study."""
    from stilts.workspace.progress import find_status

    found = find_status(open_named(study, provisional=True))
    if as_json:
        print_json(found)
        return
    if found.missing_data:
        say(f"{found.missing_data}: records cannot be matched with the runs")
    for run in found.started:
        say(f"{run.id}: {run.share:.0%}, {run.state}")
    left = f"about {found.left_seconds / 60:.0f} core minutes left"
    say(f"{found.study}: {found.recorded} of {found.runs} runs recorded, {left}")


@commands.command(rich_help_panel=LOOK)
def doctor(as_json: AsJson = False) -> None:
    """Check whether this machine has what runs, the book and the tests need."""
    from stilts.publish.figures.style import STYLE
    from stilts.workspace.doctor import examine

    found = list(examine(find_checkout(), [STYLE["font.family"]]))
    if as_json:
        print_json(found)
        return
    for check in found:
        say(str(check))
