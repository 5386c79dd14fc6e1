"""Figures of the study's design: covered languages, costs, throughput."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stilts.analysis.languages.facts import get_language, sort_by_distance
from stilts.analysis.wording import LOOP_TITLES, PHASE_TITLES, title_task
from stilts.publish.figures.style import (
    COLUMN,
    FULL,
    INK,
    RULE,
    SMALL,
    STYLES,
    add_legend,
    apply_style,
    draw_empty,
    make_figure,
)
from stilts.study.settings import Phase

_PHASE_LOOKS = {
    "pretraining": ("#E69F00", "..."), "intermediate": ("#D9D9D9", ""), "target": ("#56B4E9", "///"),
    "zero-shot": ("#0072B2", ""), "measure": ("#009E73", "xxx"),
}  # fmt: skip

BEHIND = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}  # a number behind its bar


def draw_costs(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot the time of each condition, stacked by phase.

    Parameters
    ----------
    table : DataFrame
        condition, phase, seconds, summed over runs. If it is empty, the figure says so.
    titles : mapping of str to str
        Condition -> its name in words; others go by their own name.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing is recorded yet")
        wide = table.pivot(index="condition", columns="phase", values="seconds").fillna(0.0)
        conditions = list(dict.fromkeys(table["condition"]))
        names = [titles.get(name, name) for name in conditions]
        figure = make_figure(COLUMN, 1.2 + 0.3 * len(conditions))
        axis = figure.add_subplot()
        start = np.zeros(len(conditions))
        for phase, (color, hatch) in ((phase, _PHASE_LOOKS[phase]) for phase in get_args(Phase) if phase in wide):
            minutes = wide.loc[conditions, phase].to_numpy() / 60
            look = {"color": color, "hatch": hatch, "edgecolor": "white", "label": PHASE_TITLES[phase]}
            axis.barh(names, minutes, left=start, **look)
            start = start + minutes
        for place, minutes in enumerate(start):
            axis.annotate(f"{minutes:.1f}", (minutes, place), fontsize=SMALL, **BEHIND)
        axis.invert_yaxis()
        axis.margins(x=0.1)
        axis.set_xlabel("minutes of one process, all runs and seeds together")
        axis.tick_params(axis="y", length=0)
        add_legend(figure, axis, "outside upper center", 3)
    return figure


def draw_throughput(table: pd.DataFrame) -> Figure:
    """Plot the training speed of several training loops on the same task, and the English dev score of each.

    Parameters
    ----------
    table : DataFrame
        name, examples_per_second, times (relative to the slowest), dev_score, dev_low, dev_high (percent).
    """
    with apply_style():
        figure = make_figure(COLUMN, 1.0 + 0.42 * len(table))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        places = np.arange(len(table))
        left.barh(places, table["examples_per_second"], color="#8DB8D6", edgecolor=INK, linewidth=0.6, height=0.6)
        for place, row in zip(places, table.itertuples(), strict=True):
            speed = f"{row.examples_per_second:.1f} ({row.times:.1f}\N{MULTIPLICATION SIGN})"
            left.annotate(speed, (row.examples_per_second, place), **BEHIND)
        left.set(xlabel="training examples per second")
        left.margins(x=0.35)
        left.set_yticks(places, [LOOP_TITLES.get(name, name) for name in table["name"]])
        left.invert_yaxis()
        right.hlines(places, table["dev_low"], table["dev_high"], color=INK, linewidth=1.2)
        right.plot(table["dev_score"], places, "o", color=INK, markersize=5)
        right.set(xlabel="English dev score (percent)")
        right.grid(axis="x", color=RULE, linewidth=0.4)
        for axis in (left, right):
            axis.tick_params(axis="y", length=0)
    return figure


def draw_coverage(table: pd.DataFrame) -> Figure:
    """Plot which target task has a test set in which language.

    A full square has as many rows as the task's largest test set, an open one fewer. Languages are sorted by their
    distance to English.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.suite_report.tabulate_coverage`: task, language, rows.
    """
    with apply_style():
        if table.empty:
            return draw_empty("not on record yet")
        codes, tasks = sort_by_distance(set(table["language"])), list(dict.fromkeys(table["task"]))
        figure = make_figure(FULL, 2.0 + 0.24 * len(tasks))
        axis = figure.add_subplot()
        full = table["rows"] == table.groupby("task")["rows"].transform("max")
        for chosen, fill, label in ((full, "full", "as many rows as any"), (~full, "none", "fewer rows")):
            axis.plot(table["language"][chosen].map(codes.index), table["task"][chosen].map(tasks.index), "s",
                      color=STYLES[1][0], fillstyle=fill, markersize=7, label=label)  # fmt: skip
        names = [get_language(code).name for code in codes]
        axis.set_xticks(range(len(codes)), names, fontsize=SMALL, rotation=90)
        axis.set_yticks(range(len(tasks)), [title_task(task) for task in tasks])
        axis.set(xlim=(-0.7, len(codes) - 0.3), ylim=(len(tasks) - 0.5, -0.5))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.grid(color=RULE, linewidth=0.3)
        axis.set_axisbelow(True)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure
