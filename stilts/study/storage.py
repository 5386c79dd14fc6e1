"""Files that processes and users share: permissions, reading errors, atomic writing, and setting damaged files aside.

An unreadable file is not a damaged one: it may be another user's and intact. It is never set aside or replaced.
"""

import glob
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stilts.study.errors import StiltsError
from stilts.study.leftovers import name_part, remove, remove_leftovers

# Errors which mean that a path does not exist; all others mean that it cannot be read at present.
ABSENT = (FileNotFoundError, NotADirectoryError)


class Unreadable(StiltsError):
    """A file that exists but cannot be read."""


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn OSErrors into messages that tell the user what to do. Errors in `ABSENT` are raised unchanged.

    Raises
    ------
    Unreadable
        If permissions or the disk do not allow the file or one of its parent folders to be read.
    """
    try:
        yield
    except ABSENT:
        raise
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if error.filename else path
        raise Unreadable(f"{what} {path} cannot be read: {_reason(error, place)}") from None


def _reason(error: OSError, place: Path) -> str:
    if isinstance(error, PermissionError):
        return f"permission denied; ask its owner{_owner(place)} for access, or set STILTS_RUNS to another folder"
    return error.strerror or str(error)


def _owner(place: Path) -> str:
    """Return, in brackets, the owner of a path or of its nearest parent folder whose owner can be determined."""
    for path in (place, *place.parents):
        try:
            return f" ({path.owner()})"
        except (OSError, KeyError):
            continue
    return ""


def stands(path: Path, what: str) -> bool:
    """Return whether a path exists; StiltsError if one of its parent folders cannot be read."""
    with readable(path, what):
        return path.exists()


def list_names(folder: Path, suffix: str, what: str) -> set[str]:
    """Return the stems of the files in a folder that have a suffix; none if the folder does not exist.

    Raises
    ------
    StiltsError
        If the folder cannot be read or is a file.
    """
    try:
        with readable(folder, what), os.scandir(folder) as found:
            names = (Path(entry.name) for entry in found)
            return {name.stem for name in names if name.suffix == suffix}
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        raise StiltsError(f"{what} {folder} must be a folder, but it is or lies in a file; remove the file, or set "
                          "STILTS_RUNS to another folder") from None  # fmt: skip


def share(folder: Path) -> None:
    """Give a new folder and its content the permissions of the umask.

    Some libraries write files that only their owner can read, and copied folders keep their permissions.
    """
    mode = _folder_mode(folder)
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        special = stat.S_IMODE(path.stat().st_mode) & ~0o777
        path.chmod(special | mode if path.is_dir() else mode & 0o666)


def _folder_mode(beside: Path) -> int:
    """Return the permissions of a new folder. The umask itself can only be read by changing it."""
    probe = name_part(beside.with_name(f".{beside.name}.probe"))
    probe.mkdir()
    try:
        return stat.S_IMODE(probe.stat().st_mode) & 0o777
    finally:
        probe.rmdir()


def set_aside(path: Path, mark: str = "corrupt") -> Path | None:
    """Rename an unusable file or folder to the first free `<name>.<mark>-<n>`.

    Returns
    -------
    Path or None
        The new path; None if another process has already set it aside.

    Raises
    ------
    StiltsError
        If it cannot be renamed.
    """
    n = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{mark}-{n}")):
        n += 1
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return None
    except OSError as error:
        if os.path.lexists(aside):  # another process has just taken the name
            return set_aside(path, mark)
        raise StiltsError(f"{path} is {mark} and cannot be set aside: {_reason(error, path.parent)}") from error
    return aside


def hash_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(content: Any) -> str:
    """Return the hexadecimal SHA-256 of a JSON value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def require_new(folder: Path) -> None:
    """Raise StiltsError if a path exists."""
    if folder.exists():
        raise StiltsError(f"{folder} already exists; name a new folder")


@contextmanager
def make_folder(folder: Path, alone: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling folder, which is flushed to disk and renamed to `folder` when the body has ended.

    It gets the permissions of the umask. If the body or the disk fails, it is removed.

    Parameters
    ----------
    alone : bool
        Whether the caller holds a lock on the folder. All leftovers are removed then, otherwise only those of dead
        processes.

    Raises
    ------
    OSError
        If it cannot be written, or the path is already taken.
    """
    part = name_part(folder.with_name(f".{folder.name}"))  # hidden, since data folders count all other files
    left = folder.parent.glob(f".{glob.escape(folder.name)}.part-*")
    try:
        if alone:
            for path in left:
                remove(path)
        else:
            remove_leftovers(left)
        shutil.rmtree(part, ignore_errors=True)  # left by a dead process that had the same id
        part.mkdir(parents=True)
        yield part
        share(part)
        for path in part.rglob("*"):
            if path.is_file():
                _flush(path)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def new_folder(folder: Path, what: str, *errors: type[Exception]) -> Iterator[Path]:
    """Make a folder that the user has named, like `make_folder`.

    Parameters
    ----------
    what : str
        What is written, for the message.
    errors : exception types
        Exceptions besides OSError that mean a failed write.

    Raises
    ------
    StiltsError
        If it cannot be written.
    """
    try:
        with make_folder(folder) as part:
            yield part
    except (OSError, *errors) as error:
        raise StiltsError(f"cannot write {what} {folder}: {error}; free disk space or name another folder") from error


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically, through a temporary sibling."""
    part = name_part(path)
    try:
        write(part)
        _flush(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Flush a file to disk, so that a power failure after its renaming cannot leave an empty file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
