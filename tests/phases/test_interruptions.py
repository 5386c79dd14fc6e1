"""A study that is interrupted, damaged, or short of space goes on with the same command to the same numbers.

The whole machinery is real: the command line in its own processes, Snakemake, papermill and Jupyter kernels. Only the
encoder and the study are tiny.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from fakes import wait_until
from processes import command_line, descendants, lives, session
from tiny_checkout import study_settings, write_checkout, write_suite

from stilts.phases.runner import complete
from stilts.sources.suite import read_manifest
from stilts.study.checkpoints import Checkpoints
from stilts.study.errors import StiltsError
from stilts.study.records import Store
from stilts.study.storage import hash_file
from stilts.workspace.checkout import Checkout
from stilts.workspace.notebooks.forked_kernels import KERNEL
from stilts.workspace.plan import Plan
from stilts.workspace.preparation import prepare
from stilts.workspace.resolution import open_plan

PATIENCE = 300  # seconds that a step may take on a machine that is busy with other work
SERVER = "stilts.workspace.notebooks.kernel_server"
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"  # as for a user who has not activated the environment


def checkout(root: Path, encoder: Path, **changes) -> tuple[Checkout, Plan]:
    """Lay out a checkout with a tiny study and its suite."""
    here = write_checkout(root, study_settings(encoder, **changes))
    plan = open_plan(here, "tiny")
    write_suite(here, plan)
    return here, plan


def do_all(here: Checkout, plan: Plan) -> None:
    """Do a study's runs in this process, undisturbed."""
    prepare(plan)
    for run in plan.runs:
        complete(run, plan)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, encoder) -> Store:
    """The records of a study whose runs were done one after the other in this process."""
    here, plan = checkout(tmp_path_factory.mktemp("undisturbed") / "checkout", encoder)
    do_all(here, plan)
    return here.store()


def assert_same_results(store: Store, expected: Store) -> None:
    """Metrics, history and predictions must be equal to the last bit."""
    records = {record.id: record for record in expected}
    assert {record.id for record in store} == records.keys()
    for record in store:
        assert (record.metrics, record.history) == (records[record.id].metrics, records[record.id].history)
        if record.predictions_sha256:
            pd.testing.assert_frame_equal(
                store.predictions(record.id), expected.predictions(record.id), check_exact=True
            )


# --- processes -------------------------------------------------------------------------------------------------------


