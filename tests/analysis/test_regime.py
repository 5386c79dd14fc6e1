"""Which arm of a regime English dev sets choose."""

import pytest
from fakes import ORIGIN, make_run

from stilts.analysis.regime import (
    choose_frozen,
    choose_highest,
    choose_slowest,
    describe_choice,
    describe_published_rate,
    show_arms,
    tabulate_arms,
)
from stilts.analysis.wording import format_rate
from stilts.study.records import Record


def record(run, score):
    return Record(run=run, metrics={"en": {"score": score, "n": 200.0}}, provenance=ORIGIN)


def arm(rate, intermediate, *targets):
    """The records of an intermediate training at a rate and of the targets after it, which all train alike."""
    first = make_run("intermediate", "nli", training={"learning_rate": rate, "frozen_layers": 6, "epochs": 2})
    after = [make_run("target", "nli", f"target-{place}", parents=(first.id,)) for place in range(len(targets))]
    return [record(first, intermediate), *(record(run, score) for run, score in zip(after, targets, strict=True))]


def test_the_best_targets_among_arms_that_learned_the_intermediate_task_are_chosen():
    records = [*arm(2e-5, 70.0, 82.0, 84.0), *arm(1e-4, 90.0, 80.0, 81.0), *arm(2e-4, 94.0, 79.0, 80.0)]
    arms = tabulate_arms(records, "intermediate", at_chance=[records[4].id, records[0].id])
    assert arms.to_dict("list") == {
        "learning_rate": [2e-5, 1e-4, 2e-4],
        "frozen_layers": [6, 6, 6],
        "epochs": [2, 2, 2],
        "intermediate": [70.0, 90.0, 94.0],
        "targets": [83.0, 80.5, 79.5],
        "runs": [2, 2, 2],
        "at_chance": [1, 1, 0],
        "eligible": [False, True, True],
        "chosen": [False, True, False],
    }
    assert describe_choice(arms) == (
        "Chosen is a rate of 1e-4, the 6 lowest layers frozen, 2 epochs: 80.50 percent English dev of targets, over 2 "
        "trainings. The next arm that counts has 79.50."
    )


def test_where_targets_are_varied_each_arm_counts():
    runs = [make_run("target", "none", "intent", seed, training={"learning_rate": rate, "frozen_layers": 0})
            for rate in (1e-4, 2e-4) for seed in (1, 2)]  # fmt: skip
    arms = tabulate_arms([record(run, score) for run, score in zip(runs, (60, 62, 70, 71), strict=True)], "target")
    assert arms["chosen"].tolist() == [True, False]
    assert show_arms(arms).to_dict("records")[0] == {
        "learning rate": "2e-4", "frozen layers": 0, "epochs": "1", "targets": 70.5, "runs": 2, "at chance": 0,
        "chosen": "yes",
    }  # fmt: skip
    assert describe_choice(arms).startswith("Chosen is a rate of 2e-4, no layer frozen, 1 epoch: 70.50 percent")


def targets(rates, epochs=None, **more):
    """Target trainings at some rates, each with a score for every task."""
    return [
        record(make_run("target", f"none-{rate}", task, training={
            "learning_rate": rate, "epochs": (epochs or {}).get(task, 1), **more,
        }), score)
        for rate, scores in rates.items() for task, score in scores.items()
    ]  # fmt: skip


def test_epochs_that_tasks_differ_in_and_arms_do_not_make_no_arms():
    own = {"xnli": 2, "paws-x": 5}
    arms = tabulate_arms(targets({1e-4: {"xnli": 60, "paws-x": 70}, 2e-4: {"xnli": 62, "paws-x": 72}}, own), "target")
    assert arms[["learning_rate", "targets", "runs"]].to_numpy().tolist() == [[2e-4, 67, 2], [1e-4, 65, 2]]
    assert "epochs" not in show_arms(arms)
    assert describe_choice(arms).startswith("Chosen is a rate of 2e-4, no layer frozen: 67.00 percent English dev")
    both = targets({1e-4: {"xnli": 60}}, {"xnli": 2}) + targets({1e-4: {"xnli": 61}}, {"xnli": 5})
    assert tabulate_arms(both, "target")["epochs"].tolist() == [5, 2]


