"""Files that users and processes share: their permissions, what may not be read, what is set aside."""

import json
import os
import stat
import subprocess
import sys

import pytest
import torch
from fakes import PREDICTIONS, RECORD, make_record
from tiny import write_encoder
from users import ONLY_ROOT, another_user

from stilts.models.prepared import prepare_encoder
from stilts.sources.suite import MANIFEST, find_faults
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError
from stilts.study.records import CorruptRecord, OtherVersion, Store, read_record
from stilts.study.storage import hash_json, list_names, make_folder, new_folder, set_aside, stands

DENIED = r"cannot be read: permission denied; ask its owner \(root\) for access, or set STILTS_RUNS to"


# --- permissions -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[0o022, 0o002, 0o027, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder):
    return {stat.S_IMODE(path.stat().st_mode) & 0o777 for path in (folder, *folder.rglob("*")) if path.is_dir()}, {
        stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()
    }


def test_what_is_written_has_the_permissions_that_the_umask_gives(tmp_path, umask):
    Checkpoints(tmp_path / "checkpoints").save("run", {"w": torch.zeros(2)}, {"a": 1})
    Store(tmp_path / "records").write(RECORD, PREDICTIONS)
    with new_folder(tmp_path / "model", "model") as part:
        part.chmod(0o700)
        (part / "inner").mkdir(mode=0o700)
        (part / "inner" / "file").touch(mode=0o600)
    encoder = write_encoder(tmp_path / "encoder")
    prepare_encoder(str(encoder), ["open kitchen 7"], tmp_path / "prepared")
    for name in ("checkpoints", "records", "model", "prepared"):
        assert modes(tmp_path / name) == ({0o777 & ~umask}, {0o666 & ~umask}), name
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoints", "encoder", "model", "prepared", "records"
    ]  # fmt: skip


# --- folders that are whole or not there ----------------------------------------------------------------------------


def test_a_folder_gets_its_name_when_its_files_are_on_the_disk(tmp_path, monkeypatch):
    flushed, flush = [], os.fsync
    monkeypatch.setattr("stilts.study.storage.os.fsync", lambda file: (flush(file), flushed.append(os.fstat(file))))
    with make_folder(tmp_path / "new") as part:
        (part / "inner").mkdir()
        for name in ("a", "inner/b"):
            (part / name).write_text(name)
        assert not (tmp_path / "new").exists()
    names = ("a", "inner/b")
    assert {state.st_ino for state in flushed} == {(tmp_path / "new" / name).stat().st_ino for name in names}
    assert [(tmp_path / "new" / name).read_text() for name in names] == ["a", "inner/b"]


def test_of_a_folder_that_failed_nothing_stays(tmp_path):
    def fail(part):
        (part / "half").touch()
        raise ValueError("half")

    with pytest.raises(ValueError, match="half"), make_folder(tmp_path / "new") as part:
        fail(part)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_stands_is_not_replaced(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    with pytest.raises(OSError, match="not empty"), make_folder(tmp_path / "new") as part:
        (part / "other").touch()
    assert same(tmp_path) == ["new", "new/mine"]


# --- what may not be read --------------------------------------------------------------------------------------------


def closed(folder):
    """Close a folder's files to others, and open the folder itself: others could rename what is in it."""
    folder.chmod(0o777)
    for path in folder.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o600)


def same(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@ONLY_ROOT
def test_another_user_s_checkpoint_is_not_called_damaged(tmp_path):
    folder = tmp_path / "checkpoints"
    Checkpoints(folder).save("run", {"w": torch.zeros(2)})
    for run, close in (("run", lambda: closed(folder)), ("run", lambda: (folder / "run").chmod(0o700))):
        close()
        before = same(folder)
        with another_user(folder / run), pytest.raises(StiltsError, match=f"checkpoint .*run {DENIED}"):
            Checkpoints(folder).intact(run)
        assert same(folder) == before
    assert Checkpoints(folder).intact("run")


@ONLY_ROOT
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_another_user_s_record_is_not_called_damaged(tmp_path, suffix):
    store = Store(tmp_path / "records")
    store.write(RECORD, PREDICTIONS)
    store.root.chmod(0o777)
    (store.root / f"{RECORD.id}{suffix}").chmod(0o600)
    before = same(tmp_path)
    with another_user(store.root), pytest.raises(StiltsError, match=f"(record|predictions) .*{suffix} {DENIED}"):
        store.find(RECORD.id)
    assert same(tmp_path) == before


@ONLY_ROOT
def test_a_folder_of_records_that_may_not_be_read_is_not_called_empty(tmp_path):
    store = Store(tmp_path / "own", [tmp_path / "records"])
    Store(tmp_path / "records").write(RECORD, PREDICTIONS)
    (tmp_path / "records").chmod(0o700)
    with another_user(tmp_path / "records"):
        for look in (store.names, lambda: RECORD.id in store, lambda: list(store)):
            with pytest.raises(StiltsError, match=DENIED):
                look()


@ONLY_ROOT
def test_another_user_s_encoder_and_suite_are_not_called_damaged(tmp_path):
    encoder = write_encoder(tmp_path / "encoder")
    (tmp_path / "encoder").chmod(0o755)
    for path in (tmp_path / "encoder").iterdir():
        path.chmod(0o644)
    prepare_encoder(str(encoder), ["open kitchen 7"], tmp_path / "prepared")
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / MANIFEST).write_text(json.dumps({"fingerprint": "f", "files": {}}))
    for name in ("prepared", "suite"):
        closed(tmp_path / name)
    tmp_path.chmod(0o777)
    before = same(tmp_path)
    with another_user(tmp_path / "prepared"):
        with pytest.raises(StiltsError, match=DENIED):
            prepare_encoder(str(encoder), ["open kitchen 7"], tmp_path / "prepared")
        with pytest.raises(StiltsError, match=DENIED):
            find_faults(tmp_path / "suite")
    assert same(tmp_path) == before


