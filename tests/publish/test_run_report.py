"""The page of one job: which of its trainings did not learn their task."""

import pytest
from fakes import ORIGIN, make_run

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
