"""What all commands share: the group that they belong to, their arguments, and how they print."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import TypeAdapter
from rich.cells import cell_len
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
UNLIMITED = 10**6  # characters of a line of a pipe or a file, which has no width
MOST_WHOLE = 3  # words of a cell with a number that stay together, as in `+0.5 to +1.2` or `about 12 min`


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
Only = Annotated[list[str] | None, typer.Option(help="this condition alone; may be repeated")]
Target = Annotated[list[str] | None, typer.Option(help="this target task alone; may be repeated")]
Seed = Annotated[list[int] | None, typer.Option(help="this seed alone; may be repeated")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]

LOOK, RUN, GIVE = "Look", "Run", "Publish"  # panels of the help


def open_named(name: str, *, provisional: bool = False, checked: bool = False) -> Plan:
    """Return the plan of a study of the checkout that holds the current folder, see `open_plan`."""
    return open_plan(find_checkout(), name, provisional=provisional, checked=checked)


def select(only: Sequence[str] | None, target: Sequence[str] | None, seed: Sequence[int] | None) -> Selection:
    """Return what the options of these names select."""
    return Selection(tuple(only or ()), tuple(target or ()), tuple(seed or ()))


def open_console() -> Console:
    """Return a console on the current standard output, as wide as COLUMNS says, the terminal is, or without limit."""
    given = os.environ.get("COLUMNS", "")
    width = int(given) if given.isdigit() and int(given) else None if sys.stdout.isatty() else UNLIMITED
    return Console(file=sys.stdout, width=width, markup=False)


def say(line: str) -> None:
    """Print a line that no width breaks."""
    open_console().print(line, soft_wrap=True)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of strings as a table: text wraps between words, and a table of ids may be wider than the console."""
    console, filled = open_console(), list(rows)
    columns = list(zip(headers, *filled, strict=True))
    least = [max(map(_find_least_width, column)) for column in columns]
    table = Table()
    for column, width in zip(columns, least, strict=True):
        table.add_column(column[0], min_width=width, no_wrap=width == max(map(cell_len, column)))
    for row in filled:
        table.add_row(*row)
    console.width = max(console.width, sum(least) + 3 * len(least) + 1)  # two blanks and a line beside each
    console.print(table, crop=False)


def _find_least_width(cell: str) -> int:
    """Return the width in characters of the longest part that must stay in one line: a word, or a short number."""
    words = cell.split()
    is_number = len(words) <= MOST_WHOLE and any(map(str.isdigit, cell))
    return max(map(cell_len, [cell] if is_number else words), default=0)


def print_scores(scores: "Sequence[Score]") -> None:
    """Print scores as a table, and what they are."""
    print_table(*tables.show_scores(scores))
    say(tables.ABOUT_LANGUAGES if scores[0].language else tables.ABOUT_SCORES)
    if not all(each.learned for each in scores):
        say(tables.NOT_LEARNED)
    if any(each.fewer_seeds for each in scores):
        say(tables.FEWER_SEEDS)


def print_json(content: Any) -> None:
    """Print dataclasses, models, mappings and sequences as JSON; what is not a number is null."""
    in_ascii = not open_console().encoding.startswith("utf")  # elsewhere what cannot be encoded would be replaced
    sys.stdout.write(TypeAdapter(Any).dump_json(content, indent=1, ensure_ascii=in_ascii).decode() + "\n")
