"""Tables of where records come from."""

import platform
import shutil
from importlib.metadata import version

import pytest
from faked_study import fill
from fakes import make_provenance, make_run

from stilts.analysis import origins
from stilts.study.errors import UnknownName
from stilts.study.records import Record
from stilts.study.settings import ScratchSettings
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import open_plan


def record(condition: str, started: str, target: str | None = None, **changes) -> Record:
    phase = "zero-shot" if target else "intermediate"
    run = make_run(phase, condition, target, data="d1")
    origin = {
        "study": "pocket",
        "started": started, "seconds": 1800.0, "precision": "bf16", "packages": {"torch": "2.13.0"},
        "git_commit": "0123456789abcdef", "git_dirty": False,
    }  # fmt: skip
    provenance = make_provenance(**origin | changes)
    return Record(run=run, metrics={}, provenance=provenance, predictions_sha256="a" * 64 if target else None)


@pytest.fixture
def records() -> list[Record]:
    return [
        record("nli", "2026-11-21T10:00:05+00:00"),
        record("none", "2026-11-21T09:30:00+00:00", "intent", git_commit=None, packages={"torch": "2.13.1"}),
        record("nli", "2026-11-22T00:00:00+00:00", "dates", study="full", git_dirty=True, packages={"Babel": "2.18.0"}),
    ]


def test_devices_are_summed_up_by_study(records):
    assert origins.tabulate_devices(records).to_dict("records") == [
        {
            "study": "full",
            "device": "a processor",
            "precision": "bf16",
            "runs": 1,
            "hours": 0.5,
            "first start (UTC)": "2026-11-22T00:00",
            "last start (UTC)": "2026-11-22T00:00",
            "commits": "01234567 (changed)",
        },
        {
            "study": "pocket",
            "device": "a processor",
            "precision": "bf16",
            "runs": 2,
            "hours": 1.0,
            "first start (UTC)": "2026-11-21T09:30",
            "last start (UTC)": "2026-11-21T10:00",
            "commits": "01234567, unknown",
        },
    ]


def test_inputs_are_counted(records):
    assert origins.tabulate_inputs(records).to_dict("split")["data"] == [
        ["encoder", "small", "e1", 3],
        ["suite", "pocket", "d1", 3],
    ]


def test_an_encoder_from_random_weights_stands_on_a_tokenizer(records):
    settings = records[0].run.settings
    scratch = settings.encoder.model_copy(update={"scratch": ScratchSettings(architecture="decoder")})
    run = records[0].run.model_copy(update={"settings": settings.model_copy(update={"encoder": scratch})})
    found = origins.tabulate_inputs([records[0].model_copy(update={"run": run}), records[1]])
    assert found[["input", "name", "runs"]].to_numpy().tolist() == [
        ["encoder", "small", 1], ["suite", "pocket", 2], ["tokenizer", "small", 1],
    ]  # fmt: skip


def test_packages_have_a_column_for_each_study(records):
    assert origins.tabulate_packages(records).to_dict("records") == [
        {"package": "Babel", "full": "2.18.0", "pocket": "unknown"},
        {"package": "torch", "full": "unknown", "pocket": "2.13.0, 2.13.1"},
    ]


def test_each_record_is_listed_with_its_checksum(records):
    table = origins.tabulate_records(records)
    assert table.loc[2].to_dict() == {
        "run": records[2].id,
        "study": "full",
        "phase": "zero-shot",
        "condition": "nli",
        "target": "dates",
        "seed": 1,
        "started (UTC)": "2026-11-22T00:00:00",
        "seconds": 1800.0,
        "device": "a processor",
        "precision": "bf16",
        "commit": "01234567 (changed)",
        "predictions SHA-256": "a" * 64,
    }
    shown = origins.show_records(table)
    assert list(shown) == ["run", "study", "started (UTC)", "seconds", "commit", "predictions SHA-256"]
    assert shown["predictions SHA-256"].fillna("").tolist() == ["", "a" * 12, "a" * 12]


def test_tables_of_no_records_are_empty():
    tables = [
        make([])
        for make in (
            origins.tabulate_devices,
            origins.tabulate_inputs,
            origins.tabulate_packages,
            origins.tabulate_records,
        )
    ]
    assert [len(table) for table in tables] == [0] * 4


def test_the_environment_is_this_one():
    rows = dict(origins.tabulate_environment().itertuples(index=False))
    assert rows["Python"] == platform.python_version()
    assert rows["papermill"] == version("papermill")


STUDY = """
name: {name}
title: A study
encoder: {{name: multilingual-e5-small}}
intermediates: [{intermediates}]
targets: [intent]
"""


def test_a_record_that_two_studies_share_is_listed_once(tmp_path):
    (tmp_path / "studies").mkdir()
    for name, intermediates in (("small", "none"), ("large", "none, nli")):
        text = STUDY.format(name=name, intermediates=intermediates)
        (tmp_path / "studies" / f"{name}.yml").write_text(text)
    here = Checkout(tmp_path, runs=tmp_path / "runs")
    fill(here, "small", languages=("de", "en"), examples=2)
    fill(here, "large", languages=("de", "en"), examples=2)
    found = origins.collect_records(here, "large", "small")
    assert sorted(record.id for record in found) == sorted(run.id for run in open_plan(here, "large").runs)
    with pytest.raises(UnknownName, match="'smal'. Did you mean 'small'"):
        origins.collect_records(here, "smal")


def test_all_committed_records_are_listed_once_whatever_their_study(tmp_path):
    (tmp_path / "studies").mkdir()
    for name, intermediates in (("small", "none"), ("large", "none, nli")):
        text = STUDY.format(name=name, intermediates=intermediates)
        (tmp_path / "studies" / f"{name}.yml").write_text(text)
        here = Checkout(tmp_path, runs=tmp_path / "runs" / name)
        fill(here, name, languages=("de", "en"), examples=2)
        shutil.copytree(here.store().root, tmp_path / "results" / name / "records")
    found = origins.read_committed(here)
    assert list(origins.find_recorded_studies(here)) == ["large", "small"]
    assert sorted(record.id for record in found) == sorted(run.id for run in open_plan(here, "large").runs)
    assert origins.describe_extent(found).startswith(f"There are {len(found)} records, made for ")
