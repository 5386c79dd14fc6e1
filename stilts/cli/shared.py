"""What all commands share: the group that they belong to, their arguments, and how they print."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from stilts.cli import tables
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import find_checkout
from stilts.workspace.plan import Plan, Selection
from stilts.workspace.resolution import open_plan

if TYPE_CHECKING:
    from stilts.analysis.score_tables import Score

commands = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
# A pipe or a file has no width, and ids of runs must not be broken in it.
console = Console(width=None if sys.stdout.isatty() else 140, markup=False)


def complete_study(beginning: str) -> list[str]:
    """Return the studies whose names begin so, for the completion of a shell."""
    try:
        return [name for name in find_checkout().studies() if name.startswith(beginning)]
    except StiltsError:  # outside a checkout there is nothing to complete, and a shell shows no message
        return []


StudyName = Annotated[
    str, typer.Argument(help="name of a study in studies/, or path of a .yml file", autocompletion=complete_study)
]
Profile = Annotated[str, typer.Option(help="Snakemake profile: local or slurm")]
Only = Annotated[list[str] | None, typer.Option(help="run this condition alone; may be repeated")]
Target = Annotated[list[str] | None, typer.Option(help="run this target task alone; may be repeated")]
Seed = Annotated[list[int] | None, typer.Option(help="run this seed alone; may be repeated")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]

LOOK, RUN, GIVE = "Look", "Run", "Publish"  # panels of the help


def open_named(name: str, *, provisional: bool = False, checked: bool = False) -> Plan:
    """Return the plan of a study of the checkout that holds the current folder, see `open_plan`."""
    return open_plan(find_checkout(), name, provisional=provisional, checked=checked)


def select(only: Sequence[str] | None, target: Sequence[str] | None, seed: Sequence[int] | None) -> Selection:
    """Return what the options of these names select."""
    return Selection(tuple(only or ()), tuple(target or ()), tuple(seed or ()))


def say(line: str) -> None:
    """Print a line that no width breaks."""
    console.print(line, soft_wrap=True)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of strings as a table; what does not fit is folded, and nothing is cut."""
    table = Table()
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_scores(scores: "Sequence[Score]") -> None:
    """Print scores as a table, and what they are."""
    print_table(*tables.show_scores(scores))
    say(tables.ABOUT_LANGUAGES if scores[0].language else tables.ABOUT_SCORES)
    if not all(each.learned for each in scores):
        say(tables.NOT_LEARNED)


def print_json(content: Any) -> None:
    """Print dataclasses, models, mappings and sequences as JSON; what is not a number is null."""
    sys.stdout.write(TypeAdapter(Any).dump_json(content, indent=1).decode() + "\n")
