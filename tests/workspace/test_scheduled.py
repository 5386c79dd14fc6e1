"""Real runs of Snakemake over pages that compute nothing: what it is asked for, and what is said when it fails."""

import os
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from fakes import record_runs
from nbformat.v4 import new_code_cell, new_notebook
from tiny_checkout import study_settings, write_checkout, write_study

from stilts.study.errors import StiltsError
from stilts.workspace import scheduling
from stilts.workspace.checkout import Checkout
from stilts.workspace.notebooks import jobs
from stilts.workspace.notebooks.forked_kernels import KERNEL, can_fork
from stilts.workspace.plan import Plan, Selection
from stilts.workspace.resolution import open_plan

ODD = "x [1] {wildcards.job} {y} 'q' $HOME"
PARAMETERS = 'study = ""  # a study\ncondition = ""  # one\nseed = 0  # one\ntargets = ""  # some'
RECORD = """
from pathlib import Path
from fakes import record_runs
from stilts.workspace.checkout import find_checkout
from stilts.workspace.resolution import open_plan
here = find_checkout()
plan = open_plan(here, study)
place = (PHASE, condition, seed)
record_runs(here, [run for run in plan.runs if (run.phase, run.condition, run.seed) == place])
"""

LOG = "Executing notebook with kernel: python3\n"  # of a job in which nothing was amiss
RECORD_TARGETS = RECORD.replace("== place]", "== place and (not targets or run.target in targets.split(','))]")


