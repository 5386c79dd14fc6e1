"""A process that trains a model together with others."""

import json
from pathlib import Path

from stilts.study.runs import Run


def take_part(request: Path) -> None:
    """Train as one of the processes that `train_together` starts, with the run in its request file."""
    from stilts.phases.training import train_run
    from stilts.study.settings import Study
    from stilts.training.processes import connect
    from stilts.workspace.checkout import Checkout
    from stilts.workspace.plan import Plan

    content = json.loads(request.read_text())
    run = Run(**content["run"])
    checkout = Checkout(**{name: Path(folder) for name, folder in content["checkout"].items()})
    plan = Plan(Study(**content["study"]), (run,), content["reference"], checkout)
    parent = checkout.checkpoints.load(run.parents[0]) if run.parents else None
    train_run(run, plan, parent, connect(request.with_name("rendezvous")))
