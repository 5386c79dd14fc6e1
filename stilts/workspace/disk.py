"""How much disk a plan takes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stilts.models.known_encoders import Shape
from stilts.study.runs import Run
from stilts.study.settings import Study
from stilts.workspace.work import count_tested_rows

BYTES_PER_WEIGHT = 4
STATE_COPIES = 3  # of the weights, in the saved state of a training: themselves and AdamW's two moments
SUITE_BYTES = {"xtreme": 1_500_000_000, "pocket": 20_000_000}  # assumed where the suite does not stand
RECORD_BYTES = 6_000  # of a JSON record; mean of study pocket-full
PREDICTION_BYTES = 15  # a row, compressed; study pocket-full has 5, tags and answers take more


@dataclass(frozen=True)
class Disk:
    """Bytes that a study takes at once.

    Attributes
    ----------
    checkpoint : float
        One checkpoint.
    kept : int
        Checkpoints that stay: of pretraining and phase 1, and of phase 2 where the study keeps them.
    passing : int
        Checkpoints of phase 2 that go once they are evaluated: so many if none is evaluated before all are trained.
    states : float
        Saved states of the trainings that run at a time.
    suite, encoder, records : float
    """

    checkpoint: float
    kept: int
    passing: int
    states: float
    suite: float
    encoder: float
    records: float

    @property
    def least(self) -> float:
        """Bytes if every checkpoint of phase 2 is evaluated at once."""
        stays = self.kept + min(1, self.passing)
        return stays * self.checkpoint + self.states + self.suite + self.encoder + self.records

    @property
    def most(self) -> float:
        """Bytes if none is evaluated before all are trained."""
        return self.least + max(0, self.passing - 1) * self.checkpoint


def estimate_disk(runs: Iterable[Run], study: Study, shape: Shape, at_once: int, standing: Mapping[str, int]) -> Disk:
    """Return the disk that a study takes.

    Parameters
    ----------
    at_once : int
        Jobs that run at a time.
    standing : mapping of str to int
        Bytes of "suite" and "encoder" where they stand already.
    """
    runs = list(runs)
    evaluated = [run for run in runs if run.phase == "zero-shot"]
    checkpoint = standing.get("encoder", shape.weights * BYTES_PER_WEIGHT)
    first = sum(run.phase in ("pretraining", "intermediate") for run in runs)
    second = sum(run.phase == "target" for run in runs)
    kept = study.schedule.keep_checkpoints
    rows = sum(sum(count_tested_rows(run, study).values()) for run in evaluated)
    return Disk(
        checkpoint=checkpoint,
        kept=first + (second if kept else 0),
        passing=0 if kept else second,
        states=min(at_once, first + second) * STATE_COPIES * checkpoint,
        suite=standing.get("suite", SUITE_BYTES.get(study.data.suite, 0)),
        encoder=checkpoint,
        records=len(runs) * RECORD_BYTES + rows * PREDICTION_BYTES,
    )
