"""The committed records are those of the study that they are named after, whole, and add up."""

from pathlib import Path

import pandas as pd
import pytest

from stilts.metrics import Counts, score
from stilts.records import Store, tidy
from stilts.workspace import Workspace

ROOT = Path(__file__).parents[1]
RECORDED = ["pocket-full"]
MOST_MB = 20


@pytest.fixture(scope="module", params=RECORDED)
def study(request):
    workspace = Workspace(ROOT)
    return workspace.plan(workspace.study(request.param))


@pytest.fixture(scope="module")
def store(study):
    return Store(ROOT / "no-live-records", [ROOT / "results" / study.study.name / "records"])


def test_every_planned_run_is_recorded_and_nothing_else(study, store):
    assert {record.id for record in store} == set(study.by_id)


def test_the_record_of_a_run_holds_its_settings(study, store):
    assert {run.id: run for run in study.runs} == {record.id: record.run for record in store}


def test_scores_are_those_of_the_predictions(store):
    for record in store:
        if record.run.phase != "zero-shot":
            continue
        of_language = store.predictions(record.id).groupby("language", observed=True)
        for language, rows in of_language:
            counts = Counts(rows["matches"], rows["predicted"], rows["gold"])
            assert score(counts) == pytest.approx(record.metrics[language]["score"], abs=1e-4), (record.id, language)
        assert set(of_language.groups) == set(record.metrics)


def test_the_tidy_table_is_that_of_the_records(study, store):
    written = pd.read_csv(ROOT / "results" / study.study.name / "scores.csv")
    expected = tidy([store.get(run.id) for run in study.runs]).round(4)
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)


def test_results_stay_small(study):
    folder = ROOT / "results" / study.study.name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MOST_MB * 2**20
