"""Figures of transfer: gains by condition, target, language and layer, and tested claims."""

import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stilts.analysis.languages.facts import Language, get_language, sort_by_distance
from stilts.analysis.verdicts import Kind
from stilts.analysis.wording import format_signed, replace_ids
from stilts.publish.figures.point_names import name_points
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
    assign_styles,
    choose_ink,
    draw_empty,
    make_figure,
)

GAIN = "gain over no intermediate task (points)"
NARROW = 0.95  # inches; in narrower cells the ends of an interval stand below one another


def draw_transfer_matrix(
    cells: pd.DataFrame,
    averages: pd.DataFrame | None = None,
    effect: str = GAIN,
    rows: str = "intermediate task",
    titles: Mapping[str, str] = MappingProxyType({}),
    average: str = "mean",
) -> Figure:
    """Plot the gain of each intermediate condition (rows) on each target task (columns), with its interval.

    A cell whose interval excludes zero has a bold number and a frame, a thick one if it also survives Holm's
    correction. A cell of two tasks of the same kind has a dotted frame, and stands on the diagonal where the order
    allows it. A cell that does not count is pale; one that was not learned says so.

    Parameters
    ----------
    cells : DataFrame
        From `stilts.analysis.effects.estimate_gains`: condition, target, gain, low, high, excludes_zero, survives_holm,
        and optionally learned and same_task. If it is empty, the figure says so.
    averages : DataFrame or None
        From `stilts.analysis.effects.average_gains`, for a separate last column.
    effect, rows, average : str
        Labels of the cells, of the rows and of the last column.
    titles : mapping of str to str
        Condition or target -> its name in words; others go by their own name.
    """
    with apply_style():
        if cells.empty:
            return draw_empty("nothing to compare yet")
        defaults = {"learned": True, "counts": cells.get("learned", True), "same_task": False}
        cells = cells.assign(**{name: value for name, value in defaults.items() if name not in cells})
        conditions, targets = list(dict.fromkeys(cells["condition"])), _sort_by_kind(cells)
        columns = {target: float(place) for place, target in enumerate(targets)}
        if averages is not None and len(averages):
            columns[average] = len(targets) + 0.25
            last = averages.assign(target=average, learned=True, counts=True, same_task=False)
            cells = pd.concat([cells, last], ignore_index=True)
        names = [textwrap.fill(replace_ids(name, titles), 26) for name in conditions]
        beside = 1.6 + 0.085 * max(len(line) for name in names for line in name.split("\n"))
        wide = min((FULL - beside) / len(columns), 1.1)
        figure = make_figure(beside + wide * len(columns), 1.7 + (0.62 if wide >= NARROW else 0.74) * len(conditions))
        axis = figure.add_subplot()
        norm = find_symmetric_scale(cells.loc[cells["counts"], "gain"])
        for row in cells.itertuples():
            _cell(axis, columns[row.target], conditions.index(row.condition), row, norm, wide < NARROW)
        _frame_matrix(axis, {titles.get(name, name): place for name, place in columns.items()}, names, rows)
        axis.set_xlabel(effect, fontsize=10, loc="left")
    return figure


def _sort_by_kind(cells: pd.DataFrame) -> list[str]:
    """Return the targets in the order of the first condition of the same kind; those without one last."""
    conditions = list(dict.fromkeys(cells["condition"]))
    twins = cells[cells["same_task"]].drop_duplicates("target").set_index("target")["condition"]
    places = {target: conditions.index(condition) for target, condition in twins.items()}
    return sorted(dict.fromkeys(cells["target"]), key=lambda target: places.get(target, len(conditions)))


def find_symmetric_scale(values: pd.Series) -> Normalize:
    """Return a colour scale centred at zero, of at least one point, so that noise does not look like an effect."""
    most = float(np.nanmax(np.abs(values), initial=1.0))
    return Normalize(-most, most)


