"""The three phases: each takes a run, does it, and leaves its record.

A run whose record stands is not done again. Its checkpoint may be gone, since target checkpoints are kept only until
their evaluation is recorded; a child that needs it has it made again, with the same numbers.
"""

import logging
from typing import TYPE_CHECKING

from stilts.phases.measures import measure
from stilts.phases.recording import State, clocked_in, write_record
from stilts.phases.training import train_phase
from stilts.phases.zero_shot import evaluate_zero_shot
from stilts.study.records import Record
from stilts.study.runs import Run

if TYPE_CHECKING:

    from stilts.workspace.checkout import Workspace

log = logging.getLogger(__name__)


def complete(run: Run, workspace: "Workspace", plan: dict[str, Run]) -> Record:
    """Return a run's record; do the run first, and what it stands on, where there is none.

    Parameters
    ----------
    plan : dict of str to Run
        All runs by id, the parents of `run` among them.
    """
    store = workspace.store()
    with workspace.lock(run.id):
        if record := store.find(run.id):
            log.info("%s: recorded, not run again", run.id)
            return record
        log.info("%s: runs, since it has no record", run.id)
        return _do(run, workspace, plan)


def _do(run: Run, workspace: "Workspace", plan: dict[str, Run]) -> Record:
    """Do a run from the weights that its parent left, or from the public encoder where it has none."""
    state = _weights(plan[run.parents[0]], workspace, plan) if run.parents else None
    record = _PHASES[run.phase](run, workspace, state)
    if run.parents and not workspace.keep_checkpoints:
        _discard_spent(plan[run.parents[0]], workspace, plan)
    return record


def _discard_spent(parent: Run, workspace: "Workspace", plan: dict[str, Run]) -> None:
    """Remove a target checkpoint once every evaluation of it is recorded: one may serve several, as SQuAD's does."""
    store = workspace.store()
    children = [run for run in plan.values() if parent.id in run.parents]
    if parent.phase == "target" and all(child.id in store for child in children):
        with workspace.lock(parent.id):
            workspace.checkpoints.discard(parent.id)


def _weights(run: Run, workspace: "Workspace", plan: dict[str, Run]) -> State:
    """Return what a run left; do it again where that is gone. The lock keeps others from discarding it meanwhile."""
    with workspace.lock(run.id):
        if not workspace.checkpoints.intact(run.id):
            log.info("%s: runs, since the next phase needs its checkpoint and there is none", run.id)
            _do(run, workspace, plan)
        return workspace.checkpoints.load(run.id)


def _measure_tasks(run: Run, workspace: "Workspace", parent: State | None) -> Record:
    with clocked_in(workspace) as clock:
        metrics, table, work = measure(run, workspace, parent)
    return write_record(run, workspace, metrics, clock, work, table=table)


_PHASES = {
    "pretraining": train_phase, "intermediate": train_phase, "target": train_phase, "zero-shot": evaluate_zero_shot,
    "measure": _measure_tasks,
}  # fmt: skip
