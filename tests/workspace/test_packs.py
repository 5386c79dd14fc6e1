"""Packs: what one machine prepares and another one runs, without the files that it was made from, and the way back."""

import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest
import tiny_checkout
import xtreme_rows
from fakes import PREDICTIONS, make_provenance, record_runs

from stilts.sources import suite, xtreme
from stilts.sources.prepared import PreparedSuite
from stilts.study.errors import StiltsError
from stilts.study.records import SCORES, Record, publish
from stilts.workspace import packs
from stilts.workspace.checkout import Checkout
from stilts.workspace.packs import pack_inputs, pack_records, unpack
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import open_plan


@pytest.fixture(scope="module")
def settings(encoder) -> dict:
    """The content of a study file: XNLI after QQP, on the first two rows."""
    sizes = {"train": 2, "intermediate_train": 2, "validation": 1, "test": 3}
    data = {"suite": "xtreme", "folder": "data", "languages": ["en", "de"], "sizes": sizes}
    return tiny_checkout.study_settings(encoder, data=data, intermediates=["none", "qqp"], targets=["xnli"])


@pytest.fixture(scope="module")
def packed(settings, tmp_path_factory) -> tuple[Checkout, Path]:
    """A checkout with data, and the pack of its study's inputs; read them, do not change them."""
    folder = tmp_path_factory.mktemp("packs")
    here = tiny_checkout.write_checkout(folder / "laptop", settings)
    for task in ("xnli", "qqp", "pan-x"):
        xtreme_rows.put_all("whole", task, here.root / "data")
    pack_inputs(open_plan(here, "tiny"), folder / "pack")
    return here, folder / "pack"


@pytest.fixture
def other(settings, tmp_path) -> Checkout:
    """A checkout on a machine without the data."""
    return tiny_checkout.write_checkout(tmp_path / "cluster", settings)


@pytest.fixture
def pack(packed, tmp_path) -> Path:
    """A pack that a test may change."""
    return Path(shutil.copytree(packed[1], tmp_path / "pack"))


def test_what_is_unpacked_is_planned_prepared_and_run_under_the_same_names(packed, other):
    here, pack = packed
    said = []
    unpack(pack, other, report=said.append)
    assert [line.split(": ")[0] for line in said] == ["unpacked", "unpacked"]
    plan = open_plan(other, "tiny")
    assert plan.runs == open_plan(here, "tiny").runs
    before = {path: path.stat().st_ino for path in other.runs.rglob("*") if path.is_file()}
    prepare(plan)
    assert {path: path.stat().st_ino for path in before} == before
    manifest = suite.read_manifest(plan.suite_folder)
    assert manifest == suite.read_manifest(open_plan(here, "tiny").suite_folder)
    assert "pan-x.de" in manifest["rows"]  # all texts, those of other tasks too, decide which vocabulary is kept
    assert suite.find_faults(plan.suite_folder) == []


def test_an_encoder_that_comes_with_the_environment_is_not_packed(packed, settings, tmp_path):
    here, _ = packed
    offline = {**settings, "name": "offline", "encoder": {"name": tiny_checkout.ENCODER}}
    tiny_checkout.write_study(here.root / "studies" / "offline.yml", offline)
    pack_inputs(open_plan(here, "offline"), tmp_path / "pack")
    assert sorted(path.name for path in (tmp_path / "pack").iterdir()) == ["pack.json", "suite-1.tar.gz"]


def test_records_come_back_and_are_published(packed, other, tmp_path):
    here, pack = packed
    unpack(pack, other, report=lambda line: None)
    plan = open_plan(other, "tiny")
    *trained, evaluated = plan.runs
    record_runs(other, trained)
    scores = {"en": {"score": 50.0, "n": 2.0}}
    other.store().write(Record(run=evaluated, metrics=scores, provenance=make_provenance()), PREDICTIONS)
    assert pack_records(plan, tmp_path / "back") == len(plan.runs)
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["pack.json", "records-1.tar.gz"]

    own = Checkout(here.root, tmp_path / "own runs")
    said = []
    for _ in range(2):
        unpack(tmp_path / "back", own, report=said.append)
    assert said == [f"{count} new files of records: {own.runs / 'records'}" for count in (len(plan.runs) + 1, 0)]
    publish(own.store(), [run.id for run in plan.runs], tmp_path / "results")
    assert (tmp_path / "results" / SCORES).exists()