def _cell(axis: Axes, x: float, y: int, row: Any, norm: Normalize, narrow: bool) -> None:
    color = DIVERGING(norm(row.gain)) if row.counts else "none"
    ink = choose_ink(color) if row.counts else FAINT
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
    clear = bool(row.counts and row.excludes_zero)
    if clear:
        thick = 2.4 if row.survives_holm else 0.9
        axis.add_patch(Rectangle((x - 0.455, y - 0.44), 0.91, 0.88, fill=False, edgecolor=ink, linewidth=thick))
    if row.same_task:
        axis.add_patch(Rectangle((x - 0.41, y - 0.385), 0.82, 0.77, fill=False, edgecolor=ink, linewidth=1.1,
                                 linestyle=":"))  # fmt: skip
    weight = "bold" if clear else "normal"
    size, place = (10.5, 0.22) if narrow else (12.5, 0.13)
    axis.text(x, y - place, format_signed(row.gain), ha="center", va="center", color=ink, fontsize=size, weight=weight)
    below = f"{format_signed(row.low)}, {format_signed(row.high)}" if row.learned else "not learned"
    shown = below.replace(", ", ",\n").replace("not ", "not\n") if narrow else below
    axis.text(x, y + 0.35 - place, shown, ha="center", va="center", color=ink, fontsize=SMALL)


def _frame_matrix(axis: Axes, columns: Mapping[str, float], conditions: Sequence[str], rows: str) -> None:
    axis.set(xlim=(-0.5, max(columns.values()) + 0.5), ylim=(len(conditions) - 0.5, -0.5))
    axis.set_xticks(list(columns.values()), list(columns), rotation=30, ha="left", rotation_mode="anchor", fontsize=10)
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(conditions)), conditions, fontsize=10)
    axis.set_ylabel(rows, fontsize=10)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def draw_language_gains(averages: pd.DataFrame, cells: pd.DataFrame, distance: str = "syntactic") -> Figure:
    """Plot a condition's gain by language: the mean over targets with its interval, and each target as a small ring.

    Parameters
    ----------
    averages : DataFrame
        Rows of one condition of `stilts.analysis.effects.average_language_gains`: language, gain, low, high.
    cells : DataFrame
        Rows of the same condition of `stilts.analysis.effects.estimate_language_gains`: language, target, gain.
    distance : str
        Kind of distance by which languages are sorted, the nearest to English on top. Languages without it come last,
        below a line.
    """
    with apply_style():
        order = sort_by_distance(averages["language"], distance)
        figure = make_figure(COLUMN, 1.2 + 0.185 * len(order))
        axis = figure.add_subplot()
        places = {code: place for place, code in enumerate(order)}
        axis.axvline(0, color=FAINT, linewidth=0.8)
        axis.plot(cells["gain"], cells["language"].map(places), "o", color="#9a9a9a", fillstyle="none", markersize=3.5,
                  markeredgewidth=0.8, label="one target task")  # fmt: skip
        draw_intervals(axis, averages, places, "mean over targets")
        _language_axis(axis, order, distance)
        axis.set_xlabel(GAIN)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def draw_intervals(axis: Axes, table: pd.DataFrame, places: dict[str, int], label: str) -> None:
    """Draw points with intervals; points are filled if the interval excludes zero."""
    color = STYLES[1][0]
    rows = table["language"].map(places)
    axis.hlines(rows, table["low"], table["high"], color=color, linewidth=1.2)
    clear = (table["low"] > 0) | (table["high"] < 0)
    for chosen, fill in ((clear, color), (~clear, "white")):
        name = label if chosen.any() and (fill == color or not clear.any()) else None
        axis.plot(table["gain"][chosen], rows[chosen], "o", color=color, markerfacecolor=fill, markersize=5, label=name)


def _language_axis(axis: Axes, order: Sequence[str], kind: str) -> None:
    """Label the rows with languages on the left, and with distance, family and script on the right."""
    known = [get_language(code) for code in order]
    axis.set_yticks(range(len(order)), [f"{each.name} ({each.code})" for each in known], fontsize=SMALL)
    axis.set_ylim(len(order) - 0.4, -0.6)
    right = axis.secondary_yaxis("right")
    right.set_yticks(range(len(order)), [_hint(each, kind) for each in known], fontsize=SMALL, color=FAINT)
    for side in (axis, right):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)
    measured = sum(kind in each.distance for each in known)
    if 0 < measured < len(order):
        axis.axhline(measured - 0.5, color=FAINT, linewidth=0.6, linestyle=":")


def _hint(each: Language, kind: str) -> str:
    distance = f"{each.distance[kind]:.2f}" if kind in each.distance else "  –  "
    return f"{distance}  {each.branch or each.family}, {each.script}"


