"""A training that is killed goes on from its last saved state, to the numbers of one that nothing disturbed."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from stilts.models.model import MultiTaskModel
from stilts.phases.runner import complete
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError
from stilts.training import loop
from stilts.training.loop import train
from stilts.training.state import SavedStates
from stilts.workspace.checkout import Checkout
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import SUITES, open_plan

TARGET = ("target", "nli", "slots")
TRAIN = {**tiny.TRAINING, "evaluate_every": 4, "patience": 9}

# Trains a run in a process of its own, which is killed before the update that it is told.
CHILD = """
import os, signal, sys
sys.path[:0] = {folders!r}
import test_resume
from stilts.training import loop
from stilts.phases.runner import complete
from stilts.tasks.formats.base import EncodedSplit
update = loop._update
def killed(state, *args):
    if state.done == {last}:
        os.kill(os.getpid(), signal.SIGKILL)
    return update(state, *args)
loop._update = killed
here, plan = test_resume.opened({root!r})
complete(test_resume.run_of(plan), plan)
"""


def opened(root: str) -> tuple[Checkout, Plan]:
    """The checkout at a folder, which saves a state after each update."""
    SUITES["pocket"] = lambda folder: tiny.SOURCE
    here = Checkout(Path(root))
    return here, tiny.scheduled(open_plan(here, "tiny"), state_minutes=0)


def run_of(plan: Plan, place: tuple = TARGET):
    (run,) = (run for run in plan.runs if (run.phase, run.condition, run.target) == place)
    return run


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, encoder):
    """A checkout in which the intermediate run is done, on which a target run stands."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
        root = tmp_path_factory.mktemp("prepared") / "checkout"
        here = tiny.checkout(root, encoder, target_training=TRAIN)
        plan = open_plan(here, "tiny")
        prepare(plan)
        complete(run_of(plan, ("intermediate", "nli", None)), plan)
        yield here


@pytest.fixture
def copy(prepared, tmp_path, encoder):
    """A checkout of its own with what was prepared and the intermediate run; saves a state after each update."""
    here = tiny.checkout(tmp_path / "checkout", encoder, target_training=TRAIN)
    here.runs.mkdir()
    for name in ("data", "encoders", "checkpoints", "records"):
        (here.runs / name).mkdir()
        for path in (prepared.runs / name).glob("intermediate-*" if name in ("checkpoints", "records") else "*"):
            (here.runs / name / path.name).symlink_to(path)
    return opened(str(here.root))


@pytest.fixture(scope="module")
def undisturbed(prepared):
    """The record of the target run and its weights, trained without a disturbance and without saved states."""
    plan = open_plan(prepared, "tiny")
    record = complete(run_of(plan), plan)
    weights = prepared.checkpoints.load(record.id)
    assert not prepared.training_folder(record.id).exists()
    return record, weights


def kill_before_update(here: Checkout, last: int) -> None:
    """Train in a process of its own; it dies by SIGKILL when `last` updates are done."""
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    script = CHILD.format(folders=folders, root=str(here.root), last=last)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL


