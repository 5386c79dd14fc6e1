"""Files that processes and users share: with the permissions that the umask gives, read or said why not, set aside.

What may not be read is not damaged: it may be another user's, and whole. It is never set aside or made again.
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
from stilts.study.leftovers import part_of, remove, remove_leftovers

# What says that a thing is not there; all other errors say that it cannot be read now.
ABSENT = (FileNotFoundError, NotADirectoryError)


class Unreadable(StiltsError):
    """A file that is there and may not or cannot be read, whatever it holds."""


@contextmanager
def readable(path: Path, what: str) -> Iterator[None]:
    """Turn an error of reading into what the user can do; what is absent is raised as it is.

    Raises
    ------
    Unreadable
        If the file or a folder on the way to it may not be read, or the disk cannot read it.
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
        return f"permission denied; ask its owner{_owner(place)} to permit it, or name another folder by STILTS_RUNS"
    return error.strerror or str(error)


def _owner(place: Path) -> str:
    """Return who owns a file or folder that may be looked at, or the first folder above it that may, in brackets."""
    for path in (place, *place.parents):
        try:
            return f" ({path.owner()})"
        except (OSError, KeyError):
            continue
    return ""


def stands(path: Path, what: str) -> bool:
    """Whether a file or folder is there; StiltsError where a folder on the way to it may not be looked into."""
    with readable(path, what):
        return path.exists()


def names_in(folder: Path, suffix: str, what: str) -> set[str]:
    """Return the names, without a suffix, of the files in a folder that end in it; none where there is no folder.

    Raises
    ------
    StiltsError
        If the folder may not be read, or is a file.
    """
    try:
        with readable(folder, what), os.scandir(folder) as found:
            names = (Path(entry.name) for entry in found)
            return {name.stem for name in names if name.suffix == suffix}
    except FileNotFoundError:
        return set()
    except NotADirectoryError:
        raise StiltsError(f"{what} {folder} is or lies in a file, and must be a folder; remove the file, or name "
                          "another folder by STILTS_RUNS") from None  # fmt: skip


def share(folder: Path) -> None:
    """Give a new folder and all in it the permissions that the umask gives new ones.

    Some libraries write files that their owner alone may read, and some folders are copied with those of others.
    """
    mode = _folder_mode(folder)
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            continue
        special = stat.S_IMODE(path.stat().st_mode) & ~0o777
        path.chmod(special | mode if path.is_dir() else mode & 0o666)


def _folder_mode(beside: Path) -> int:
    """Return the permissions of a new folder; the umask itself can only be read by changing it."""
    probe = part_of(beside.with_name(f".{beside.name}.probe"))
    probe.mkdir()
    try:
        return stat.S_IMODE(probe.stat().st_mode) & 0o777
    finally:
        probe.rmdir()


def set_aside(path: Path, mark: str = "corrupt") -> Path | None:
    """Rename a file or folder that cannot be used to the first free `<name>.<mark>-<n>`, and return the new name.

    Returns
    -------
    Path or None
        None where it is gone: another process that met it has set it aside.

    Raises
    ------
    StiltsError
        If the folder does not let it be renamed.
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


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(content: Any) -> str:
    """Return the hexadecimal SHA-256 of what JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def require_new(folder: Path) -> None:
    """Raise StiltsError if a folder, or a file of that name, exists."""
    if folder.exists():
        raise StiltsError(f"{folder} exists already; name a folder that does not")


@contextmanager
def make_folder(folder: Path, alone: bool = False) -> Iterator[Path]:
    """Yield a new folder beside a folder's place; it gets its name, whole and on the disk, when the body has ended.

    Its permissions are those that the umask gives. If the body or the disk fails, nothing of it stays.

    Parameters
    ----------
    alone : bool
        Whether the caller holds a lock on the place. All that was left there is nobody's then, and is removed;
        otherwise only what dead processes have left.

    Raises
    ------
    OSError
        If it cannot be written, or something else stands in its place.
    """
    part = part_of(folder.with_name(f".{folder.name}"))  # in a folder of data all files count but hidden ones
    left = folder.parent.glob(f".{glob.escape(folder.name)}.part-*")
    try:
        if alone:
            for path in left:
                remove(path)
        else:
            remove_leftovers(left)
        shutil.rmtree(part, ignore_errors=True)  # of a dead process that had this one's number
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
    """Make a folder that the user has named, as `make_folder`.

    Parameters
    ----------
    what : str
        What is written, for the message.
    errors : exception types
        That tell of a failed write besides OSError.

    Raises
    ------
    StiltsError
        If it cannot be written.
    """
    try:
        with make_folder(folder) as part:
            yield part
    except (OSError, *errors) as error:
        raise StiltsError(f"cannot write {what} {folder}: {error}; free space or name another folder") from error


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write through a temporary sibling, so that `path` only ever names a whole file."""
    part = part_of(path)
    try:
        write(part)
        _flush(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have a file's bytes on the disk: a name that outlives a power failure must not be that of an empty file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
