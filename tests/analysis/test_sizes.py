"""Sizes and settings of studies, from their records."""

import pandas as pd
from fakes import make_run

from stilts.analysis.sizes import describe_difference, show_sizes, tabulate_sizes
from stilts.study.records import Provenance, Record
from stilts.study.settings import EncoderSettings, EvaluationSettings, Study, TrainingSettings

ORIGIN = Provenance(
    study="small", started="2026-11-21T10:00:05+00:00", seconds=1.0, device="a processor", precision="bf16",
    packages={}, git_commit=None, git_dirty=False,
)  # fmt: skip


def training(**changes) -> dict:
    return {"training": changes}


def record(phase: str, condition: str, seed: int, settings: dict, target: str | None = None) -> Record:
    run = make_run(phase, condition, target, seed, **settings)
    return Record(run=run, metrics={}, provenance=ORIGIN, predictions_sha256=None)


RECORDS = [
    record("intermediate", "nli", 1, training(examples=100, epochs=2)),
    record("intermediate", "nli", 2, training(examples=100, epochs=2)),
    record("intermediate", "multi", 1, training(examples=40, epochs=2)),
    record("target", "nli", 1, training(examples=64, frozen_layers=6, learning_rate=3e-4), "intent"),
    record("target", "none", 1, training(examples=64, frozen_layers=6, learning_rate=3e-4), "slots"),
    record("zero-shot", "nli", 1, {"evaluation": {"examples": 30}}, "intent"),
    record("zero-shot", "none", 0, {"evaluation": {"batch_tokens": 4096}}, "ui-retrieval"),
]


def test_a_row_stands_for_the_runs_of_a_phase_with_the_same_settings():
    table = tabulate_sizes({"small": RECORDS, "empty": []})
    shown = table[["study", "phase", "of", "seeds", "examples", "epochs", "learning_rate", "frozen_layers"]]
    nothing = [pd.NA] * 3
    expected = [
        ["small", "intermediate", "nli", 2, 100, 2.0, 2e-4, 0],
        ["small", "intermediate", "multi", 1, 40, 2.0, 2e-4, 0],
        ["small", "target", "all", 1, 64, 1.0, 3e-4, 6],
        ["small", "zero-shot", "intent", 1, 30, *nothing],
        ["small", "zero-shot", "ui-retrieval", 0, pd.NA, *nothing],  # all rows; no training, and so no seed
    ]
    assert shown.astype(object).where(shown.notna(), pd.NA).to_numpy().tolist() == expected


def test_readers_see_rates_and_epochs_as_they_are_written():
    table = show_sizes(tabulate_sizes({"small": RECORDS}))
    assert table["learning rate"].fillna("-").tolist() == ["2e-4", "2e-4", "3e-4", "-", "-"]
    assert table["epochs"].fillna("-").tolist() == ["2", "2", "1", "-", "-"]


def test_two_studies_of_one_design_are_told_apart_by_their_sizes():
    live, full = (
        Study(
            name=name, title="A study", encoder=EncoderSettings(name="small"), intermediates=("none",), seeds=seeds,
            targets=("intent",), intermediate_training=TrainingSettings(examples=10 * n),
            target_training=TrainingSettings(examples=5 * n), evaluation=EvaluationSettings(examples=n),
        )
        for name, n, seeds in (("live", 1, (1,)), ("full", 4, (1, 2)))
    )  # fmt: skip
    assert describe_difference(live, full) == (
        "Study `live` takes 10 examples for intermediate training, 5 for target training, 1 of a language's test set, "
        "1 seed; study `full` takes 40 examples for intermediate training, 20 for target training, 4 of a language's "
        "test set, 2 seeds."
    )
