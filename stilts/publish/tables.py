"""Tables of the book, as HTML that the book's script makes sortable, and as CSV beside the page; and its switches."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML


def show(
    frame: "pd.DataFrame", csv: Path | None = None, decimals: int = 1, links: Mapping[str, str] = MappingProxyType({})
) -> "HTML":
    """Return a table for a notebook cell to display.

    Parameters
    ----------
    frame : DataFrame
        Shown without its index; missing values are shown as en dashes.
    csv : Path or None, default=None
        File for the unrounded rows; its folder is created.
    decimals : int, default=1
        Decimals of floats.
    links : mapping of str to str, default={}
        Column of file names -> address of their folder, relative to the page; the names become links.
    """
    from IPython.display import HTML

    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False, lineterminator="\n")
    # pandas ignores `na_rep` for missing integers and for None.
    shown = frame.astype(object).where(frame.notna(), "–").map(lambda value: escape(value) if isinstance(value, str)
                                                               else value)  # fmt: skip
    for column, folder in links.items():
        shown[column] = [f'<a href="{folder}/{name}">{name}</a>' for name in shown[column]]
    looks = {"classes": "sortable", "border": 0, "justify": "left", "float_format": f"{{:.{decimals}f}}".format}
    return HTML(shown.rename(columns=escape).to_html(index=False, escape=False, **looks))


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
