"""Tables of the book, as HTML that the book's script makes sortable, and as CSV beside the page; and its switches."""

from collections.abc import Mapping
from functools import partial
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from stilts.analysis.wording import format_number, format_p, replace_ids, title_condition

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML

NOTHING: Mapping[str, str] = MappingProxyType({})
# Columns whose values are ids of conditions, tasks or tests, or name such ids.
ID_COLUMNS = frozenset({"condition", "intermediate", "task", "target", "comparison", "which", "test"})
HEADS = {
    "text": "text", "sd": "SD", "r2": "R²", "rho": "ρ", "english": "English", "p_holm": "p (Holm)",
    "p_crossed": "p, crossed", "p_alike": "p, all alike", "r_noise_free": "r, noise-free", "gap_low": "gap: low",
    "gap_high": "gap: high", "gain_low": "gain: low", "gain_high": "gain: high", "change_low": "change: low",
    "change_high": "change: high",
}  # fmt: skip
"""Column -> its head, where that is not its name with spaces."""


def show(
    frame: "pd.DataFrame",
    csv: Path | None = None,
    decimals: int = 1,
    links: Mapping[str, str] = NOTHING,
    titles: Mapping[str, str] = NOTHING,
    ids: bool = False,
) -> "HTML":
    """Return a table for a notebook cell to display.

    Parameters
    ----------
    frame : DataFrame
        Shown without its index; missing values are shown as en dashes, tasks and conditions by their names in words,
        true and false as yes and no, p-values (columns `p` and `p_...`) to three decimals and never as zero.
    csv : Path or None, default=None
        File for the unrounded rows, with ids; its folder is created.
    decimals : int, default=1
        Decimals of floats.
    links : mapping of str to str, default={}
        Column of file names -> address of their folder, relative to the page; the names become links.
    titles : mapping of str to str, default={}
        Id -> its name in words, for conditions of several tasks and for tests.
    ids : bool, default=False
        Whether ids stay as they are.
    """
    from IPython.display import HTML

    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False, lineterminator="\n")
    frame = frame.apply(_say_values)
    # pandas ignores `na_rep` for missing integers and for None.
    shown = frame.astype(object).where(frame.notna(), "–").map(lambda value: escape(value) if isinstance(value, str)
                                                               else value)  # fmt: skip
    for column, folder in links.items():
        shown[column] = [f'<a href="{folder}/{name}">{name}</a>' for name in shown[column]]
    for column in ID_COLUMNS.intersection(shown.columns) if not ids else ():
        shown[column] = [_name_cell(value, titles) for value in shown[column]]
    heads = {column: escape(column if ids else _name_column(column, titles)) for column in shown.columns}
    looks = {"classes": "sortable", "border": 0, "justify": "left"}
    numbers = partial(format_number, decimals=decimals)
    return HTML(shown.rename(columns=heads).to_html(index=False, escape=False, float_format=numbers, **looks))


def _say_values(column: "pd.Series") -> "pd.Series":
    """Return a column with what a reader sees in place of true and false, and of p-values."""
    if column.dtype == bool:
        return column.map({True: "yes", False: "no"})
    if column.name == "p" or str(column.name).startswith("p_"):
        return column.map(lambda value: value if isinstance(value, str) else format_p(value))
    return column


def _name_cell(value: object, titles: Mapping[str, str]) -> object:
    """Return an id in words, with the id where a pointer rests on it; any other value unchanged."""
    words = _name_id(value, titles) if isinstance(value, str) else value
    return value if words == value else f'<span title="{value}">{escape(str(words))}</span>'


def _name_column(column: str, titles: Mapping[str, str]) -> str:
    """Return the head of a column."""
    return HEADS.get(column) or _name_id(column, titles).replace("_", " ")


def _name_id(value: str, titles: Mapping[str, str]) -> str:
    """Return an id of a task or condition in words, and a text with such ids with these in words."""
    return titles.get(value) or replace_ids(title_condition(value, [value]), titles)


def switch(options: Mapping[str, str]) -> "HTML":
    """Return buttons for a notebook cell to display, which show the cells with one of some tags and hide the others.

    Without its script the page shows all of them, as it does in print.

    Parameters
    ----------
    options : mapping of str to str
        Tag of cells -> label of its button. The first one is shown at first.
    """
    from IPython.display import HTML

    buttons = [f'<button type="button" data-tag="{tag}">{escape(label)}</button>' for tag, label in options.items()]
    return HTML(f'<div class="switch" role="group" aria-label="What this page shows">{"".join(buttons)}</div>')