@pytest.mark.parametrize("frozen, chosen", [(79.5, True), (78.5, False)])
def test_frozen_layers_are_chosen_within_a_point_of_the_highest(frozen, chosen):
    records = targets({1e-4: {"xnli": 80.0}}, frozen_layers=0) + targets({2e-4: {"xnli": frozen}}, frozen_layers=6)
    arms = tabulate_arms(records, "target", choose_frozen)
    assert arms.set_index("frozen_layers")["chosen"].to_dict() == {0: not chosen, 6: chosen}
    said = "The highest arm has 80.00." if chosen else f"The next arm that counts has {frozen:.2f}."
    assert describe_choice(arms).endswith(said)


def test_of_arms_within_a_point_the_one_with_the_lowest_rate_is_chosen_and_adapters_have_their_own():
    lora = [record(make_run("target", f"none-{rate}", "intent", training={"lora": {"learning_rate": rate}}), score)
            for rate, score in ((5e-4, 70.0), (1e-3, 79.5), (3e-3, 80.0), (1e-2, 79.4))]  # fmt: skip
    arms = tabulate_arms(lora, "target", choose_slowest)
    assert arms["learning_rate"].tolist() == [3e-3, 1e-3, 1e-2, 5e-4]
    assert arms.set_index("learning_rate")["chosen"].to_dict() == {3e-3: False, 1e-3: True, 1e-2: False, 5e-4: False}


@pytest.mark.parametrize("rates, said", [
    ({1e-4: {"xnli": 80.0}, 1e-5: {"xnli": 61.25}},
     "At 1e-5, the rate of the paper's scripts, the highest arm has 61.25, 18.8 points less than the chosen one."),
    ({1e-4: {"xnli": 80.0}}, ""),
    ({1e-4: {"xnli": 60.0}, 1e-5: {"xnli": 61.0}}, ""),
])  # fmt: skip
def test_the_published_rate_is_compared_where_an_arm_has_it(rates, said):
    assert describe_published_rate(tabulate_arms(targets(rates), "target")) == said


@pytest.mark.parametrize("intermediate, said", [
    (50.0, ", and 50.00 percent English dev of intermediate tasks, 40.0 points less, so that it does not count."),
    (88.0, "."),
])  # fmt: skip
def test_the_published_rate_does_not_count_where_the_intermediate_task_is_not_learned(intermediate, said):
    records = [*arm(1e-4, 90.0, 80.0), *arm(1e-5, intermediate, 79.25)]
    at_rate = "At 1e-5, the rate of the paper's scripts, the highest arm has 79.25, 0.8 points less than the chosen one"
    assert describe_published_rate(tabulate_arms(records, "intermediate")) == at_rate + said


def test_the_published_rate_is_not_compared_before_a_target_is_recorded():
    records = [*arm(1e-4, 90.0, 80.0), *arm(1e-5, 88.0)]
    assert describe_published_rate(tabulate_arms(records, "intermediate")) == ""


@pytest.mark.parametrize("choose, rate", [(choose_highest, 1e-4), (choose_frozen, 1e-4), (choose_slowest, 5e-5)])
def test_every_rule_chooses_among_the_arms_that_learned_the_intermediate_task(choose, rate):
    records = [*arm(2e-5, 70.0, 90.0), *arm(1e-4, 90.0, 80.0), *arm(5e-5, 91.0, 79.5), *arm(2e-4, 94.0, 70.0)]
    arms = tabulate_arms(records, "intermediate", choose)
    assert arms["learning_rate"][arms["chosen"]].tolist() == [rate]
    assert describe_choice(arms).startswith(f"Chosen is a rate of {format_rate(rate)}, the 6 lowest layers frozen")


@pytest.mark.parametrize("choose", [choose_highest, choose_frozen, choose_slowest])
def test_before_a_target_is_recorded_an_arm_that_learned_the_intermediate_task_is_chosen(choose):
    arms = tabulate_arms([*arm(2e-5, 70.0), *arm(1e-4, 90.0)], "intermediate", choose)
    assert arms["learning_rate"][arms["chosen"]].tolist() == [1e-4]


def test_a_study_without_records_has_no_arm():
    assert tabulate_arms([], "target").empty
    assert describe_choice(tabulate_arms([], "intermediate")) == "No training is recorded yet."
