"""What a prepared encoder's folder says of itself, and whether it is as it was sealed.

A prepared encoder is an ordinary `transformers` folder with two more files: `stilts.json` (where it comes from, and the
size and SHA-256 of every file) and `texts.npy` (digests of the texts that its vocabulary was trimmed to).
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError
from stilts.study.storage import ABSENT, readable, sha256, stands

if TYPE_CHECKING:
    import numpy as np


MANIFEST = "stilts.json"
TEXTS = "texts.npy"


def read_text_keys(folder: Path) -> "np.ndarray | None":
    """Return the digests of the texts that a prepared encoder takes; None where it takes any."""
    import numpy as np

    manifest = read_manifest(folder)
    if manifest is None:
        raise StiltsError(f"{folder}: not a prepared encoder (no readable {MANIFEST})")
    return np.load(folder / TEXTS, allow_pickle=False) if manifest["trimmed"] else None


def refuse_damaged(folder: Path) -> None:
    """Raise StiltsError where a folder is a prepared encoder, but not as it was sealed."""
    if stands(folder / MANIFEST, "encoder file") and (damage := damage_of(folder)):
        raise StiltsError(f"encoder {folder}: the prepared folder is damaged ({damage}); prepare it again")


def damage_of(folder: Path) -> str | None:
    """What is wrong with a prepared folder, or None."""
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{MANIFEST} is missing or holds something else"
    for name, entry in manifest["files"].items():
        path = folder / name
        with readable(path, "encoder file"):
            if not path.is_file():
                return f"{name} is missing"
            if file_entry(path) != entry:
                return f"{name} does not match its recorded SHA-256"
    return None


def read_manifest(folder: Path) -> dict | None:
    """What a prepared folder says it is for, None where it does not; StiltsError where that may not be read."""
    path = folder / MANIFEST
    try:
        with readable(path, "encoder file"):
            manifest = json.loads(path.read_text(encoding="utf-8"))
    except (*ABSENT, ValueError, RecursionError):
        return None
    complete = isinstance(manifest, dict) and {"encoder", "trimmed", "texts", "files"} <= manifest.keys()
    return manifest if complete and isinstance(manifest["files"], dict) else None


def file_entry(path: Path) -> dict[str, int | str]:
    """Return size and SHA-256 of a file, as a manifest holds them."""
    status = path.stat()
    return {"size": status.st_size, "sha256": _file_sha256(path, status.st_size, status.st_mtime_ns)}


@lru_cache(maxsize=256)
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Digest of a file; size and time of change stand in the key so that a changed file is read again."""
    return sha256(path)
