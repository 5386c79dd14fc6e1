"""What killed processes have left: files that were being written, and how to tell them from those of a live process.

Such a file's name ends in `part-<machine>-<process>`, of the process that writes it. It can go when that process is
dead. Of another machine's process that is not known; its file goes when nothing has written to it for a day.
"""

import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stilts.study.errors import StiltsError

DAY = 24 * 3600.0  # seconds
_MARK = re.compile(r"\.part-(?:(?P<machine>[0-9a-f]{8})-)?(?P<process>[0-9]+)$")  # names of before had no machine


def part_of(path: Path) -> Path:
    """Return the sibling that a file is written to before it gets its name."""
    return path.with_name(f"{path.name}.part-{_machine()}-{os.getpid()}")


def is_part(path: Path) -> bool:
    """Whether a file is being written, or was left by a process that wrote it."""
    return bool(_MARK.search(path.name))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new folder for what this process needs while it runs; those of killed processes are removed first.

    Raises
    ------
    StiltsError
        If this machine has no place for temporary files.
    """
    try:
        remove_leftovers(Path(tempfile.gettempdir()).glob("stilts-*.part-*"))
        folder = Path(tempfile.mkdtemp(prefix="stilts-", suffix=part_of(Path("x")).suffix))
    except OSError as error:
        raise StiltsError(
            f"no folder for temporary files can be made: {error.strerror or error}; free space, or set TMPDIR to a "
            "folder that can be written"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(paths: Iterable[Path]) -> list[Path]:
    """Remove those files and folders of this user whose process is dead, and return them; all others stay.

    Raises
    ------
    StiltsError
        If one cannot be removed.
    """
    removed = [path for path in paths if _is_left(path)]
    for path in removed:
        try:
            remove(path)
        except OSError as error:
            raise StiltsError(
                f"{path}, which a killed process has left, cannot be removed: {error.strerror}; permit it, or remove it"
            ) from error
    return removed


def _is_left(path: Path) -> bool:
    mark = _MARK.search(path.name)
    if not mark:
        return False
    try:
        state = path.lstat()
    except OSError:
        return False  # it has just got its name, or another process has removed it
    if state.st_uid != os.geteuid():
        return False
    if mark["machine"] == _machine():
        return not _lives(int(mark["process"]))
    return time.time() - state.st_mtime > DAY


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, if there is one; a link goes, and not what it leads to."""
    with suppress(FileNotFoundError):  # another process that starts removes it too
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
