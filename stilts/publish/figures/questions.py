"""Figures of the five questions."""

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stilts.analysis.languages.facts import get_language, sort_by_distance
from stilts.analysis.wording import format_signed
from stilts.publish.figures.point_names import Line, name_points
from stilts.publish.figures.style import (
    COLUMN,
    DIVERGING,
    FAINT,
    FULL,
    INK,
    RULE,
    SMALL,
    STYLES,
    add_legend,
    apply_style,
    choose_ink,
    draw_empty,
    make_figure,
)
from stilts.publish.figures.transfer import GAIN, draw_intervals, find_symmetric_scale


def draw_distance_scatter(
    table: pd.DataFrame, axes: Mapping[str, str], lines: Mapping[str, tuple[float, float]]
) -> Figure:
    """Plot the gap against each of some predictors, with every language named.

    Parameters
    ----------
    table : DataFrame
        From `distance_answer.tabulate_language_means`: code, name, script, gap (points) and the predictors. A panel
        leaves out the languages without its predictor. If none has any, the figure says so.
    axes : mapping
        Predictor -> label of its axis; a panel for each.
    lines : mapping
        Predictor -> intercept and slope of a line, in the units of the axes; predictors may be absent.
    """
    with apply_style():
        shown = [name for name in axes if table[name].notna().any()]
        if not shown:
            return draw_empty("nothing to compare yet")
        figure = make_figure(FULL, 3.1 * len(shown))
        for axis, name in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
            known = table.dropna(subset=[name])
            _distance_panel(axis, known, name, lines.get(name))
            axis.set(xlabel=axes[name], ylabel="gap to English (points)")
        figure.axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        for axis, name in zip(figure.axes, shown, strict=True):
            known = table.dropna(subset=[name])
            ends = known[name].agg(["min", "max"])
            drawn = [[(end, lines[name][0] + lines[name][1] * end) for end in ends]] if name in lines else []
            name_points(axis, known[name].to_numpy(), known["gap"].to_numpy(), known["name"].tolist(), drawn)
    return figure


def _distance_panel(axis: Axes, table: pd.DataFrame, predictor: str, line: tuple[float, float] | None) -> None:
    latin = table["script"] == "Latin"
    color = STYLES[1][0]
    for chosen, fill, label in ((latin, color, "Latin script"), (~latin, "white", "other script")):
        axis.plot(table[predictor][chosen], table["gap"][chosen], "o", color=color, markerfacecolor=fill,
                  markersize=4.5, label=label)  # fmt: skip
    if table["gap"].min() < 0:
        axis.axhline(0, color=FAINT, linewidth=0.8)
    axis.margins(x=0.09, y=0.12)
    if line is not None:
        ends = np.array([table[predictor].min(), table[predictor].max()])
        height = line[0] + line[1] * ends
        axis.plot(ends, height, color=STYLES[2][0], linestyle="--", linewidth=1.2, label="least squares")
    axis.autoscale_view()
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    axis.grid(color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)


