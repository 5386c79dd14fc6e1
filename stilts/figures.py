"""The study's plots. Each takes a tidy table and returns a figure; `save` writes it with its data.

They are made to be read in grey and by colour-blind readers: signs are written out, lines differ in marker and dash,
and what leaves zero out is marked by more than colour. The same data give the same bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from stilts.labels import name_points
from stilts.linguistics import by_distance, language
from stilts.statistics import BASELINE, signed
from stilts.study import Phase
from stilts.verdicts import Kind

DIVERGING = matplotlib.colormaps["PuOr_r"]
INK, FAINT, RULE = "#1a1a1a", "#6b6b6b", "#c8c8c8"
# Okabe and Ito's palette, darkest first for print, with a marker and a dash each.
STYLES = (
    ("#000000", "o", "-"),
    ("#0072B2", "s", "--"),
    ("#D55E00", "^", "-."),
    ("#009E73", "D", ":"),
    ("#CC79A7", "v", (0, (5, 1))),
    ("#E69F00", "P", (0, (3, 1, 1, 1))),
    ("#56B4E9", "X", (0, (1, 1))),
    ("#7F7F7F", "*", (0, (8, 2))),
)
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "stilts",
}


class Saved:
    """A figure that stands as SVG beside its data; a notebook shows it.

    Attributes
    ----------
    svg, csv : Path
    """

    def __init__(self, svg: Path, csv: Path):
        self.svg, self.csv = svg, csv

    def __repr__(self) -> str:
        return f"figure {self.svg.stem}"

    def _repr_svg_(self) -> str:
        return self.svg.read_text(encoding="utf-8")


def save(figure: Figure, data: pd.DataFrame, name: str, out: Path | str) -> Saved:
    """Write `<name>.svg` and `<name>.csv`; the same figure and data give the same bytes.

    Parameters
    ----------
    data : DataFrame
        What the figure shows, written with six digits behind the point.
    out : Path
        Folder; made if need be.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    saved = Saved(folder / f"{name}.svg", folder / f"{name}.csv")
    with _style():
        figure.savefig(saved.svg, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    data.to_csv(saved.csv, index=False, float_format="%.6f", lineterminator="\n")
    return saved


def _style():
    """Draw in the study's style, on matplotlib's own defaults: what a user has set for other work changes no figure."""
    return matplotlib.style.context(["default", STYLE])


def _figure(width: float, height: float) -> Figure:
    """A figure of so many inches that no global state knows of, so that notebooks do not show it twice."""
    return Figure(figsize=(width, height), layout="constrained")


def _empty(text: str) -> Figure:
    figure = _figure(5.2, 0.6)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=FAINT)
    return figure


def _styles(names: Sequence[str]) -> dict[str, tuple]:
    """Give each name its colour, marker and dash; the baseline is black. More names than styles begin again."""
    ordered = [BASELINE, *(name for name in names if name != BASELINE)]
    return {name: STYLES[place % len(STYLES)] for place, name in enumerate(ordered)}


# --- Gains by condition and target -----------------------------------------------------------------------------------


GAIN = "gain over no intermediate task (points)"


def transfer_matrix(
    cells: pd.DataFrame, averages: pd.DataFrame | None = None, effect: str = GAIN, rows: str = "intermediate task"
) -> Figure:
    """Plot the gain of each intermediate condition (rows) on each target task (columns), with its interval.

    Parameters
    ----------
    cells : DataFrame
        As `stilts.statistics.gains` returns it: condition, target, gain, low, high, excludes_zero, survives_holm.
        A cell whose interval leaves zero out has bold figures and a frame; one that also survives Holm's correction has
        a thick frame and an asterisk. A cell that was not learned (column learned, where there is one) is pale and says
        so. Without a row the figure says so.
    averages : DataFrame or None
        As `stilts.statistics.average_gains` returns it; a last column, set apart.
    effect, rows : str
        What the cells show, and what the rows are.
    """
    with _style():
        if cells.empty:
            return _empty("nothing to compare yet")
        if "learned" not in cells:
            cells = cells.assign(learned=True)
        conditions, targets = (list(dict.fromkeys(cells[name])) for name in ("condition", "target"))
        columns = {target: float(place) for place, target in enumerate(targets)}
        if averages is not None and len(averages):
            columns["mean"] = len(targets) + 0.25
            cells = pd.concat([cells, averages.assign(target="mean", learned=True)], ignore_index=True)
        figure = _figure(0.5 + 0.085 * max(map(len, conditions)) + 0.92 * len(columns), 1.1 + 0.5 * len(conditions))
        axis = figure.add_subplot()
        norm = _symmetric(cells.loc[cells["learned"], "gain"])
        for row in cells.itertuples():
            _cell(axis, columns[row.target], conditions.index(row.condition), row, norm)
        _frame_matrix(axis, columns, conditions, rows)
        bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, DIVERGING), ax=axis, fraction=0.03, pad=0.02)
        bar.set_label(effect)
        bar.outline.set_visible(False)
    return figure


