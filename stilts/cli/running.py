"""Commands that download, run, build and write."""

import time
from pathlib import Path
from typing import Annotated

import typer

from stilts.cli import tables
from stilts.cli.shared import (
    GIVE,
    RUN,
    AsJson,
    Only,
    Profile,
    Seed,
    StudyName,
    Target,
    commands,
    open_named,
    print_json,
    print_scores,
    print_table,
    say,
    select,
)
from stilts.sources import suite
from stilts.study.errors import StiltsError
from stilts.study.storage import list_names
from stilts.workspace import preparation
from stilts.workspace.checkout import find_checkout
from stilts.workspace.disk import format_size
from stilts.workspace.notebooks.jobs import find_job_notebook, find_live_questions, list_analyses
from stilts.workspace.scheduling import run_plan


@commands.command(rich_help_panel=RUN)
def fetch(
    study: StudyName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the files, but download nothing")] = False,
) -> None:
    """Download all files that a study reads from the Hub to its data folder; later commands need no network."""
    from stilts.workspace import fetching

    checkout = find_checkout()
    opened = checkout.study(study)
    folder = checkout.data_folder(opened)
    fetching.fetch(opened, folder, report=say, dry_run=dry_run, name_encoder=checkout.encoder_name)
    if folder and not dry_run:
        say(f"data: {folder}")


@commands.command(rich_help_panel=RUN)
def prepare(study: StudyName = "pocket") -> None:
    """Build the suite and the encoder of a study, so that its runs need no network."""
    plan = open_named(study)
    preparation.prepare(plan)
    say(f"suite: {plan.suite_folder}\nencoder: {plan.checkout.encoder_folder(plan.runs[0])}")


@commands.command(rich_help_panel=RUN)
def pack(
    study: StudyName,
    folder: Annotated[Path, typer.Argument(help="new folder for the archives")],
    records: Annotated[bool, typer.Option("--records", help="pack the records that there are, not the inputs")] = False,
) -> None:
    """Pack what the runs of a study read, for a machine without its data; or, on that machine, its records."""
    from stilts.workspace import packs

    plan = open_named(study)
    if records:
        packed = packs.pack_records(plan, folder)
        say(f"{packed} of {len(plan.runs)} runs have a record here")
        if committed := len(plan.recorded()) - packed:
            say(f"{committed} more are recorded in {plan.checkout.results}, which every checkout has")
    else:
        packs.pack_inputs(plan, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    say(f"{format_size(size)}; on the other machine: stilts unpack {folder.name}")


@commands.command(rich_help_panel=RUN)
def unpack(folder: Annotated[Path, typer.Argument(help="folder that `stilts pack` wrote")]) -> None:
    """Lay what `stilts pack` wrote into the folder of this machine's runs; then `stilts run` and `record` find it."""
    from stilts.workspace import packs

    packs.unpack(folder, find_checkout(), report=say)


@commands.command(rich_help_panel=RUN)
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list it, but remove nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no run of any study needs any more, such as checkpoints and saved states; never a record."""
    from stilts.workspace.cleaning import find_unneeded, remove_unneeded

    checkout = find_checkout()
    found = find_unneeded(checkout)
    if not dry_run:
        remove_unneeded(found)
    if as_json:
        print_json(found)
        return
    if found:
        print_table(*tables.show_unneeded(found, checkout.runs))
    size = format_size(sum(each.size for each in found))
    say(f"{len(found)} that no run needs, {size}" + (": nothing was removed" if dry_run else ": removed"))


@commands.command(rich_help_panel=GIVE)
def export(
    checkpoint: Annotated[str, typer.Argument(help="id of a training run, or the beginning of its id")],
    folder: Annotated[Path, typer.Argument(help="new folder to write the model to")],
) -> None:
    """Export a checkpoint as a model that `transformers` can load, with its heads and a model card."""
    from stilts.publish import model_export

    model_export.export(find_checkout(), checkpoint, folder)
    say(f"load it with: transformers.AutoModel.from_pretrained('{folder.resolve()}')")


@commands.command("export-suite", rich_help_panel=GIVE)
def export_suite(
    study: StudyName,
    folder: Annotated[Path, typer.Argument(help="new folder for <config>/<split>-*.parquet, as on the Hub")],
) -> None:
    """Export the suite of a study as a folder that `datasets.load_dataset` can read."""
    plan = open_named(study)
    preparation.export_suite(plan, folder)
    say(f"load it with: datasets.load_dataset('{folder.resolve()}', 'intent.en')")


@commands.command(rich_help_panel=GIVE)
def submit(
    study: StudyName,
    folder: Annotated[Path, typer.Argument(help="new folder for the <task>/test-<language>.tsv files")],
    partial: Annotated[bool, typer.Option("--partial", help="write what exists even if something is missing")] = False,
) -> None:
    """Write the predictions of a study in the format of the XTREME leaderboard."""
    from stilts.publish import submission

    plan = open_named(study)
    written = submission.submit(plan, folder, partial=partial)
    for target, choice in written.choices.items():
        say(f"{target}: {choice.run.condition}, seed {choice.run.seed}, {choice.run.id}")
    if written.gaps:
        say(f"incomplete: {len(written.gaps)} gaps, listed in {submission.MANIFEST}")
    say(f"{len(written.files)} files: {folder}")


@commands.command(rich_help_panel=RUN)
def run(
    study: StudyName = "pocket",
    profile: Profile = "local",
    only: Only = None,
    target: Target = None,
    seed: Seed = None,
) -> None:
    """Execute the runs of a study that have no record, or a part of them with what they start from."""
    from stilts.analysis.outcome import find_outcome

    plan = open_named(study)
    run_plan(plan.narrow(select(only, target, seed)), profile)
    outcome = find_outcome(plan)
    if outcome.scores:
        print_scores(outcome.scores)
    say(f"{plan.study.name}: {outcome.recorded} of {outcome.runs} runs recorded\nnext: {outcome.next_command}")


@commands.command(rich_help_panel=RUN)
def book(
    study: StudyName = "pocket",
    profile: Profile = "local",
) -> None:
    """Execute the missing runs of a study and the analyses, then build and check the book."""
    from stilts.publish import site
    from stilts.publish.downloads import name_run_notebooks

    plan = open_named(study)
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
    say(f"measured: {clock}\nopen: {html / 'index.html'}")


@commands.command(rich_help_panel=RUN)
def questions(
    study: StudyName = "pocket",
    profile: Profile = "local",
) -> None:
    """Run the live studies of the five questions, then build the book."""
    plan = open_named(study)
    for live in find_live_questions(plan):
        clock = Clock()
        run_plan(open_named(live), profile)
        clock.lap(f"study {live}")
        say(f"measured: {clock}")
    book(study, profile)


@commands.command(rich_help_panel=GIVE)
def record(study: StudyName, only: Only = None, seed: Seed = None) -> None:
    """Copy the records of a finished study, or of a finished part of it, to results/, ready to commit.

    The description of its suite comes with them. A part joins what of the study has been recorded before.
    """
    from stilts.study.records import RECORDS, publish

    plan = open_named(study)
    folder = plan.checkout.results / plan.study.name
    asked = plan.narrow(select(only, None, seed)).by_id.keys()
    before = list_names(folder / RECORDS, ".json", "folder of records")
    names = [run.id for run in plan.runs if run.id in asked | before]
    publish(plan.checkout.store(), names, folder)
    suite.publish(plan.suite_folder, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"{len(names)} of {len(plan.runs)} records, {format_size(size)}: {folder}")


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
