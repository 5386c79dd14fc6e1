"""Several processes that train one model: real ones, on the CPU, against one process alone."""

import logging
import os
import signal
import threading
from pathlib import Path

import pytest
import tiny
import torch
from fakes import wait_until

from stilts.phases import launch
from stilts.phases.runner import complete
from stilts.study.errors import StiltsError
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

# A batch of 8 goes through in three or four passes, so that two processes have an unequal number of them.
IN_PASSES = {**tiny.TRAINING, "batch_tokens": 40}
SECONDS = 120  # that a process may take to come or go on a busy machine


@pytest.fixture
def opened(tmp_path, encoder, monkeypatch):
    """Lays out a checkout whose intermediate training takes these settings; its suite and encoder stand."""
    monkeypatch.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)

    def lay_out(name: str, training: dict, tasks: tuple[str, ...] = ("nli", "slots"), **how) -> tuple[Checkout, Plan]:
        condition = {"name": "pair", "tasks": list(tasks)}
        root = tmp_path / name
        here = tiny.checkout(
            root, encoder, intermediates=["none", condition], intermediate_training=training, schedule=how
        )
        plan = open_plan(here, "tiny")
        prepare(plan)
        return here, plan

    return lay_out


def train(here: Checkout, plan: Plan):
    """Do the intermediate run; return its record and its weights."""
    (run,) = (run for run in plan.runs if run.phase == "intermediate")
    record = complete(run, plan)
    return record, here.checkpoints.load(run.id)


def losses(record) -> list[float]:
    return [point["loss"] for point in record.history if "loss" in point]


@pytest.mark.parametrize("packs", [False, True])
def test_two_processes_train_as_one_does_with_dropout_too(opened, packs):
    """Each pass draws from a seed of its own, so that it does not matter which process takes it."""
    alone, weights = train(*opened("alone", IN_PASSES, pack_batches=packs))
    here, plan = opened("together", IN_PASSES, processes=2, state_minutes=0, pack_batches=packs)
    together, shared = train(here, plan)
    assert (alone.provenance.packed, together.provenance.packed) == (packs, packs)
    assert together.id == alone.id
    assert losses(together) == pytest.approx(losses(alone), rel=1e-4)
    assert together.metrics == alone.metrics
    assert [point["update"] for point in together.history] == [point["update"] for point in alone.history]
    assert (together.provenance.examples, together.provenance.tokens) == (
        alone.provenance.examples, alone.provenance.tokens,
    )  # fmt: skip
    assert together.provenance.device == f"2 x {alone.provenance.device}"
    assert weights.keys() == shared.keys()
    # Attention is the same whatever is added to every key: the gradients of keys' biases are rounding alone.
    for name in (name for name in weights if "key.bias" not in name):
        torch.testing.assert_close(shared[name], weights[name], rtol=1e-3, atol=1e-4)
    assert not here.training_folder(together.id).exists()
    assert [list((here.runs / name).iterdir()) for name in ("processes", "progress")] == [[], []]


def test_a_training_ends_early_in_all_processes(opened, caplog):
    """Each batch goes through in one pass, so that the second process has nothing but what it is told."""
    settings = {
        **tiny.TRAINING,
        **{"batch_tokens": 10_000, "evaluate_every": 1, "patience": 2},
        **{"learning_rate": 1e-9, "head_learning_rate": 1e-9},
    }
    with caplog.at_level(logging.INFO):
        record, _ = train(*opened("checkout", settings, processes=2))
    assert [point["update"] for point in record.history if "dev_score" in point] == [1, 2, 3]
    assert "training ends after update 3 of 24: no gain in 2 evaluations" in caplog.messages


def members(here: Checkout) -> dict[int, int]:
    """Return the process ids of those that train, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = ((folder / part).read_bytes() for part in ("cmdline", "environ"))
        except OSError:
            continue
        if str(here.runs / "processes").encode() in command and b"\0RANK=" in environment:
            found[int(environment.split(b"\0RANK=")[1].split(b"\0")[0])] = int(folder.name)
    return found


def test_a_process_that_is_killed_ends_all_and_the_training_goes_on_from_there(opened, caplog):
    """Without a bound for a pass, each takes an equal share of a batch."""
    here, plan = opened("checkout", {**tiny.TRAINING, "epochs": 40}, processes=2, state_minutes=0)
    (run,) = (run for run in plan.runs if run.phase == "intermediate")

    def kill() -> None:
        wait_until(lambda: list(here.training_folder(run.id).glob("update-[0-9]")), SECONDS)
        os.kill(members(here)[1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    message = rf"process 2 of the 2 that train together was ended by SIGKILL .*{run.id}/process-1\.log"
    with pytest.raises(StiltsError, match=message):
        complete(run, plan)
    killer.join()
    assert members(here) == {}
    assert run.id not in here.store()

    alone = tiny.scheduled(plan, processes=1)  # how many processes go on does not matter
    with caplog.at_level(logging.INFO):
        record, _ = train(here, alone)
    assert any("resumes after update" in line for line in caplog.messages)
    assert record.provenance.examples == 40 * 48


def test_a_mistake_in_a_process_is_told_as_if_it_were_the_only_one(opened):
    here, plan = opened("checkout", {**IN_PASSES, "epochs": 0.01}, processes=2)
    with pytest.raises(StiltsError, match="^0.01 epochs are less than one update of 8 examples; raise epochs$"):
        train(here, plan)
    assert members(here) == {}


def test_more_processes_than_gpus_are_refused(opened, monkeypatch):
    here, plan = opened("checkout", IN_PASSES, processes=4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(StiltsError, match="schedule.processes is 4, but this machine has 2 GPUs; lower it to 2"):
        launch.train_together(plan.runs[0], plan)
