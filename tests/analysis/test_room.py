"""Which cells had room for an effect."""

from types import SimpleNamespace

import pytest
from fakes import ORIGIN, make_run
from test_claims import replicates

from stilts.analysis import room
from stilts.analysis.effects import average_gains, estimate_gains
from stilts.analysis.learning import average_intermediate_scores, find_single_seeds, keep_counted
from stilts.analysis.prose import describe_budgets, describe_frozen_layers, describe_matrix
from stilts.study.records import Record

FROZEN = {"nli": 6, "qa": 0, "multi": 6}


def stage(condition, tasks, frozen, examples=100, parents=(), score=0.0):
    settings = {"condition": {"name": condition, "tasks": tasks}}
    training = {"frozen_layers": frozen, "examples": examples}
    run = make_run("intermediate", condition, parents=parents, training=training, **settings)
    return Record(run=run, metrics={"en": {"score": score, "n": 10.0}}, provenance=ORIGIN)


def zero_shot(target, layer):
    return Record(run=make_run("zero-shot", "nli", target, evaluation={"retrieval_layer": layer}), metrics={},
                  provenance=ORIGIN)  # fmt: skip


@pytest.mark.parametrize(
    "frozen, layer, said",
    [
        (6, 7, "intermediate training moved 1 of the 7 layers up to the one that is read"),
        (9, 7, "intermediate training moved 0 of the 7 layers up to the one that is read"),
        (6, 12, ""),
        (0, 7, ""),
        (12, 0, ""),
    ],
)
def test_at_least_half_of_the_layers_up_to_the_one_that_is_read_are_trained(frozen, layer, said):
    assert room.explain_frozen(frozen, layer) == said


def test_a_layer_that_one_stage_moved_is_not_frozen():
    records = [stage("nli", ["nli"], 6), stage("two", ["qa"], 6), stage("two", ["nli"], 2), zero_shot("intent", None)]
    assert room.find_frozen_layers(records) == {"nli": 6, "two": 2}


def test_stages_that_conditions_share_count_for_each_condition_that_rests_on_them():
    first = stage("stage-qa", ["qa"], 6, score=60.0)
    last = stage("stage-nli", ["nli"], 4, parents=(first.id,), score=70.0)
    then = stage("qa-then-para", ["para"], 2, parents=(first.id,), score=80.0)
    target = make_run("target", "nli-continued", "intent", parents=(last.id,))
    tested = make_run("zero-shot", "nli-continued", "intent", parents=(target.id,))
    records = [first, last, then, *(Record(run=run, metrics={}, provenance=ORIGIN) for run in (target, tested))]
    assert room.find_frozen_layers(records) == {"nli-continued": 4, "qa-then-para": 2}
    assert average_intermediate_scores(records) == {"nli-continued": 70.0, "qa-then-para": 80.0}


def test_the_layer_that_is_read_is_of_targets_without_training():
    records = [zero_shot("ui-retrieval", 7), zero_shot("ui-mining", None), zero_shot("intent", None)]
    assert room.find_read_layers(records) == {"ui-retrieval": 7, "ui-mining": -1}


def test_cells_without_room_are_in_no_average_and_no_correction():
    drawn = replicates({("none", "ui-mining"): 0.6, "nli": 0.1})
    read = {"ui-retrieval": 7, "ui-mining": 7}
    without = room.find_without_room(drawn, FROZEN, read, 12)
    frozen = "ui-retrieval: intermediate training moved 1 of the 7 layers up to the one that is read"
    full = "ui-mining: the baseline has 100.0, above the ceiling of 98"
    assert without == {
        ("nli", "ui-retrieval"): frozen, ("multi", "ui-retrieval"): frozen,
        **{(name, "ui-mining"): full for name in ("none", "nli", "qa", "multi")},
    }  # fmt: skip
    table = estimate_gains(drawn, (), without)
    assert set(table[~table["counts"]]["target"]) == {"ui-retrieval", "ui-mining"}
    assert table["learned"].all()
    assert table["p_holm"].notna().tolist() == table["counts"].tolist()
    counted = keep_counted(drawn, without)
    assert counted["ui-retrieval"].conditions == ("none", "qa")
    assert average_gains(counted).set_index("condition")["targets"].to_dict() == {"nli": 3, "qa": 4, "multi": 3}
    assert describe_matrix(table).endswith(
        "Pale cells count nowhere: 5, since their design left an effect no room (the layer that is "
        "read, frozen layers, or a full baseline)."
    )


def test_cells_of_one_seed_beside_others_of_several_count_nowhere():
    assert find_single_seeds(replicates({"nli": 0.3})) == {}
    drawn = replicates({"nli": 0.3}, single=("nli",))
    single = find_single_seeds(drawn)
    assert single == {("nli", target): f"{target}: one seed, where other conditions have 8" for target in drawn}
    table = estimate_gains(drawn, (), single)
    assert table[~table["counts"]]["condition"].unique().tolist() == ["nli"]
    assert not table[table["condition"] == "nli"]["survives_holm"].any()
    counted = keep_counted(drawn, single)
    assert {name for part in counted.values() for name in part.conditions} == {"none", "qa", "multi"}
    said = "Pale cells count nowhere: 5, since they have one seed, where other conditions have several."
    assert describe_matrix(table, single).endswith(said)


def test_cells_of_one_seed_beside_a_baseline_of_several_do_not_lack_room():
    drawn = replicates({}, single=("nli", "qa", "multi"))
    single = find_single_seeds(drawn)
    assert describe_matrix(estimate_gains(drawn, (), single), single) == (
        "No cell counts. Pale cells count nowhere: 15, since they have one seed, where other conditions have several."
    )


@pytest.mark.parametrize(
    "read, layers, said",
    [
        (7, 12, ""),
        (14, 24, ""),
        (-1, 12, "it is read after layer 12, not after layer 7, as deep as the paper's"),
        (6, 12, "it is read after layer 6, not after layer 7, as deep as the paper's"),
        (-1, 0, ""),
        (0, 12, ""),
    ],
)
def test_retrieval_is_read_as_deep_as_in_the_paper(read, layers, said):
    assert room.explain_depth(read, layers) == said
    found = room.find_without_room(replicates({}), {}, {"ui-retrieval": read}, layers)
    conditions = ("none", "nli", "qa", "multi") if said else ()
    assert found == {(name, "ui-retrieval"): f"ui-retrieval: {said}" for name in conditions}


def test_an_encoder_whose_layers_are_not_known_leaves_nothing_out():
    assert room.find_without_room(replicates({}), FROZEN, {"ui-retrieval": -1}, 0) == {}


def test_frozen_layers_and_budgets_are_said():
    assert describe_frozen_layers({"nli": 0, "qa": 6}) == ""
    assert describe_frozen_layers({"nli": 6, "qa": 8}).startswith(
        "Intermediate training froze the 6 lowest layers. After them no condition can differ from the baseline"
    )
    records = [stage("nli", ["nli"], 0, 1000), stage("qa", ["qa"], 0, 800), stage("multi", ["nli", "qa"], 0, 400)]
    assert describe_budgets(SimpleNamespace(phase=lambda name: records)) == (
        "Intermediate training reads 800 to 1,000 examples of one task, and 800 with 2 tasks."
    )
    assert describe_budgets(SimpleNamespace(phase=lambda name: records[:2])) == ""