def _symmetric(values: pd.Series) -> Normalize:
    """A colour scale with zero in its middle; never so narrow that noise looks like an effect."""
    most = float(np.nanmax(np.abs(values), initial=1.0))
    return Normalize(-most, most)


def ink_on(color: Sequence[float]) -> str:
    """Return the colour of text that can be read on an RGB colour: black, or white where the ground is dark."""
    linear = np.power(np.asarray(color[:3]), 2.2)
    return "#ffffff" if np.dot(linear, (0.2126, 0.7152, 0.0722)) < 0.179 else "#000000"


def _cell(axis: Axes, x: float, y: int, row, norm: Normalize) -> None:
    if not row.learned:
        _pale_cell(axis, x, y, row)
        return
    color = DIVERGING(norm(row.gain))
    ink = ink_on(color)
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=1.5))
    if row.excludes_zero:
        thick = 2.2 if row.survives_holm else 0.9
        axis.add_patch(Rectangle((x - 0.455, y - 0.44), 0.91, 0.88, fill=False, edgecolor=ink, linewidth=thick))
    star = "*" if row.survives_holm else ""
    weight = "bold" if row.excludes_zero else "normal"
    axis.text(x, y - 0.12, signed(row.gain) + star, ha="center", va="center", color=ink, fontsize=9.5, weight=weight)
    interval = f"{signed(row.low)}, {signed(row.high)}"
    axis.text(x, y + 0.24, interval, ha="center", va="center", color=ink, fontsize=5.8)


def _pale_cell(axis: Axes, x: float, y: int, row) -> None:
    """Write a number that counts nowhere."""
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor="#f4f4f4", edgecolor="white", linewidth=1.5))
    axis.text(x, y - 0.12, signed(row.gain), ha="center", va="center", color=FAINT, fontsize=8.5)
    axis.text(x, y + 0.24, "not learned", ha="center", va="center", color=FAINT, fontsize=5.8)


def _frame_matrix(axis: Axes, columns: dict[str, float], conditions: Sequence[str], rows: str) -> None:
    axis.set(xlim=(-0.5, max(columns.values()) + 0.5), ylim=(len(conditions) - 0.5, -0.5))
    axis.set_xticks(list(columns.values()), list(columns), rotation=30, ha="left", rotation_mode="anchor")
    axis.xaxis.tick_top()
    axis.xaxis.set_label_position("top")
    axis.set_yticks(range(len(conditions)), conditions)
    axis.set_ylabel(rows)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


# --- Gains by language -----------------------------------------------------------------------------------------------


def language_gains(averages: pd.DataFrame, cells: pd.DataFrame, distance: str = "syntactic") -> Figure:
    """Plot one condition's gain in each language: the mean over targets with its interval, each target as a small ring.

    Parameters
    ----------
    averages : DataFrame
        Rows of one condition of `stilts.statistics.average_language_gains`: language, gain, low, high.
    cells : DataFrame
        Rows of the same condition of `stilts.statistics.language_gains`: language, target, gain.
    distance : str
        Kind of distance to English that orders the languages, the nearest on top; those without one come last, below a
        line.
    """
    with _style():
        order = by_distance(averages["language"], distance)
        figure = _figure(7.4, 1.2 + 0.185 * len(order))
        axis = figure.add_subplot()
        places = {code: place for place, code in enumerate(order)}
        axis.axvline(0, color=FAINT, linewidth=0.8)
        axis.plot(cells["gain"], cells["language"].map(places), "o", color="#9a9a9a", fillstyle="none", markersize=3.5,
                  markeredgewidth=0.8, label="one target task")  # fmt: skip
        _intervals(axis, averages, places, "mean over targets")
        _language_axis(axis, order, distance)
        axis.set_xlabel(GAIN)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _intervals(axis: Axes, table: pd.DataFrame, places: dict[str, int], label: str) -> None:
    """Draw points with intervals; filled where the interval leaves zero out."""
    color = STYLES[1][0]
    rows = table["language"].map(places)
    axis.hlines(rows, table["low"], table["high"], color=color, linewidth=1.2)
    clear = (table["low"] > 0) | (table["high"] < 0)
    for chosen, fill in ((clear, color), (~clear, "white")):
        name = label if chosen.any() and (fill == color or not clear.any()) else None
        axis.plot(table["gain"][chosen], rows[chosen], "o", color=color, markerfacecolor=fill, markersize=5, label=name)


