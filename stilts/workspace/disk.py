"""How much disk a plan takes, and sizes of files in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stilts.models.known_encoders import Shape
from stilts.study.runs import Run
from stilts.study.settings import Study
from stilts.workspace.devices import RECKONED_PHASES
from stilts.workspace.work import count_input_tokens, count_tested_rows, list_run_tasks

BYTES_PER_WEIGHT = 4
STATE_COPIES = 3  # a saved training state holds the weights and AdamW's two moments
SUITE_BYTES = {"xtreme": 1_500_000_000, "pocket": 20_000_000}  # assumed if the suite is not built yet
RECORD_BYTES = 6_000  # per JSON record; mean of study pocket-full
INPUT_BYTES = 15  # per token of question answering and tagging in pilot; classification takes a third of it
PREDICTION_BYTES = 15  # per row, compressed; study pocket-full has 5, but tags and answers take more


@dataclass(frozen=True)
class Disk:
    """Disk space of a study in bytes.

    Attributes
    ----------
    checkpoint : float
        One checkpoint.
    kept : int
        Number of checkpoints that are kept: of pretraining and phase 1, and of phase 2 if the study keeps them.
    passing : int
        Number of checkpoints of phase 2 that are removed once they are evaluated.
    states : float
        Saved states of the trainings that run at the same time.
    suite, encoder, inputs, records : float
    """

    checkpoint: float
    kept: int
    passing: int
    states: float
    suite: float
    encoder: float
    inputs: float
    records: float

    @property
    def least(self) -> float:
        """Bytes if each checkpoint of phase 2 is evaluated before the next one is trained."""
        stays = self.kept + min(1, self.passing)
        return stays * self.checkpoint + self.states + self.suite + self.encoder + self.inputs + self.records

    @property
    def most(self) -> float:
        """Bytes if no checkpoint of phase 2 is evaluated before all are trained."""
        return self.least + max(0, self.passing - 1) * self.checkpoint


def format_size(count: float) -> str:
    """Return a number of bytes in GB, in MB below 1 GB, or in kB below 1 MB."""
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def estimate_disk(runs: Iterable[Run], study: Study, shape: Shape, at_once: int, standing: Mapping[str, int]) -> Disk:
    """Return the disk space that a study needs.

    Parameters
    ----------
    at_once : int
        Jobs that run at the same time.
    standing : mapping of str to int
        Bytes of "suite" and "encoder" if they exist already.
    """
    runs = list(runs)
    evaluated = [run for run in runs if run.phase == "zero-shot"]
    checkpoint = standing.get("encoder", shape.weights * BYTES_PER_WEIGHT)
    trained = [run.phase for run in runs if run.phase in ("pretraining", "intermediate", "target")]
    kept = sum(phase in study.schedule.kept_phases for phase in trained)
    rows = sum(sum(count_tested_rows(run, study).values()) for run in evaluated)
    return Disk(
        checkpoint=checkpoint,
        kept=kept,
        passing=len(trained) - kept,
        states=min(at_once, len(trained)) * STATE_COPIES * checkpoint,
        suite=standing.get("suite", SUITE_BYTES.get(study.data.suite, 0)),
        encoder=checkpoint,
        inputs=_count_shared_tokens(runs, study) * INPUT_BYTES,
        records=len(runs) * RECORD_BYTES + rows * PREDICTION_BYTES,
    )


def _count_shared_tokens(runs: Iterable[Run], study: Study) -> int:
    """Return the tokens of the inputs that runs read; those of one task and encoder are made once for all of them."""
    reckoned = [run for run in runs if run.phase in RECKONED_PHASES]
    sharing = {(run.phase, list_run_tasks(run), run.settings.encoder.model_dump_json()): run for run in reckoned}
    return sum(count_input_tokens(run, study) for run in sharing.values())
