"""Names in words."""

import pandas as pd
import pytest

from stilts.analysis.gain_tables import append_means
from stilts.analysis.wording import in_words, title_task

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
    assert in_words(text, TITLES) == said
    assert in_words(text, {}) == text


def test_tasks_of_a_dial_are_named_with_their_level():
    references = ["dial-base", "dial-slots-2", "dial-lures-15.de", "qa.de", "no-such-task"]
    assert [title_task(name) for name in references] == [
        "Rooms, lowest level", "Rooms, wrong slots 2", "Rooms, lures 15 [de]", "Questions [de]", "no-such-task",
    ]  # fmt: skip


def test_means_stand_below_the_cells_that_they_are_drawn_beside():
    cells = pd.DataFrame({"condition": ["qa"], "target": ["intent"], "score": [50.0], "gain": [2.0], "low": [1.0],
                          "high": [3.0], "learned": [False], "same_kind": [True]})  # fmt: skip
    means = pd.DataFrame({"condition": ["qa"], "gain": [4.0], "low": [3.0], "high": [5.0], "targets": [7]})
    assert append_means(cells, means, "mean").fillna(-1).to_dict("split")["data"] == [
        ["qa", "intent", 50.0, 2.0, 1.0, 3.0, False, True],
        ["qa", "mean", -1.0, 4.0, 3.0, 5.0, True, False],
    ]