def test_records_are_divided_among_archives_of_a_limited_size(packed, tmp_path, monkeypatch):
    here = Checkout(packed[0].root, tmp_path / "runs")
    plan = open_plan(here, "tiny")
    record_runs(here, plan.runs)
    sizes = [path.stat().st_size for path in (here.runs / "records").iterdir()]
    monkeypatch.setattr(packs, "MOST_BYTES", max(sizes) + 1)
    pack_records(plan, tmp_path / "back")
    archives = sorted((tmp_path / "back").glob("*.tar.gz"))
    assert [path.name for path in archives] == [f"records-{number}.tar.gz" for number in range(1, len(sizes) + 1)]
    unpack(tmp_path / "back", Checkout(here.root, tmp_path / "own"), report=lambda line: None)
    assert open_plan(Checkout(here.root, tmp_path / "own"), "tiny").recorded() == set(plan.by_id)


def test_a_study_without_records_is_not_packed(packed, tmp_path):
    plan = open_plan(Checkout(packed[0].root, tmp_path / "runs"), "tiny")
    with pytest.raises(StiltsError, match="study 'tiny' has no records in .*; run it first"):
        pack_records(plan, tmp_path / "back")


def test_committed_records_are_said_and_not_packed(tmp_path):
    here = tiny_checkout.write_checkout(tmp_path / "there", tiny_checkout.study_settings(tiny_checkout.ENCODER))
    plan = open_plan(here, "tiny")
    record_runs(here, plan.runs)
    (here.results / "tiny").mkdir(parents=True)
    here.records.rename(here.results / "tiny" / "records")
    message = (
        f"{len(plan.runs)} of {len(plan.runs)} runs of study 'tiny' are recorded in {here.results}, which every "
        f"checkout has; only records in {here.records} are packed"
    )
    with pytest.raises(StiltsError, match=re.escape(message)):
        pack_records(plan, tmp_path / "back")


def test_what_stands_already_is_left_as_it_is(packed, other):
    said = []
    for _ in range(2):
        unpack(packed[1], other, report=said.append)
    assert [line.split(": ")[0] for line in said] == ["unpacked", "unpacked", "left as it is", "left as it is"]


def test_what_stands_already_with_other_content_is_not_replaced(packed, other):
    unpack(packed[1], other, report=lambda line: None)
    manifest = open_plan(other, "tiny").suite_folder / suite.MANIFEST
    manifest.write_text(manifest.read_text().replace('"request"', '"asked"'))
    with pytest.raises(StiltsError, match="data/xtreme-.* is there with other content; remove it, or set STILTS_RUNS"):
        unpack(packed[1], other, report=lambda line: None)


def test_data_that_come_later_go_on_with_the_suite_that_was_unpacked(packed, other):
    here, pack = packed
    unpack(pack, other, report=lambda line: None)
    shutil.copytree(here.root / "data", other.root / "data")
    plan = open_plan(other, "tiny")
    before = {path: path.stat().st_ino for path in plan.suite_folder.rglob("*")}
    prepare(plan)
    assert {path: path.stat().st_ino for path in before} == before


