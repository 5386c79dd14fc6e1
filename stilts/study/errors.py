"""Errors that a user reads: each names the place, the value, and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


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


def shortened(value: Any, most: int = 120) -> str:
    """Return how Python writes a value, cut where it is long."""
    return cut(_written(value), most)


def cut(text: str, most: int = 120) -> str:
    """Return a text, cut where it is long."""
    return text if len(text) <= most else f"{text[:most]}..."


def _written(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python writes no number of thousands of digits
        return f"a number of {value.bit_length()} bits"
