import itertools
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path

from stilts.publish import figures
from stilts.publish.figures.point_names import name_points

CELLS = pd.DataFrame(
    [
        ["nli", "intent", 3.0, 1.0, 5.0, True, True],
        ["nli", "slots", -0.04, -2.0, 2.0, False, False],
        ["qa", "intent", -6.0, -9.0, -3.0, True, False],
        ["qa", "slots", 12.5, 9.0, 16.0, True, True],
    ],
    columns=["condition", "target", "gain", "low", "high", "excludes_zero", "survives_holm"],
)
AVERAGES = CELLS[CELLS["target"] == "slots"].drop(columns="target")


def texts(figure):
    """All words that a figure shows."""
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def language_table(**columns):
    return pd.DataFrame({"language": ["de", "hr", "ja", "en"], **columns})


LANGUAGE_AVERAGES = language_table(gain=[1.0, 2.0, 3.0, 0.0], low=[0.5, -1.0, 2.0, -1.0], high=[1.5, 4.0, 4.0, 1.0])
LANGUAGE_CELLS = pd.concat([language_table(gain=np.arange(4.0)), language_table(gain=np.arange(4.0) + 2)])
GAPS = pd.DataFrame(
    [
        ["none", "intent", 90.0, 60.0, 30.0, np.nan, np.nan, np.nan],
        ["nli", "intent", 92.0, 75.0, 17.0, -13.0, -20.0, -6.0],
        ["none", "slots", 80.0, 40.0, 40.0, np.nan, np.nan, np.nan],
        ["nli", "slots", 81.0, 42.0, 39.0, -1.0, -8.0, 6.0],
    ],
    columns=["condition", "target", "english", "others", "gap", "change", "change_low", "change_high"],
)
LAYERS = pd.DataFrame(
    [
        [name, layer, 10.0 * layer, 8.0 * layer, 12.0 * layer, gain, gain, gain]
        for name, gain in (("none", np.nan), ("nli", 2.0))
        for layer in (1, 2, 3)
    ],
    columns=["condition", "layer", "score", "low", "high", "gain", "gain_low", "gain_high"],
)
COSTS = pd.DataFrame(
    [["none", "zero-shot", 60.0], ["nli", "intermediate", 30.0], ["nli", "zero-shot", 60.0]],
    columns=["condition", "phase", "seconds"],
)
LOOPS = pd.DataFrame(
    [["padded", 10.0, 1.0, 80.0, 75.0, 85.0], ["ours", 95.0, 9.5, 81.0, 76.0, 86.0]],
    columns=["name", "examples_per_second", "times", "dev_score", "dev_low", "dev_high"],
)
PAIRS = pd.DataFrame(
    [["nli", "intent", 2.0, 1.0, 3.0, 2.5, 2.0, 3.0]],
    columns=[
        "condition", "target", "gain_live", "low_live", "high_live", "gain_recorded", "low_recorded", "high_recorded",
    ],
)  # fmt: skip
CLAIMS = pd.DataFrame(
    [
        ["a", "C1", "qa, mean gain", 3.0, 1.0, 5.0, "above", 2.0, 2.0, 8.2, "supported"],
        ["b", "C4", "x", 0.0, -1.0, 1.0, "no more", 0.0, 1.0, np.nan, "cannot tell"],
    ],
    columns=["study", "id", "part", "value", "low", "high", "asks", "asked", "smallest", "published", "verdict"],
)
COVERAGE = pd.DataFrame(
    [["xnli", "de", 60], ["xnli", "sw", 20], ["tatoeba", "de", 200]], columns=["task", "language", "rows"]
)

PLOTS = {
    "transfer": (figures.draw_transfer_matrix, CELLS, AVERAGES),
    "languages": (figures.draw_language_gains, LANGUAGE_AVERAGES, LANGUAGE_CELLS),
    "english-gap": (figures.draw_english_gaps, GAPS),
    "layers": (figures.draw_layer_profiles, LAYERS),
    "costs": (figures.draw_costs, COSTS),
    "throughput": (figures.draw_throughput, LOOPS),
    "live": (figures.draw_agreement, PAIRS),
    "claims": (figures.draw_claims, CLAIMS),
    "coverage": (figures.draw_coverage, COVERAGE),
}


@pytest.mark.parametrize("name", PLOTS)
def test_the_same_table_gives_the_same_bytes(name, tmp_path):
    plot, *tables = PLOTS[name]
    once, again = (
        figures.save(plot(*tables), tables[0], name, tmp_path / place, "-") for place in ("one", "two")
    )
    assert once.svg.read_bytes() == again.svg.read_bytes()
    assert once.csv.read_bytes() == again.csv.read_bytes()
    assert ElementTree.parse(once.svg).getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", ["transfer", "layers", "costs"])
