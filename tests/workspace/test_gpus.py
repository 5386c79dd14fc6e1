"""GPUs of a machine and the jobs that share them: what the driver says is a script's, all else is real."""

import os

import nbformat
import pytest
from fakes import record_runs
from test_scheduled import opened as opened  # a fixture

from stilts.workspace import scheduling
from stilts.workspace.gpus import PLACES, VISIBLE, Gpu, GpuShares, find_gpus, hold_gpu, share_gpus
from stilts.workspace.notebooks import jobs
from stilts.workspace.plan_report import PlanReport

TWO = "0, GPU-aa11, 81559\n1, GPU-bb22, [N/A]"
A, B = Gpu("GPU-aa11", 81559.0), Gpu("GPU-bb22", None)


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Installs a driver that lists these GPUs."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.delenv(PLACES, raising=False)

    def install(listed: str, code: int = 0) -> None:
        script = tmp_path / "driver" / "nvidia-smi"
        script.parent.mkdir()
        script.write_text(f"#!/bin/sh\ncat << END\n{listed}\nEND\nexit {code}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")

    return install


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, [A, B]),
        ("", []),
        ("1", [Gpu("1", None)]),
        ("1, 0", [Gpu("1", None), Gpu("0", 81559.0)]),
        ("GPU-aa", [Gpu("GPU-aa", 81559.0)]),
        ("MIG-cc33", [Gpu("MIG-cc33", None)]),
        ("0,-1,1", [Gpu("0", 81559.0)]),
        ("0,7,1", [Gpu("0", 81559.0)]),
        ("7", []),
        ("MIG-cc33,7", [Gpu("MIG-cc33", None)]),
    ],
)
def test_gpus_are_those_that_a_process_may_see(visible, found, driver):
    driver(TWO)
    assert find_gpus({} if visible is None else {VISIBLE: visible}) == found


def test_without_a_driver_or_a_device_there_are_no_gpus(driver, monkeypatch):
    driver("No devices were found", code=6)
    assert find_gpus({}) == find_gpus({VISIBLE: "0"}) == []
    monkeypatch.setenv("PATH", "")
    assert find_gpus({}) == find_gpus({VISIBLE: "0"}) == []


@pytest.mark.parametrize(
    ("schedule", "peak", "per_gpu", "at_a_time", "said"),
    [
        ({}, 0.0, 1, 2, "GPUs: 2, 1 job(s) at a time on each; no similar run is recorded"),
        (
            {"jobs_per_gpu": 3}, 20000.0, 3, 6,
            "GPUs: 2, 3 job(s) at a time on each; similar runs used at most 20000 MB of a GPU",
        ),
        (
            {"jobs_per_gpu": 4}, 20000.0, 3, 6,
            "GPUs: 2, 3 job(s) at a time on each, for which memory is short of 4; "
            "similar runs used at most 20000 MB of a GPU",
        ),
        (
            {"jobs_per_gpu": 4}, 90000.0, 1, 2,
            "GPUs: 2, 1 job(s) at a time on each, for which memory is short of 4; "
            "similar runs used at most 90000 MB of a GPU",
        ),
        (
            {"jobs_per_gpu": 4, "processes": 2}, 0.0, 0, 1,
            "GPUs: 2, all for one job at a time; no similar run is recorded",
        ),
    ],
)  # fmt: skip
def test_jobs_share_gpus_as_memory_on_record_allows(opened, schedule, peak, per_gpu, at_a_time, said):
    here, plan = opened("pass", schedule=schedule, seeds=[1, 2])
    first = [run for run in plan.runs if run.seed == 1]
    record_runs(here, first[:1], peak_memory_mb=70000.0, device_kind="cpu")  # of the processor's memory
    if peak:
        record_runs(here, first[1:2], peak_memory_mb=peak, device="NVIDIA H100", device_kind="gpu")
    shares = share_gpus(plan, [A, B])
    assert (shares.per_gpu, shares.jobs, str(shares)) == (per_gpu, at_a_time, said)


def test_without_gpus_nothing_is_shared(opened):
    _, plan = opened("pass")
    assert share_gpus(plan, []) is None


def test_a_plan_says_how_gpus_are_shared(opened, driver):
    driver(TWO)
    _, plan = opened("pass")
    assert str(share_gpus(plan)) in list(PlanReport(plan).lines())


def test_each_job_sees_one_gpu_and_frees_it(opened, driver, monkeypatch):
    driver(TWO)
    monkeypatch.setattr(scheduling, "can_fork", lambda: False)  # as on a machine with GPUs
    here, plan = opened(f"import os; print(os.environ['{VISIBLE}'])", schedule={"jobs_per_gpu": 2})
    record_runs(here, plan.runs)
    scheduling.run_plan(plan, "local", with_book=True)
    pages = [nbformat.read(jobs.find_job_notebook(here, job), 4) for job in plan.jobs]
    assert {page.cells[-1].outputs[0].text.strip() for page in pages} <= {A.name, B.name}
    assert not any(here.in_use(path.stem) for path in (here.runs / "locks").glob("gpu-*"))


def test_jobs_at_a_time_lie_on_different_gpus_first(opened, monkeypatch):
    here, _ = opened("pass")
    places = GpuShares((A, B), 2, 2, 0.0).places
    monkeypatch.setenv(PLACES, ",".join(places))
    monkeypatch.setenv(VISIBLE, "")  # so that it is as before after the test
    seen = []
    with hold_gpu(here):
        seen.append(os.environ[VISIBLE])
        with hold_gpu(here):
            seen.append(os.environ[VISIBLE])
            with hold_gpu(here):
                seen.append(os.environ[VISIBLE])
        with hold_gpu(here):
            seen.append(os.environ[VISIBLE])
    assert seen == [A.name, B.name, A.name, B.name]


def test_a_job_that_was_given_no_place_leaves_gpus_as_they_are(opened, monkeypatch):
    here, _ = opened("pass")
    monkeypatch.delenv(PLACES, raising=False)
    monkeypatch.setenv(VISIBLE, "3")
    with hold_gpu(here):
        assert os.environ[VISIBLE] == "3"
    assert not list((here.runs / "locks").glob("gpu-*"))
