"""The committed records are those of the study that they are named after, whole, and add up."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mirror import MIRROR, NONE_HERE

from stilts.study.records import SCORES, Store, tabulate_scores
from stilts.study.runs import Run
from stilts.tasks.metrics import Counts, score
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Selection
from stilts.workspace.resolution import resolve

ROOT = Path(__file__).parents[1]
RECORDED = sorted(path.parent.name for path in (ROOT / "results").glob("*/records"))
MOST_MB = 20


@pytest.fixture(scope="module", params=RECORDED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def store(name):
    return Store(ROOT / "no-live-records", [ROOT / "results" / name / "records"])


@pytest.fixture(scope="module")
def plan(name):
    """The runs that the study's file names; of a study that reads a data folder, only where that stands."""
    here = Checkout(ROOT)
    study = here.study(name)
    with pytest.MonkeyPatch.context() as patch:
        if study.data.reads_folder:
            if not MIRROR.is_dir():
                pytest.skip(NONE_HERE)
            patch.setenv("STILTS_DATA", str(MIRROR))
        return resolve(study, here)


def test_conditions_are_recorded_whole_with_their_settings_and_nothing_else(plan, store):
    """Of each seed that a condition has a record of, every planned run is recorded."""
    recorded = {record.id: record.run for record in store}
    suites, current = {run.data for run in recorded.values()}, plan.runs[0].data
    lines = {(run.condition, run.seed) for run in recorded.values() if not run.untrained}
    whole = {
        name: run
        for condition, seed in lines
        for name, run in plan.narrow(Selection(conditions=(condition,), seeds=(seed,))).by_id.items()
    }
    if plan.study.data.reads_folder and current not in suites:
        # Records of an earlier suite stand until the study is recorded anew: of one suite, and of all the same runs.
        assert len(suites) == 1
        assert sorted(map(but_for_the_suite, recorded.values())) == sorted(map(but_for_the_suite, whole.values()))
    else:
        assert recorded == whole


def but_for_the_suite(run: Run) -> str:
    """All that decides a run but the data: an id ends with what depends on them."""
    parents = [name.rpartition("-")[0] for name in run.parents]
    return json.dumps([run.model_dump(mode="json", exclude={"data", "parents"}), parents], sort_keys=True)


def test_scores_are_those_of_the_predictions(store):
    for record in store:
        if record.run.phase != "zero-shot":
            continue
        of_language = store.predictions(record.id).groupby("language", observed=True)
        for language, rows in of_language:
            counts = Counts(rows["matches"], rows["predicted"], rows["gold"])
            assert score(counts) == pytest.approx(record.metrics[language]["score"], abs=1e-4), (record.id, language)
        assert set(of_language.groups) == set(record.metrics)


def test_the_tidy_table_is_that_of_the_records(name, store):
    written = pd.read_csv(ROOT / "results" / name / SCORES)
    places = {run: place for place, run in enumerate(dict.fromkeys(written["run"]))}
    in_order = sorted((record for record in store if record.id in places), key=lambda record: places[record.id])
    pd.testing.assert_frame_equal(written, tabulate_scores(in_order).round(4), check_dtype=False)
    assert set(places) == {record.id for record in store if record.run.phase == "zero-shot"}


def test_results_stay_small(name):
    folder = ROOT / "results" / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MOST_MB * 2**20