def test_settings_of_the_user_change_no_figure(name, tmp_path):
    plot, *tables = PLOTS[name]
    ours = figures.save(plot(*tables), tables[0], name, tmp_path / "ours", "-")
    changes = {
        "lines.linewidth": 9, "axes.grid": True, "figure.dpi": 31, "savefig.dpi": 17, "font.size": 30,
        "axes.facecolor": "red", "savefig.transparent": True, "text.usetex": True, "savefig.bbox": "tight",
    }  # fmt: skip
    with matplotlib.rc_context(changes):
        theirs = figures.save(plot(*tables), tables[0], name, tmp_path / "theirs", "-")
    assert ours.svg.read_bytes() == theirs.svg.read_bytes()


def test_a_saved_figure_stands_with_its_data_and_names_no_time_or_machine(tmp_path):
    data = CLAIMS[["id", "value", "published"]]
    saved = figures.save(figures.draw_claims(CLAIMS), data, "claims", tmp_path / "new", "1 of 2 has an answer.")
    assert saved.csv.read_text() == "id,value,published\nC1,3.000000,8.200000\nC4,0.000000,\n"
    assert saved._repr_mimebundle_() == (
        {"image/svg+xml": saved.svg.read_text()}, {"finding": "1 of 2 has an answer."}
    )  # fmt: skip
    assert repr(saved) == "figure claims"
    assert "date" not in saved.svg.read_text()


def test_a_matrix_writes_signs_and_marks_what_leaves_zero_out():
    shown = texts(figures.draw_transfer_matrix(CELLS, AVERAGES))
    assert {"+3.0", "0.0", "−6.0", "+12.5", "+1.0, +5.0", "mean"} <= set(shown)
    frames = [
        patch.get_linewidth() for patch in figures.draw_transfer_matrix(CELLS).axes[0].patches if not patch.get_fill()
    ]
    assert frames == [2.4, 0.9, 2.4]


def test_a_matrix_has_tasks_in_words_and_those_of_one_kind_on_the_diagonal():
    cells = CELLS.assign(same_task=[False, True, True, False])
    figure = figures.draw_transfer_matrix(cells, titles={"nli": "Inference", "slots": "Slots", "intent": "Intents"})
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["Slots", "Intents"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["Inference", "qa"]
    dotted = [patch.get_xy() for patch in figure.axes[0].patches if patch.get_linestyle() == ":"]
    assert np.round(dotted).tolist() == [[0, 0], [1, 1]]


def test_a_cell_that_was_not_learned_says_so_and_is_not_framed():
    first = [True, *[False] * (len(CELLS) - 1)]
    figure = figures.draw_transfer_matrix(CELLS.assign(learned=np.logical_not(first)))
    assert texts(figure).count("not learned") == 1
    whole = figures.draw_transfer_matrix(CELLS)
    framed = [sum(not patch.get_fill() for patch in each.axes[0].patches) for each in (figure, whole)]
    assert framed[0] == framed[1] - int(CELLS["excludes_zero"].iloc[0])


def test_a_matrix_has_zero_in_the_middle_of_its_colours():
    cells = CELLS.assign(gain=[4.0, -4.0, 0.0, 12.0])
    faces = [patch.get_facecolor() for patch in figures.draw_transfer_matrix(cells).axes[0].patches if patch.get_fill()]
    assert faces == [figures.DIVERGING(place) for place in (4 / 24 + 0.5, 0.5 - 4 / 24, 0.5, 1.0)]


def test_ink_can_be_read_on_its_cell():
    """Contrast of at least 4.5 to 1, as WCAG 2 asks for."""

    def luminance(color):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
        return np.dot(parts, (0.2126, 0.7152, 0.0722))

    from matplotlib.colors import to_rgb

    for value in np.linspace(0, 1, 101):
        ground = luminance(figures.DIVERGING(value))
        ink = luminance(to_rgb(figures.choose_ink(figures.DIVERGING(value))))
        assert (max(ground, ink) + 0.05) / (min(ground, ink) + 0.05) >= 4.5


def test_languages_stand_by_distance_with_the_unmeasured_last():
    figure = figures.draw_language_gains(LANGUAGE_AVERAGES, LANGUAGE_CELLS)
    axis = figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "English (en)", "German (de)", "Japanese (ja)", "Croatian (hr)",
    ]  # fmt: skip
    assert "0.35  Germanic, Latin" in texts(figure)
    assert axis.yaxis_inverted()


def test_gaps_that_changed_are_bold():
    weights = {
        text.get_text(): text.get_weight() for axis in figures.draw_english_gaps(GAPS).axes for text in axis.texts
    }
    assert weights == {"30": "normal", "17": "bold", "40": "normal", "39": "normal"}


def test_a_condition_keeps_its_look_and_the_baseline_is_black():
    figure = figures.draw_layer_profiles(LAYERS)
    looks = {line.get_label(): (line.get_color(), line.get_marker()) for line in figure.axes[0].lines}
    assert looks == {"none": ("#1a1a1a", "o"), "nli": ("#0072B2", "s")}
    assert len(figure.axes[1].lines) == 2  # the one condition with a gain, and the line at zero


