"""Tables of the book, as HTML that the book's script makes sortable, and as CSV beside the page."""

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
        Shown without its index; missing values are shown as en dashes.
    csv : Path or None, default=None
        File for the unrounded rows; its folder is created.
    decimals : int, default=1
        Decimals of floats.
    """
    from IPython.display import HTML

    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        frame.to_csv(csv, index=False, lineterminator="\n")
    shown = {"classes": "sortable", "border": 0, "justify": "left", "float_format": f"{{:.{decimals}f}}".format}
    # pandas ignores `na_rep` for missing integers and for None.
    return HTML(frame.astype(object).where(frame.notna(), "–").to_html(index=False, **shown))