def interrupt_before_update(copy: tuple[Checkout, Plan], last: int) -> Path:
    """Train in this process until `last` updates are done, and return where the states are."""
    here, plan = copy
    update = loop._update

    def interrupted(state, *args):
        if state.done == last:
            raise KeyboardInterrupt
        update(state, *args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "_update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            complete(run_of(plan), plan)
    return here.training_folder(run_of(plan).id)


def finish(copy, undisturbed, caplog) -> list[str]:
    """Complete the run, hold it to the undisturbed one to the bit, and return what was said."""
    (here, plan), (expected, weights) = copy, undisturbed
    with caplog.at_level(logging.INFO):
        record = complete(run_of(plan), plan)
    assert (record.id, record.metrics, record.history) == (expected.id, expected.metrics, expected.history)
    assert (record.provenance.examples, record.provenance.tokens) == (
        expected.provenance.examples, expected.provenance.tokens,
    )  # fmt: skip
    own = here.checkpoints.load(record.id)
    assert own.keys() == weights.keys()
    assert all(torch.equal(own[name], weights[name]) for name in weights)
    assert not here.training_folder(record.id).exists()
    return caplog.messages


@pytest.mark.parametrize("update", [1, 5, 11])  # before, between and after evaluations; the last but one update
def test_a_training_that_was_killed_goes_on_to_equal_weights(copy, undisturbed, caplog, update):
    here, plan = copy
    run = run_of(plan)
    kill_before_update(here, update)
    assert [path.name for path in here.training_folder(run.id).iterdir()] == [f"update-{update}"]
    assert f"{run.id}: training resumes after update {update}, where it was interrupted" in finish(
        copy, undisturbed, caplog
    )


@pytest.mark.parametrize("schedule", [{"pack_batches": True}, {"compile_layers": True}], ids=str)
def test_a_training_of_another_schedule_goes_on_to_equal_weights_too(prepared, copy, caplog, monkeypatch, schedule):
    """What is undisturbed here is another training: dropout draws other numbers."""
    monkeypatch.setattr(MultiTaskModel.compile_layers, "__defaults__", ("aot_eager", None))
    here, plan = copy
    changed = tiny.scheduled(plan, **schedule)
    whole = tiny.scheduled(open_plan(prepared, "tiny"), **schedule)
    whole = replace(whole, checkout=Checkout(prepared.root, runs=here.root / "whole"))
    for name in ("data", "encoders", "checkpoints", "records"):
        shutil.copytree(here.runs / name, here.root / "whole" / name, symlinks=True)
    record = complete(run_of(whole), whole)
    interrupt_before_update((here, changed), 5)
    finish((here, changed), (record, whole.checkout.checkpoints.load(record.id)), caplog)
    provenance = record.provenance
    assert (provenance.packed, provenance.compiled) == ("pack_batches" in schedule, "compile_layers" in schedule)


def test_a_training_may_be_killed_again_and_again(copy, undisturbed, caplog):
    for update in (3, 9):
        kill_before_update(copy[0], update)
    finish(copy, undisturbed, caplog)


def test_a_damaged_state_is_set_aside_and_said_and_the_training_starts_again(copy, undisturbed, caplog):
    folder = interrupt_before_update(copy, 6)
    weights = folder / "update-6" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    said = finish(copy, undisturbed, caplog)
    assert "checkpoint update-6 is damaged; it was set aside as update-6.corrupt-1 and will be made again" in said
    assert f"{folder.name}: the state after update 6 was damaged" in said
    assert not any("resumes after" in line for line in said)


def test_what_a_kill_left_of_a_state_half_written_does_not_matter(copy, undisturbed, caplog):
    part = interrupt_before_update(copy, 6) / ".update-7.part-1"
    part.mkdir()
    (part / "model.safetensors").write_bytes(b"half")
    assert any("resumes after update 6" in line for line in finish(copy, undisturbed, caplog))


def test_a_state_of_another_model_is_refused(copy):
    here, plan = copy
    folder = interrupt_before_update(copy, 2)
    states = Checkpoints(folder)
    tensors, notes = states.load_with_notes("update-2")
    del tensors["weights/heads.slots.norm.weight"]
    states.save("update-3", tensors, {**notes, "done": 3})
    with pytest.raises(StiltsError, match=f"belongs to a model with other weights; remove {folder} to start this"):
        complete(run_of(plan), plan)


def test_nothing_of_a_state_can_run_code(copy):
    """It is safetensors with JSON in its header, and a checksum of both."""
    folder = interrupt_before_update(copy, 5) / "update-5"
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint.json", "model.safetensors"]
    content = (folder / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    notes = json.loads(header["__metadata__"]["notes"])
    assert (notes["done"], notes["batch_tokens"], len(notes["losses"])) == (5, None, 0)
    assert {name.split("/")[0] for name in header if "/" in name} == {"weights", "best", "moments", "random"}


# --- in one process --------------------------------------------------------------------------------------------------


def test_states_are_saved_when_the_last_one_is_old_enough(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    saved = SavedStates(tmp_path / "run", minutes=10)
    state = _NoState()
    for now[0], expected in ((0, []), (599, []), (600, ["update-2"]), (1000, ["update-2"]), (1300, ["update-4"])):
        saved.save_when_due(state)
        assert [path.name for path in tmp_path.glob("run/*")] == expected
        state.done += 1
    saved.forget()
    saved.forget()
    assert not (tmp_path / "run").exists()


class _NoState:
    done = 0

    def tensors(self):
        return {"weight": torch.zeros(2)}

    def notes(self):
        return {"done": self.done}


def test_a_disk_that_is_full_is_said(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(StiltsError, match="cannot write checkpoint .*update-0.*; free disk space and run again"):
        SavedStates(tmp_path / "run", minutes=0).save_when_due(_NoState())


@pytest.mark.parametrize("packs", [False, True])
def test_what_memory_taught_is_not_forgotten(tmp_path, encoder, packs):
    """A training that had to make its passes smaller goes on with small ones, and to the same bits."""
    from sessions import QUICK, ROWS, Session, shrink_memory

    data = tiny.encoded("tagging", *ROWS["tagging"])
    states, histories = [], []
    for stop in (None, 3):
        session = Session(encoder, {"tagging": data}, packs=packs)
        shrink_memory(session, 40)
        saved = SavedStates(tmp_path / str(stop), minutes=0)
        if stop:
            with pytest.raises(KeyboardInterrupt):
                train(session.model, session.tasks, QUICK, seed=1, dev_scores=lambda: {"tagging": 1.0}, saved=saved,
                      progress=_interrupt_at(stop))  # fmt: skip
            session = Session(encoder, {"tagging": data}, packs=packs)
            shrink_memory(session, 40)
        outcome = train(session.model, session.tasks, QUICK, seed=1, dev_scores=lambda: {"tagging": 1.0}, saved=saved)
        states.append(session.state())
        histories.append(outcome.history)
    assert histories[0] == histories[1]
    assert sum("batch_tokens" in point for point in histories[0]) >= 1
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def _interrupt_at(update: int):
    def progress(done: int, total: int) -> None:
        if done == update:
            raise KeyboardInterrupt

    return progress
