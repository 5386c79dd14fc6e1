"""What was learned in English, and what guessing scores."""

import numpy as np
import pandas as pd
import pytest
from fakes import ORIGIN, make_run
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from stilts.analysis import chance, learning
from stilts.analysis.bootstrap import align, resample
from stilts.study.records import Record, Store
from stilts.tasks import guessing


def trained(condition, target, seed, score, n=200, majority=None, phase="target"):
    run = make_run(phase, condition, target, seed, condition={"tasks": [condition]})
    noted = {} if majority is None else {"majority": majority}
    return Record(run=run, metrics={"en": {"score": score, "n": float(n), **noted}}, provenance=ORIGIN)


def scored(*records):
    return learning.tabulate_dev_scores(records, chance.read_guessing_notes(records, []))


@given(n=st.integers(1, 400), chance_percent=st.floats(1, 99), right=st.integers(0, 400))
def test_above_chance_is_what_guessing_reaches_once_in_a_hundred_at_most(n, chance_percent, right):
    right = min(right, n)
    reached = binom.sf(right - 1, n, chance_percent / 100)
    assert guessing.is_above_chance(100 * right / n, n, chance_percent) == bool(reached < 0.01)


def test_a_run_is_held_against_the_most_frequent_label_and_against_a_floor_without_labels():
    table = scored(
        trained("none", "paws-x", 1, 57.0, 100, majority=57.0),
        trained("none", "xnli", 1, 62.0, 100, majority=42.0),
        trained("none", "xquad", 1, 9.0, 100),
        trained("none", "tydiqa", 1, 30.0, 100),
        trained("none", "intent", 1, 70.0),
    ).set_index("target")
    assert table["chance"].tolist() == pytest.approx([57.0, 42.0, 5.0, 5.0, np.nan], nan_ok=True)
    assert table["learned"].to_dict() == {
        "paws-x": False, "xnli": True, "xquad": False, "tydiqa": True, "intent": False,
    }  # fmt: skip
    failed = learning.find_not_learned(table.reset_index())
    assert failed == {
        ("none", "paws-x"): "paws-x was not learned: English dev 57.0 with seed 1, 57.0 by guessing",
        ("none", "xquad"): "xquad was not learned: English dev 9.0 with seed 1, 5.0 by guessing",
        ("none", "mlqa"): "mlqa was not learned: English dev 9.0 with seed 1, 5.0 by guessing",
        ("none", "intent"): "whether intent was learned is not known: the records do not note what guessing scores",
    }  # MLQA is trained as XQuAD is


def test_a_cell_is_learned_in_all_its_seeds_and_what_died_is_named():
    table = scored(
        *(trained("none", "intent", seed, 70.0, majority=5.0) for seed in (1, 2)),
        trained("nli", "intent", 1, 70.0, majority=5.0),
        trained("nli", "intent", 2, 4.0, majority=5.0),
        *(trained(name, "command-nli", 1, 34.0, majority=33.5) for name in ("none", "nli")),
    )
    assert set(learning.find_not_learned(table)) == {
        ("nli", "intent"), ("none", "command-nli"), ("nli", "command-nli"),
    }  # fmt: skip
    dead = learning.find_dead_runs(table)
    assert dead[["condition", "target", "seed", "score"]].to_numpy().tolist() == [["nli", "intent", 2, 4.0]]


def test_a_target_without_training_is_learned_where_the_head_that_predicts_it_is_above_guessing_in_english():
    records = [
        trained(name, target, seed, score, 20, phase="zero-shot")
        for name, target, seed, score in [
            ("en", "command-qa-rooms", 1, 90.0), ("en", "command-qa-rooms", 2, 60.0),
            ("de", "command-qa-rooms", 1, 90.0), ("de", "command-qa-rooms", 2, 16.0),
            ("none", "ui-retrieval", 1, 1.0), ("none", "command-qa", 1, 1.0),
        ]
    ]  # fmt: skip
    table = learning.tabulate_head_scores(records, chance.read_guessing_notes(records, []))
    assert learning.find_not_learned(table, "test") == {
        ("de", "command-qa-rooms"): "command-qa-rooms was not learned: English test 16.0 with seed 2, 5.0 by guessing"
    }


