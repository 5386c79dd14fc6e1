"""The door: options of every command, logging, and how a command ends."""

import codecs
import io
import logging
import signal
import sys
import warnings
from typing import Annotated

import typer

from stilts import __version__
from stilts.cli import jobs, looking, running  # noqa: F401 - their commands join the group
from stilts.cli.shared import commands
from stilts.study.errors import StiltsError

# What stands for characters that an output cannot encode; others become a question mark.
PLAIN = {"\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{INFINITY}": "inf", "\N{MULTIPLICATION SIGN}": "x"}
INTERRUPTED = 130  # exit code that typer turns Ctrl-C into


def run() -> None:
    """Run the command line; a user's mistake ends it with one clear line and exit code 1."""
    _write_plainly()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {message}", file=sys.stderr)
    _end_in_order()
    try:
        commands(prog_name="stilts")
    except StiltsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("interrupted; finished runs are kept, and the same command resumes from there", file=sys.stderr)
        raise


def _write_plainly() -> None:
    """Let the standard streams write what their encoding lacks as plain characters; numbers keep their signs."""
    codecs.register_error("stilts-plain", _replace_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's are none, and encode nothing
            stream.reconfigure(errors="stilts-plain")


def _replace_characters(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


def _end_in_order() -> None:
    """Treat an end by a signal, as of a terminal that closes, like Ctrl-C; nohup's wish to ignore it stands."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"stilts {__version__}")
        raise typer.Exit


@commands.callback()
def set_up(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and end")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="log more, of the libraries too")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="log warnings alone, and show no progress")] = False,
) -> None:
    """Plan and run studies, look at their scores, and build their book."""
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    logging.getLogger().setLevel(level)