def draw_group_gains(
    languages: pd.DataFrame,
    means: pd.DataFrame,
    rows: str,
    titles: Mapping[str, str] = MappingProxyType({}),
    label: str = GAIN,
) -> Figure:
    """Plot the mean gain of each group with its interval, and each language as a small ring.

    Means are filled if their interval excludes zero.

    Parameters
    ----------
    languages : DataFrame
        group, language, gain (points).
    means : DataFrame
        A row for each group: group, gain, low, high. If it is empty, the figure says so.
    rows : str
        Label of the groups.
    titles : mapping of str to str
        Group -> its name in words; others go by their own name.
    label : str
        What a gain is, with its unit.
    """
    with apply_style():
        if means.empty:
            return draw_empty("nothing to compare yet")
        groups = means["group"].tolist()
        figure = make_figure(COLUMN, 1.1 + 0.62 * len(groups))
        axis = figure.add_subplot()
        axis.axvline(0, color=FAINT, linewidth=0.8)
        for place, group in enumerate(groups):
            own = languages[languages["group"] == group]["gain"].sort_values()
            spread = place + 0.16 + 0.16 * (np.arange(len(own)) % 3 - 1)  # on three lines, to keep rings apart
            axis.plot(own, spread, "o", color="#9a9a9a", fillstyle="none", markersize=3.2, markeredgewidth=0.8,
                      label=None if place else "one language")  # fmt: skip
        above = {group: place - 0.2 for place, group in enumerate(groups)}  # above the group's rings
        draw_intervals(axis, means.rename(columns={"group": "language"}), above, "mean over languages")
        for place, row in enumerate(means.itertuples()):
            axis.text(row.gain, place - 0.27, format_signed(row.gain), ha="center", va="bottom", fontsize=SMALL)
        axis.set_yticks(range(len(groups)), [titles.get(group, group) for group in groups])
        axis.set(ylim=(len(groups) - 0.4, -0.6), xlabel=label, ylabel=rows)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color=RULE, linewidth=0.4)
        axis.set_axisbelow(True)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def draw_scheme_matrices(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot the gain of each intermediate task (rows) on each target (columns), in a matrix for each training scheme.

    Numbers are bold if the interval excludes zero. A frame marks pairs of the same task.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.questions.adapters_answer.tabulate_pair_gains`: scheme, intermediate, target, same, gain,
        excludes_zero. If it is empty, the figure says so.
    titles : mapping of str to str
        Scheme or task -> its name in words; others go by their own name.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        schemes, rows, columns = (list(dict.fromkeys(table[name])) for name in ("scheme", "intermediate", "target"))
        norm = find_symmetric_scale(table["gain"])
        height = 0.4 + 0.3 * len(rows)
        figure = make_figure(COLUMN, 1.1 + height * len(schemes))
        said = {name: titles.get(name, name) for name in (*schemes, *rows, *columns)}
        axes = figure.subplots(len(schemes), 1, sharex=True, squeeze=False).ravel()
        for axis, scheme in zip(axes, schemes, strict=True):
            for row in table[table["scheme"] == scheme].itertuples():
                _small_cell(axis, columns.index(row.target), rows.index(row.intermediate), row, norm)
            axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), title=said[scheme])
            axis.set_yticks(range(len(rows)), [said[name] for name in rows])
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        names = [said[name] for name in columns]
        axes[-1].set_xticks(range(len(columns)), names, rotation=30, ha="right", rotation_mode="anchor")
        bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, DIVERGING), ax=list(axes), fraction=0.04, pad=0.02)
        bar.set_label(GAIN)
        bar.outline.set_visible(False)
    return figure


def _small_cell(axis: Axes, x: int, y: int, row: Any, norm: Normalize) -> None:
    color = DIVERGING(norm(row.gain))
    ink = choose_ink(color)
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=1.0))
    if row.same:
        axis.add_patch(Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, fill=False, edgecolor=ink, linewidth=0.9))
    weight = "bold" if row.excludes_zero else "normal"
    axis.text(x, y, format_signed(row.gain), ha="center", va="center", color=ink, fontsize=SMALL, weight=weight)


def draw_similarity_scatter(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot gain against similarity of task pairs, both beyond the means of their tasks, in a panel for each group.

    The marks show the intermediate tasks, and each point is named after its target.

    Parameters
    ----------
    table : DataFrame
        From `adapters_answer.tabulate_points_beyond_means`: group, intermediate, target, similarity, gain. If it is
        empty, the figure says so.
    titles : mapping of str to str
        Group or task -> its name in words; others go by their own name.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        table = table.replace({name: dict(titles) for name in ("group", "intermediate", "target")})
        groups, tasks = (list(dict.fromkeys(table[name])) for name in ("group", "intermediate"))
        figure = make_figure(COLUMN, 1.0 + 4.2 * len(groups))
        axes = figure.subplots(len(groups), 1, sharex=True, sharey=True, squeeze=False).ravel()
        for axis, group in zip(axes, groups, strict=True):
            _similarity_panel(axis, table[table["group"] == group], tasks, group)
        axes[-1].set_xlabel("similarity beyond the tasks' means (standard deviations)")
        add_legend(figure, axes[0], "outside upper center", 3, title="intermediate task")
        for axis, group in zip(axes, groups, strict=True):
            own = table[table["group"] == group]
            lines = [((axis.get_xlim()[0], 0), (axis.get_xlim()[1], 0)), _similarity_line(own)]
            name_points(axis, own["similarity"].to_numpy(), own["gain"].to_numpy(), own["target"].tolist(), lines)
    return figure


def _similarity_panel(axis: Axes, table: pd.DataFrame, tasks: Sequence[str], group: str) -> None:
    axis.axhline(0, color=FAINT, linewidth=0.8)
    for place, task in enumerate(tasks):
        color, marker, _ = STYLES[place % len(STYLES)]
        own = table[table["intermediate"] == task]
        axis.plot(own["similarity"], own["gain"], marker, color=color, markersize=5, linestyle="none", label=task)
    axis.plot(*zip(*_similarity_line(table), strict=True), color=INK, linestyle="--", linewidth=1.0)
    axis.margins(x=0.12, y=0.12)
    axis.set(title=group, ylabel="gain beyond the tasks'\nmeans (points)")
    axis.grid(color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)


def _similarity_line(table: pd.DataFrame) -> Line:
    """Return the ends of the least-squares line; similarity has mean 0 and standard deviation 1."""
    slope = float(np.mean(table["similarity"] * table["gain"]))
    low, high = table["similarity"].min(), table["similarity"].max()
    return (low, slope * low), (high, slope * high)


def draw_order_gains(table: pd.DataFrame) -> Figure:
    """Plot the gain of each order of intermediate training, for languages of each kind.

    Means over several languages have their interval, and are filled if it excludes zero. The interval of a single
    language, which is over seeds only, would hide the others and is only in the table.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.questions.order.tabulate_gains`: training, languages, rows, gain, low, high (points). If
        it is empty, the figure says so.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        rows, kinds = (list(dict.fromkeys(table[name])) for name in ("training", "languages"))
        figure = make_figure(COLUMN, 1.3 + 0.32 * len(rows))
        axis = figure.add_subplot()
        axis.axvline(0, color=FAINT, linewidth=0.8)
        shown = table.assign(**{end: table[end].where(table["rows"] > 1) for end in ("low", "high")})
        for place, kind in enumerate(kinds):
            part = shown[shown["languages"] == kind]
            height = part["training"].map(rows.index) + 0.22 * (place - (len(kinds) - 1) / 2)
            _marks(axis, part, height, STYLES[place + 1], kind)
        _named_rows(axis, rows)
        axis.set_xlabel(GAIN)
        add_legend(figure, axis, "outside upper center", 3, title="test languages")
    return figure


def _marks(axis: Axes, table: pd.DataFrame, height: pd.Series, style: tuple, label: str) -> None:
    """Draw gains with intervals in one style; filled if the interval excludes zero, and if there is no interval."""
    color, marker, _ = style
    known = table["low"].notna()
    axis.hlines(height[known], table["low"][known], table["high"][known], color=color, linewidth=1.1)
    unclear = (table["low"] <= 0) & (table["high"] >= 0)
    for chosen, fill in ((~unclear, color), (unclear, "white")):
        axis.plot(table["gain"][chosen], height[chosen], marker, color=color, markerfacecolor=fill, markersize=4.5)
    axis.plot([], [], marker, color=color, markersize=4.5, label=label)


def _named_rows(axis: Axes, names: Sequence[str]) -> None:
    """Label the rows of a dot plot, the first on top."""
    axis.set_yticks(range(len(names)), names, fontsize=SMALL)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)


