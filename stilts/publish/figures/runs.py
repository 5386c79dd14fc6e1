"""Figures on the page of a job, from the records of its runs.

They are known to pyplot, which shows them at the end of a notebook's cell.
"""

import math
from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stilts.publish.figures.style import BLUE, ORANGE, RULE, SMALL, apply_style
from stilts.study.records import Record
from stilts.study.settings import SOURCE_LANGUAGE

COLUMNS = 3  # panels beside each other


def draw_learning_curves(records: Sequence[Record]) -> Figure:
    """Plot the training loss by update, with the best dev score marked, in a panel for each run."""
    with apply_style():
        figure, axes = _panels(len(records))
        for axis, record in zip(axes, records, strict=True):
            losses = [point for point in record.history if "loss" in point]
            axis.plot([point["update"] for point in losses], [point["loss"] for point in losses], color=BLUE)
            scores = [point for point in record.history if "dev_score" in point]
            if scores:
                best = max(scores, key=lambda point: (point["dev_score"], point["update"]))
                axis.plot(best["update"], losses[-1]["loss"], "x", color=ORANGE)
                axis.annotate(f"dev {best['dev_score']:.1f}", (best["update"], losses[-1]["loss"]), (-6, 10),
                              textcoords="offset points", ha="right", fontsize=SMALL)  # fmt: skip
            axis.set(title=record.run.target or record.run.condition, xlabel="update", ylabel="loss", ylim=(0, None))
    return figure


def draw_pretraining_curves(records: Sequence[Record]) -> Figure:
    """Plot bits per predicted token by update, on training and on held-out texts, in a panel for each pretraining."""
    with apply_style():
        figure, axes = _panels(len(records))
        for axis, record in zip(axes, records, strict=True):
            losses = [point for point in record.history if "loss" in point]
            held_out = [point for point in record.history if "dev_score" in point]
            bits = [point["loss"] / math.log(2) for point in losses]
            axis.plot([point["update"] for point in losses], bits, color=BLUE, label="training")
            # The dev score of pretraining is negative bits per token.
            axis.plot([point["update"] for point in held_out], [-point["dev_score"] for point in held_out], "o",
                      color=ORANGE, label="held out")  # fmt: skip
            axis.set(title=record.run.condition, xlabel="update", ylabel="bits per predicted token", ylim=(0, None))
            axis.legend(fontsize=SMALL)
    return figure


def draw_language_scores(records: Sequence[Record]) -> Figure:
    """Plot each language's score in percent, in a row for each target task; English is the large mark."""
    rows = [
        {"target": record.run.target, "score": metrics["score"], "source": language == SOURCE_LANGUAGE}
        for record in records
        for language, metrics in record.metrics.items()
    ]
    scores = pd.DataFrame(rows)
    order = [record.run.target for record in records]
    others, english = scores[~scores["source"]], scores[scores["source"]]
    with apply_style():
        figure, axis = plt.subplots(figsize=(8, 0.7 + 0.55 * len(records)), layout="constrained")
        sns.stripplot(others, x="score", y="target", order=order, jitter=False, color=BLUE, alpha=0.45, ax=axis)
        sns.stripplot(english, x="score", y="target", order=order, jitter=False, color=ORANGE, size=9, ax=axis)
        axis.set(xlabel="score (percent)", ylabel="", xlim=(-2, 102))
        axis.grid(axis="x", color=RULE, linewidth=0.4)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // COLUMNS)
    width = min(count, COLUMNS)
    figure, axes = plt.subplots(rows, width, figsize=(3.2 * width, 2.5 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[count:]:
        axis.remove()
    return figure, list(axes.flat[:count])
