"""The page of one job: which of its trainings did not learn their task, and its figures."""

import matplotlib
import numpy as np
import pytest
from fakes import ORIGIN, make_run
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from stilts.publish.figures.runs import draw_language_scores, draw_learning_curves
from stilts.publish.figures.style import BLUE, ORANGE
from stilts.publish.run_pages import describe_learned
from stilts.study.records import Record, Store


def record(phase, task, score=0.0, majority=50.0, parents=(), seed=1):
    condition = {"tasks": [task] if phase == "intermediate" else ["qa"]}
    target = None if phase == "intermediate" else task
    run = make_run(phase, "qa", target, seed, parents, condition=condition)
    metrics = {"en": {"score": score, "n": 100.0, "majority": majority}}
    return Record(run=run, metrics=metrics, provenance=ORIGIN)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_trainings_at_chance_are_named_with_what_guessing_gives(store):
    found = [record("target", "intent", 70.0, seed=1), record("target", "command-para", 53.0, seed=1)]
    assert describe_learned(found, store) == (
        "**Not learned:** `command-para` after `qa`, seed 1: 53.0 where guessing gives 50.0 (percent of its dev set). "
        "What is tested after it says nothing of transfer, and counts in no average, test or verdict."
    )
    assert describe_learned(found[:1], store) == "Each training here is above chance on its dev set."


def test_an_evaluation_is_told_by_the_training_before_it(store):
    trained = record("target", "command-para", 53.0)
    store.write(trained)
    tested = record("zero-shot", "command-para", 50.0, parents=(trained.id,))
    assert describe_learned([tested], store).startswith("**Not learned:** `command-para` after `qa`, seed 1: 53.0")
    assert describe_learned([record("zero-shot", "ui-retrieval", 50.0)], store) == ""


def test_an_intermediate_task_counts_like_a_target(store):
    assert "`nli` after `qa`" in describe_learned([record("intermediate", "nli", 50.0)], store)


# --- figures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def odd_settings():
    """What a user's own matplotlib settings may be."""
    with matplotlib.rc_context({"axes.spines.top": True, "lines.linewidth": 9.0, "axes.titleweight": "normal"}):
        yield
    plt.close("all")


def evaluated(target, **scores):
    run = make_run("zero-shot", "nli", target, 1)
    return Record(run=run, metrics={code: {"score": score} for code, score in scores.items()}, provenance=ORIGIN)


@pytest.mark.usefixtures("odd_settings")
def test_scores_of_languages_stand_in_a_row_for_each_target_with_english_apart():
    (axis,) = draw_language_scores([evaluated("slots", de=40.0, en=90.0), evaluated("intent", en=80.0, sw=30.0)]).axes
    drawn = [(to_hex(marks.get_facecolor()[0]), marks.get_offsets().tolist()) for marks in axis.collections]
    assert [(color.upper(), points) for color, points in drawn if points] == [
        (BLUE, [[40.0, 0.0]]), (BLUE, [[30.0, 1.0]]), (ORANGE, [[90.0, 0.0]]), (ORANGE, [[80.0, 1.0]])
    ]  # fmt: skip
    assert [label.get_text() for label in axis.get_yticklabels()] == ["slots", "intent"]
    assert axis.get_xlabel() == "score (percent)"


@pytest.mark.usefixtures("odd_settings")
def test_the_update_whose_weights_were_kept_is_marked_on_the_loss():
    history = [
        {"update": 1, "loss": 2.0}, {"update": 2, "dev_score": 50.0},
        {"update": 3, "loss": 1.0}, {"update": 4, "dev_score": 50.0},
    ]  # fmt: skip
    records = [record("target", "slots"), record("intermediate", "nli")]
    figure = draw_learning_curves([each.model_copy(update={"history": history}) for each in records])
    assert [axis.get_title() for axis in figure.axes] == ["slots", "qa"]
    for axis in figure.axes:
        loss, kept = axis.lines
        np.testing.assert_array_equal(loss.get_xydata(), [[1, 2.0], [3, 1.0]])
        np.testing.assert_array_equal(kept.get_xydata(), [[4, 1.0]])
        assert [text.get_text() for text in axis.texts] == ["dev 50.0"]
        assert (loss.get_linewidth(), axis.spines["top"].get_visible()) == (1.5, False)
