"""The manifest of a prepared encoder's folder, and checking the folder against it.

A prepared encoder is an ordinary `transformers` folder with two more files: `stilts.json` (the manifest: its origin,
and the size and SHA-256 of every file) and `texts.npy` (digests of the texts to which its vocabulary was trimmed).
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.study.errors import StiltsError
from stilts.study.storage import ABSENT, hash_file, readable, stands

if TYPE_CHECKING:
    import numpy as np


MANIFEST = "stilts.json"
TEXTS = "texts.npy"


def read_text_keys(folder: Path) -> "np.ndarray | None":
    """Return the digests of the texts that a prepared encoder covers; None if it accepts any text."""
    import numpy as np

    manifest = read_manifest(folder)
    if manifest is None:
        raise StiltsError(f"{folder}: not a prepared encoder (no readable {MANIFEST})")
    return np.load(folder / TEXTS, allow_pickle=False) if manifest["trimmed"] else None


def refuse_damaged(folder: Path) -> None:
    """Raise StiltsError if a folder is a damaged prepared encoder."""
    if stands(folder / MANIFEST, "encoder file") and (damage := find_damage(folder)):
        raise StiltsError(f"encoder {folder}: the prepared folder is damaged ({damage}); prepare it again")


def find_damage(folder: Path) -> str | None:
    """Return a description of the damage to a prepared folder, or None."""
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{MANIFEST} is missing or holds something else"
    for name, entry in manifest["files"].items():
        path = folder / name
        with readable(path, "encoder file"):
            if not path.is_file():
                return f"{name} is missing"
            if make_file_entry(path) != entry:
                return f"{name} does not match its recorded SHA-256"
    return None


def read_manifest(folder: Path) -> dict | None:
    """Return the manifest of a folder, None if it is missing or invalid; StiltsError if it cannot be read."""
    path = folder / MANIFEST
    try:
        with readable(path, "encoder file"):
            manifest = json.loads(path.read_text(encoding="utf-8"))
    except (*ABSENT, ValueError, RecursionError):
        return None
    complete = isinstance(manifest, dict) and {"encoder", "trimmed", "texts", "files"} <= manifest.keys()
    return manifest if complete and isinstance(manifest["files"], dict) else None


def make_file_entry(path: Path) -> dict[str, int | str]:
    """Return the manifest entry of a file: its size and SHA-256."""
    status = path.stat()
    return {"size": status.st_size, "sha256": _file_sha256(path, status.st_size, status.st_mtime_ns)}


@lru_cache(maxsize=256)
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Return the SHA-256 of a file; size and modification time make the cache miss for a changed file."""
    return hash_file(path)
