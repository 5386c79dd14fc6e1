"""Errors that a user reads: each names the place, the value, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MOST_REASONS = 5  # named of those why a content does not fit its schema; the others are counted


class StiltsError(Exception):
    """A mistake in what the user gave, or a thing of this machine in the way; never a bug of the package."""


class UnknownName(StiltsError):
    """A name that no registry holds.

    Parameters
    ----------
    kind : str
        What was looked for, as the user calls it ("target task", "language", "study", ...).
    name : str
        What was given.
    known : iterable of str
        What would have been right.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known, name = sorted(known), str(name)
        close = get_close_matches(cut(name), known, n=1, cutoff=0.5)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        super().__init__(f"unknown {kind} {shortened(name)}.{hint} Known: {', '.join(known)}")
        self.kind, self.name, self.known = kind, name, known


def reasons(error: "ValidationError") -> str:
    """Say in a line what does not fit, and where."""
    found = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"])
        reason = item["msg"].removeprefix("Value error, ")
        # A check of several fields names them itself, and was given the whole file.
        given = "" if item["type"] == "missing" else f" (got {shortened(item['input'])})"
        found.append(f"{place}: {reason}{given}" if place else reason)
    more = len(found) - MOST_REASONS
    return "; ".join(found[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def shortened(value: Any) -> str:
    """Return how Python writes a value, cut where it is long."""
    return cut(_written(value))


def cut(text: str, most: int = 120) -> str:
    """Return a text, cut where it is long."""
    return text if len(text) <= most else f"{text[:most]}..."


def _written(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return f"a number of {value.bit_length()} bits"