def test_a_study_of_the_pocket_suite_runs_where_it_was_unpacked(tmp_path):
    here, other = (
        tiny_checkout.write_checkout(tmp_path / name, tiny_checkout.study_settings(tiny_checkout.ENCODER))
        for name in ("here", "other")
    )
    pack_inputs(open_plan(here, "tiny"), tmp_path / "pack")
    unpack(tmp_path / "pack", other, report=lambda line: None)
    plan, own = open_plan(other, "tiny"), open_plan(here, "tiny")
    prepare(plan)
    assert plan.runs == own.runs
    assert suite.read_manifest(plan.suite_folder) == suite.read_manifest(own.suite_folder)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def outside(path: Path) -> None:
    content = json.loads(path.read_text())
    content["archives"][0]["folder"] = "data/../../outside"
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name, spoil, message",
    [
        ("suite-1.tar.gz", damage, "suite-1.tar.gz does not match its SHA-256; copy the pack again"),
        ("suite-1.tar.gz", Path.unlink, "not a complete pack .*suite-1.tar.gz.*; copy it again"),
        ("pack.json", Path.unlink, "not a complete pack .*pack.json.*; copy it again"),
        ("pack.json", damage, "pack.json: not the manifest of a pack"),
        ("pack.json", outside, "pack.json: not the manifest of a pack .*archives.*folder"),
    ],
)
def test_a_pack_that_is_not_whole_changes_nothing(pack, other, name, spoil, message):
    spoil(pack / name)
    with pytest.raises(StiltsError, match=message):
        unpack(pack, other, report=lambda line: None)
    assert not other.runs.exists()


def test_an_archive_writes_nothing_outside_its_folder(pack, other):
    path = pack / "suite-1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(pack / "pack.json", "../../../outside.json")
    content = json.loads((pack / "pack.json").read_text())
    content["archives"][0]["sha256"] = packs.hash_file(path)
    (pack / "pack.json").write_text(json.dumps(content))
    with pytest.raises(StiltsError, match="suite-1.tar.gz cannot be unpacked to .*outside"):
        unpack(pack, other, report=lambda line: None)
    assert not list(other.root.rglob("outside.json"))


def test_a_damaged_suite_without_its_data_is_not_built_again(packed, other):
    unpack(packed[1], other, report=lambda line: None)
    plan = open_plan(other, "tiny")
    damage(next(plan.suite_folder.glob("xnli.de/*.parquet")))
    message = "incomplete or damaged suite .xnli.de/.* there are no files to build it from; remove it and unpack"
    with pytest.raises(StiltsError, match=message):
        prepare(plan)


def test_which_of_several_suites_is_meant_is_not_guessed(packed, other):
    unpack(packed[1], other, report=lambda line: None)
    shutil.copytree(open_plan(other, "tiny").suite_folder, other.suites / "xtreme-another")
    with pytest.raises(StiltsError, match="holds several suites for this study .*xtreme-another.*remove all but one"):
        open_plan(other, "tiny")


def test_a_target_is_there_if_the_rows_are_that_it_is_tested_on(tmp_path):
    rows = {"command-qa.de": {"test": 1}, "intermediate.qa.de": {"train": 1}}
    suite.sign(tmp_path, {"fingerprint": "f", "rows": rows})
    held = PreparedSuite(tmp_path, None)
    tasks = ("command-qa", "command-qa-rooms", "qa", "qa.de", "qa.fr", "intent")
    assert [held.missing(task) is None for task in tasks] == [True, True, True, True, False, False]


def test_a_language_that_the_files_of_a_prepared_suite_lacked_is_left_out_of_it(tmp_path):
    lacked = {"udpos": {"yo": "no file of Yoruba", "hi": "no file of Hindi"}, "squad-translated": {"de": "no file"}}
    suite.sign(tmp_path, {"fingerprint": "f", "rows": {}, "left_out": lacked})
    held, original = PreparedSuite(tmp_path, xtreme.Suite(None)), xtreme.Suite(None)
    request = suite.Request(0, languages=["en", "yo"], source_languages=["de"])
    known = original.left_out(request)
    assert "yo" not in known.get("udpos", {})
    found = held.left_out(request)
    assert {task: reasons for task, reasons in found.items() if reasons != known.get(task)} == {
        "udpos": {**known.get("udpos", {}), "yo": "no file of Yoruba"},
        "squad-translated": {**known.get("squad-translated", {}), "de": "no file"},
    }


def test_a_task_that_a_prepared_suite_does_not_hold_is_said(packed, other, settings):
    unpack(packed[1], other, report=lambda line: None)
    tiny_checkout.write_study(other.root / "studies" / "tiny.yml", {**settings, "targets": ["xnli", "paws-x", "udpos"]})
    with pytest.raises(StiltsError, match="paws-x: the prepared suite .* does not hold it; udpos: the prepared suite"):
        open_plan(other, "tiny")
