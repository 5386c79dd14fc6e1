"""Locks between processes: a lock file that names its holder.

The holder writes its process, machine and start time into the file and touches it regularly. A waiting process logs
the holder, and gives up when the file is no longer touched: on a network disk, a lock can outlive its machine.
"""

import errno
import fcntl
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from stilts.study.errors import StiltsError

log = logging.getLogger(__name__)

QUIET_SECONDS = 1.0  # waiting time before anything is logged
SIGN_SECONDS = 20.0  # between two touches of the file by the holder
PATIENCE_SECONDS = 300.0  # without a touch before a waiting process gives up
REPORT_SECONDS = 60.0  # between two log messages of a waiting process
POLL_SECONDS = 0.2
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
DENIED = (errno.EACCES, errno.EPERM)


@contextmanager
def hold(path: Path, name: str) -> Iterator[None]:
    """Hold an exclusive lock; wait, and log it, while another process holds it.

    Parameters
    ----------
    path : Path
        Lock file, created if it is missing. Its folder must exist.
    name : str
        What the lock protects, for messages.

    Raises
    ------
    StiltsError
        If the holder seems dead, the file system has no locks, or the file cannot be opened.
    OSError
        If the file cannot be created.
    """
    # The hook keeps filelock from using its soft lock where flock is missing: that would outlive a killed holder.
    lock = FileLock(path, on_acquired=_sign)
    with _said(path):
        _acquire(lock, path, name)
    with _kept(lock, path):
        yield


@contextmanager
def hold_one(paths: Sequence[Path], name: str) -> Iterator[Path]:
    """Hold one of several exclusive locks, the first that is free, and yield it; wait, and log it, if none is.

    Parameters and errors are those of `hold`, but that a holder that seems dead is waited for as others are.
    """
    began, reported = time.monotonic(), False
    while (lock := _first_free(paths)) is None:
        if not reported and time.monotonic() - began > QUIET_SECONDS:
            log.warning("all %d places of %s are in use by other processes; waiting for one", len(paths), name)
            reported = True
        time.sleep(POLL_SECONDS)
    path = Path(lock.lock_file)
    with _kept(lock, path):
        yield path


def _first_free(paths: Sequence[Path]) -> FileLock | None:
    """Return the first lock that could be acquired; None if all are held."""
    for path in paths:
        lock = FileLock(path, on_acquired=_sign)
        with _said(path), suppress(Timeout):
            lock.acquire(blocking=False)
            return lock
    return None


@contextmanager
def _kept(lock: FileLock, path: Path) -> Iterator[None]:
    """Touch an acquired lock's file regularly, and release it at the end."""
    ended = threading.Event()
    signs = threading.Thread(target=_give_signs, args=(path, ended), daemon=True)
    signs.start()
    try:
        yield
    finally:
        ended.set()
        signs.join()
        with suppress(OSError):  # a note that is left in a free lock does no harm
            os.truncate(path, 0)
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether any process holds a lock; StiltsError if the file system has no locks or denies access."""
    with _said(path):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
    return False


def _acquire(lock: FileLock, path: Path, name: str) -> None:
    try:
        lock.acquire(timeout=QUIET_SECONDS)
        return
    except Timeout:
        log.warning("%s is in use by another process; waiting for it", name)
    log.warning("lock %s is held by %s", path, _holder(path))
    last, since = _last_sign(path), time.monotonic()
    while True:
        try:
            lock.acquire(timeout=min(REPORT_SECONDS, PATIENCE_SECONDS), poll_interval=POLL_SECONDS)
            return
        except Timeout:
            now = time.monotonic()
        if (sign := _last_sign(path)) != last:
            last, since = sign, now
        if now - since >= PATIENCE_SECONDS:
            raise StiltsError(
                f"lock {path} of {name} is held by {_holder(path)}, which has shown no activity for "
                f"{(now - since) / 60:.0f} minutes. If that process hangs, end it; if it or its machine is dead, "
                "remove the file. Then run the same command again"
            )
        log.info("%s is still in use by %s", name, _holder(path))


def _sign(descriptor: int) -> None:
    """Write the holder into a lock file."""
    note = {"process": os.getpid(), "machine": platform.node(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    with suppress(OSError):  # the lock works on a full disk too
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return f"process {note['process']} on {note['machine']} since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "an unknown process"


def _give_signs(path: Path, ended: threading.Event) -> None:
    while not ended.wait(SIGN_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _last_sign(path: Path) -> tuple[str, int]:
    """Return the holder and the modification time (ns, by the clock of the disk) of a lock file."""
    try:
        return _holder(path), path.stat().st_mtime_ns
    except OSError:
        return _holder(path), 0


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise StiltsError(
                f"lock {path}: its file system does not support file locks ({error.strerror}), so two processes could "
                "write the same files; mount it with locks (Lustre: -o flock; NFS: its lock service), or set "
                "STILTS_RUNS to a folder on another file system"
            ) from error
        if error.errno in DENIED and path.exists():
            raise StiltsError(
                f"lock {path} cannot be opened ({error.strerror}): it belongs to user {_user(path)}; ask for write "
                "permission (chmod g+w), or set STILTS_RUNS to a folder of your own"
            ) from error
        raise


def _user(path: Path) -> str:
    try:
        return path.owner()
    except (KeyError, OSError):
        return f"{path.stat().st_uid}"
