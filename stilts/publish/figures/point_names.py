"""Labels for the points of a plot, placed so that no label covers another one, a point or a line."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from stilts.publish.figures.style import SMALL

DIRECTIONS = 16
RADII = (4.0, 8.0, 13.0, 19.0, 26.0, 34.0, 44.0, 56.0, 70.0)  # points, from the mark to the text's nearest side
LINE_FROM = 8.0  # at this radius and above, a thin line connects text and mark
MARK = 5.0  # points, the width of a mark
STEPS = 200  # boxes that stand for a slanting line

Line = tuple[tuple[float, float], tuple[float, float]]
"""Both ends of a line, in data units."""


def name_points(
    axis: Axes,
    x: Sequence[float],
    y: Sequence[float],
    names: Sequence[str],
    lines: Sequence[Line] = (),
) -> list[Bbox]:
    """Write names beside points, each at the nearest free place, and return their boxes in pixels.

    Points in crowded regions are labelled first. Directions are tried counter-clockwise from the right, so that the
    same data give the same plot. If no place is free, the one that covers the least is taken.

    Parameters
    ----------
    axis : Axes
        Its limits and the figure's layout must be final.
    x, y : sequence of float
        In data units.
    lines : sequence of Line
        Lines of the plot that no label should cover.
    """
    figure = axis.figure
    figure.draw_without_rendering()
    pixels = figure.dpi / 72
    points = axis.transData.transform(np.column_stack([x, y]))
    half = MARK * pixels / 2
    marks = np.hstack([points - half, points + half])
    drawn = _along(axis, lines)
    sizes = [_text_size(axis, name) for name in names]
    placed: dict[int, np.ndarray] = {}
    for i in _crowded_first(points):
        taken = np.vstack([np.delete(marks, i, axis=0), drawn, *placed.values()])
        radius, box = _nearest_free(points[i], sizes[i], taken, axis.bbox.extents, pixels)
        placed[i] = box
        _write(axis, (x[i], y[i]), names[i], box, points[i], radius >= LINE_FROM, pixels)
    return [Bbox.from_extents(*placed[i]) for i in range(len(names))]


def _along(axis: Axes, lines: Sequence[Line]) -> np.ndarray:
    """Return boxes that cover lines, of shape (boxes, 4), in pixels."""
    parts = [np.empty((0, 4))]
    for line in lines:
        ends = axis.transData.transform(line)
        steps = STEPS if np.abs(np.diff(ends, axis=0)).min() > 1 else 1
        points = ends[0] + np.linspace(0, 1, steps + 1)[:, None] * (ends[1] - ends[0])
        low, high = np.minimum(points[:-1], points[1:]), np.maximum(points[:-1], points[1:])
        parts.append(np.hstack([low - 1, high + 1]))
    return np.vstack(parts)


def _text_size(axis: Axes, name: str) -> tuple[float, float]:
    text = axis.text(0, 0, name, fontsize=SMALL)
    box = text.get_window_extent()
    text.remove()
    return box.width, box.height


def _crowded_first(points: np.ndarray) -> list[int]:
    apart = np.sqrt(((points[:, None] - points) ** 2).sum(axis=-1))
    nearest = np.sort(apart, axis=1)[:, 1:6].sum(axis=1)
    return [int(i) for i in np.argsort(nearest, kind="stable")]


def _nearest_free(
    point: np.ndarray, size: tuple[float, float], taken: np.ndarray, frame: np.ndarray, pixels: float
) -> tuple[float, np.ndarray]:
    """Return the radius and the box (x0, y0, x1, y1) of the nearest place that covers nothing, else the least."""
    tried = []
    for radius in RADII:
        for step in range(DIRECTIONS):
            box = _beside(point, size, radius * pixels, 2 * np.pi * step / DIRECTIONS)
            outside = size[0] * size[1] - _covered(box, frame[None])
            covered = _covered(box, taken) + outside
            if covered < 1e-6:
                return radius, box
            tried.append((covered, radius, box))
    return min(tried, key=lambda each: each[0])[1:]


def _beside(point: np.ndarray, size: tuple[float, float], distance: float, angle: float) -> np.ndarray:
    """Return a box in a direction from the point, whose nearest side has the given distance to it."""
    half = np.array(size) / 2
    centre = point + np.array([np.cos(angle), np.sin(angle)]) * (distance + half)
    return np.concatenate([centre - half, centre + half])


def _covered(box: np.ndarray, others: np.ndarray) -> float:
    """Return the area that a box shares with others, an array of shape (others, 4)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(sides.clip(min=0).prod(axis=1).sum())


def _write(
    axis: Axes, at: tuple[float, float], name: str, box: np.ndarray, point: np.ndarray, line: bool, pixels: float
) -> None:
    offset = (box[:2] + box[2:]) / 2 - point
    look = {"arrowstyle": "-", "color": "#9a9a9a", "linewidth": 0.4, "shrinkA": 0, "shrinkB": 2} if line else None
    note = axis.annotate(name, at, xytext=(offset[0] / pixels, offset[1] / pixels), textcoords="offset points",
                         ha="center", va="center", fontsize=SMALL, arrowprops=look)  # fmt: skip
    note.set_in_layout(False)
