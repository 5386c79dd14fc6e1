"""Files of another user: this process, where it is root's, becomes one for a while."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
PASSABLE = stat.S_IXGRP | stat.S_IXOTH


@contextmanager
def another_user(opened: Path) -> Iterator[None]:
    """Be another user, who may pass through the folders above `opened`: those of tests are closed to others."""
    above = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in opened.parents}
    closed = {folder: mode for folder, mode in above.items() if mode & PASSABLE != PASSABLE}
    for folder, mode in closed.items():
        folder.chmod(mode | PASSABLE)
    os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(0)
        for folder, mode in closed.items():
            folder.chmod(mode)
