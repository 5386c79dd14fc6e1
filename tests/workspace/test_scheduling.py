"""What runs and why, what is shown meanwhile, and that nothing outlives the command."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fakes import record_runs, wait_until
from nbformat import write as write_notebook
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from processes import lives
from rich.console import Console
from tiny_checkout import ROOT, study_settings, write_checkout, write_study

from stilts.workspace import progress, scheduling
from stilts.workspace.checkout import Checkout
from stilts.workspace.gpus import Gpu, GpuShares
from stilts.workspace.notebooks import jobs, templates
from stilts.workspace.plan import Plan
from stilts.workspace.resolution import open_plan, resolve


@pytest.fixture
def here(tmp_path) -> Checkout:
    return write_checkout(tmp_path / "checkout", study_settings("multilingual-e5-small"))


@pytest.fixture
def plan(here) -> Plan:
    return open_plan(here, "tiny")


def write_page(path: Path, executed: bool = True) -> None:
    cell = new_code_cell("1 + 1", execution_count=1 if executed else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_notebook(new_notebook(cells=[new_markdown_cell("# Page"), cell, new_code_cell("")]), path)


def reasons(here: Checkout, plan: Plan, with_book: bool = False) -> list[str]:
    return list(jobs.explain_runs(plan, plan.recorded(), with_book))


# --- why jobs run ----------------------------------------------------------------------------------------------------


def test_every_job_says_why_it_runs(here, plan):
    first, second, third = plan.jobs
    record_runs(here, plan.runs[:2])
    write_page(jobs.find_job_notebook(here, first))
    missing = f"job {third.id} runs: 1 of its 1 runs have no record"
    assert reasons(here, plan) == [missing]
    assert reasons(here, plan, with_book=True) == [
        f"job {second.id}: all runs are recorded; only its page is written", missing
    ]  # fmt: skip


@pytest.mark.parametrize("phase", ["pretraining", "intermediate", "target", "zero-shot", "measure"])
def test_a_page_of_a_job_is_named_after_all_modules_that_its_template_calls(here, plan, monkeypatch, tmp_path, phase):
    shutil.copy(ROOT / "notebooks" / f"{phase}.ipynb", here.root / "notebooks")
    job = plan.jobs[0].model_copy(update={"phase": phase})
    drawn_by = ("publish/run_pages", "publish/figures/measures", "phases/notebook", "workspace/checkout")
    for name in drawn_by:
        path = tmp_path / "stilts" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.setattr(templates, "PACKAGE", tmp_path / "stilts")
    templates.find_imported_modules.cache_clear()
    names, before = set(), jobs.find_job_notebook(here, job)
    for path in sorted((tmp_path / "stilts").rglob("*.py")):
        path.write_text("# drawn in another way\n")
        if jobs.find_job_notebook(here, job) != before:
            names.add(path.stem)
            before = jobs.find_job_notebook(here, job)
    assert names >= {"run_pages", "notebook"}
    assert ("measures" in names) == (phase == "measure")
    templates.find_imported_modules.cache_clear()


def test_an_analysis_says_why_it_runs(here, plan):
    record_runs(here, plan.runs[:3])
    for job in plan.jobs:
        write_page(jobs.find_job_notebook(here, job))
    template = here.root / "notebooks" / "transfer.ipynb"
    template.write_text("{}")
    assert reasons(here, plan) == []
    why = ["analysis transfer runs: it has no page made from the current notebook, package, studies and records"]
    assert reasons(here, plan, with_book=True) == why
    (analysis,) = jobs.list_analyses(plan)
    write_page(analysis.notebook)
    assert reasons(here, plan, with_book=True) == []
    template.write_text("{ }")
    assert reasons(here, plan, with_book=True) == why
    template.write_text("{}")
    assert reasons(here, plan, with_book=True) == []
    guessing = here.root / "results" / "tiny" / "chance.csv"
    guessing.parent.mkdir(parents=True)
    guessing.write_text("run\n")
    assert reasons(here, plan, with_book=True) == why
    guessing.unlink()
    (here.root / "studies" / "another.yml").write_text("name: another\n")
    assert reasons(here, plan, with_book=True) == why


def test_an_analysis_runs_again_after_another_study_of_this_machine(here, plan):
    """A page may show a live study, whose records stand on this machine alone."""
    (here.root / "notebooks" / "transfer.ipynb").write_text("{}")
    live = write_study(here.root / "live.yml", study_settings("multilingual-e5-small", seeds=[7]))
    first, *rest = open_plan(here, str(live)).runs

    def list_pages() -> dict[str, Path]:
        return jobs.list_pages(open_plan(here, "tiny"), with_book=True)

    before = list_pages()
    record_runs(here, plan.runs)
    assert list_pages() == before  # Snakemake asks for the page before the plan's own records are there
    record_runs(here, [first])
    between = list_pages()
    record_runs(here, rest)
    pages = [before, between, list_pages()]
    assert len({each["analysis transfer"] for each in pages}) == 3
    assert len({each[f"job {plan.jobs[0].id}"] for each in pages}) == 1


def test_chapters_with_a_live_part_say_which_study_it_is(here, plan):
    folder = here.root / "notebooks"
    for name, parameters in {"order": 'study = "order-six"\nlive = "order"', "transfer": 'study = "tiny"'}.items():
        cell = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        write_notebook(new_notebook(cells=[cell]), folder / f"{name}.ipynb")
    (folder / "pages.yml").write_text("order-pilot: {template: order, study: order-pilot, live: ''}\n")
    found = jobs.find_live_questions(plan)
    assert {live: analysis.page for live, analysis in found.items()} == {"order": "order"}


def test_a_page_of_an_older_template_does_not_count(here, plan):
    record_runs(here, plan.runs[:3])
    for job in plan.jobs:
        write_page(jobs.find_job_notebook(here, job))
    template = here.root / "notebooks" / "target.ipynb"
    template.write_text(template.read_text().replace("## Training", "## How it learnt"))
    assert reasons(here, plan, with_book=True) == [
        f"job {plan.jobs[1].id}: all runs are recorded; only its page is written"
    ]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cells": 3}', '{"cells": [{"cell_type": "code"}]}', None])
def test_a_damaged_page_is_set_aside_and_said(here, plan, caplog, damage):
    record_runs(here, plan.runs[:3])
    for job in plan.jobs:
        write_page(jobs.find_job_notebook(here, job))
    page = jobs.find_job_notebook(here, plan.jobs[2])
    if damage is None:
        write_page(page, executed=False)
    else:
        page.write_text(damage)
    assert reasons(here, plan, with_book=True) == [
        f"job {plan.jobs[2].id}: all runs are recorded; only its page is written"
    ]
    assert caplog.messages == [
        f"page {page} is damaged; it was set aside as {page.name}.corrupt-1 and will be written again"
    ]
    assert [path.name for path in page.parent.iterdir()] == [f"{page.name}.corrupt-1"]


def test_a_study_with_nothing_to_do_says_so_and_starts_nothing(here, plan, caplog, monkeypatch):
    record_runs(here, plan.runs[:3])
    monkeypatch.setattr(scheduling, "prepare", None)
    monkeypatch.setattr(scheduling, "_snakemake", None)
    caplog.set_level("INFO")
    scheduling.run_plan(plan, "local")
    for job in plan.jobs:
        write_page(jobs.find_job_notebook(here, job))
    scheduling.run_plan(plan, "local", with_book=True)
    assert caplog.messages == [
        "study tiny: every run is recorded", "study tiny: every run is recorded, every page exists"
    ]  # fmt: skip


def test_a_damaged_checkpoint_is_said_before_anything_runs(here, plan, caplog):
    run_id = plan.runs[0].id
    (here.runs / "checkpoints" / run_id).mkdir(parents=True)
    scheduling._check_checkpoints(plan, plan.pending(record_runs(here, plan.runs[:2])))
    assert caplog.messages == [
        f"checkpoint {run_id} is damaged; it was set aside as {run_id}.corrupt-1 and will be made again"
    ]


def test_the_errors_of_jobs_are_shown_once_each(tmp_path):
    log = tmp_path / "log"
    log.write_text("Building DAG\nerror: disk full\nRuleException\nerror: kernel died\nerror: disk full\n")
    assert scheduling._errors_in(log) == "disk full\nkernel died"
    log.write_text("Building DAG\nProfile is broken\n\n")
    assert scheduling._errors_in(log) == "Snakemake failed: Profile is broken"


SLURM = """
Error in rule notebook:
    message: None
