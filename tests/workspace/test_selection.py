"""A part of a study's runs, by condition, target and seed, with what these start from."""

import pytest
from tiny_checkout import ENCODER, study_settings, write_checkout

from stilts.study.errors import StiltsError, UnknownName
from stilts.workspace.plan import Plan, Selection
from stilts.workspace.resolution import open_plan


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Plan:
    settings = study_settings(
        ENCODER, intermediates=["none", {"name": "twice", "tasks": ["slots"], "before": [["nli"]]}, "qa"], seeds=[1, 2],
        targets=["intent", "slots", "ui-retrieval", "command-qa-rooms"], data={"suite": "pocket"},
    )  # fmt: skip
    return open_plan(write_checkout(tmp_path_factory.mktemp("selection") / "checkout", settings), "tiny")


SELECTED = {
    "target": (
        Selection(("twice",), ("intent",), (2,)),
        ["intermediate-stage-nli-s2", "intermediate-twice-s2", "target-twice.intent-s2", "zero-shot-twice.intent-s2"],
    ),
    "targets of a seed": (
        Selection(("none",), ("slots", "ui-retrieval"), (1,)),
        ["target-none.slots-s1", "zero-shot-none.slots-s1", "zero-shot-none.ui-retrieval-s0"],
    ),
    "without target training": (
        Selection(("twice",), ("ui-retrieval",), (1,)),
        ["intermediate-stage-nli-s1", "intermediate-twice-s1", "zero-shot-twice.ui-retrieval-s1"],
    ),
    "seeds": (
        Selection(targets=("intent",), conditions=("none",)),
        ["target-none.intent-s1", "zero-shot-none.intent-s1", "target-none.intent-s2", "zero-shot-none.intent-s2"],
    ),
}


@pytest.mark.parametrize("selection, slugs", SELECTED.values(), ids=SELECTED)
def test_a_selection_has_its_runs_and_what_they_start_from(plan, selection, slugs):
    narrowed = plan.narrow(selection)
    assert [run.slug for run in narrowed.runs] == slugs
    assert {parent for run in narrowed.runs for parent in run.parents} <= narrowed.by_id.keys()
    assert (narrowed.study, narrowed.reference, narrowed.selection) == (plan.study, plan.reference, selection)


def test_no_selection_is_the_whole_plan(plan):
    assert plan.narrow(Selection()) is plan


@pytest.mark.parametrize(
    "selection, message",
    [
        (Selection(("twise",)), "unknown condition of study 'tiny' 'twise'. Did you mean 'twice'"),
        (Selection(targets=("intnet",)), "unknown target task of study 'tiny' 'intnet'. Did you mean 'intent'"),
        (Selection(seeds=(3,)), "unknown seed of study 'tiny' '3'. Known: 1, 2"),
    ],
)
def test_an_unknown_name_gives_the_nearest(plan, selection, message):
    with pytest.raises(UnknownName, match=message):
        plan.narrow(selection)


def test_what_is_not_planned_together_is_said(plan):
    message = "study 'tiny' has no run of --only none --target command-qa-rooms --seed 1 together"
    with pytest.raises(StiltsError, match=message):
        plan.narrow(Selection(("none",), ("command-qa-rooms",), (1,)))
