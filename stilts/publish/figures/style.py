"""Style of the figures. Each figure function takes a tidy table and returns a figure; `save` writes it with its data.

Figures are readable in greyscale and by colour-blind readers: signs are written out, lines differ in marker and dash,
and effects whose interval excludes zero are not marked by colour alone. The same data give the same bytes.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stilts.study.settings import BASELINE
from stilts.workspace.notebooks.templates import FINDING

DIVERGING = matplotlib.colormaps["PuOr_r"]
INK, FAINT, RULE = "#1a1a1a", "#6b6b6b", "#c8c8c8"
COLUMN, FULL = 6.85, 9.4  # inches of a figure in the column and across the page, which the book need not shrink
BLUE, ORANGE = "#0072B2", "#D55E00"  # of two things that are told apart in one panel
SMALL = 8.4  # points of the smallest text, which are 11.2 pixels
# Okabe and Ito's palette, darkest colour first, each with a marker and a dash.
STYLES = (
    (INK, "o", "-"),
    (BLUE, "s", "--"),
    (ORANGE, "^", "-."),
    ("#009E73", "D", ":"),
    ("#CC79A7", "v", (0, (5, 1))),
    ("#E69F00", "P", (0, (3, 1, 1, 1))),
    ("#56B4E9", "X", (0, (1, 1))),
    ("#7F7F7F", "*", (0, (8, 2))),
)
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "stilts",
}


class Saved:
    """A figure that is saved as SVG with its data, for a notebook to display.

    Attributes
    ----------
    svg, csv : Path
    finding : str
        What it shows, with which its caption begins.
    """

    def __init__(self, svg: Path, csv: Path, finding: str):
        self.svg, self.csv, self.finding = svg, csv, finding

    def __repr__(self) -> str:
        return f"figure {self.svg.stem}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, str]]:
        return {"image/svg+xml": self.svg.read_text(encoding="utf-8")}, {FINDING: self.finding}


def save(figure: Figure, data: pd.DataFrame, name: str, out: Path | str, finding: str) -> Saved:
    """Write `<name>.svg` and `<name>.csv`; the same figure and data give the same bytes.

    Parameters
    ----------
    data : DataFrame
        Data of the figure, written with six decimals.
    out : Path
        Folder, created if it does not exist.
    finding : str
        What the figure shows, in one sentence of Markdown; see `stilts.analysis.captions`.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    saved = Saved(folder / f"{name}.svg", folder / f"{name}.csv", finding)
    with apply_style():
        figure.savefig(saved.svg, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    # The text is laid out in a font that comes with matplotlib and that readers may lack.
    svg = saved.svg.read_text(encoding="utf-8").replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    saved.svg.write_text(svg, encoding="utf-8")
    data.to_csv(saved.csv, index=False, float_format="%.6f", lineterminator="\n")
    return saved


def apply_style() -> AbstractContextManager[None]:
    """Return a context in which figures have the study's style, whatever the user's matplotlib settings are."""
    return matplotlib.style.context(["default", STYLE])


def make_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, unknown to pyplot, so that notebooks do not show it twice."""
    return Figure(figsize=(width, height), layout="constrained")


def add_legend(figure: Figure, axis: Axes, place: str, most: int, **more: Any) -> None:
    """Add an axis's legend above or below a figure, in as many columns, `most` at most, as its width has room for."""
    for columns in range(most, 0, -1):
        legend = figure.legend(*axis.get_legend_handles_labels(), loc=place, ncols=columns, **more)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def draw_empty(text: str) -> Figure:
    """Return a figure that says why there is nothing to show."""
    figure = make_figure(5.2, 0.6)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=FAINT)
    return figure


def assign_styles(names: Sequence[str]) -> dict[str, tuple]:
    """Return colour, marker and dash of each name; the baseline is black. Styles repeat if there are too few."""
    ordered = [BASELINE, *(name for name in names if name != BASELINE)]
    return {name: STYLES[place % len(STYLES)] for place, name in enumerate(ordered)}


# --- Gains by condition and target -----------------------------------------------------------------------------------


def choose_ink(color: Sequence[float]) -> str:
    """Return the text colour for a background RGB colour: white if it is dark, else black."""
    linear = np.power(np.asarray(color[:3]), 2.2)
    # Not quite white and black, which a page in dark mode would exchange.
    return "#fefefe" if np.dot(linear, (0.2126, 0.7152, 0.0722)) < 0.179 else "#010101"