@pytest.mark.parametrize("title, rows", [("{}", 1), ("Questions (SQuAD) + Masked words {}", 2)])
def test_a_legend_stands_inside_its_figure(title, rows):
    names = ["nli", "qa", "slots"]
    table = pd.concat([LAYERS, *(LAYERS[LAYERS["condition"] == "nli"].assign(condition=name) for name in names[1:])])
    figure = figures.draw_layer_profiles(table, {name: title.format(name) for name in names})
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert len({round(text.get_window_extent().y0) for text in legend.get_texts()}) == rows


def test_costs_without_a_phase():
    assert {"1.0", "1.5"} <= {text.strip() for text in texts(figures.draw_costs(COSTS))}


@pytest.mark.parametrize("name", ["live", "transfer", "claims", "coverage", "costs"])
def test_an_empty_table_is_said(name):
    plot, table, *_ = PLOTS[name]
    (said,) = texts(plot(table.iloc[:0]))
    assert said in ("nothing to compare yet", "not on record yet", "nothing is recorded yet")


def test_a_matrix_of_other_effects_says_what_they_are():
    shown = texts(figures.draw_transfer_matrix(CELLS, CELLS.iloc[:0], "difference (points)", "comparison"))
    assert {"difference (points)", "comparison"} <= set(shown)
    assert "mean" not in shown


def test_each_study_s_claims_have_a_panel():
    figure = figures.draw_claims(CLAIMS)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b"]
    assert [len(axis.get_yticks()) for axis in figure.axes] == [1, 1]


def test_a_test_set_with_fewer_rows_is_an_open_square():
    axis = figures.draw_coverage(COVERAGE).axes[0]
    squares = {line.get_fillstyle(): list(zip(*line.get_data(), strict=True)) for line in axis.lines}
    assert squares == {"full": [(0, 0), (0, 1)], "none": [(1, 0)]}
    assert [label.get_text() for label in axis.get_xticklabels()] == ["German", "Swahili"]


def test_figures_are_no_state_of_pyplot():
    from matplotlib import pyplot

    for plot, *tables in PLOTS.values():
        plot(*tables)
    assert pyplot.get_fignums() == []


FOREST = pd.DataFrame(
    [
        ["1. Order?", "It matters.", "commands", 4.0, 1.0, 7.0, 2.0, "supported"],
        ["1. Order?", "It matters.", "XTREME", -20.0, -60.0, 20.0, 2.0, "cannot tell"],
        ["2. Far?", "They lose.", "commands", np.nan, np.nan, np.nan, 1.0, "could not be tested"],
    ],
    columns=["question", "hypothesis", "setting", "estimate", "low", "high", "smallest effect", "verdict"],
)


def test_a_forest_has_every_effect_in_units_of_what_matters():
    axis = figures.draw_question_forest(FOREST).axes[0]
    marks = {line.get_marker(): line for line in axis.lines if line.get_marker() in "s^" and len(line.get_xdata())}
    assert [marks[name].get_xdata()[0] for name in "s^"] == [2.0, -6.0]  # one lies out of sight
    assert [marks[name].get_markerfacecolor() == "white" for name in "s^"] == [False, True]
    arrows = [(line.get_marker(), float(line.get_xdata()[0])) for line in axis.lines if line.get_marker() in "<>"]
    assert arrows == [("<", -6.0), (">", 6.0)]
    rows = ["1. Order?", "It matters.", "2. Far?", "They lose."]
    assert [label.get_text() for label in axis.get_yticklabels()] == rows
    assert [text.get_text() for text in axis.texts] == ["supported", "cannot tell", "could not be tested"]
    assert texts(figures.draw_question_forest(FOREST.iloc[:0])) == ["nothing to compare yet"]


def test_a_forest_gives_each_label_the_room_that_its_lines_take():
    lines = "One line.", "A hypothesis of two lines: " + "it says more. " * 4, "A hypothesis " * 12
    asked = [f"{place}: {name}" for place, name in enumerate(itertools.chain(*itertools.permutations(lines)))]
    parts = [FOREST.iloc[:1].assign(hypothesis=name) for name in asked]
    figure = figures.draw_question_forest(pd.concat(parts))
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    gaps = [above.y0 - below.y1 for above, below in itertools.pairwise(boxes)]
    assert min(gaps) > 4 * figure.dpi / 72  # half a line


def test_names_keep_off_lines():
    figure = Figure(figsize=(4, 3))
    axis = figure.add_subplot()
    axis.set(xlim=(0, 10), ylim=(0, 10))
    slanting, level = ((0, 0), (10, 10)), ((0, 7), (10, 7))
    names = [f"name {n}" for n in range(3)]
    boxes = name_points(axis, [2.0, 5.0, 8.0], [2.1, 5.1, 7.0], names, [slanting, level])
    ends = [axis.transData.transform(line) for line in (slanting, level)]
    paths = [Path(start + np.linspace(0, 1, 500)[:, None] * (end - start)) for start, end in ends]
    assert [path.intersects_bbox(box) for path in paths for box in boxes] == [False] * 6
