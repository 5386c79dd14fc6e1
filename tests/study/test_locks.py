"""Locks among processes: who holds one is said, waiting ends, and what the disk lacks is called what it is."""

import errno
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from stilts.study import locks
from stilts.study.errors import StiltsError

HOLD = """
import sys, time
from pathlib import Path
from stilts.study.locks import hold
with hold(Path(sys.argv[1]), "a study"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock until it is told or killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_lock_is_taken_after_its_holder_and_says_for_whom_it_waits(path, holder, monkeypatch, caplog):
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(locks, "REPORT_SECONDS", 0.1)
    caplog.set_level("INFO")
    assert locks.is_held(path)
    threading.Timer(0.5, holder.stdin.close).start()
    with locks.hold(path, "a study"):
        assert locks.is_held(path)
        assert locks._holder(path).startswith(f"process {os.getpid()} on {platform.node()} since ")
    assert not locks.is_held(path)
    name = rf"process {holder.pid} on {re.escape(platform.node())} since \d{{4}}-\d\d-\d\d \d\d:\d\d UTC"
    first, second, *later = caplog.messages
    assert first == "a study is in use by another process; waiting for it"
    assert re.fullmatch(f"lock {path} is held by {name}", second)
    assert all(re.fullmatch(f"a study is still in use by {name}", line) for line in later)
    assert later


def test_a_holder_without_a_sign_of_life_is_not_waited_for(path, holder, monkeypatch):
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.3)
    os.kill(holder.pid, signal.SIGSTOP)
    message = (
        rf"lock {path} of a study is held by process {holder.pid} on .*, which has shown no activity for 0 minutes. "
        "If that process hangs, end it; if it or its machine is dead, remove the file. Then run the same command again"
    )
    with pytest.raises(StiltsError, match=message), locks.hold(path, "a study"):
        pass
    path.unlink()  # the remedy
    with locks.hold(path, "a study"):
        pass


def test_a_holder_that_gives_signs_is_waited_for(path, monkeypatch):
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(locks, "PATIENCE_SECONDS", 0.4)
    script = "from stilts.study import locks\nlocks.SIGN_SECONDS = 0.05" + HOLD
    process = subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    threading.Timer(1.5, process.stdin.close).start()
    with locks.hold(path, "a study"):
        pass
    process.wait()


def test_a_killed_holder_s_lock_is_free(path, holder):
    holder.kill()
    holder.wait()
    assert not locks.is_held(path)
    with locks.hold(path, "a study"):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_called_that(path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock._unix.fcntl, "flock", flock)
    message = rf"lock {path}: its file system does not support file locks \({os.strerror(number)}\), .* set STILTS_RUNS"
    with pytest.raises(StiltsError, match=message), locks.hold(path, "a study"):
        pass
    path.touch()
    with pytest.raises(StiltsError, match=message):
        locks.is_held(path)


@contextmanager
def another_user():
    os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_s_lock_is_called_that(holder_of_root):
    path = holder_of_root
    message = rf"lock {path} cannot be opened \(Permission denied\): it belongs to user root; ask for write"
    with another_user():
        assert locks.is_held(path)
        with pytest.raises(StiltsError, match=message), locks.hold(path, "a study"):
            pass


@pytest.fixture
def holder_of_root():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "study.lock"
        path.touch(mode=0o644)
        with locks.hold(path, "a study"):
            yield path


def test_one_of_several_locks_is_taken_and_if_none_is_free_that_is_said(path, holder, monkeypatch, caplog):
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0.01)
    other = path.with_name("other.lock")
    with locks.hold_one([path, other], "two places") as first:
        assert (first, caplog.messages) == (other, [])
        threading.Timer(0.5, holder.stdin.close).start()
        with locks.hold_one([path, other], "two places") as second:
            assert second == path
            assert locks._holder(path).startswith(f"process {os.getpid()} on ")
    assert caplog.messages == ["all 2 places of two places are in use by other processes; waiting for one"]
    assert not locks.is_held(path)
    assert not locks.is_held(other)
