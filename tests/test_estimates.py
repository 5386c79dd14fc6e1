"""What a run is expected to cost."""

import pytest

from stilts.estimates import ASSUMED_SECONDS, Estimate, Estimator
from stilts.records import Provenance, Record
from stilts.study import Run


def make_run(phase="target", condition="nli", target="slots", encoder="small", data="suite@1", **settings) -> Run:
    settings = settings or {"training": {"examples": 100, "epochs": 2.0}}
    settings["encoder"] = {"name": encoder}
    return Run(phase=phase, condition=condition, target=target, seed=1, settings=settings, data=data)


def record(run: Run, seconds: float, memory: float = 500) -> Record:
    place = {"study": "s", "started": "", "device": "", "seconds": seconds, "peak_memory_mb": memory}
    return Record(run=run, metrics={}, provenance=Provenance(**place))


def training(examples: int, epochs: float) -> dict:
    return {"training": {"examples": examples, "epochs": epochs}}


@pytest.mark.parametrize("phase", ASSUMED_SECONDS)
def test_without_a_like_record_a_cost_is_assumed(phase):
    run = make_run(phase)
    assert Estimator([])(run) == Estimate(ASSUMED_SECONDS[phase], 0.0, measured=False)


def test_training_is_scaled_by_examples_and_epochs():
    expect = Estimator([record(make_run(), 10, memory=700)])
    assert expect(make_run()) == Estimate(10, 700, measured=True)
    assert expect(make_run(**training(300, 2.0))).seconds == pytest.approx(30)
    assert expect(make_run(**training(100, 0.5))).seconds == pytest.approx(2.5)


def test_evaluation_is_scaled_by_examples_and_retrieval_is_not():
    run = make_run("zero-shot", evaluation={"examples": 10})
    assert Estimator([record(run, 5)])(make_run("zero-shot", evaluation={"examples": 40})).seconds == pytest.approx(20)
    retrieval = make_run("zero-shot", target="ui-retrieval", evaluation={"retrieval_layer": -1})
    other = make_run("zero-shot", target="ui-retrieval", evaluation={"retrieval_layer": 3})
    assert Estimator([record(retrieval, 5)])(other) == Estimate(5, 500, measured=True)


def test_of_several_records_the_median_time_and_the_most_memory_count():
    records = [record(make_run(), seconds, memory) for seconds, memory in ((1, 900), (3, 500), (99, 600))]
    assert Estimator(records)(make_run()) == Estimate(3, 900, measured=True)


def test_a_condition_does_not_change_what_its_targets_cost():
    assert Estimator([record(make_run(), 10)])(make_run(condition="qa")).seconds == 10


@pytest.mark.parametrize(
    "other",
    [
        {"phase": "intermediate"},
        {"target": "intent"},
        {"encoder": "large"},
        {"phase": "zero-shot", "data": "suite@2", "evaluation": {"examples": 100}},
    ],
    ids=str,
)
def test_unlike_runs_tell_nothing(other):
    records = [record(make_run(), 10), record(make_run("zero-shot", evaluation={"examples": 100}), 10)]
    assert not Estimator(records)(make_run(**other)).measured


def test_intermediate_runs_are_told_apart_by_their_condition():
    runs = {condition: make_run("intermediate", condition, None) for condition in ("nli", "qa")}
    expect = Estimator([record(runs["nli"], 10), record(runs["qa"], 20)])
    assert expect(runs["qa"]).seconds == 20
    assert not expect(make_run("intermediate", "multi", None)).measured


def test_training_data_of_another_suite_take_as_long():
    assert Estimator([record(make_run(), 10)])(make_run(data="suite@2")).seconds == 10