class Command:
    """A `stilts` command in a process group of its own, as a terminal starts it."""

    def __init__(self, here: Checkout, *arguments: str):
        self.runs = here.runs
        self.output = here.root / f"output-{time.monotonic_ns()}"
        environment = {**os.environ, "PATH": PLAIN_PATH}
        environment.pop("STILTS_RUNS", None)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stilts.cli", *arguments], cwd=here.root, env=environment,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def wait_for(self, pattern: str) -> list[Path]:
        """Wait until a file of this pattern is in the runs folder."""
        wait_until(lambda: list(self.runs.glob(pattern)) or self.process.poll() is not None, PATIENCE)
        assert self.process.poll() is None, f"it ended before {pattern} was there:\n{self.printed}"
        return list(self.runs.glob(pattern))

    def signal(self, number: int) -> int:
        """Send a signal to the command's process group, as Ctrl-C does; return its exit code, when nothing is left."""
        started = descendants(self.process.pid)
        os.killpg(self.process.pid, number)
        code = self.wait()
        wait_until(lambda: not any(map(lives, started)), PATIENCE)
        return code

    def lose_power(self) -> None:
        """Kill the command and all that it has started at the same instant."""
        if self.process.poll() is None:
            for process in [*descendants(self.process.pid), self.process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        self.wait()

    def started(self, module: str) -> int:
        """Wait until the command has started a process of this Python module; return the only one's id."""

        return self._only(lambda: self._processes(module), module)

    def started_kernel(self) -> int:
        """Wait until the command has a kernel, which a server forks where it can; return the only one's id."""

        def found() -> list[int]:
            children = [each for server in self._processes(SERVER) for each in descendants(server)]
            # What the server imports may start processes as well, as ctypes does `ldconfig`; they lead no session.
            return [each for each in children if session(each) == each] + self._processes(KERNEL)

        return self._only(found, "a kernel")

    def _processes(self, module: str) -> list[int]:
        return [each for each in descendants(self.process.pid) if f"-m\0{module}\0" in command_line(each)]

    def _only(self, found: Callable[[], list[int]], what: str) -> int:
        seen: list[list[int]] = []  # what was found last: it may have ended since
        wait_until(lambda: seen.append(found()) or seen[-1] or self.process.poll() is not None, PATIENCE)
        assert self.process.poll() is None, f"it ended without starting {what}:\n{self.printed}"
        (process,) = seen[-1]
        return process


@pytest.fixture
def start() -> Iterator[Callable[..., Command]]:
    """Starts commands; those that a failed test leaves behind are killed."""
    commands: list[Command] = []

    def start_one(*arguments) -> Command:
        commands.append(Command(*arguments))
        return commands[-1]

    yield start_one
    for command in commands:
        command.lose_power()


# --- interruptions ---------------------------------------------------------------------------------------------------


def test_a_study_that_is_interrupted_again_and_again_ends_with_the_same_numbers(tmp_path, encoder, undisturbed, start):
    here, plan = checkout(tmp_path / "checkout", encoder)
    study = str(shutil.move(here.root / "studies" / "tiny.yml", tmp_path / "tiny.yml"))  # from elsewhere, by its path

    preparing = start(here, "prepare", study)
    preparing.wait_for("encoders/.*")
    assert preparing.signal(signal.SIGKILL) == -signal.SIGKILL

    first = start(here, "run", study)
    first.wait_for("progress/intermediate-*.json")
    first.lose_power()

    second = start(here, "run", study)
    second.wait_for("progress/target-*.json")
    assert second.signal(signal.SIGINT) == 130
    assert second.printed.endswith("interrupted; finished runs are kept, and the same command resumes from there\n")
    assert second.printed.startswith("job intermediate-")

    third = start(here, "run", study)
    third.started_kernel()  # a file of the second's progress may still be there, so none is waited for
    os.kill(third.started("snakemake"), signal.SIGSTOP)  # a page appears, and Snakemake does not come to note it
    third.wait_for("jobs/target-*/*.ipynb")
    assert third.signal(signal.SIGKILL) == -signal.SIGKILL

    fourth = start(here, "run", study)
    fourth.wait_for("progress/zero-shot-*.json")
    os.kill(fourth.started_kernel(), signal.SIGKILL)
    assert fourth.wait() == 1
    assert "error: zero-shot.ipynb: the kernel died" in fourth.printed
    assert re.findall(r"^job (\S+?)-intent-", fourth.printed, re.MULTILINE) == ["zero-shot"]
    assert "Traceback" not in fourth.printed

    both = [start(here, "run", study), start(here, "run", study)]
    assert [command.wait() for command in both] == [0, 0], [command.printed for command in both]
    worked, waited = sorted(both, key=lambda command: "study-tiny is in use" in command.printed)
    assert "job zero-shot-" in worked.printed
    assert "study-tiny is in use by another process; waiting for it" in waited.printed
    assert "study tiny: every run is recorded\n" in waited.printed

    assert_same_results(here.store(), undisturbed)
    assert [path.name for path in here.runs.rglob("*.part-*")] == []
    again = start(here, "run", study)
    assert again.wait() == 0
    assert again.printed.startswith("study tiny: every run is recorded\n")
    assert again.printed.endswith("--by language\n")


# --- damage ----------------------------------------------------------------------------------------------------------


def test_what_is_damaged_between_two_calls_is_set_aside_and_made_again(tmp_path, encoder, undisturbed, start):
    here, plan = checkout(tmp_path / "checkout", encoder)
    do_all(here, plan)
    first, _, third = plan.jobs
    record = here.runs / "records" / f"{third.runs[0].id}.json"
    checkpoint = here.runs / "checkpoints" / first.runs[0].id
    prepared = here.encoder_folder(plan.runs[0])
    for path in (record, checkpoint / "model.safetensors", prepared / "model.safetensors"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    command = start(here, "run", "tiny")
    assert command.wait() == 0, command.printed
    for line in (
        f"record {record} cannot be read (JSONDecodeError); it was set aside as {record.name}.corrupt-1",
        f"checkpoint {checkpoint.name} is damaged; it was set aside as {checkpoint.name}.corrupt-1 and will be made "
        "again",
        f"{prepared} is damaged (model.safetensors does not match its recorded SHA-256); it was set aside as",
        f"job {third.id} runs: 1 of its 1 runs have no record",
    ):
        assert line in command.printed
    assert re.findall(r"^job (\S+)", command.printed, re.MULTILINE) == [third.id]  # what is recorded needs no page here
    assert_same_results(here.store(), undisturbed)


def test_an_empty_test_set_is_said(tmp_path, encoder):
    here, plan = checkout(tmp_path / "checkout", encoder, intermediates=["none"])
    suite, name = here.suite_folder(plan.runs[0]), "intent.de/test-00000-of-00001.parquet"
    pq.write_table(pq.read_table(suite / name).slice(0, 0), suite / name)
    manifest = (suite / "suite.json").read_text()
    (suite / "suite.json").write_text(manifest.replace(read_manifest(suite)["files"][name], hash_file(suite / name)))
    with pytest.raises(StiltsError, match=rf"{suite}, intent\.de, test: no rows; a split needs at least one"):
        do_all(here, plan)
    assert [record.run.phase for record in here.store()] == ["target"]


# --- space -----------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory at a folder; skips where this user may not mount one."""
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder]).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.fixture
def filled(tmp_path, encoder, monkeypatch) -> Iterator[tuple[Checkout, Plan]]:
    """A checkout whose runs lie on a small disk, with the encoder prepared."""
    disk = tmp_path / "disk"
    with mounted(disk, "size=16m"):
        monkeypatch.setenv("STILTS_RUNS", str(disk))
        here, plan = checkout(tmp_path / "checkout", encoder)
        prepare(plan)
        yield here, plan


