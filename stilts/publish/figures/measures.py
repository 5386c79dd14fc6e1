"""Figures on the page of a run of phase `measure`, from its record and table.

They are known to pyplot, which shows them at the end of a notebook's cell.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stilts.publish.figures.style import BLUE, FAINT, ORANGE, SMALL, apply_style, choose_ink
from stilts.study.records import Record, Store


def draw_measures(records: Sequence[Record], store: Store) -> list[Figure]:
    """Plot the results of each run: a matrix for each similarity, or a task's learning curve and code lengths."""
    plots = {"similarity": _similarities, "complexity": _complexity}
    with apply_style():
        return [plots[record.run.settings.measure.kind](record, store.table(record.id)) for record in records]


def _similarities(record: Record, table: pd.DataFrame) -> Figure:
    intermediates, targets = (record.run.settings.intermediates, record.run.settings.targets)
    measures = list(table["measure"].unique())
    size = (1.6 + 0.55 * len(targets), (0.9 + 0.38 * len(intermediates)) * len(measures))
    figure, grid = plt.subplots(len(measures), 1, figsize=size, sharex=True, layout="constrained", squeeze=False)
    axes = grid[:, 0]
    for axis, name in zip(axes, measures, strict=True):
        own = table[table["measure"] == name].pivot(index="intermediate", columns="target", values="value")
        _matrix(axis, own.reindex(index=intermediates, columns=targets), name)
    axes[-1].set_xticks(range(len(targets)), targets, rotation=40, ha="right")
    return figure


def _matrix(axis: Axes, values: pd.DataFrame, name: str) -> None:
    """Draw a matrix with its numbers; its shades range from its lowest to its highest value."""
    image = axis.imshow(values, cmap="Blues", aspect="auto")
    for row, column in np.ndindex(*values.shape):
        value = values.iat[row, column]
        if np.isfinite(value):
            ink = choose_ink(image.to_rgba(value))
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=SMALL, color=ink)
    axis.set_yticks(range(len(values)), values.index)
    axis.set_title(name)


def _complexity(record: Record, curve: pd.DataFrame) -> Figure:
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained")
    (metrics,) = record.metrics.values()
    _learning_curve(left, metrics, curve[curve["examples"] > 0], record.run.settings.measure.share)
    _code_lengths(right, metrics, curve[curve["block_labels"] > 0])
    return figure


def _learning_curve(axis: Axes, metrics: dict[str, float], curve: pd.DataFrame, share: float) -> None:
    axis.plot(curve["examples"], curve["score"], "o-", color=BLUE)
    axis.axhline(metrics["chance"], color=FAINT, linestyle=":", label="chance")
    sign = {-1: "at most ", 0: "", 1: "more than "}[round(metrics["censored"])]
    reached = f"{share:.0%} of the gain: {sign}{metrics['examples_to_share']:.0f}"
    axis.axvline(metrics["examples_to_share"], color=ORANGE, linestyle="--", label=reached)
    axis.set(xscale="log", xlabel="training examples", ylabel="dev score (percent)")
    axis.legend(fontsize=SMALL)


def _code_lengths(axis: Axes, metrics: dict[str, float], curve: pd.DataFrame) -> None:
    """Draw the bits per label in each portion; the first portion has the uniform code."""
    places = np.arange(len(curve))
    axis.bar(places, curve["block_bits"] / curve["block_labels"], color=BLUE)
    axis.axhline(metrics["uniform_bits_per_label"], color=FAINT, linestyle=":", label="uniform code")
    axis.axhline(metrics["label_entropy"], color=ORANGE, linestyle="--", label="label entropy")
    names = [f"{start}\N{EN DASH}{stop}" for start, stop in _bounds(curve)]
    axis.set_xticks(places, names, fontsize=SMALL)
    axis.set(xlabel="examples of the portion", ylabel="bits per label")
    axis.legend(fontsize=SMALL)


def _bounds(curve: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the numbers, from 1, of the first and the last example of each portion."""
    starts = curve["examples"].astype(int)
    return list(zip(starts + 1, starts + curve["block_examples"].astype(int), strict=True))
