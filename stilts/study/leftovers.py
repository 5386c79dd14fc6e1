"""Partial files: naming them, and removing those that killed processes have left behind.

The name of a file that is being written ends in `part-<machine>-<process>`. It can be removed once that process is
dead. For a process of another machine this cannot be checked, so its file is removed after a day without changes.
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
_MARK = re.compile(r"\.part-(?:(?P<machine>[0-9a-f]{8})-)?(?P<process>[0-9]+)$")  # earlier versions wrote no machine


def name_part(path: Path) -> Path:
    """Return the temporary sibling to which a file is written before it is renamed."""
    return path.with_name(f"{path.name}.part-{_machine()}-{os.getpid()}")


def is_part(path: Path) -> bool:
    """Return whether a path names a partial file."""
    return bool(_MARK.search(path.name))


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a new temporary folder, after removing those of killed processes.

    Raises
    ------
    StiltsError
        If no temporary folder can be created.
    """
    try:
        remove_leftovers(Path(tempfile.gettempdir()).glob("stilts-*.part-*"))
        folder = Path(tempfile.mkdtemp(prefix="stilts-", suffix=name_part(Path("x")).suffix))
    except OSError as error:
        raise StiltsError(
            f"cannot create a folder for temporary files: {error.strerror or error}; free disk space, or set TMPDIR to "
            "a writable folder"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(paths: Iterable[Path]) -> list[Path]:
    """Remove the partial files and folders of this user whose process is dead, and return them.

    Raises
    ------
    StiltsError
        If one cannot be removed.
    """
    removed = find_leftovers(paths)
    for path in removed:
        try:
            remove(path)
        except OSError as error:
            raise StiltsError(
                f"{path}, left by a killed process, cannot be removed: {error.strerror}; change its permissions, or "
                "remove it"
            ) from error
    return removed


def find_leftovers(paths: Iterable[Path]) -> list[Path]:
    """Return the partial files and folders of this user whose process is dead."""
    return [path for path in paths if _is_left(path)]


def _is_left(path: Path) -> bool:
    mark = _MARK.search(path.name)
    if not mark:
        return False
    try:
        state = path.lstat()
    except OSError:
        return False  # it has just been renamed, or removed by another process
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
        return True  # a process of another user
    return True


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def remove(path: Path) -> None:
    """Remove a file or a folder with its content, if it exists. Of a symbolic link, only the link is removed."""
    with suppress(FileNotFoundError):  # another process may be removing it at the same time
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
