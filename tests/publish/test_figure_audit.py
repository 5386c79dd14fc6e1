"""Labels of every figure, in a real browser at the width that the book gives the figure at 1280 px."""

import re

import nbformat
import pandas as pd
import pytest
from browsing import needs_browser
from figure_audit import COLUMN, FULL, audit_figures
from figure_tables import draw_all
from matplotlib.figure import Figure
from small_book import ROOT

from stilts.publish import figures


@pytest.fixture(scope="module")
def widths() -> dict[str, int]:
    """The least width in pixels that a template of the book gives to what a function draws."""
    found: dict[str, int] = {}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in nbformat.read(path, 4).cells:
            width = FULL if "full-width" in cell.metadata.get("tags", []) else COLUMN
            for name in re.findall(r"figures\.(draw_\w+)\(", cell.source):
                found[name] = min(width, found.get(name, FULL))
    return found


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Figure]]:
    return draw_all()


def content(figure: Figure, folder) -> str:
    return figures.save(figure, pd.DataFrame(), "figure", folder, "-").svg.read_text(encoding="utf-8")


@needs_browser
def test_labels_of_every_figure_are_large_apart_and_whole(browser, widths, drawn, tmp_path):
    shown = {
        f"{name}-{place}": (content(figure, tmp_path), widths[name])
        for name, made in drawn.items()
        for place, figure in enumerate(made)
    }
    shown["phases"] = (ROOT / "book" / "_static" / "phases.svg").read_text(encoding="utf-8"), COLUMN
    assert audit_figures(browser, tmp_path / "page.html", shown) == {}


def test_every_figure_of_the_book_is_drawn(widths, drawn):
    drawing = {name for name in figures.__all__ if name.startswith("draw_")}
    assert set(widths) == drawing == set(drawn)


@needs_browser
def test_labels_that_are_small_collide_or_are_cut_off_are_found(browser, tmp_path):
    figure = Figure(figsize=(4, 2))
    for x, y, text, look in (
        (0.1, 0.1, "small", {"fontsize": 6}),
        (0.1, 0.5, "one label", {"rotation": 30}),
        (0.15, 0.55, "another", {"rotation": 30}),
        (0.1, 0.8, "beside it", {}),
        (0.9, 0.8, "beyond the edge", {}),
    ):
        figure.text(x, y, text, **look)
    assert audit_figures(browser, tmp_path / "page.html", {"made-up": (content(figure, tmp_path), COLUMN)}) == {
        "made-up": ["small: 8.0 px", "one label | another: collide", "beyond the edge: cut off"]
    }