def test_a_file_in_the_place_of_a_folder_is_called_that(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "records"):
        with pytest.raises(StiltsError, match=r"folder of records .* must be a folder, but it is or lies in a file"):
            Store(folder).names()
    assert Store(tmp_path / "none").names() == set()
    assert not stands(tmp_path / "file" / "inner", "thing")
    assert list_names(tmp_path, "", "folder") == {"file"}


# --- what is set aside -----------------------------------------------------------------------------------------------


def test_what_is_gone_was_set_aside_by_another_process(tmp_path):
    (tmp_path / "thing").mkdir()
    assert set_aside(tmp_path / "thing") == tmp_path / "thing.corrupt-1"
    assert set_aside(tmp_path / "thing") is None
    (tmp_path / "thing").symlink_to("nowhere")
    assert set_aside(tmp_path / "thing") == tmp_path / "thing.corrupt-2"


FINDING = """
import sys, time
from pathlib import Path
from stilts.study.records import Store
folder, run_id = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for root in sorted(folder.iterdir()):
    assert Store(root).find(run_id) is None
"""


def test_processes_that_meet_one_corrupt_record_all_go_on(tmp_path):
    for number in range(40):
        Store(tmp_path / f"{number:02}").write(RECORD)
        (tmp_path / f"{number:02}" / f"{RECORD.id}.json").write_text("{")
    command = [sys.executable, "-c", FINDING, str(tmp_path), RECORD.id]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 4
    for root in tmp_path.iterdir():
        assert [path.name for path in root.iterdir()] == [f"{RECORD.id}.json.corrupt-1"]


# --- records of another version --------------------------------------------------------------------------------------


def write_content(store, change):
    store.write(RECORD, PREDICTIONS)
    path = store.root / f"{RECORD.id}.json"
    content = json.loads(path.read_text())["record"]
    change(content)
    path.write_text(json.dumps({"sha256": hash_json(content), "record": content}))
    return path


@pytest.mark.parametrize(
    "change, place, version",
    [
        (lambda content: content.update(carbon=3.5), "carbon", "a newer"),
        (lambda content: content["provenance"].update(watts=3), "provenance.watts", "a newer"),
        (lambda content: content["run"].update(branch="x"), "run.branch", "a newer"),
        (lambda content: content["run"].update(phase="distillation"), "run.phase", "a newer"),
        (lambda content: content.update(schema_version=2), "schema_version", "a newer"),
        (lambda content: content.pop("metrics"), "metrics", "another"),
    ],
)
def test_a_record_of_another_version_is_said_and_left(tmp_path, change, place, version, caplog):
    store, other = Store(tmp_path / "records"), make_record(seed=5)
    path = write_content(store, change)
    store.write(other)
    before = {file.name: file.read_bytes() for file in store.root.iterdir()}
    message = rf"record {path} was written by {version} version of stilts: {place} is not known here. It is left as it "
    with pytest.raises(OtherVersion, match=message):
        store.find(RECORD.id)
    assert [record.id for record in store] == [other.id]  # it is in the way of nothing else
    assert message.replace("\\", "") in caplog.text
    assert {file.name: file.read_bytes() for file in store.root.iterdir()} == before


@pytest.mark.parametrize(
    "content", ["", "[]", "5", "null", '{"sha256": 1}', "[" * 100_000, '{"record": {}, "sha256": ""}']
)
def test_what_is_no_record_is_corrupt(tmp_path, content):
    path = tmp_path / f"{RECORD.id}.json"
    path.write_text(content)
    with pytest.raises(CorruptRecord, match=f"record {path} (cannot be read|does not match its checksum)"):
        read_record(path)
