"""Which arm of a regime English dev sets choose."""

from fakes import ORIGIN, make_run

from stilts.analysis.regime import describe_choice, show_arms, tabulate_arms
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
    arms = tabulate_arms(records, "intermediate")
    assert arms.to_dict("list") == {
        "learning_rate": [2e-5, 1e-4, 2e-4],
        "frozen_layers": [6, 6, 6],
        "epochs": [2, 2, 2],
        "intermediate": [70.0, 90.0, 94.0],
        "targets": [83.0, 80.5, 79.5],
        "runs": [2, 2, 2],
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
        "learning rate": "2e-4", "frozen layers": 0, "epochs": "1", "targets": 70.5, "runs": 2, "chosen": "yes"
    }  # fmt: skip
    assert describe_choice(arms).startswith("Chosen is a rate of 2e-4, no layer frozen, 1 epoch: 70.50 percent")


def test_a_study_without_records_has_no_arm():
    assert tabulate_arms([], "target").empty
    assert describe_choice(tabulate_arms([], "intermediate")) == "No training is recorded yet."
