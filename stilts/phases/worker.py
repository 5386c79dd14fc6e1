"""What a process does that trains a model together with others."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from stilts.study.runs import Run

if TYPE_CHECKING:
    pass


def take_part(request: Path) -> None:
    """Train as one of the processes that `train_together` starts, as its request says."""
    from stilts.phases.training import train_run
    from stilts.training.processes import connect
    from stilts.workspace.checkout import Workspace

    content = json.loads(request.read_text())
    run = Run(**content["run"])
    paths = {name: Path(content["paths"][name]) for name in ("root", "runs")}
    workspace = Workspace(**paths, **content["workspace"])
    parent = workspace.checkpoints.load(run.parents[0]) if run.parents else None
    train_run(run, workspace, parent, connect(request.with_name("rendezvous")))
