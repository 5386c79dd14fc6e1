"""Errors shown to users: each names the location, the value, and what would be valid."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MOST_REASONS = 5  # validation errors that a message lists; further ones are only counted


class StiltsError(Exception):
    """An error in the user's input or a problem of this machine, never a bug of the package."""


class UnknownName(StiltsError):
    """A name that is not registered.

    Parameters
    ----------
    kind : str
        What was looked up, in the user's words ("target task", "language", "study", ...).
    name : str
        The given name.
    known : iterable of str
        The valid names.
    place : str, optional
        File and key that hold the name.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], place: str = ""):
        known, name = sorted(known), str(name)
        close = find_nearest(name, known)
        hint = f" Did you mean '{close}'?" if close else ""
        before = f"{place}: " if place else ""
        super().__init__(f"{before}unknown {kind} {shorten_value(name)}.{hint} Known: {', '.join(known)}")
        self.kind, self.name, self.known = kind, name, known


def find_nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like a given one; None if none is like it."""
    close = get_close_matches(cut(name), known, n=1, cutoff=0.5)
    return close[0] if close else None


def describe_reasons(error: "ValidationError") -> str:
    """Return the validation errors and their locations in one line, without what follows from another of them."""
    found, items = [], error.errors()
    for item in items:
        if item["type"] == "too_short" and any(_lies_in(other["loc"], item["loc"]) for other in items):
            continue  # pydantic counts the valid items alone
        place = ".".join(str(part) for part in item["loc"])
        reason = "Input should be a list" if item["type"] == "tuple_type" else item["msg"].removeprefix("Value error, ")
        if item["type"] in ("too_short", "too_long"):
            reason = reason.replace("Tuple", "List").replace(" after validation", "")
        # The input of a model validator is a whole block or file, and its message names the fields.
        is_of_a_block = item["type"] == "value_error" and isinstance(item["input"], dict)
        given = "" if item["type"] == "missing" or is_of_a_block else f" (got {shorten_value(item['input'])})"
        found.append(f"{place}: {reason}{given}" if place else reason)
    more = len(found) - MOST_REASONS
    return "; ".join(found[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else "")


def _lies_in(location: Sequence[int | str], block: Sequence[int | str]) -> bool:
    return len(location) > len(block) and location[: len(block)] == block


def shorten_value(value: Any) -> str:
    """Return the `repr` of a value, truncated if it is long."""
    return cut(_written(value))


def cut(text: str, most: int = 120) -> str:
    """Return a text, truncated after `most` characters."""
    return text if len(text) <= most else f"{text[:most]}..."


def _written(value: Any) -> str:
    try:
        return repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return f"a number of {value.bit_length()} bits"
