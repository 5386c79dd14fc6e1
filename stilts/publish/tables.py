"""Tables of the book: plain HTML that the book's script makes sortable, and the same rows as CSV beside the page."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import HTML


def show(frame: "pd.DataFrame", csv: Path | None = None, decimals: int = 1) -> "HTML":
    """Return a table for a notebook cell to display.

    Parameters
    ----------
    frame : DataFrame
        Shown without its index; a missing value is shown as an en dash.
    csv : Path or None, default=None
        File that the unrounded rows are written to; its folder is made.
    decimals : int, default=1
        Digits that floats are shown with.
    """
    from IPython.display import HTML

    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False, lineterminator="\n")
    shown = {"classes": "sortable", "border": 0, "justify": "left", "float_format": f"{{:.{decimals}f}}".format}
    # pandas has a sign of its own for a missing integer and for None, whatever `na_rep` says.
    return HTML(frame.astype(object).where(frame.notna(), "–").to_html(index=False, **shown))
