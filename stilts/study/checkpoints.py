"""Checkpoints that phases pass on: a safetensors file and its checksum, written atomically."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stilts.study.errors import StiltsError
from stilts.study.leftovers import remove
from stilts.study.storage import ABSENT, hash_file, make_folder, readable, set_aside, stands

log = logging.getLogger(__name__)

NOTES = "notes"  # key in the header of a safetensors file


class Checkpoints:
    """The checkpoints of one folder, by run id.

    Parameters
    ----------
    root : Path
        Holds a folder for each run: `model.safetensors`, and `checkpoint.json` with its checksum. Everything besides
        tensors is JSON in the safetensors header, so the checksum covers it too.
    """

    def __init__(self, root: Path):
        self.root = root

    def intact(self, run_id: str) -> bool:
        """Return whether a run's checkpoint exists and matches its checksum. A damaged one is set aside and logged.

        Raises
        ------
        StiltsError
            If it cannot be read, because it may still be intact.
        """
        folder = self.root / run_id
        if not stands(folder, "checkpoint"):
            return False
        if _matches(folder):
            return True
        if aside := set_aside(folder):
            log.warning("checkpoint %s is damaged; it was set aside as %s and will be made again", run_id, aside.name)
        return False

    def save(self, run_id: str, state: dict, notes: Mapping[str, Any] | None = None) -> None:
        """Write a state (name -> tensor) and notes of JSON types. The caller must hold the run's lock.

        An existing checkpoint is left unchanged.

        Raises
        ------
        StiltsError
            If the folder cannot be written or is full.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        folder = self.root / run_id
        if folder.exists():
            return
        tensors = {name: tensor.contiguous() for name, tensor in state.items()}
        try:
            with make_folder(folder, alone=True) as part:
                weights = part / "model.safetensors"
                save_file(tensors, weights, {NOTES: json.dumps(notes)} if notes is not None else None)
                (part / "checkpoint.json").write_text(json.dumps({"sha256": hash_file(weights)}))
        except (OSError, SafetensorError) as error:
            raise StiltsError(f"cannot write checkpoint {folder}: {error}; free disk space and run again") from error

    def load(self, run_id: str) -> dict:
        """Return a run's state; StiltsError if there is none."""
        from safetensors.torch import load_file

        if not self.intact(run_id):
            raise StiltsError(f"run {run_id} has no checkpoint in {self.root}")
        return load_file(self.root / run_id / "model.safetensors")

    def load_with_notes(self, run_id: str) -> tuple[dict, dict[str, Any]]:
        """Return a run's state and the notes that were saved with it; StiltsError if there is none."""
        return self.load(run_id), self.notes(run_id)

    def notes(self, run_id: str) -> dict[str, Any]:
        """Return the notes that were saved with a run's state. The checkpoint must be intact.

        Raises
        ------
        TypeError, KeyError, ValueError
            If it was saved without notes, or they are not JSON.
        """
        from safetensors import safe_open

        with safe_open(self.root / run_id / "model.safetensors", framework="pt") as file:
            return json.loads(file.metadata()[NOTES])

    def discard(self, run_id: str) -> None:
        """Remove a run's checkpoint, if there is one. The run's record is kept."""
        remove(self.root / run_id)


def _matches(folder: Path) -> bool:
    try:
        with readable(folder, "checkpoint"):
            expected = json.loads((folder / "checkpoint.json").read_text())["sha256"]
            return hash_file(folder / "model.safetensors") == expected
    except (*ABSENT, ValueError, KeyError, TypeError, RecursionError):
        return False