Error in rule notebook:
    message: SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. For further error details see the log files
    jobid: 3
At least one job did not complete successfully.
"""
OF_A_SNAKEFILE = """
UnknownName in file "/checkout/Snakefile", line 17:
unknown study '7'. Known: 007
  File "/checkout/Snakefile", line 17, in <module>
"""


@pytest.mark.parametrize(
    "printed, said",
    [
        (SLURM, "SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. For further error details see the log files"),
        (OF_A_SNAKEFILE, "unknown study '7'. Known: 007"),
        ("", "Snakemake failed: it printed nothing"),
    ],
)
def test_what_snakemake_says_of_a_failure_is_shown(tmp_path, printed, said):
    (tmp_path / "log").write_text(printed)
    assert scheduling._errors_in(tmp_path / "log") == said


JOBS = {
    "an error": ("loading\nerror: disk full\nexit code: 1\n", 0, "disk full"),
    "any exception": ("Traceback\n  File\nValueError: small\nexit code: 1\n", 1, "job a failed: ValueError: small"),
    "a signal": ("loading\nexit code: 137\n", 1, "job a was ended by SIGKILL (signal 9: out of memory?)"),
    "nothing": ("exit code: 3\n", 1, "job a failed: exit code 3, and it printed nothing"),
    "cut off": ("loading\n", 1, "Snakemake failed: the end"),
    "not begun": (None, 1, "Snakemake failed: the end"),
    "snakemake killed": (None, -9, "Snakemake was ended by SIGKILL (signal 9: out of memory?)"),
    "both killed": (
        "exit code: 143\n", 137,
        "Snakemake was ended by SIGKILL (signal 9: out of memory?)\njob a was ended by SIGTERM (signal 15)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("printed, code, said", JOBS.values(), ids=JOBS)
def test_the_log_of_a_job_without_a_page_says_why_it_failed(tmp_path, printed, code, said):
    pages = {f"job {name}": tmp_path / "jobs" / "target-0" / f"{name}.ipynb" for name in "ab"}
    for page in pages.values():
        log = jobs.find_log(page)
        log.parent.mkdir(parents=True, exist_ok=True)
        if printed is not None:
            log.write_text(printed)
    assert jobs.find_log(page) == tmp_path / "logs" / "jobs" / "target-0" / "b.log"
    page.parent.mkdir(parents=True)
    page.touch()  # b is done, whatever its log says
    (tmp_path / "snakemake.log").write_text("At first\nthe end\n")
    assert scheduling._why_failed(code, pages, tmp_path / "snakemake.log") == said


def test_jobs_go_seed_by_seed_and_later_phases_first(here):
    study = here.study("tiny").model_copy(update={"seeds": (4, 2), "intermediates": ("none", "intent")})
    plan = resolve(study, here)
    order = sorted(plan.jobs, key=plan.priority, reverse=True)
    assert [(job.seed, job.phase) for job in order] == [
        (4, "zero-shot"), (4, "zero-shot"), (4, "target"), (4, "target"), (4, "intermediate"),
        (2, "zero-shot"), (2, "zero-shot"), (2, "target"), (2, "target"), (2, "intermediate"),
    ]  # fmt: skip


def test_as_many_jobs_at_once_as_cores_and_memory_allow(plan, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(4)))
    counts = {}
    for memory in (400, 1100, 64000):
        monkeypatch.setattr(scheduling, "find_memory", lambda memory=memory: memory)
        counts[memory] = scheduling.count_jobs_at_once(plan, None)
    assert counts == {400: 1, 1100: 2, 64000: 4}
    two_gpus = GpuShares((Gpu("0", None), Gpu("1", None)), 1, 1, 0.0)
    assert scheduling.count_jobs_at_once(plan, two_gpus) == 2


# --- progress --------------------------------------------------------------------------------------------------------


def test_the_tally_counts_records_and_notes(here, plan):
    first, second, third = [run.id for run in plan.runs]
    tally = progress.Tally(plan)
    assert (tally.count(), str(tally), tally.total) == (0, "tiny: 0 of 3 runs", 95.0)
    record_runs(here, plan.runs[:1])
    here.progress(second)(1, 2)
    (here.runs / "progress" / f"{third}.json").write_text('{"done"')
    assert (tally.count(), str(tally)) == (45 + 30 / 2, "tiny: 1 of 3 runs")
    assert tally.recorded == {first}
    here.progress(second)(2, 2)
    assert tally.count() == 45 + 30 * 0.99


def test_the_tally_of_a_book_counts_analyses(here, plan, tmp_path):
    record_runs(here, plan.runs)
    pages = [tmp_path / "one.ipynb", tmp_path / "two.ipynb"]
    tally = progress.Tally(plan, pages)
    runs = tally.count()
    assert (str(tally), tally.total) == ("tiny: 3 of 3 runs, 0 of 2 analyses", runs + 2 * progress.ANALYSIS_SECONDS)
    pages[1].touch()
    assert tally.count() == runs + progress.ANALYSIS_SECONDS
    assert str(tally) == "tiny: 3 of 3 runs, 1 of 2 analyses"


def test_where_only_warnings_are_logged_no_progress_is_shown(here, plan, monkeypatch, caplog, capsys):
    caplog.set_level("WARNING")
    monkeypatch.setattr(progress, "Tally", None)  # it is not even counted
    with progress.show_progress(plan):
        pass
    assert (caplog.messages, capsys.readouterr()) == ([], ("", ""))


def test_a_terminal_gets_a_bar_with_the_time_left(here, plan, monkeypatch):
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.05)
    record_runs(here, plan.runs[:1])
    screen, stop = io.StringIO(), threading.Event()
    console = Console(file=screen, force_terminal=True, width=100)
    shown = threading.Thread(target=progress._show_bar, args=(progress.Tally(plan), stop, console))
    shown.start()
    wait_until(lambda: "tiny: 1 of 3 runs" in screen.getvalue())
    record_runs(here, plan.runs[:3])
    stop.set()
    shown.join()
    last = screen.getvalue().rpartition("tiny: 3 of 3 runs")[2]
    assert "100%" in last
    assert "left:" in last


def test_without_a_terminal_there_is_a_line_a_minute(here, plan, monkeypatch, caplog, capsys):
    caplog.set_level("INFO")
    with progress.show_progress(plan):
        pass
    assert (caplog.messages, capsys.readouterr()) == ([], ("", ""))
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.05)
    record_runs(here, plan.runs[:1])
    with progress.show_progress(plan):
        wait_until(lambda: caplog.messages)
    assert set(caplog.messages) == {"tiny: 1 of 3 runs, 4 % of the expected time"}
    assert capsys.readouterr().err == ""


# --- nothing outlives the command ------------------------------------------------------------------------------------

GROUP = """
import sys
from pathlib import Path
from stilts.workspace.scheduling import _run_group
script = "import os, subprocess, sys, time; print(os.getpid()); sys.stdout.flush(); time.sleep(100)"
nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])"
sys.exit(_run_group([sys.executable, "-c", nested], Path(sys.argv[1])))
"""


@pytest.fixture
def group(tmp_path):
    """A process that runs a group with a grandchild; returns it and the grandchild's id."""
    log = tmp_path / "log"
    parent = subprocess.Popen([sys.executable, "-c", GROUP, log], stderr=subprocess.PIPE, start_new_session=True)
    wait_until(lambda: log.exists() and log.read_text().strip())
    yield parent, int(log.read_text())
    if parent.poll() is None:
        parent.kill()
    parent.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_group_ends_with_a_parent_that_is_killed(group, number):
    parent, grandchild = group
    assert lives(grandchild)
    os.killpg(parent.pid, number)
    wait_until(lambda: not lives(grandchild))


def test_the_group_ends_after_ctrl_c(group):
    parent, grandchild = group
    os.killpg(parent.pid, signal.SIGINT)
    errors = parent.communicate(timeout=60)[1]
    assert not lives(grandchild)
    assert b"KeyboardInterrupt" in errors


def test_the_group_s_exit_code_is_returned_and_leftovers_end(tmp_path):
    log = tmp_path / "log"
    leftover = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE);"
        "print(child.stdout.readline().decode()); sys.exit(3)"
    )
    assert scheduling._run_group([sys.executable, "-c", script, leftover], log) == 3
    process = int(log.read_text())
    wait_until(lambda: not lives(process), 5)  # the kernel ends a killed process a moment later


def test_notes_are_json_of_done_and_total(here):
    here.progress("run")(3, 4)
    assert json.loads((here.runs / "progress" / "run.json").read_text()) == {"done": 3, "total": 4}