def leave_free(disk: Path, size: int) -> None:
    """Fill a disk but for so many bytes."""
    status = os.statvfs(disk)
    with (disk / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(0, status.f_bavail * status.f_frsize - size)))


@pytest.mark.parametrize("free", [0, 0.5, 1.5])  # in checkpoints: full at the first note, the first one, the second
def test_a_full_disk_is_said_and_after_space_is_made_the_same_command_finishes(filled, undisturbed, free):
    here, plan = filled
    checkpoint = undisturbed.root.parent / "checkpoints" / plan.runs[0].id / "model.safetensors"
    leave_free(here.runs, round(free * checkpoint.stat().st_size))
    with pytest.raises(StiltsError, match=r"cannot (write|be written).*(No space left|os error 28)"):
        do_all(here, plan)
    assert [path.name for path in here.runs.rglob("*.part-*")] == []
    for run in plan.runs:  # what keeps its final name is whole
        assert here.store().find(run.id) is None or here.checkpoints.intact(run.id)
    (here.runs / "ballast").unlink()
    do_all(here, plan)
    assert_same_results(here.store(), undisturbed)
    assert list(here.runs.rglob("*.corrupt-*")) == []


def test_a_disk_without_room_for_the_encoder_is_said(tmp_path, encoder, monkeypatch):
    disk = tmp_path / "disk"
    with mounted(disk, "size=120k"):
        monkeypatch.setenv("STILTS_RUNS", str(disk))
        here, plan = checkout(tmp_path / "checkout", encoder)
        with pytest.raises(StiltsError, match=r"encoders/tiny-\w+: cannot be written .*free disk space and allow"):
            prepare(plan)
        assert list((here.runs / "encoders").iterdir()) == []
        remount(disk, "size=16m")
        prepare(plan)
        assert here.encoder_folder(plan.runs[0]).exists()


def test_a_read_only_disk_is_said(tmp_path, encoder, monkeypatch):
    disk = tmp_path / "disk"
    with mounted(disk, "size=1m"):
        monkeypatch.setenv("STILTS_RUNS", str(disk))
        here, plan = checkout(tmp_path / "checkout", encoder)
        remount(disk, "ro")
        with pytest.raises(StiltsError, match=f"cannot write to {disk}/locks: Read-only file system; free disk"):
            prepare(plan)


def test_a_checkpoint_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "checkpoints").write_text("")
    import torch

    with pytest.raises(StiltsError, match=r"cannot write checkpoint .*/checkpoints/run: .*; free disk space and run"):
        Checkpoints(tmp_path / "checkpoints").save("run", {"weight": torch.zeros(2)})


def test_what_killed_processes_left_of_a_checkpoint_is_removed(tmp_path):
    import torch

    left = tmp_path / ".run.part-1"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    Checkpoints(tmp_path).save("run", {"weight": torch.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert Checkpoints(tmp_path).load("run")["weight"].tolist() == [0, 0]
