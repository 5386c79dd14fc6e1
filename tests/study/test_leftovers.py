"""What killed processes left goes at the next start; what a live process writes stays."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from stilts.study.errors import StiltsError
from stilts.study.leftovers import is_part, name_part, remove_leftovers, scratch_folder
from stilts.study.storage import make_folder, new_folder

WRITE = """
import os, sys
from pathlib import Path
from stilts.study.leftovers import name_part
part = name_part(Path(sys.argv[1]))
part.mkdir() if sys.argv[2] == "folder" else part.touch()
print(part, flush=True)
sys.stdin.readline()
"""


def started(path, kind):
    command = [sys.executable, "-c", WRITE, path, kind]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, path.with_name(process.stdout.readline().strip().rpartition("/")[2])


def test_only_what_dead_processes_left_is_removed(tmp_path):
    dead, left = started(tmp_path / "a.json", "file")
    dead_too, folder = started(tmp_path / "suite", "folder")
    alive, written = started(tmp_path / "b.json", "file")
    for process in (dead, dead_too):
        process.kill()
        process.wait()
    (folder / "file").touch()
    own = name_part(tmp_path / "c.json")
    others = [own, tmp_path / "a.json", tmp_path / "x.part-of-speech", tmp_path / "a.json.corrupt-1"]
    for path in others:
        path.touch()
    assert sorted(remove_leftovers(tmp_path.iterdir())) == [left, folder]
    assert sorted(tmp_path.iterdir()) == sorted([*others, written])
    assert [is_part(path) for path in (own, left, *others[1:])] == [True, True, False, False, False]
    alive.kill()
    alive.wait()


def test_what_another_machine_s_process_left_is_removed_after_a_day(tmp_path):
    fresh, old, from_before = (
        tmp_path / name for name in ("a.json.part-00000000-5", "b.json.part-00000000-6", "c.json.part-7")
    )
    for path, hours in ((fresh, 23), (old, 25), (from_before, 25)):
        path.touch()
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    assert remove_leftovers([fresh, old, from_before]) == [old, from_before]
    assert list(tmp_path.iterdir()) == [fresh]


def test_a_new_folder_removes_what_was_left_of_it(tmp_path):
    dead, left = started(tmp_path / ".export", "folder")
    dead.kill()
    dead.wait()
    with new_folder(tmp_path / "export", "model"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_who_holds_the_lock_on_a_folder_removes_all_that_was_left_of_it(tmp_path):
    alive, written = started(tmp_path / ".run", "folder")
    (tmp_path / ".run.part-00000000-5").mkdir()
    with make_folder(tmp_path / "run"):
        assert written.exists()
    (tmp_path / "run").rmdir()
    with make_folder(tmp_path / "run", alone=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    alive.communicate("", timeout=60)


def test_no_place_for_temporary_files_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    message = "cannot create a folder for temporary files: No such file or directory; free disk space, or set TMPDIR"
    with pytest.raises(StiltsError, match=message), scratch_folder():
        pass


def test_the_scratch_folder_of_a_killed_process_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import sys, tempfile\ntempfile.tempdir = sys.argv[1]\nfrom stilts.study.leftovers import scratch_folder\n"
        "with scratch_folder() as folder:\n    (folder / 'kernel.json').touch(); print(folder, flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", program, tmp_path]
    killed, alive = (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    left, used = (process.stdout.readline().strip() for process in (killed, alive))
    killed.kill()
    killed.wait()
    with scratch_folder() as own:
        assert {str(path) for path in tmp_path.iterdir()} == {str(own), used}
        assert own.stat().st_mode & 0o777 == 0o700
    assert left != used
    alive.communicate("\n")
    assert list(tmp_path.iterdir()) == []