def test_the_intermediate_phase_is_held_against_chance_too():
    records = [trained("nli", None, 1, 90.0, majority=33.5, phase="intermediate"), trained("none", "intent", 1, 1.0)]
    table = learning.tabulate_dev_scores(records, chance.read_guessing_notes(records, []), "intermediate")
    assert table[["condition", "target", "chance", "learned"]].to_numpy().tolist() == [["nli", "nli", 33.5, True]]


def test_what_does_not_count_is_in_no_replicates():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"language": ["de", "en", "hi"] * 4, "example": np.repeat(range(4), 3)})
    runs = {
        (name, seed): frame.assign(matches=generator.integers(0, 2, 12), predicted=1, gold=1)
        for name in ("none", "nli", "qa")
        for seed in (1, 2)
    }
    drawn = resample({target: align(target, runs) for target in ("intent", "slots")}, 50, generator)
    kept = learning.keep_counted(drawn, {("nli", "intent"): "why", ("none", "slots"): "why"})
    assert list(kept) == ["intent"]
    assert kept["intent"].conditions == ("none", "qa")
    assert list(learning.keep_counted(drawn, {("nli", "slots"): "why", ("qa", "slots"): "why"})) == ["intent"]
    assert kept["intent"].seeds == {"none": 2, "qa": 2}
    whole = drawn["intent"]
    for weights in ({"none": 1.0}, {"qa": 1.0, "none": -1.0}):
        one, other = (part.mean(part.weights(weights)) for part in (kept["intent"], whole))
        assert one.value == other.value
        assert (one.draws == other.draws).all()


# --- Chance ----------------------------------------------------------------------------------------------------------


def test_majority_and_balanced_accuracy():
    gold = ["a"] * 6 + ["b"] * 3 + ["c"]
    assert guessing.majority(gold) == 60.0
    assert guessing.balanced_accuracy(gold, ["a"] * 10) == pytest.approx(100 / 3)
    assert guessing.balanced_accuracy(gold, gold) == 100.0
    found = guessing.balanced_accuracy(gold, ["a"] * 6 + ["b", "a", "a"] + ["c"])
    assert found == pytest.approx((100 + 100 / 3 + 100) / 3)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.sampled_from("abc"))
def test_a_constant_answer_is_worth_no_more_than_guessing(gold, answer):
    constant = [answer] * len(gold)
    accuracy = 100 * sum(label == answer for label in gold) / len(gold)
    assert accuracy <= guessing.majority(gold)
    assert guessing.balanced_accuracy(gold, constant) in (0.0, pytest.approx(100 / len(set(gold))))


def test_what_stands_beside_records_is_used_where_they_note_nothing(tmp_path):
    own, old = trained("none", "intent", 1, 70.0, majority=5.0), trained("nli", "intent", 1, 70.0)
    rows = [(old.id, "en", 6.0, np.nan), (own.id, "en", 99.0, np.nan)]
    pd.DataFrame(rows, columns=chance.COLUMNS).to_csv(tmp_path / chance.FILE, index=False)
    noted = chance.read_guessing_notes([own, old], [tmp_path, tmp_path / "no-such"]).set_index("run")["majority"]
    assert noted.to_dict() == {own.id: 5.0, old.id: 6.0}
    assert chance.read_guessing_notes([old], []).empty


@pytest.mark.parametrize("study", ["pocket-full", "pilot"])
def test_committed_records_know_what_guessing_scores(study):
    """Of every committed run on labels there is a number in the record or beside it; one can reach that accuracy."""
    from pathlib import Path

    folder = Path(__file__).parents[2] / "results" / study
    table = chance.read_guessing_notes(Store(folder / "records"), [folder]).set_index(["run", "language"])
    assert table["majority"].between(0, 100).all()
    for record in Store(folder / "records"):
        if record.run.phase == "target" and record.run.target in ("intent", "command-nli", "xnli", "paws-x"):
            assert (record.id, "en") in table.index
