"""Hidden commands, by which Snakemake and jobs start what they need."""

import os
from pathlib import Path

from stilts.cli.shared import Only, Seed, Target, commands, open_named, select
from stilts.workspace.gpus import hold_gpu
from stilts.workspace.notebooks.jobs import run_analysis, run_job


def _stay_offline() -> None:
    """Keep a job, and the kernel that it starts, from asking the Hub, unless the user sets HF_HUB_OFFLINE otherwise.

    All that it needs was prepared before; a compute node without a network would wait for one in vain.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is first imported


@commands.command(hidden=True)
def analysis(study: str, page: str, folder: str | None = None) -> None:
    """Execute one analysis notebook (called by Snakemake)."""
    _stay_offline()
    plan = open_named(study, checked=True)
    run_analysis(plan, page.rsplit("/", 1)[-1], folder)


@commands.command(hidden=True)
def train(request: Path) -> None:
    """Train a run as one of several processes (called by the job that started them)."""
    from stilts.phases.worker import take_part

    take_part(request)


@commands.command(hidden=True)
def job(study: str, job_id: str, only: Only = None, target: Target = None, seed: Seed = None) -> None:
    """Execute one job's notebook (called by Snakemake)."""
    _stay_offline()
    plan = open_named(study, checked=True).narrow(select(only, target, seed))
    with hold_gpu(plan.checkout):
        run_job(plan, job_id)