def draw_order_languages(table: pd.DataFrame) -> Figure:
    """Plot the score of every test language by kind of intermediate training, the nearest to English by syntax on top.

    An asterisk marks languages that some condition trains on.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.questions.order.tabulate_scores_by_language`: code, trained, and a column of scores
        (percent) for each kind of training. If it is empty, the figure says so.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        wide = table.set_index("code")
        order = sort_by_distance(wide.index, "syntactic")
        kinds = [name for name in wide.columns if name not in ("language", "family", "trained")]
        figure = make_figure(COLUMN, 1.3 + 0.18 * len(order))
        axis = figure.add_subplot()
        for place, kind in enumerate(kinds):
            color, marker, _ = STYLES[place % len(STYLES)]
            axis.plot(wide.loc[order, kind], range(len(order)), marker, color=color, fillstyle="none", markersize=4,
                      label=kind)  # fmt: skip
        stars = {True: "*", False: ""}
        _named_rows(
            axis, [f"{get_language(code).name} ({code}){stars[bool(wide.loc[code, 'trained'])]}" for code in order]
        )
        axis.set_xlabel("F1 (percent)")
        add_legend(figure, axis, "outside upper center", 3)
    return figure


def draw_forgetting(table: pd.DataFrame) -> Figure:
    """Plot the first language's dev score after the first and after the second stage, in a row for each condition.

    The change is written beside the row.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.questions.order.tabulate_forgetting`: training, language, before, after (percent), change
        (points). If it is empty, the figure says so.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        figure = make_figure(COLUMN, 1.2 + 0.3 * len(table))
        axis = figure.add_subplot()
        places = np.arange(len(table))
        axis.hlines(places, table["before"], table["after"], color=FAINT, linewidth=1.2)
        axis.plot(table["before"], places, "o", color=STYLES[1][0], markersize=5, label="after its own stage")
        axis.plot(table["after"], places, "D", color=STYLES[2][0], fillstyle="none", label="after the second stage")
        _named_rows(axis, table["training"].tolist())
        right = axis.secondary_yaxis("right")
        right.set_yticks(places, [format_signed(change) for change in table["change"]], fontsize=SMALL)
        right.tick_params(length=0)
        right.spines["right"].set_visible(False)
        axis.margins(x=0.08)
        axis.set_xlabel("dev F1 of the first stage's language (percent); on the right the change")
        add_legend(figure, axis, "outside upper center", 2)
    return figure


def draw_complexity_gaps(
    table: pd.DataFrame,
    dials: Mapping[str, Sequence[str]] | None = None,
    line: tuple[float, float] | None = None,
    titles: Mapping[str, str] = MappingProxyType({}),
) -> Figure:
    """Plot the gap between English and other source languages against the code length of the intermediate task.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.questions.complexity.tabulate_task_gaps`: task, code_length (bits per example), gap, low,
        high (points). Tasks without a code length are left out. If there are none, the figure says so.
    dials : mapping or None
        Dial -> its tasks from the lowest level to the highest, which are joined by a line.
    line : (float, float) or None
        Intercept and slope of a dashed line, with the code length on a scale of log2.
    titles : mapping of str to str
        Task -> its name in words; others go by their own name.
    """
    with apply_style():
        known = table.dropna(subset=["code_length", "gap"])
        if known.empty:
            return draw_empty("nothing to compare yet")
        figure = make_figure(COLUMN, 5.4)
        axis = figure.add_subplot()
        axis.axhline(0, color=FAINT, linewidth=0.8)
        bits, gaps = np.log2(known["code_length"].to_numpy()), known["gap"].to_numpy()
        joined = [[task for task in tasks if task in set(known["task"])] for tasks in (dials or {}).values()]
        dialled = known["task"].isin([task for tasks in joined for task in tasks]).to_numpy()
        axis.vlines(bits, known["low"], known["high"], color=RULE, linewidth=1.2)
        drawn = [((x, low), (x, high)) for x, low, high in zip(bits, known["low"], known["high"], strict=True)]
        looks = ((~dialled, STYLES[1], "a task"), (dialled, STYLES[2], "a level of a dial"))
        for chosen, (color, marker, _), label in looks:
            if chosen.any():
                axis.plot(bits[chosen], gaps[chosen], marker, color=color, markersize=5.5, label=label)
        for tasks in joined:
            part = known.set_index("task").loc[tasks]
            axis.plot(np.log2(part["code_length"]), part["gap"], "-", color=STYLES[2][0], linewidth=0.9)
        if line is not None:
            ends = np.array([bits.min(), bits.max()])
            axis.plot(ends, line[0] + line[1] * ends, "--", color=INK, linewidth=1.0, label="least squares")
            drawn.append(tuple(zip(ends, line[0] + line[1] * ends, strict=True)))
        axis.margins(x=0.14, y=0.08)
        ticks = np.arange(np.floor(bits.min()), np.ceil(bits.max()) + 1)
        axis.set_xticks(ticks, [f"{2**tick:g}" for tick in ticks])
        axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
        axis.set_xlabel("code length of the intermediate task (bits an example)")
        axis.set_ylabel("gain from English data minus gain\nfrom data in other languages (points)")
        axis.grid(color=RULE, linewidth=0.4)
        axis.set_axisbelow(True)
        add_legend(figure, axis, "outside upper center", 3)
        drawn.append(((axis.get_xlim()[0], 0), (axis.get_xlim()[1], 0)))
        name_points(axis, bits, gaps, [titles.get(task, task) for task in known["task"]], drawn)
    return figure


def draw_source_gains(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot the gain of each intermediate task in each source language with its interval; filled if it excludes zero.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.questions.complexity.tabulate_source_gains`: task, source, gain, low, high (points). If it
        is empty, the figure says so.
    titles : mapping of str to str
        Task -> its name in words; others go by their own name.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        tasks, sources = (list(dict.fromkeys(table[name])) for name in ("task", "source"))
        figure = make_figure(COLUMN, 1.3 + 0.13 * len(tasks) * (len(sources) + 1))
        axis = figure.add_subplot()
        axis.axvline(0, color=FAINT, linewidth=0.8)
        for place, source in enumerate(sources):
            part = table[table["source"] == source]
            height = part["task"].map(tasks.index) + (place - (len(sources) - 1) / 2) / (len(sources) + 1)
            _marks(axis, part, height, STYLES[(place + 1) % len(STYLES)], source)
        _named_rows(axis, [titles.get(task, task) for task in tasks])
        axis.set_xlabel(GAIN)
        add_legend(figure, axis, "outside upper center", 4, title="source language")
    return figure


VERDICT_COLORS = {"supported": "#1a6b33", "contradicted": "#a3241b", "no effect that matters": "#1f5692"}
FARTHEST = 6.0  # smallest effects that matter; what lies farther ends in an arrow


def draw_question_forest(table: pd.DataFrame) -> Figure:
    """Plot the tests of the questions, each effect in units of the smallest that matters, with a band for less.

    A filled mark has a verdict; it is coloured and named. Tests without an interval are named and have no mark.

    Parameters
    ----------
    table : DataFrame
        question (heading of its group), hypothesis, setting (a mark and a colour each), estimate, low, high, smallest
        effect (in the unit of the estimate), verdict. If it is empty, the figure says so.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        rows, height = _place_forest_rows(table)
        figure = make_figure(FULL, 0.9 + 0.36 * height)
        axis = figure.add_subplot()
        axis.axvspan(-1, 1, color="#ececec", zorder=0)
        axis.axvline(0, color=FAINT, linewidth=0.8)
        settings = {name: STYLES[1 + place][:2] for place, name in enumerate(dict.fromkeys(table["setting"]))}
        for (question, hypothesis), placed in rows.items():
            if not hypothesis:
                continue
            own = table[(table["question"] == question) & (table["hypothesis"] == hypothesis)]
            for shift, row in zip(np.linspace(-0.17, 0.17, len(settings)), _by_setting(own, settings), strict=True):
                if row is not None:
                    _forest_mark(axis, placed.middle + shift, row, settings[row["setting"]])
        _frame_forest(axis, rows, height)
        for name, (color, marker) in settings.items():
            axis.plot([], [], marker, color=color, label=name)
        axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(settings))
    return figure


