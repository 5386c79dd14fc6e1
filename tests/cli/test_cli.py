"""The command line: what it prints, what it refuses and in which words, and that planning starts nothing."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
import tiny
import yaml
from datasets import load_dataset
from fakes import record_runs
from tiny_checkout import ENCODER, ROOT, study_settings, write_study, write_suite

from stilts.cli import jobs
from stilts.sources.suite import find_faults
from stilts.study.errors import StiltsError
from stilts.study.records import SCORES
from stilts.workspace import plan_report, preparation, resolution, scheduling
from stilts.workspace.checkout import Checkout, find_checkout
from stilts.workspace.forecast import NOTEBOOK_SECONDS
from stilts.workspace.resolution import open_plan


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def record(here: Checkout, count: int, precisions: Sequence[str] = ("",)) -> list[str]:
    """Write records of the first runs of the plan, of which each took 2 seconds and 700 MB."""
    runs = open_plan(here, "tiny").runs[:count]
    for run, precision in zip(runs, itertools.cycle(precisions), strict=False):
        record_runs(here, [run], peak_memory_mb=700.0, precision=precision, device="a processor, 1 thread(s)")
    return [run.id for run in runs]


# --- plan and status -------------------------------------------------------------------------------------------------


def test_plan_prints_runs_time_memory_and_disk_and_starts_nothing(here, door, monkeypatch):
    monkeypatch.setattr(plan_report, "count_jobs_at_once", lambda plan, shares: 2)
    before = files(here.root)
    code, out, err = door("plan", "tiny", "--runs")
    assert (code, err) == (0, "")
    for run in open_plan(here, "tiny").runs:
        assert re.search(rf"{run.phase} .*to do .*\(assumed\).* {re.escape(run.id)} ", out)
    seconds = 45 + 30 + 20 + 3 * NOTEBOOK_SECONDS
    assert out.splitlines()[-4:] == [
        "3 runs, 0 recorded, 3 to do in 3 notebooks",
        f"time: about {seconds:.0f} s on one core, {seconds / 2:.0f} s on this machine with 2 jobs at a time; "
        "assumed for 3 of the runs, since no similar run is recorded",
        "memory: 500 MB reserved per job, 1.0 GB in total; no similar run is recorded",
        "disk: about 4.2 GB: checkpoints of 469 MB each, 1 kept and 1 deleted after evaluation; saved states "
        "2.8 GB, suite 20 MB, encoder 469 MB, inputs 384 kB, records 18 kB",
    ]
    assert files(here.root) == before


def test_plan_knows_what_exists_and_expects_the_rest_from_it(here, door, monkeypatch):
    record(here, 1)
    settings = study_settings(ENCODER, seeds=[1, 2])
    write_study(here.root / "studies" / "tiny.yml", settings)
    code, out, _ = door("plan", "tiny", "--runs")
    states = [line.split("│")[5:7] for line in out.splitlines() if line.count("│") > 6]
    assert code == 0
    assert [(state.strip(), cost.strip()) for state, cost in states if "s" in cost or "recorded" in state] == [
        ("recorded", ""), ("to do", "30 s (assumed)"), ("to do", "20 s (assumed)"),
        ("to do", "2 s"), ("to do", "30 s (assumed)"), ("to do", "20 s (assumed)"),
    ]  # fmt: skip
    assert out.splitlines()[-4] == "6 runs, 1 recorded, 5 to do in 5 notebooks"
    assert out.splitlines()[-2].endswith(
        "similar runs used at most 700 MB, more than reserved: raise schedule.memory_mb"
    )


def test_plan_says_where_records_were_computed_in_several_precisions(here, door):
    record(here, 3, ["bf16", "fp32"])
    _, out, _ = door("plan", "tiny")
    assert "precision: these runs were not all computed in one precision (2 in bf16, 1 in fp32; " in out


@pytest.mark.parametrize(
    "recorded, checkpoints", [(3, "1 kept and 1 deleted"), (4, "1 kept and 1 deleted"), (2, "2 kept and 2 deleted")]
)
def test_the_disk_of_a_plan_is_what_the_runs_without_a_record_take(here, door, recorded, checkpoints):
    """What they go on from counts: a record of it may have come without its checkpoint."""
    write_study(here.root / "studies" / "tiny.yml", study_settings(ENCODER, seeds=[1, 2]))
    record(here, recorded)
    assert f", {checkpoints} after evaluation" in door("plan", "tiny")[1]


def test_plan_sums_up_by_phase_and_condition_and_lists_runs_when_asked(here, door):
    record(here, 1)
    write_study(here.root / "studies" / "tiny.yml", study_settings(ENCODER, seeds=list(range(1, 401))))
    code, out, _ = door("plan", "tiny")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert code == 0
    assert rows == [
        ["intermediate", "intent", "400", "1", "13 min"], ["target", "intent", "400", "0", "3 h"],
        ["zero-shot", "intent", "400", "0", "133 min"],
    ]  # fmt: skip
    assert len(out.splitlines()) < 15


def test_plan_of_a_finished_study_expects_nothing(here, door):
    record(here, 3)
    assert door("plan", "tiny")[1].splitlines()[-1] == "3 runs, 3 recorded, 0 to do in 0 notebooks"


def test_ids_are_not_broken_in_a_pipe(here):
    command = [sys.executable, "-m", "stilts.cli", "plan", "tiny", "--runs"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(run.id in printed for run in open_plan(here, "tiny").runs)


def test_status_tells_running_from_interrupted(here, door):
    first, second, third = [run.id for run in open_plan(here, "tiny").runs]
    record(here, 1)
    here.progress(second)(30, 100)
    here.progress(third)(20, 80)
    with here.lock(second):
        code, out, err = door("status", "tiny")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        f"{second}: 30%, running",
        f"{third}: 25%, interrupted, resumes with the next `stilts run`",
    ]
    left = 30 * 0.7 + 20 * 0.75 + 2 * NOTEBOOK_SECONDS
    assert out.splitlines()[2:] == [f"tiny: 1 of 3 runs recorded, about {left / 60:.0f} core minutes left"]


# --- what is refused -------------------------------------------------------------------------------------------------

UNKNOWN = {
    "study": (None, "unknown study 'tinny'. Did you mean 'tiny'?"),
    "target task": ({"targets": ["intnet"]}, "unknown target task 'intnet'. Did you mean 'intent'?"),
    "intermediate task": ({"intermediates": ["mutli"]}, "unknown intermediate task 'mutli'. Did you mean 'multi'?"),
    "task of a condition": (
        {"intermediates": [{"name": "pair", "tasks": ["nli", "pira"]}]},
        "unknown intermediate task 'pira'. Did you mean 'para'?",
    ),
    "task with own settings": (
        {"per_task": {"slot": {"epochs": 2}}},
        "unknown task or condition of per_task 'slot'. Did you mean 'slots'?",
    ),
    "language": (
        {"data": {"languages": ["en", "dee"]}},
        "unknown language of the pocket suite 'dee'. Did you mean 'de'?",
    ),
    "encoder": (
        {"encoder": {"name": "multilingual-e5-smal"}},
        "unknown encoder 'multilingual-e5-smal'. Did you mean 'multilingual-e5-small'?",
    ),
    "encoder's folder": ({"encoder": {"name": "/no/such/folder"}}, "encoder /no/such/folder: there is no such folder"),
    "suite": ({"data": {"suite": "poket"}}, "unknown suite 'poket'. Did you mean 'pocket'?"),
    "size": ({"data": {"sizes": {"trani": 5}}}, "unknown size of the suite 'trani'. Did you mean 'train'?"),
    "setting": ({"sedes": [1]}, "top level) 'sedes'. Did you mean 'seeds'?"),
    "setting of a block": (
        {"target_training": {"epoch": 2}},
        "target_training) 'epoch'. Did you mean 'epochs'?",
    ),
}


@pytest.mark.parametrize("changes, words", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_name_is_one_line_with_the_nearest(here, door, changes, words):
    if changes:
        write_study(here.root / "studies" / "tiny.yml", study_settings(ENCODER, **changes))
    for command in ("plan", "run", "status", "book"):
        code, out, err = door(command, "tiny" if changes else "tinny")
        assert (code, out) == (1, "")
        assert err.startswith("error: ")
        assert words in err
        assert err.count("\n") == 1
    assert not here.runs.exists()


UNKNOWN_TASKS = {
    "targets": ({"targets": ["intnet"]}, "unknown target task 'intnet'. Did you mean 'intent'? Known: "),
    "intermediates": ({"intermediates": ["mutli"]}, "unknown intermediate task 'mutli'. Did you mean 'multi'? Known: "),
    "measures.tasks": (
        {"measures": {"similarity": {}, "tasks": ["pira"]}},
        "unknown intermediate task 'pira'. Did you mean 'para'? Known: ",
    ),
    "data.borrowed": (
        {"data": {"borrowed": ["mnil"]}}, "unknown intermediate task that can be borrowed 'mnil'. Did you mean 'mnli'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", UNKNOWN_TASKS)
def test_an_unknown_task_is_said_with_file_and_key(here, door, key):
    changes, words = UNKNOWN_TASKS[key]
    path = here.root / "studies" / "tiny.yml"
    write_study(path, study_settings(ENCODER, **changes))
    for named in ("tiny", path):
        code, out, err = door("plan", named)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"error: {path}: {key}: {words}")


def test_an_unknown_profile_gives_the_nearest(here, door):
    code, _, err = door("run", "tiny", "--profile", "slrum")
    assert (code, err) == (1, "error: unknown Snakemake profile 'slrum'. Did you mean 'slurm'? Known: local, slurm\n")


def test_an_unknown_analysis_or_job_is_refused(here, door):
    (here.root / "notebooks" / "transfer.ipynb").write_text("{}")
    assert door("analysis", "tiny", "transfr")[2].startswith("error: unknown analysis 'transfr'. Did you mean 'transf")
    code, _, err = door("job", "tiny", "target-intent-s1-0000000000")
    assert (code, err) == (
        1,
        "error: study 'tiny' has no job target-intent-s1-0000000000; its file changed after the plan was made\n",
    )


@pytest.mark.parametrize("command", ["job", "analysis"])
@pytest.mark.parametrize("given, offline", [(None, "True"), ("0", "False")])
def test_what_snakemake_starts_does_not_ask_the_hub(here, door, monkeypatch, command, given, offline):
    asked = []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    if given is not None:
        monkeypatch.setenv("HF_HUB_OFFLINE", given)
    question = [sys.executable, "-c", "from huggingface_hub import constants; print(constants.HF_HUB_OFFLINE)"]
    monkeypatch.setattr(jobs, f"run_{command}", lambda *_: asked.append(subprocess.check_output(question, text=True)))
    assert door(command, "tiny", "any")[0] == 0
    assert asked == [f"{offline}\n"]


def test_an_unknown_option_gives_the_nearest(here, door):
    code, _, err = door("run", "tiny", "--profil", "local")
    assert code == 2
    assert "--profile" in err


WRONG = {
    "type": ({"seeds": ["one"]}, r"seeds\.0: Input should be a valid integer.* \(got 'one'\)"),
    "value": ({"target_training": {"epochs": -1}}, r"target_training\.epochs: .* greater than 0 \(got -1\)"),
    "own setting": ({"per_task": {"slots": {"epochs": "x"}}}, r"per_task\.slots: epochs: .* valid number.*\(got 'x'\)"),
    "size": ({"data": {"sizes": {"test": -5}}}, r"sizes\.test: Input should be greater than 0"),
    "missing": ({"targets": []}, "targets: .* at least 1 item"),
}


@pytest.mark.parametrize("changes, words", WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_one_line(here, door, changes, words):
    write_study(here.root / "studies" / "tiny.yml", study_settings(ENCODER, **changes))
    code, out, err = door("run", "tiny")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert re.search(words, err)


@pytest.mark.parametrize("text", ["name: [", "- a\n- b\n", ""])
def test_a_file_that_is_no_study_is_refused(here, door, text):
    path = here.root / "studies" / "tiny.yml"
    path.write_text(text)
    code, out, err = door("plan", "tiny")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert str(path) in err
    assert "Traceback" not in err


def test_a_study_is_called_as_its_file(here, door):
    write_study(here.root / "studies" / "other.yml", study_settings(ENCODER))
    code, _, err = door("plan", "other")
    assert (code, err) == (
        1,
        f"error: {here.root}/studies/other.yml: name is 'tiny', but a study in studies/ is named after its file\n",
    )


def test_a_missing_study_file_is_said(here, door):
    code, _, err = door("plan", "nowhere/mine.yml")
    assert (code, err) == (1, "error: cannot read study file nowhere/mine.yml: No such file or directory\n")


def test_outside_a_checkout_it_is_said(tmp_path, door, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = door("plan", "tiny")
    assert (code, err) == (
        1,
        f"error: {tmp_path} is not inside a checkout of the study (no folder up to / has studies/ and _toc.yml)\n",
    )


# --- a study from elsewhere ------------------------------------------------------------------------------------------


def test_a_study_is_opened_by_name_or_by_path(here, tmp_path):
    named = here.root / "studies" / "tiny.yml"
    elsewhere = shutil.copy(named, tmp_path / "mine.yml")
    os.chdir(tmp_path)
    assert here.study("tiny") == here.study(str(elsewhere))
    assert here.reference("tiny") == "tiny"
    assert here.reference(str(named)) == "tiny"
    assert here.reference("mine.yml") == str(tmp_path / "mine.yml")


def test_folders_are_relative_to_the_checkout_wherever_the_command_is_given(here, door, monkeypatch):
    tiny.write_unread_encoder(here.root / "models" / "fake")
    write_study(here.root / "studies" / "tiny.yml", study_settings("models/fake"))
    monkeypatch.setenv("STILTS_RUNS", "elsewhere")
    from_root = door("plan", "tiny")
    monkeypatch.chdir(here.root / "notebooks")
    assert door("plan", "tiny") == from_root
    assert from_root[0] == 0
    assert find_checkout().runs == here.root / "elsewhere"


# --- export ----------------------------------------------------------------------------------------------------------


def test_a_suite_is_exported_for_others(here, door, tmp_path):
    write_suite(here, open_plan(here, "tiny"))
    code, out, err = door("export-suite", "tiny", tmp_path / "suite")
    assert (code, err) == (0, "")
    assert out == f"load it with: datasets.load_dataset('{tmp_path}/suite', 'intent.en')\n"
    assert find_faults(tmp_path / "suite") == []
    code, _, err = door("export-suite", "tiny", tmp_path / "suite")
    assert (code, err) == (1, f"error: {tmp_path}/suite already exists; name a new folder\n")
    exported = load_dataset(str(tmp_path / "suite"), "intent.de", cache_dir=str(tmp_path / "cache"))
    first = {"sentence1": "schalte lüfter nummer 600 auf on", "label": 1, "template": "0", "meaning": "on 600"}
    assert exported["test"][0] == first


def test_an_export_that_cannot_be_written_leaves_nothing(here, door, tmp_path):
    write_suite(here, open_plan(here, "tiny"))
    (tmp_path / "file").write_text("")
    code, _, err = door("export-suite", "tiny", tmp_path / "file" / "suite")
    assert code == 1
    assert re.search(r"error: cannot write suite .*/file/suite: .*; free disk space or name another folder\n", err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkout", "file"]


def test_a_damaged_suite_is_set_aside_and_built_again(here, door, tmp_path):
    sizes = {"train": 12, "intermediate_train": 12, "validation": 6, "test": 4, "retrieval": 150, "mining": 20}
    settings = study_settings(ENCODER, data={"languages": ["en", "de"], "sizes": sizes})
    write_study(here.root / "studies" / "tiny.yml", settings)
    folder = write_suite(here, open_plan(here, "tiny"))
    damaged = folder / "intent.de" / "test-00000-of-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    code, _, err = door("export-suite", "tiny", tmp_path / "suite")
    assert code == 0
    assert err == (
        f"warning: {folder}: incomplete or damaged suite (intent.de/{damaged.name} differs from what was written); "
        f"set aside as {folder}.broken-1 and built again\n"
    )
    assert find_faults(folder) == find_faults(tmp_path / "suite") == []


# --- parameters of a notebook ----------------------------------------------------------------------------------------


MISTAKES = {
    "name": ("epoks", "2", "unknown parameter of target.ipynb 'epoks'. Did you mean 'epochs'? Known: "),
    "value": ("epochs", "x", "parameter target_training.epochs: Input should be a valid number, unable to parse "),
    "condition": ("condition", "intnet", "unknown condition of study 'tiny' 'intnet'. Did you mean 'intent'? Known: "),
}


@pytest.mark.parametrize("name, value, words", MISTAKES.values(), ids=MISTAKES)
def test_papermill_ends_a_wrong_parameter_in_one_line(here, name, value, words):
    """It says before which notebooks it reads and writes, but no traceback."""
    given = {"study": "tiny", "condition": "intent", name: value}
    command = [
        sys.executable, "-m", "papermill", "--engine", "stilts", "notebooks/target.ipynb", "x.ipynb",
        *(part for each in given.items() for part in ("-p", *each)), "--no-progress-bar",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    (line,) = [line for line in done.stderr.splitlines() if "notebook" not in line.lower().split(":")[0]
               and "unknown parameter:" not in line]  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith(f"error: {words}")


# --- places that cannot be written -----------------------------------------------------------------------------------


def test_a_runs_folder_that_cannot_be_written_is_said(here, door, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("STILTS_RUNS", str(tmp_path / "file"))
    for command in ("run", "prepare", "book"):
        code, out, err = door(command, "tiny")
        assert (code, out, err) == (
            1, "", f"error: cannot write to {tmp_path}/file/locks: Not a directory; "
            "free disk space, or set STILTS_RUNS to another folder\n",
        )  # fmt: skip
    assert (tmp_path / "file").read_text() == "mine"
    code, out, err = door("plan", "tiny")
    assert (code, out) == (1, "")
    assert "must be a folder, but it is or lies in a file; remove the file, or set STILTS_RUNS to another folder" in err


def test_a_study_is_planned_once_for_a_command(here, door, monkeypatch):
    planned = []
    whole = resolution.plan_runs
    monkeypatch.setattr(resolution, "plan_runs", lambda *given: planned.append(1) or whole(*given))
    monkeypatch.setattr(preparation, "build_suite", lambda *_: None)
    monkeypatch.setattr(preparation, "prepare_encoder", lambda *_: None)
    assert door("prepare", "tiny")[0] == 0
    assert planned == [1]


def test_a_log_that_cannot_be_written_is_said(here, door, monkeypatch):
    monkeypatch.setattr(scheduling, "prepare", lambda *_: None)
    (here.runs / "snakemake-tiny.log").mkdir(parents=True)
    code, _, err = door("run", "tiny")
    assert code == 1
    assert err.splitlines()[-1] == (
        f"error: cannot write {here.runs}/snakemake-tiny.log: Is a directory; set STILTS_RUNS to another folder"
    )


def test_a_note_of_progress_that_cannot_be_written_is_said(here):
    (here.runs / "progress" / "run.json").mkdir(parents=True)
    with pytest.raises(StiltsError, match=r"cannot write to .*/progress: Is a directory; free disk space"):
        here.progress("run")(1, 2)


def test_settings_of_studies_that_are_committed_are_planned(here, door):
    """In a checkout without records, which take longer to read than a plan to make."""
    studies = shutil.copytree(ROOT / "studies", here.root / "studies", dirs_exist_ok=True)
    for path in sorted(studies.glob("*.yml")):
        assert yaml.safe_load(path.read_text())["name"] == path.stem
        code, out, err = door("plan", path.stem)
        assert (code, err) == (0, "")
        assert re.search(r"^[1-9]\d* runs, 0 recorded, [1-9]\d* to do in [1-9]\d* notebooks$", out, re.MULTILINE)


def test_a_damaged_record_is_set_aside_and_said(here, door, caplog):
    run_id = record(here, 1)[0]
    path = here.runs / "records" / f"{run_id}.json"
    path.write_text(json.dumps(json.loads(path.read_text())).replace("50.0", "90.0"))
    code, out, _ = door("plan", "tiny")
    assert code == 0
    assert "3 runs, 0 recorded" in out
    assert caplog.messages == [
        f"record {path} does not match its checksum; it was set aside as {run_id}.json.corrupt-1, and the run will be "
        "repeated"
    ]


# --- record ----------------------------------------------------------------------------------------------------------


def test_what_a_suite_says_of_itself_is_recorded_with_the_runs(here, door):
    record(here, 3)
    suite = write_suite(here, open_plan(here, "tiny"))
    code, out, _ = door("record", "tiny")
    folder = here.root / "results" / "tiny"
    assert code == 0
    assert out.startswith("3 of 3 records, ")
    assert {path.name for path in folder.iterdir()} == {"records", SCORES, "suite.json"}
    assert json.loads((folder / "suite.json").read_text()) == json.loads((suite / "suite.json").read_text())


def test_a_finished_part_is_recorded_and_joins_what_was(here, door):
    write_study(here.root / "studies" / "tiny.yml", study_settings(ENCODER, seeds=[1, 2]))
    plan = open_plan(here, "tiny")
    write_suite(here, plan)
    first, second = ([run for run in plan.runs if run.seed == seed] for seed in (1, 2))
    assert (len(first), len(second)) == (3, 3)
    record_runs(here, second)
    code, _, err = door("record", "tiny")
    assert code == 1
    assert err.startswith(f"error: run {first[0].id} has no record in ")
    assert door("record", "tiny", "--seed", "2")[1].startswith("3 of 6 records, ")
    folder = here.root / "results" / "tiny"
    assert recorded(folder) == {run.id for run in second}
    record_runs(here, first)
    shutil.rmtree(folder)
    for seed, known in (("2", second), ("1", plan.runs)):
        assert door("record", "tiny", "--seed", seed)[0] == 0
        assert recorded(folder) == {run.id for run in known}


def recorded(folder: Path) -> set[str]:
    scored = set(pd.read_csv(folder / SCORES)["run"])
    found = {path.stem for path in (folder / "records").iterdir()}
    assert scored == {name for name in found if name.startswith("zero-shot")}
    return found
