"""Folders that a user names for something to be written to: new, and there whole or not at all."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stilts.errors import StiltsError
from stilts.leftovers import part_of, remove_leftovers
from stilts.storage import share


def require_new(folder: Path) -> None:
    """Raise StiltsError if a folder, or a file of that name, exists."""
    if folder.exists():
        raise StiltsError(f"{folder} exists already; name a folder that does not")


@contextmanager
def new_folder(folder: Path, what: str, *errors: type[Exception]) -> Iterator[Path]:
    """Yield a path beside a folder's place, where a folder is to be made; it gets its name when the body has ended.

    Its permissions are those that the umask gives.

    Parameters
    ----------
    what : str
        What is written, for the message.
    errors : exception types
        That tell of a failed write besides OSError.

    Raises
    ------
    StiltsError
        If it cannot be written; nothing of it stays.
    """
    part = part_of(folder.with_name(f".{folder.name}"))
    try:
        remove_leftovers(folder.parent.glob(f".{glob.escape(folder.name)}.part-*"))
        yield part
        share(part)
        os.replace(part, folder)
    except (OSError, *errors) as error:
        raise StiltsError(f"cannot write {what} {folder}: {error}; free space or name another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