def draw_english_gaps(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot the score in English and the mean of the others, with a panel for each target, a line for each condition.

    The gap is written at the end of the line; it is bold if the interval of its change from the baseline excludes zero.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.effects.estimate_english_gaps`: condition, target, english, others, gap, change,
        change_low, change_high.
    titles : mapping of str to str
        Condition or target -> its name in words; others go by their own name.
    """
    with apply_style():
        targets, conditions = (list(dict.fromkeys(table[name])) for name in ("target", "condition"))
        width = min(4, len(targets))
        rows = -(-len(targets) // width)
        figure = make_figure(COLUMN, 0.8 + rows * (0.6 + 0.2 * len(conditions)))
        axes = figure.subplots(rows, width, squeeze=False, sharey=True)
        for axis, target in zip(axes.flat, targets, strict=False):
            _gap_panel(axis, table[table["target"] == target], conditions)
            axis.set_title(titles.get(target, target))
        axes.flat[0].set_yticks(range(len(conditions)), [titles.get(name, name) for name in conditions])
        for axis in list(axes.flat)[len(targets) :]:
            axis.set_axis_off()
        figure.supxlabel("score (percent); beside it the gap in points", fontsize=9)
        add_legend(figure, axes.flat[0], "outside upper center", 3)
    return figure


def _gap_panel(axis: Axes, table: pd.DataFrame, conditions: Sequence[str]) -> None:
    places = table["condition"].map(conditions.index)
    axis.hlines(places, table["others"], table["english"], color=FAINT, linewidth=1.2)
    axis.plot(table["others"], places, "o", color=STYLES[1][0], markersize=4.5, label="mean of the other languages")
    axis.plot(table["english"], places, "D", color=STYLES[2][0], markersize=4.5, label="English")
    for place, row in zip(places, table.itertuples(), strict=True):
        changed = row.change_low > 0 or row.change_high < 0
        gap = f"{row.gap:.0f}".replace("-", "\N{MINUS SIGN}")
        weight = "bold" if changed else "normal"
        axis.text(max(row.english, row.others) + 8, place, gap, va="center", fontsize=SMALL, weight=weight)
    axis.set(xlim=(0, 138), ylim=(len(conditions) - 0.5, -0.5))
    axis.set_xticks([0, 50, 100])
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.tick_params(axis="y", length=0)


def draw_layer_profiles(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot retrieval accuracy by hidden layer for each condition, and beside it the gain over the baseline.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.effects.estimate_layer_profiles`: condition, layer, score, low, high, gain, gain_low,
        gain_high.
    titles : mapping of str to str
        Condition -> its name in words; others go by their own name.
    """
    with apply_style():
        figure = make_figure(COLUMN, 3.9)
        left, right = figure.subplots(1, 2)
        for name, (color, marker, dash) in assign_styles(list(dict.fromkeys(table["condition"]))).items():
            part = table[table["condition"] == name].sort_values("layer")
            look = {"color": color, "marker": marker, "linestyle": dash, "markersize": 4, "linewidth": 1.2}
            left.plot(part["layer"], part["score"], label=titles.get(name, name), **look)
            left.fill_between(part["layer"], part["low"], part["high"], color=color, alpha=0.08, linewidth=0)
            if part["gain"].notna().any():
                right.plot(part["layer"], part["gain"], **look)
                right.fill_between(part["layer"], part["gain_low"], part["gain_high"], color=color, alpha=0.12,
                                   linewidth=0)  # fmt: skip
        left.set(title="accuracy", ylabel="accuracy (percent)", ylim=(0, 100))
        right.set(title="gain", ylabel=GAIN)
        right.axhline(0, color=FAINT, linewidth=0.8)
        for axis in (left, right):
            axis.set_xlabel("hidden layer")
            axis.set_xticks(sorted(set(table["layer"])))
            axis.grid(color=RULE, linewidth=0.4)
        add_legend(figure, left, "outside lower center", 4, handlelength=3.5)
    return figure


def draw_agreement(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot the gains of the live study against those of the recorded study, with the line of equality.

    The marks show the conditions, and each point is named after its target.

    Parameters
    ----------
    table : DataFrame
        condition, target, and gain, low, high of each study with suffixes _live and _recorded. If it is empty, the
        figure says so.
    titles : mapping of str to str
        Condition or target -> its name in words; others go by their own name.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        figure = make_figure(COLUMN, 6.6)
        axis = figure.add_subplot()
        values = table[["low_live", "high_live", "low_recorded", "high_recorded"]].to_numpy()
        ends = [values.min() - 1, values.max() + 1]
        axis.plot(ends, ends, color=FAINT, linewidth=0.8, linestyle="--")
        axis.axhline(0, color=RULE, linewidth=0.8)
        axis.axvline(0, color=RULE, linewidth=0.8)
        for name, (color, marker, _) in assign_styles(list(dict.fromkeys(table["condition"]))).items():
            part = table[table["condition"] == name]
            if len(part):
                axis.hlines(part["gain_live"], part["low_recorded"], part["high_recorded"], color=color, linewidth=0.7)
                axis.vlines(part["gain_recorded"], part["low_live"], part["high_live"], color=color, linewidth=0.7)
                axis.plot(part["gain_recorded"], part["gain_live"], marker, color=color, markersize=6,
                          label=titles.get(name, name))  # fmt: skip
        axis.set(xlim=ends, ylim=ends, xlabel="gain in the recorded study (points)",
                 ylabel="gain in the live study (points)")  # fmt: skip
        add_legend(figure, axis, "outside upper center", 4, title="intermediate task")
        names = [titles.get(name, name) for name in table["target"]]
        lines = [
            line
            for row in table.itertuples()
            for line in (
                ((row.low_recorded, row.gain_live), (row.high_recorded, row.gain_live)),
                ((row.gain_recorded, row.low_live), (row.gain_recorded, row.high_live)),
            )
        ]
        name_points(axis, table["gain_recorded"].to_numpy(), table["gain_live"].to_numpy(), names, lines)
    return figure


def draw_claims(table: pd.DataFrame, titles: Mapping[str, str] = MappingProxyType({})) -> Figure:
    """Plot the effect of each tested part of a claim with its interval, and the published effect if there is one.

    Each study has its own panel.

    Parameters
    ----------
    table : DataFrame
        From `stilts.analysis.ledger.tabulate_parts`.
    titles : mapping of str to str
        Condition, task or study -> its name in words; others go by their own name.
    """
    with apply_style():
        if table.empty:
            return draw_empty("nothing to compare yet")
        studies = {str(name): part for name, part in table.groupby("study", sort=False)}
        heights = [len(part) + 1.8 for part in studies.values()]
        figure = make_figure(FULL, 0.8 + 0.36 * sum(heights))
        panels = figure.subplots(len(studies), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (study, part) in zip(panels, studies.items(), strict=True):
            names = [f"{row.id}: {replace_ids(row.part, titles)}" for row in part.itertuples()]
            _claims_panel(axis, part, [textwrap.fill(name, 56) for name in names])
            axis.set_title(titles.get(study, study), loc="left")
            axis.set_xlabel("effect (points)")
        add_legend(figure, panels[0], "outside upper center", 3)
    return figure


def _claims_panel(axis: Axes, table: pd.DataFrame, names: Sequence[str]) -> None:
    places = np.arange(len(table))
    axis.axvline(0, color=FAINT, linewidth=0.8)
    axis.hlines(places, table["low"], table["high"], color=INK, linewidth=1.4)
    axis.plot(table["value"], places, "o", color=INK, markersize=5, label="here")
    axis.plot(_bounds(table), places, "|", color=FAINT, markersize=11, label="the bound that the claim sets")
    axis.plot(table["published"], places, "D", color=STYLES[2][0], fillstyle="none", label="published")
    axis.set_yticks(places, names, fontsize=SMALL)
    axis.set_ylim(len(table) - 0.5, -0.5)
    right = axis.secondary_yaxis("right")
    right.set_yticks(places, table["verdict"], color=FAINT, fontsize=SMALL)
    for side in (axis, right):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)


def _bounds(table: pd.DataFrame) -> pd.Series:
    """Return the bound of each part: the effect must exceed it, or stay below it if the claim is no gain."""
    return table["smallest"].where(table["asks"] == Kind.NO_MORE, table["asked"])
