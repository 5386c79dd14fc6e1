"""Names in words."""

from pathlib import Path

import pandas as pd
import pytest

from stilts.analysis.gain_tables import append_means, list_titles
from stilts.analysis.opened import open_study
from stilts.analysis.wording import replace_ids, say, title_conditions, title_task
from stilts.workspace.checkout import find_checkout

ROOT = Path(__file__).parents[2]
TITLES = {"qa": "Questions", "qa-direct": "Questions, untrained", "mnli": "Inference (MNLI)", "multi": "All tasks"}


@pytest.mark.parametrize("text, said", [
    ("qa", "Questions"),
    ("qa-direct", "Questions, untrained"),
    ("multi minus qa, the best single", "All tasks minus questions, the best single"),
    ("qa, the median condition (mnli)", "Questions, the median condition (inference (MNLI))"),
    ("multi − single tasks", "All tasks − single tasks"),
    ("multitude, qa-other, squad", "multitude, qa-other, squad"),
])  # fmt: skip
def test_ids_become_names_wherever_they_stand(text, said):
    assert replace_ids(text, TITLES) == said
    assert replace_ids(text, {}) == text


def test_ids_that_are_marked_become_names_and_no_other_word():
    text = "`qa` minus `multi`, of study `pilot`; multi is a word here, as is `qa.de`"
    said = "Questions minus all tasks, of study `pilot`; multi is a word here, as is `qa.de`"
    assert say(text, TITLES).data == said
    assert say(text).data == text


def test_tasks_of_a_dial_are_named_with_their_level():
    references = ["dial-grain-2", "dial-grain-16.de", "qa.de", "no-such-task"]
    assert [title_task(name) for name in references] == [
        "Intents in 2 classes", "Intents in 16 classes [de]", "Questions [de]", "no-such-task",
    ]  # fmt: skip


@pytest.mark.parametrize("study, named", [
    ("pilot", {"squad-mlm": "Questions (SQuAD) + Masked words", "mlm": "Masked words"}),
    ("adapters-matched", {"nli": "Inference", "command-para": "Paraphrases"}),  # it has measures of similarity beside
    ("architecture-shared", {"ui-mining": "Mining"}),  # and this one pretraining
])  # fmt: skip
def test_conditions_tasks_and_targets_of_a_recorded_study_have_names(study, named):
    titles = list_titles(open_study(find_checkout(ROOT), study))
    assert {name: titles[name] for name in named} == named


def test_conditions_of_the_same_tasks_are_told_apart_by_their_ids():
    conditions = {"none": (), "qa": ("qa",), "qa-fresh": ("qa",), "de-then-en": ("qa",), "en-then-de": ("qa.de",)}
    assert title_conditions(conditions) == {
        "none": "No intermediate task", "qa": "Questions", "qa-fresh": "Questions (qa-fresh)",
        "de-then-en": "Questions (de-then-en)", "en-then-de": "Questions [de]",
    }  # fmt: skip


def test_means_stand_below_the_cells_that_they_are_drawn_beside():
    cells = pd.DataFrame({"condition": ["qa"], "target": ["intent"], "score": [50.0], "gain": [2.0], "low": [1.0],
                          "high": [3.0], "learned": [False], "same_task": [True]})  # fmt: skip
    means = pd.DataFrame({"condition": ["qa"], "gain": [4.0], "low": [3.0], "high": [5.0], "targets": [7]})
    assert append_means(cells, means, "mean").fillna(-1).to_dict("split")["data"] == [
        ["qa", "intent", 50.0, 2.0, 1.0, 3.0, False, True],
        ["qa", "mean", -1.0, 4.0, 3.0, 5.0, True, False],
    ]