class _ForestRow(NamedTuple):
    label: str
    middle: float


def _place_forest_rows(table: pd.DataFrame) -> tuple[dict[tuple[str, str], _ForestRow], float]:
    """Return the row of each question's heading, as (question, ""), and of each of its tests, and the height of all.

    From top to bottom; the first begins at 0. A row is as high as two lines of its label need, 1, or as more lines do.
    """
    keys: list[tuple[str, str]] = []
    for question, own in table.groupby("question", sort=False):
        keys += [(str(question), ""), *((str(question), str(name)) for name in dict.fromkeys(own["hypothesis"]))]
    rows, top = {}, 0.0
    for question, hypothesis in keys:
        label = textwrap.fill(hypothesis, 58) or question
        height = max(1.0, (label.count("\n") + 1) / 2)
        rows[question, hypothesis] = _ForestRow(label, top + height / 2)
        top += height
    return rows, top


def _by_setting(rows: pd.DataFrame, settings: Mapping[str, tuple]) -> list[dict | None]:
    found = {row["setting"]: row for row in rows.to_dict("records")}
    return [found.get(name) for name in settings]


def _forest_mark(axis: Axes, y: float, row: dict, style: tuple[str, str]) -> None:
    color, marker = style
    value, low, high = (row[name] / row["smallest effect"] for name in ("estimate", "low", "high"))
    if not np.isfinite([value, low, high]).all():
        axis.text(FARTHEST * 1.04, y, row["verdict"], va="center", fontsize=SMALL, color=FAINT)
        return
    ends = np.clip([low, high], -FARTHEST, FARTHEST)
    axis.hlines(y, *ends, color=color, linewidth=1.4)
    for end, whole, arrow in ((ends[0], low, "<"), (ends[1], high, ">")):
        if end != whole:
            axis.plot(end, y, arrow, color=color, markersize=5)
    judged = row["verdict"] in VERDICT_COLORS
    fill = color if judged else "white"
    axis.plot(np.clip(value, -FARTHEST, FARTHEST), y, marker, color=color, markerfacecolor=fill, markersize=6)
    ink, weight = (VERDICT_COLORS[row["verdict"]], "bold") if judged else (FAINT, "normal")
    axis.text(FARTHEST * 1.04, y, row["verdict"], va="center", fontsize=SMALL, color=ink, weight=weight)


def _frame_forest(axis: Axes, rows: Mapping[tuple[str, str], _ForestRow], height: float) -> None:
    axis.set(xlim=(-FARTHEST * 1.02, FARTHEST * 1.02), ylim=(height, -0.1))
    axis.set_yticks([row.middle for row in rows.values()], [row.label for row in rows.values()], fontsize=8.6)
    for label, (_, hypothesis) in zip(axis.get_yticklabels(), rows, strict=True):
        label.set_weight("normal" if hypothesis else "bold")
    axis.set_xlabel("effect, in units of the smallest that matters (shaded: less than that)")
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)
