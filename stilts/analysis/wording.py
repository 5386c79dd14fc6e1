"""Words for computed prose: counts, lists, effects, and what a notebook cell displays."""

import math
from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING

from stilts.workspace.notebooks.markup import code, harmless

if TYPE_CHECKING:
    from IPython.display import Markdown


def say(text: str) -> "Markdown":
    """Return computed prose for a notebook cell to display, made harmless by `stilts.workspace.notebooks.markup`."""
    from IPython.display import Markdown

    shown = Markdown()  # given to it, a text that is an address or the name of a file would be fetched or read
    shown.data = harmless(text)
    return shown


def count(things: Sized | int, noun: str) -> str:
    """Return how many there are, with the noun in its number: "1 seed", "3 seeds"."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {noun}" + ("" if number == 1 else "s")


def join_names(names: Sequence[str]) -> str:
    """Return names in code type with commas and an "and"."""
    marked = [code(name) for name in names]
    return " and ".join(marked) if len(marked) < 3 else ", ".join(marked[:-1]) + f" and {marked[-1]}"


def signed(value: float, decimals: int = 1) -> str:
    """Write a number with its sign, a true minus among them; what is rounded to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}").replace("inf", "\N{INFINITY}")


def format_effect(value: float, low: float, high: float, unit: str = "points") -> str:
    """Write an effect and its interval for a sentence, as in "+1.2 points (-0.3 to +2.7)"."""
    return f"{signed(value)} {unit} ({signed(low)} to {signed(high)})"


def format_p(value: float) -> str:
    """Write a p-value for readers, who never see it as zero; an en dash where there is none."""
    if math.isnan(value):
        return "\N{EN DASH}"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