def write_template(here: Checkout, name: str, source: str, parameters: str = PARAMETERS) -> None:
    cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}, id="a"), new_code_cell(source, id="b")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(content, here.root / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Lays out a checkout whose phases run this code, and prepares nothing."""
    monkeypatch.setattr(scheduling, "prepare", lambda *_: None)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))

    def lay_out(source: str, root: Path = tmp_path / "checkout", **changes) -> tuple[Checkout, Plan]:
        here = write_checkout(root, study_settings("multilingual-e5-small", **changes))
        for phase in ("intermediate", "target", "zero-shot"):
            write_template(here, phase, source.replace("PHASE", repr(phase)))
        monkeypatch.chdir(root)
        name = changes.get("name", "tiny")
        return here, open_plan(here, name)

    return lay_out


def test_names_are_taken_as_they_are(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("STILTS_RUNS", str(tmp_path / "runs {z} [2]"))
    monkeypatch.delenv("HOME", raising=False)
    here, plan = opened(RECORD, tmp_path / ODD, name="007")
    record_runs(here, plan.runs[:2])
    scheduling.run_plan(plan, "local")
    assert all(run.id in here.store() for run in plan.runs)
    assert [jobs.find_job_notebook(here, job).exists() for job in plan.jobs] == [False, False, True]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ODD, "runs {z} [2]"])


def test_a_selection_is_run_alone_and_the_rest_later(opened):
    here, plan = opened(RECORD_TARGETS, intermediates=["none", "nli"], targets=["intent", "slots"])
    scheduling.run_plan(plan.narrow(Selection(("nli",), ("slots",))), "local")
    assert {run.slug for run in plan.runs if run.id in here.store()} == {
        "intermediate-nli-s1", "target-nli.slots-s1", "zero-shot-nli.slots-s1",
    }  # fmt: skip
    scheduling.run_plan(plan, "local")
    assert plan.recorded() == plan.by_id.keys()


def test_a_book_mends_pages_of_runs_whose_analyses_stand(opened):
    here, plan = opened("pass")
    record_runs(here, plan.runs)
    write_template(here, "transfer", "1 + 1", "")
    pages = [jobs.find_job_notebook(here, job) for job in plan.jobs]
    (analysis,) = jobs.list_analyses(plan)
    for page in (*pages, analysis.notebook):
        page.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(), page)
    written = analysis.notebook.stat().st_mtime_ns

    pages[1].write_text(pages[1].read_text()[:20])
    write_template(here, "zero-shot", "'other words'")
    scheduling.run_plan(plan, "local", with_book=True)
    assert all(jobs.find_job_notebook(here, job).exists() for job in plan.jobs)
    assert jobs.find_job_notebook(here, plan.jobs[2]) != pages[2]
    assert analysis.notebook.stat().st_mtime_ns == written  # it reads records alone


def test_a_book_stands_though_another_study_records_meanwhile(opened):
    """Runs of the other study end between what Snakemake is asked for and the analysis that it starts."""
    here, plan = opened(f"{RECORD}record_runs(here, open_plan(here, 'other').runs)")
    write_study(here.root / "studies" / "other.yml", study_settings("multilingual-e5-small", name="other", seeds=[7]))
    write_template(here, "transfer", "print(out)", "out = ''  # a folder")
    scheduling.run_plan(plan, "local", with_book=True)
    (analysis,) = jobs.list_analyses(plan)
    (printed,) = nbformat.read(analysis.notebook, 4).cells[-1].outputs
    assert printed.text == f"{analysis.notebook.parent.relative_to(here.root)}\n"
    (now,) = jobs.list_analyses(open_plan(here, "tiny"))
    assert not now.notebook.exists()


def test_a_job_that_is_killed_is_named(opened):
    scratch = "os.environ['JUPYTER_RUNTIME_DIR']"  # ends in the job's process id
    here, plan = opened(f"import os, signal; os.kill(int({scratch}.rpartition('-')[2]), signal.SIGKILL)")
    record_runs(here, plan.runs[:2])
    message = rf"^job {plan.jobs[2].id} was ended by SIGKILL \(signal 9: out of memory\?\)\nFinished runs are kept"
    with pytest.raises(StiltsError, match=message):
        scheduling.run_plan(plan, "local")


@pytest.mark.skipif(not can_fork(), reason="kernels of this machine cannot be forked")
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_of_one_thread_are_forked(opened, threads):
    here, plan = opened("import sys; print(sys.orig_argv[3])", schedule={"threads_per_job": threads})
    record_runs(here, plan.runs)
    scheduling.run_plan(plan, "local", with_book=True)
    pages = [nbformat.read(jobs.find_job_notebook(here, job), 4) for job in plan.jobs]
    module = "stilts.workspace.notebooks.kernel_server" if threads == 1 else KERNEL
    assert [page.cells[-1].outputs[0].text for page in pages] == [f"{module}\n"] * 3
    assert [jobs.find_log(jobs.find_job_notebook(here, job)).read_text() for job in plan.jobs] == [LOG] * 3


@pytest.mark.parametrize("with_book", [False, True])
def test_what_snakemake_was_asked_for_is_counted(opened, monkeypatch, with_book):
    here, plan = opened("pass")
    record_runs(here, plan.runs[:2])
    monkeypatch.setattr(scheduling, "_snakemake", lambda *_: None)
    lacking = f"record {plan.runs[2].id}"
    if with_book:
        lacking += "".join(f", page {jobs.find_job_notebook(here, job)}" for job in plan.jobs)
    message = (
        f"Snakemake reported no error, but some of its outputs are missing: {lacking}; run the same command again. "
        f"Logs of its jobs: {here.runs}/logs"
    )
    with pytest.raises(StiltsError, match=f"^{re.escape(message)}$"):
        scheduling.run_plan(plan, "local", with_book=with_book)


def test_a_signal_that_ends_snakemake_is_named(opened):
    here, plan = opened("pass")
    killer = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    (here.root / "Snakefile").write_text(killer)
    with pytest.raises(StiltsError, match=r"^Snakemake was ended by SIGKILL \(signal 9: out of memory\?\)\nFinished"):
        scheduling.run_plan(plan, "local")
    assert list((here.runs / "home").iterdir())  # what it needed of a home is ours


@pytest.mark.parametrize(
    "executor, remedy", [("slurm", r"-c constraints.txt -e '.\[slurm\]'"), ("lsf", "snakemake-executor-plugin-lsf")]
)
def test_a_profile_whose_executor_is_not_installed_says_how_to_install_it(opened, monkeypatch, executor, remedy):
    here, plan = opened("pass")
    path = here.root / "profiles" / "slurm" / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "executor": executor}))
    monkeypatch.setattr(scheduling, "find_spec", lambda _: None)  # the tests' environment has that of slurm
    message = f"{path}: executor '{executor}' needs the package snakemake-executor-plugin-{executor}, .*{remedy}$"
    with pytest.raises(StiltsError, match=message):
        scheduling.run_plan(plan, "slurm")
    assert not here.runs.exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("executor: [", "{path} is not valid YAML: .*line 2, column 1"),
        ("\x00", "{path} is not valid YAML: .*control characters"),
        ("cores: 1\ncores: 2", "{path} is not valid YAML: key 'cores' occurs twice"),
        ("- a", "Snakemake profile {path}: must map settings to values"),
    ],
)
def test_a_profile_that_is_no_profile_is_said(opened, text, message):
    here, plan = opened("pass")
    path = here.root / "profiles" / "local" / "config.yaml"
    path.write_text(text)
    with pytest.raises(StiltsError, match=f"^{message.format(path=path)}"):
        scheduling.run_plan(plan, "local")


def test_leftovers_of_killed_processes_are_removed_when_a_study_starts(opened):
    here, plan = opened(RECORD)
    dead = os.spawnv(os.P_NOWAIT, "/bin/true", ["true"])
    os.waitpid(dead, 0)
    left = here.runs / "records" / "x.json"
    own = jobs.find_job_notebook(here, plan.jobs[0])
    from stilts.study.leftovers import name_part

    parts = [name_part(path) for path in (left, own)]
    gone = [part.with_name(part.name.replace(str(os.getpid()), str(dead))) for part in parts]
    for part in (*parts, *gone):
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    record_runs(here, plan.runs)
    scheduling.run_plan(plan, "local")
    assert [part.exists() for part in (*parts, *gone)] == [True, True, False, False]