def _language_axis(axis: Axes, order: Sequence[str], kind: str) -> None:
    """Name the languages on the left and hint at distance, family and script on the right."""
    known = [language(code) for code in order]
    axis.set_yticks(range(len(order)), [f"{each.name} ({each.code})" for each in known], fontsize=7)
    axis.set_ylim(len(order) - 0.4, -0.6)
    right = axis.secondary_yaxis("right")
    right.set_yticks(range(len(order)), [_hint(each, kind) for each in known], fontsize=6.2, color=FAINT)
    for side in (axis, right):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)
    measured = sum(kind in each.distance for each in known)
    if 0 < measured < len(order):
        axis.axhline(measured - 0.5, color=FAINT, linewidth=0.6, linestyle=":")


def _hint(each, kind: str) -> str:
    distance = f"{each.distance[kind]:.2f}" if kind in each.distance else "  –  "
    return f"{distance}  {each.branch or each.family}, {each.script}"


# --- English against the others --------------------------------------------------------------------------------------


def english_gaps(table: pd.DataFrame) -> Figure:
    """Plot the score in English and the mean of the others, a panel for each target, a line for each condition.

    Parameters
    ----------
    table : DataFrame
        As `stilts.statistics.english_gaps` returns it: condition, target, english, others, gap, change, change_low,
        change_high. The gap is written at the end; bold where its change from the baseline leaves zero out.
    """
    with _style():
        targets, conditions = (list(dict.fromkeys(table[name])) for name in ("target", "condition"))
        width = min(4, len(targets))
        rows = -(-len(targets) // width)
        figure = _figure(1.2 + 1.75 * width, 0.8 + rows * (0.55 + 0.2 * len(conditions)))
        axes = figure.subplots(rows, width, squeeze=False, sharey=True)
        for axis, target in zip(axes.flat, targets, strict=False):
            _gap_panel(axis, table[table["target"] == target], conditions, target)
        for axis in list(axes.flat)[len(targets) :]:
            axis.set_axis_off()
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _gap_panel(axis: Axes, table: pd.DataFrame, conditions: Sequence[str], target: str) -> None:
    places = table["condition"].map(conditions.index)
    axis.hlines(places, table["others"], table["english"], color=FAINT, linewidth=1.2)
    axis.plot(table["others"], places, "o", color=STYLES[1][0], markersize=4.5, label="mean of the other languages")
    axis.plot(table["english"], places, "D", color=STYLES[2][0], markersize=4.5, label="English")
    for place, row in zip(places, table.itertuples(), strict=True):
        changed = row.change_low > 0 or row.change_high < 0
        gap = f"{row.gap:.0f}".replace("-", "\N{MINUS SIGN}")
        weight = "bold" if changed else "normal"
        axis.text(max(row.english, row.others) + 3, place, gap, va="center", fontsize=6.5, weight=weight)
    axis.set(title=target, xlim=(0, 113), ylim=(len(conditions) - 0.5, -0.5))
    axis.set_xticks([0, 50, 100])
    axis.set_yticks(range(len(conditions)), conditions)
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.tick_params(axis="y", length=0)


# --- Retrieval by layer ----------------------------------------------------------------------------------------------


def layer_profiles(table: pd.DataFrame) -> Figure:
    """Plot retrieval accuracy by hidden layer for each condition, and beside it the gain over the baseline.

    Parameters
    ----------
    table : DataFrame
        As `stilts.statistics.layer_profiles` returns it: condition, layer, score, low, high, gain, gain_low, gain_high.
    """
    with _style():
        figure = _figure(7.6, 3.7)
        left, right = figure.subplots(1, 2)
        for name, (color, marker, dash) in _styles(list(dict.fromkeys(table["condition"]))).items():
            part = table[table["condition"] == name].sort_values("layer")
            look = {"color": color, "marker": marker, "linestyle": dash, "markersize": 4, "linewidth": 1.2}
            left.plot(part["layer"], part["score"], label=name, **look)
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
        figure.legend(loc="outside lower center", ncols=4, handlelength=3.5)
    return figure


# --- Costs -----------------------------------------------------------------------------------------------------------


_PHASE_LOOKS = {
    "pretraining": ("#E69F00", "..."), "intermediate": ("#D9D9D9", ""), "target": ("#56B4E9", "///"),
    "zero-shot": ("#0072B2", ""), "measure": ("#009E73", "xxx"),
}  # fmt: skip


def costs(table: pd.DataFrame) -> Figure:
    """Plot the seconds that each condition took, stacked by phase.

    Parameters
    ----------
    table : DataFrame
        condition, phase, seconds, summed over runs. Without a row the figure says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing is recorded yet")
        wide = table.pivot(index="condition", columns="phase", values="seconds").fillna(0.0)
        conditions = list(dict.fromkeys(table["condition"]))
        figure = _figure(7.0, 1.2 + 0.3 * len(conditions))
        axis = figure.add_subplot()
        start = np.zeros(len(conditions))
        for phase, (color, hatch) in ((phase, _PHASE_LOOKS[phase]) for phase in get_args(Phase) if phase in wide):
            minutes = wide.loc[conditions, phase].to_numpy() / 60
            axis.barh(conditions, minutes, left=start, color=color, hatch=hatch, edgecolor="white", label=phase)
            start = start + minutes
        for place, minutes in enumerate(start):
            axis.text(minutes, place, f" {minutes:.1f}", va="center", fontsize=7.5)
        axis.invert_yaxis()
        axis.margins(x=0.1)
        axis.set_xlabel("minutes of one process, all runs and seeds together")
        axis.tick_params(axis="y", length=0)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def throughput(table: pd.DataFrame) -> Figure:
    """Plot the training speed of several loops on the same work, and the English dev score that each reached.

    Parameters
    ----------
    table : DataFrame
        name, examples_per_second, times (how many times the slowest), dev_score, dev_low, dev_high (percent).
    """
    with _style():
        figure = _figure(7.4, 1.0 + 0.42 * len(table))
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
        places = np.arange(len(table))
        left.barh(places, table["examples_per_second"], color="#8DB8D6", edgecolor=INK, linewidth=0.6, height=0.6)
        for place, row in zip(places, table.itertuples(), strict=True):
            speed = f" {row.examples_per_second:.1f}  ({row.times:.1f}\N{MULTIPLICATION SIGN})"
            left.text(row.examples_per_second, place, speed, va="center")
        left.set(xlabel="training examples per second")
        left.margins(x=0.25)
        left.set_yticks(places, table["name"])
        left.invert_yaxis()
        right.hlines(places, table["dev_low"], table["dev_high"], color=INK, linewidth=1.2)
        right.plot(table["dev_score"], places, "o", color=INK, markersize=5)
        right.set(xlabel="English dev score (percent)")
        right.grid(axis="x", color=RULE, linewidth=0.4)
        for axis in (left, right):
            axis.tick_params(axis="y", length=0)
    return figure


# --- Agreement and claims --------------------------------------------------------------------------------------------


def agreement(table: pd.DataFrame) -> Figure:
    """Plot the gains of one study against those of another, with the line on which they are equal.

    Parameters
    ----------
    table : DataFrame
        condition, target, and gain, low, high of either study with suffixes _live and _recorded. An empty one gives a
        figure that says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        figure = _figure(5.2, 4.4)
        axis = figure.add_subplot()
        values = table[["low_live", "high_live", "low_recorded", "high_recorded"]].to_numpy()
        ends = [values.min() - 1, values.max() + 1]
        axis.plot(ends, ends, color=FAINT, linewidth=0.8, linestyle="--")
        axis.axhline(0, color=RULE, linewidth=0.8)
        axis.axvline(0, color=RULE, linewidth=0.8)
        for name, (color, marker, _) in _styles(list(dict.fromkeys(table["condition"]))).items():
            part = table[table["condition"] == name]
            if len(part):
                axis.hlines(part["gain_live"], part["low_recorded"], part["high_recorded"], color=color, linewidth=0.7)
                axis.vlines(part["gain_recorded"], part["low_live"], part["high_live"], color=color, linewidth=0.7)
                axis.plot(part["gain_recorded"], part["gain_live"], marker, color=color, markersize=6, label=name)
        axis.set(xlim=ends, ylim=ends, xlabel="gain in the recorded study (points)",
                 ylabel="gain in the live study (points)")  # fmt: skip
        axis.legend(loc="upper left")
    return figure


def claims(table: pd.DataFrame) -> Figure:
    """Plot the effect for each tested part of a claim with its interval, and the published effect where there is one.

    Parameters
    ----------
    table : DataFrame
        As `stilts.claims.as_parts` returns it.
        Each study has a panel of its own.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        studies = {str(name): part for name, part in table.groupby("study", sort=False)}
        heights = [len(part) + 1.2 for part in studies.values()]
        figure = _figure(7.6, 0.8 + 0.28 * sum(heights))
        panels = figure.subplots(len(studies), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (study, part) in zip(panels, studies.items(), strict=True):
            _claims_panel(axis, part)
            axis.set_title(study, loc="left")
        panels[-1].set_xlabel("effect (points)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _claims_panel(axis: Axes, table: pd.DataFrame) -> None:
    places = np.arange(len(table))
    axis.axvline(0, color=FAINT, linewidth=0.8)
    axis.hlines(places, table["low"], table["high"], color=INK, linewidth=1.4)
    axis.plot(table["value"], places, "o", color=INK, markersize=5, label="here")
    axis.plot(_bounds(table), places, "|", color=FAINT, markersize=11, label="the bound that the claim sets")
    both_sides = table["asks"] == Kind.NEGLIGIBLE
    axis.plot(-table["smallest"][both_sides], places[both_sides], "|", color=FAINT, markersize=11)
    axis.plot(table["published"], places, "D", color=STYLES[2][0], fillstyle="none", label="published")
    axis.set_yticks(places, [f"{row.id}  {row.part}" for row in table.itertuples()])
    axis.set_ylim(len(table) - 0.5, -0.5)
    right = axis.secondary_yaxis("right")
    right.set_yticks(places, table["verdict"], color=FAINT, fontsize=7.5)
    for side in (axis, right):
        side.tick_params(axis="y", length=0)
        side.spines[["left", "right"]].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)


def _bounds(table: pd.DataFrame) -> pd.Series:
    """Return what each part must exceed, or where its claim is that nothing is gained, stay below."""
    return table["smallest"].where(table["asks"].isin([Kind.NO_MORE, Kind.NEGLIGIBLE]), table["asked"])


# --- Data ------------------------------------------------------------------------------------------------------------


def coverage(table: pd.DataFrame) -> Figure:
    """Plot which target task has a test set in which language.

    Parameters
    ----------
    table : DataFrame
        As `stilts.suite_report.coverage` returns it: task, language, rows. A full square has as many rows as the task's
        largest set, an open one fewer. Languages stand from the nearest to English to the farthest.
    """
    with _style():
        if table.empty:
            return _empty("not on record yet")
        codes, tasks = by_distance(set(table["language"])), list(dict.fromkeys(table["task"]))
        figure = _figure(2.0 + 0.175 * len(codes), 1.0 + 0.24 * len(tasks))
        axis = figure.add_subplot()
        full = table["rows"] == table.groupby("task")["rows"].transform("max")
        for chosen, fill, label in ((full, "full", "as many rows as any"), (~full, "none", "fewer rows")):
            axis.plot(table["language"][chosen].map(codes.index), table["task"][chosen].map(tasks.index), "s",
                      color=STYLES[1][0], fillstyle=fill, markersize=7, label=label)  # fmt: skip
        axis.set_xticks(range(len(codes)), codes, fontsize=7)
        axis.set_yticks(range(len(tasks)), tasks)
        axis.set(xlim=(-0.7, len(codes) - 0.3), ylim=(len(tasks) - 0.5, -0.5))
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.grid(color=RULE, linewidth=0.3)
        axis.set_axisbelow(True)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


# --- Distance --------------------------------------------------------------------------------------------------------


def distance_scatter(table: pd.DataFrame, distance: str, lines: dict[str, tuple[float, float]]) -> Figure:
    """Plot the gap, and below it its change, against a distance to English; every language is named.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.distance.language_means` returns it: code, name, script, gap, change (points) and the
        distances. Languages without this distance are left out. Without any the figure says so.
    distance : str
        Column that is on the horizontal axis.
    lines : dict
        Outcome -> intercept and slope, in the units of the axes, of the line that is drawn; an outcome may be absent.
    """
    with _style():
        known = table.dropna(subset=[distance])
        if known.empty:
            return _empty("nothing to compare yet")
        figure = _figure(7.4, 9.0)
        titles = {
            "gap": "the gap after intermediate training (points)",
            "change": "its change by intermediate training (points)",
        }
        for axis, (outcome, title) in zip(figure.subplots(2, 1), titles.items(), strict=True):
            _distance_panel(axis, known, distance, outcome, lines.get(outcome))
            axis.set(xlabel=f"{distance} distance to English", ylabel=title)
        figure.axes[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        for axis, outcome in zip(figure.axes, titles, strict=True):
            name_points(axis, known[distance].to_numpy(), known[outcome].to_numpy(), known["name"].tolist())
    return figure


def _distance_panel(
    axis: Axes, table: pd.DataFrame, distance: str, outcome: str, line: tuple[float, float] | None
) -> None:
    latin = table["script"] == "Latin"
    color = STYLES[1][0]
    for chosen, fill, label in ((latin, color, "Latin script"), (~latin, "white", "other script")):
        axis.plot(table[distance][chosen], table[outcome][chosen], "o", color=color, markerfacecolor=fill,
                  markersize=4.5, label=label)  # fmt: skip
    axis.axhline(0, color=FAINT, linewidth=0.8)
    axis.margins(x=0.09, y=0.12)
    if line is not None:
        ends = np.array([table[distance].min(), table[distance].max()])
        height = line[0] + line[1] * ends
        axis.plot(ends, height, color=STYLES[2][0], linestyle="--", linewidth=1.2, label="least squares")
    axis.autoscale_view()
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    axis.grid(color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)


# --- Gains of groups: architectures, ways of training ----------------------------------------------------------------


def group_gains(languages: pd.DataFrame, means: pd.DataFrame, rows: str) -> Figure:
    """Plot the mean gain of each group with its interval, and each language as a small ring.

    Parameters
    ----------
    languages : DataFrame
        group, language, gain (points).
    means : DataFrame
        A row for each group: group, gain, low, high. Filled where the interval leaves zero out. Without any the figure
        says so.
    rows : str
        What the groups are.
    """
    with _style():
        if means.empty:
            return _empty("nothing to compare yet")
        groups = means["group"].tolist()
        figure = _figure(5.2, 1.1 + 0.62 * len(groups))
        axis = figure.add_subplot()
        axis.axvline(0, color=FAINT, linewidth=0.8)
        for place, group in enumerate(groups):
            own = languages[languages["group"] == group]["gain"].sort_values()
            spread = place + 0.16 + 0.16 * (np.arange(len(own)) % 3 - 1)  # three lines, so that rings stand apart
            axis.plot(own, spread, "o", color="#9a9a9a", fillstyle="none", markersize=3.2, markeredgewidth=0.8,
                      label=None if place else "one language")  # fmt: skip
        _intervals(axis, means.rename(columns={"group": "language"}), _above(groups), "mean over languages")
        for place, row in enumerate(means.itertuples()):
            axis.text(row.gain, place - 0.34, signed(row.gain), ha="center", va="center", fontsize=7.5)
        axis.set_yticks(range(len(groups)), groups)
        axis.set(ylim=(len(groups) - 0.4, -0.6), xlabel=GAIN, ylabel=rows)
        axis.tick_params(axis="y", length=0)
        axis.grid(axis="x", color=RULE, linewidth=0.4)
        axis.set_axisbelow(True)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure


def _above(groups: Sequence[str]) -> dict[str, float]:
    """Places of the means: over the rings of their group."""
    return {group: place - 0.2 for place, group in enumerate(groups)}


# --- Similarity of tasks ---------------------------------------------------------------------------------------------


def scheme_matrices(table: pd.DataFrame) -> Figure:
    """Plot the gain of each intermediate task (rows) on each target (columns), a matrix for each way of training.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.adapters.pair_gains` returns it: scheme, intermediate, target, same, gain, excludes_zero.
        Bold where the interval leaves zero out; a frame where both are the same task. Without any it says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        schemes, rows, columns = (list(dict.fromkeys(table[name])) for name in ("scheme", "intermediate", "target"))
        norm = _symmetric(table["gain"])
        height = 0.4 + 0.3 * len(rows)
        figure = _figure(1.7 + 0.56 * len(columns), 1.1 + height * len(schemes))
        axes = figure.subplots(len(schemes), 1, sharex=True, squeeze=False).ravel()
        for axis, scheme in zip(axes, schemes, strict=True):
            for row in table[table["scheme"] == scheme].itertuples():
                _small_cell(axis, columns.index(row.target), rows.index(row.intermediate), row, norm)
            axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), title=scheme)
            axis.set_yticks(range(len(rows)), rows)
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
        axes[-1].set_xticks(range(len(columns)), columns, rotation=30, ha="right", rotation_mode="anchor")
        bar = figure.colorbar(matplotlib.cm.ScalarMappable(norm, DIVERGING), ax=list(axes), fraction=0.04, pad=0.02)
        bar.set_label(GAIN)
        bar.outline.set_visible(False)
    return figure


