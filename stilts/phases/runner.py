"""Execution of a run of any phase.

A run with a record is skipped. Its checkpoint may be missing, since target checkpoints are only kept until their
evaluation is recorded; if a child needs it, the run is repeated with the same result.
"""

import logging
from typing import TYPE_CHECKING

from stilts.phases.measures import measure
from stilts.phases.recording import State, clocked, write_record
from stilts.phases.training import train_phase
from stilts.phases.zero_shot import evaluate_zero_shot
from stilts.study.records import Record
from stilts.study.runs import Run

if TYPE_CHECKING:
    from stilts.workspace.plan import Plan

log = logging.getLogger(__name__)


def complete(run: Run, plan: "Plan") -> Record:
    """Return a run's record; without one, execute the run, and its ancestors if their checkpoints are missing.

    Parameters
    ----------
    plan : Plan
        Plan that contains the run.
    """
    store = plan.checkout.store()
    with plan.checkout.lock(run.id):
        if record := store.find(run.id):
            log.info("%s: already recorded, not run again", run.id)
            return record
        log.info("%s: starts, since it has no record", run.id)
        return _do(run, plan)


def _do(run: Run, plan: "Plan") -> Record:
    """Execute a run from its parent's checkpoint, or from the prepared encoder if it has no parent."""
    state = _weights(plan.by_id[run.parents[0]], plan) if run.parents else None
    record = _PHASES[run.phase](run, plan, state)
    if run.parents:
        _discard_spent(plan.by_id[run.parents[0]], plan)
    return record


def _discard_spent(parent: Run, plan: "Plan") -> None:
    """Remove a checkpoint that the study does not keep once all runs that start from it are recorded."""
    if parent.phase in plan.study.schedule.kept_phases:
        return
    store = plan.checkout.store()
    if all(child.id in store for child in plan.runs if parent.id in child.parents):
        with plan.checkout.lock(parent.id):
            plan.checkout.checkpoints.discard(parent.id)


def _weights(run: Run, plan: "Plan") -> State:
    """Return a run's checkpoint; if it is missing, repeat the run. The lock keeps others from discarding it."""
    with plan.checkout.lock(run.id):
        if not plan.checkout.checkpoints.intact(run.id):
            log.info("%s: starts, since the next phase needs its checkpoint, which is missing", run.id)
            _do(run, plan)
        return plan.checkout.checkpoints.load(run.id)


def _measure_tasks(run: Run, plan: "Plan", parent: State | None) -> Record:
    with clocked(plan) as clock:
        metrics, table, work = measure(run, plan.checkout, parent)
    return write_record(run, plan, metrics, clock, work, table=table)


_PHASES = {
    "pretraining": train_phase, "intermediate": train_phase, "target": train_phase, "zero-shot": evaluate_zero_shot,
    "measure": _measure_tasks,
}  # fmt: skip