def _small_cell(axis: Axes, x: int, y: int, row, norm: Normalize) -> None:
    color = DIVERGING(norm(row.gain))
    ink = ink_on(color)
    axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=color, edgecolor="white", linewidth=1.0))
    if row.same:
        axis.add_patch(Rectangle((x - 0.44, y - 0.42), 0.88, 0.84, fill=False, edgecolor=ink, linewidth=0.9))
    weight = "bold" if row.excludes_zero else "normal"
    axis.text(x, y, signed(row.gain), ha="center", va="center", color=ink, fontsize=7.5, weight=weight)


def similarity_scatter(table: pd.DataFrame) -> Figure:
    """Plot gain against similarity of pairs of tasks, both beyond the means of their tasks, a panel for each group.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.adapters.beyond_means_points` returns it: group, intermediate, target, similarity, gain.
        Marks tell the intermediate tasks apart, and each point is named after its target. Without any it says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        groups, tasks = (list(dict.fromkeys(table[name])) for name in ("group", "intermediate"))
        figure = _figure(5.2, 1.0 + 3.3 * len(groups))
        axes = figure.subplots(len(groups), 1, sharex=True, sharey=True, squeeze=False).ravel()
        for axis, group in zip(axes, groups, strict=True):
            _similarity_panel(axis, table[table["group"] == group], tasks, group)
        axes[-1].set_xlabel("similarity beyond the tasks' means (standard deviations)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, title="intermediate task")
        for axis, group in zip(axes, groups, strict=True):
            own = table[table["group"] == group]
            name_points(axis, own["similarity"].to_numpy(), own["gain"].to_numpy(), own["target"].tolist(), size=5.5)
    return figure


def _similarity_panel(axis: Axes, table: pd.DataFrame, tasks: Sequence[str], group: str) -> None:
    axis.axhline(0, color=FAINT, linewidth=0.8)
    for place, task in enumerate(tasks):
        color, marker, _ = STYLES[place % len(STYLES)]
        own = table[table["intermediate"] == task]
        axis.plot(own["similarity"], own["gain"], marker, color=color, markersize=5, linestyle="none", label=task)
    slope = float(np.mean(table["similarity"] * table["gain"]))  # the similarity has mean 0 and deviation 1
    ends = np.array([table["similarity"].min(), table["similarity"].max()])
    axis.plot(ends, slope * ends, color=INK, linestyle="--", linewidth=1.0)
    axis.margins(x=0.12, y=0.12)
    axis.set(title=group, ylabel="gain beyond the tasks'\nmeans (points)")
    axis.grid(color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)


# --- Order of source languages ---------------------------------------------------------------------------------------


def order_gains(table: pd.DataFrame) -> Figure:
    """Plot the gain of each order of intermediate training, for languages of each kind.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.order.gains` returns it: training, languages, rows, gain, low, high (points). A mean over
        several languages has its interval, and is filled where that leaves zero out; that of a single language, over
        seeds alone, would hide the others and is left to the table. Without a row the figure says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        rows, kinds = (list(dict.fromkeys(table[name])) for name in ("training", "languages"))
        figure = _figure(5.2, 1.3 + 0.42 * len(rows))
        axis = figure.add_subplot()
        axis.axvline(0, color=FAINT, linewidth=0.8)
        shown = table.assign(**{end: table[end].where(table["rows"] > 1) for end in ("low", "high")})
        for place, kind in enumerate(kinds):
            part = shown[shown["languages"] == kind]
            height = part["training"].map(rows.index) + 0.22 * (place - (len(kinds) - 1) / 2)
            _marks(axis, part, height, STYLES[place + 1], kind)
        _named_rows(axis, rows)
        axis.set_xlabel(GAIN)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3, title="test languages")
    return figure


def _marks(axis: Axes, table: pd.DataFrame, height: pd.Series, style: tuple, label: str) -> None:
    """Draw gains with intervals in one style; filled where the interval leaves zero out, and where there is none."""
    color, marker, _ = style
    known = table["low"].notna()
    axis.hlines(height[known], table["low"][known], table["high"][known], color=color, linewidth=1.1)
    unclear = (table["low"] <= 0) & (table["high"] >= 0)
    for chosen, fill in ((~unclear, color), (unclear, "white")):
        axis.plot(table["gain"][chosen], height[chosen], marker, color=color, markerfacecolor=fill, markersize=4.5)
    axis.plot([], [], marker, color=color, markersize=4.5, label=label)


def _named_rows(axis: Axes, names: Sequence[str]) -> None:
    """Name the rows of a dot plot on the left, the first on top."""
    axis.set_yticks(range(len(names)), names, fontsize=7.5)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x", color=RULE, linewidth=0.4)
    axis.set_axisbelow(True)


def order_languages(table: pd.DataFrame, distance: str = "syntactic") -> Figure:
    """Plot the score of every test language by kind of intermediate training, the nearest to English on top.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.order.by_language` returns it: code, trained, and a column of scores (percent) for each
        kind of training. Languages that some condition trains on bear an asterisk. Without a row the figure says so.
    distance : str
        Kind of distance to English that orders the languages.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        wide = table.set_index("code")
        order = by_distance(wide.index, distance)
        kinds = [name for name in wide.columns if name not in ("language", "family", "trained")]
        figure = _figure(5.2, 1.3 + 0.17 * len(order))
        axis = figure.add_subplot()
        for place, kind in enumerate(kinds):
            color, marker, _ = STYLES[place % len(STYLES)]
            axis.plot(wide.loc[order, kind], range(len(order)), marker, color=color, fillstyle="none", markersize=4,
                      label=kind)  # fmt: skip
        stars = {True: "*", False: ""}
        _named_rows(axis, [f"{language(code).name} ({code}){stars[bool(wide.loc[code, 'trained'])]}" for code in order])
        axis.tick_params(axis="y", labelsize=6.5)
        axis.set_xlabel("F1 (percent)")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def forgetting(table: pd.DataFrame) -> Figure:
    """Plot the first language's dev score after the first stage and after the second, a row for each condition.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.order.forgetting_table` returns it: training, language, before, after, lost (percent and
        points). What was lost is written beside the row, with the sign of the change. Without a row the figure says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        figure = _figure(5.2, 1.2 + 0.3 * len(table))
        axis = figure.add_subplot()
        places = np.arange(len(table))
        axis.hlines(places, table["before"], table["after"], color=FAINT, linewidth=1.2)
        axis.plot(table["before"], places, "o", color=STYLES[1][0], markersize=5, label="after its own stage")
        axis.plot(table["after"], places, "D", color=STYLES[2][0], fillstyle="none", label="after the second stage")
        _named_rows(axis, table["training"].tolist())
        right = axis.secondary_yaxis("right")
        right.set_yticks(places, [signed(-lost) for lost in table["lost"]], fontsize=7.5)
        right.tick_params(length=0)
        right.spines["right"].set_visible(False)
        axis.margins(x=0.08)
        axis.set_xlabel("dev F1 of the first stage's language (percent); on the right the change")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


# --- Complexity and source language ----------------------------------------------------------------------------------


def complexity_gaps(
    table: pd.DataFrame, dials: Mapping[str, Sequence[str]] | None = None, line: tuple[float, float] | None = None
) -> Figure:
    """Plot the gap between English and other source languages against the code length of the intermediate task.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.complexity.task_gaps` returns it: task, code_length (bits an example), gap, low, high
        (points). Tasks without a code length are left out; without any the figure says so.
    dials : mapping or None
        Dial -> its tasks from the lowest level to the highest, which are joined.
    line : (float, float) or None
        Intercept and slope on the logarithm of the code length to base 2, dashed.
    """
    with _style():
        known = table.dropna(subset=["code_length", "gap"])
        if known.empty:
            return _empty("nothing to compare yet")
        figure = _figure(5.2, 4.6)
        axis = figure.add_subplot()
        axis.axhline(0, color=FAINT, linewidth=0.8)
        bits, gaps = np.log2(known["code_length"].to_numpy()), known["gap"].to_numpy()
        joined = [[task for task in tasks if task in set(known["task"])] for tasks in (dials or {}).values()]
        dialled = known["task"].isin([task for tasks in joined for task in tasks]).to_numpy()
        axis.vlines(bits, known["low"], known["high"], color=RULE, linewidth=1.2)
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
        axis.margins(x=0.14, y=0.08)
        ticks = np.arange(np.floor(bits.min()), np.ceil(bits.max()) + 1)
        axis.set_xticks(ticks, [f"{2**tick:g}" for tick in ticks])
        axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
        axis.set_xlabel("code length of the intermediate task (bits an example)")
        axis.set_ylabel("gain from English data minus gain\nfrom data in other languages (points)")
        axis.grid(color=RULE, linewidth=0.4)
        axis.set_axisbelow(True)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
        name_points(axis, bits, gaps, known["task"].tolist())
    return figure


def source_gains(table: pd.DataFrame) -> Figure:
    """Plot the gain of each intermediate task in each source language, with its interval.

    Parameters
    ----------
    table : DataFrame
        As `stilts.questions.complexity.source_gains` returns it: task, source, gain, low, high (points). Filled where
        the interval leaves zero out. Without a row the figure says so.
    """
    with _style():
        if table.empty:
            return _empty("nothing to compare yet")
        tasks, sources = (list(dict.fromkeys(table[name])) for name in ("task", "source"))
        figure = _figure(5.2, 1.3 + 0.13 * len(tasks) * (len(sources) + 1))
        axis = figure.add_subplot()
        axis.axvline(0, color=FAINT, linewidth=0.8)
        for place, source in enumerate(sources):
            part = table[table["source"] == source]
            height = part["task"].map(tasks.index) + (place - (len(sources) - 1) / 2) / (len(sources) + 1)
            _marks(axis, part, height, STYLES[(place + 1) % len(STYLES)], source)
        _named_rows(axis, tasks)
        axis.set_xlabel(GAIN)
        figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=4, title="source language")
    return figure
