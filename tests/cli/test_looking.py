"""Commands that look: what they print of a checkout whose records are faked, as tables and as JSON."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from faked_study import fill
from fakes import ORIGIN, record_runs
from tiny_checkout import ENCODER, ROOT, study_settings, write_study

from stilts import __version__
from stilts.analysis.opened import open_analysis
from stilts.analysis.score_tables import Difference, Score, average_scores, compare_conditions
from stilts.cli import tables
from stilts.cli.shared import complete_study, print_scores, print_table
from stilts.study.records import Record, publish
from stilts.workspace.checkout import Checkout
from stilts.workspace.forecast import NOTEBOOK_SECONDS
from stilts.workspace.record_report import RecordReport
from stilts.workspace.resolution import open_plan
from stilts.workspace.studies import list_planned

LANGUAGES = ("en", "de", "fi")  # of the fixture `filled`


def cells(printed: str) -> list[list[str]]:
    """Return the cells of the rows of a printed table, without its head."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]


def heads(printed: str) -> list[list[str]]:
    """Return the heads of printed tables."""
    return [[cell.strip() for cell in line.split("┃")[1:-1]] for line in printed.splitlines() if line.startswith("┃")]


# --- of all commands -------------------------------------------------------------------------------------------------


def test_the_version_is_printed(door):
    assert door("--version") == (0, f"stilts {__version__}\n", "")


def test_loud_and_quiet_exclude_each_other(door):
    code, out, err = door("-v", "-q", "studies")
    assert (code, out) == (2, "")
    assert "--verbose and --quiet exclude each other" in err


@pytest.mark.parametrize("options, level", [((), "INFO"), (("-v",), "DEBUG"), (("-q",), "WARNING")])
def test_how_much_is_logged(here, door, caplog, options, level):
    assert door(*options, "studies")[0] == 0
    assert logging.getLevelName(logging.getLogger().level) == level


@pytest.mark.parametrize(
    "typed, completed", [("sco", ["scores"]), ("plan ti", ["tiny"]), ("compare --ta", ["--target"]), ("plan x", [])]
)
def test_a_shell_completes_commands_studies_and_options(here, monkeypatch, typed, completed):
    words = ["stilts", *typed.split()]
    monkeypatch.setenv("_STILTS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    done = subprocess.run([sys.executable, "-m", "stilts.cli"], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (completed, "")


def test_nothing_is_completed_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert complete_study("") == []


ROWS = [["target-en-then-ru.command-qa-s1-0123456789", "31.2*", "+0.5 to +11.2", "a title of several words"]]


@pytest.mark.parametrize("columns, title", [
    (None, [ROWS[0][3]]), ("0", [ROWS[0][3]]), ("200", [ROWS[0][3]]), ("86", ["a title of", "several words"]),
    ("40", ["a title", "of", "several", "words"]),
])  # fmt: skip
def test_a_table_breaks_between_words_of_a_text_alone(monkeypatch, capsys, columns, title):
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    print_table(("run", "score", "95 % interval", "title"), ROWS)
    printed = capsys.readouterr().out
    assert cells(printed) == [[*ROWS[0][:3], title[0]], *(["", "", "", words] for words in title[1:])]
    assert printed.splitlines()[1].split("┃")[2:4] == [" score ", " 95 % interval "]


# --- studies ---------------------------------------------------------------------------------------------------------


def test_studies_are_listed_with_what_is_recorded(filled, door):
    plan = open_plan(filled, "tiny")
    for run in plan.runs[3:]:
        for path in filled.runs.glob(f"records/{run.id}.*"):
            path.unlink()
    publish(filled.store(), [plan.runs[0].id], filled.root / "results" / "tiny")
    other = study_settings(ENCODER, name="other", title="Another [one]", recorded_as="tiny")
    write_study(filled.root / "studies" / "other.yml", other)
    write_study(filled.root / "studies" / "wrong.yml", study_settings(ENCODER, name="wrong", targets=["intnet"]))
    code, out, err = door("studies")
    assert (code, err) == (0, "")
    assert cells(out)[:2] == [["other", "Another [one]", "3", "0", "0"], ["tiny", "A tiny study", "18", "1", "3"]]
    name, error, *counts = cells(out)[2]
    assert (name, counts) == ("wrong", ["", "", ""])
    path = filled.root / "studies" / "wrong.yml"
    assert error.startswith(f"error: {path}: targets: unknown target task 'intnet'. Did you mean 'intent'? Known: ")


def test_of_every_study_the_runs_count_that_its_plan_has_on_record(filled, door):
    whole = filled.study("tiny").model_dump(mode="json")
    few, absent = {**whole, "name": "few", "seeds": [1]}, {"suite": "xtreme", "folder": "no-data"}
    write_study(filled.root / "studies" / "few.yml", few)
    write_study(filled.root / "studies" / "tiny.yml", {**whole, "evaluation": {"examples": 7}})
    away = study_settings(ENCODER, name="away", data=absent, targets=["xnli"], intermediates=["none", "mnli"])
    write_study(filled.root / "studies" / "away.yml", away)
    planned = open_plan(filled, "tiny")
    counts = {name: (runs, here) for name, _, runs, _, here in cells(door("studies")[1])}
    assert counts == {"away": ("5", "0"), "few": ("9", "9"), "tiny": ("18", str(len(planned.recorded())))}
    assert len(planned.recorded()) == 10  # its trainings, which the new evaluation leaves as they were


def test_studies_are_printed_as_json(filled, door):
    code, out, _ = door("studies", "--json")
    assert code == 0
    assert json.loads(out) == [
        {"name": "tiny", "title": "A tiny study", "planned": 18, "recorded": 0, "here": 18, "error": ""}
    ]


def test_runs_are_counted_as_they_are_planned():
    here = Checkout(ROOT)
    for name in ("pocket", "order", "distance", "architecture", "adapters", "complexity"):
        planned = [run.slug for run in open_plan(here, name).runs]
        assert [run.slug for run in list_planned(here.study(name))] == planned


# --- scores and differences ------------------------------------------------------------------------------------------


def test_scores_are_shown_by_condition_and_target(filled, door):
    found = {(each.condition, each.target): each.score for each in average_scores(open_analysis(filled, "tiny"))}
    code, out, err = door("scores", "tiny")
    assert (code, err) == (0, "")
    assert cells(out) == [
        [name, f"{found[name, 'intent']:.1f}", f"{found[name, 'slots']:.1f}"] for name in ("none", "nli")
    ]
    assert out.splitlines()[1].split("┃")[1:-1] == [" condition ", " intent ", " slots "]
    assert out.splitlines()[-1] == "percent, mean over languages besides English and over seeds"


def test_scores_are_shown_by_language(filled, door):
    found = average_scores(open_analysis(filled, "tiny"), by_language=True)
    score = {(each.target, each.language, each.condition): f"{each.score:.1f}" for each in found}
    out = door("scores", "tiny", "--by", "language")[1]
    assert cells(out) == [
        [target, code, score[target, code, "none"], score[target, code, "nli"]]
        for target in ("intent", "slots")
        for code in ("de", "en", "fi")
    ]
    assert out.splitlines()[-1] == "percent, mean over seeds"


def test_scores_that_cannot_be_set_beside_others_are_marked(capsys):
    sound = Score("none", "intent", 51.25, 40, 3, learned=True)
    print_scores([sound, replace(sound, condition="nli", seeds=1, learned=False, fewer_seeds=True)])
    printed = capsys.readouterr().out
    assert cells(printed) == [["none", "51.2"], ["nli", "51.2*~"]]
    assert printed.splitlines()[-2:] == [
        "* not learned in English: the score says nothing about transfer",
        "~ mean over fewer seeds than another condition has",
    ]


def test_scores_are_printed_as_json(filled, door):
    (first, *_) = average_scores(open_analysis(filled, "tiny"))
    printed = json.loads(door("scores", "tiny", "--json")[1])
    assert [(row["condition"], row["target"]) for row in printed] == [
        ("none", "intent"), ("none", "slots"), ("nli", "intent"), ("nli", "slots"),
    ]  # fmt: skip
    assert printed[0] == {
        "condition": "none", "target": "intent", "score": first.score, "languages": 2, "seeds": 2, "learned": True,
        "language": None, "fewer_seeds": False,
    }  # fmt: skip


def test_scores_without_records_say_what_to_run(here, door):
    code, out, err = door("scores", "tiny")
    assert (code, out) == (1, "")
    assert err == "error: study 'tiny' has no zero-shot records yet; run `stilts run tiny` first\n"


def test_a_difference_is_shown_with_its_interval(filled, door):
    intent, slots, whole = compare_conditions(open_analysis(filled, "tiny"), "nli", "none")
    code, out, err = door("compare", "tiny", "nli", "none")
    assert (code, err) == (0, "")
    shown = [[row[0], row[1], row[2], row[6], row[7]] for row in cells(out)]
    assert shown == [
        ["intent", f"{intent.first:.1f}", f"{intent.second:.1f}", "2", "2"],
        ["slots", f"{slots.first:.1f}", f"{slots.second:.1f}", "2", "2"],
        ["mean of 2 targets", "", "", "2", "2"],
    ]
    assert cells(out)[2][3].replace("\N{MINUS SIGN}", "-") == f"{whole.difference:+.1f}"
    assert cells(out)[2][4].replace("\N{MINUS SIGN}", "-") == f"{whole.low:+.1f} to {whole.high:+.1f}"
    printed = json.loads(door("compare", "tiny", "nli", "none", "--target", "slots", "--json")[1])
    assert [(row["target"], row["difference"], row["low"]) for row in printed] == [
        ("slots", slots.difference, slots.low)
    ]


def test_a_difference_says_what_it_leaves_out():
    counted = Difference("intent", 1.0, 2.0, -1.0, -2.0, 0.0, 0.05, 1, 3, 1, True, same_task=True)
    left = replace(counted, target="slots", same_task=False, uncounted="its baseline is at the ceiling")
    mean = replace(counted, target=None, first=None, second=None, targets=2)
    rows = tables.show_differences([counted, left, mean], "nli", "none")[1]
    assert [row[0] for row in rows] == ["intent (same task)", "slots*", "mean of 2 targets, same task included"]
    assert tables.explain_differences([counted, left, mean]) == [
        tables.ABOUT_DIFFERENCES, tables.ONE_SEED, "* in no mean: its baseline is at the ceiling",
    ]  # fmt: skip
    assert tables.explain_differences([replace(counted, seeds=2)]) == [tables.ABOUT_DIFFERENCES]


def test_a_difference_is_shown_on_each_of_the_targets_that_are_named(filled, door):
    intent, slots, _ = compare_conditions(open_analysis(filled, "tiny"), "nli", "none")
    named = ("--target", "slots", "--target", "intent", "--target", "slots")
    code, out, err = door("compare", "tiny", "nli", "none", *named, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == [asdict(slots), asdict(intent)]
    code, out, err = door("compare", "tiny", "nli", "none", "--target", "slots", "--target", "intnet")
    assert (code, out) == (1, "")
    assert err == (
        "error: unknown target that both 'nli' and 'none' were tested on 'intnet'. Did you mean 'intent'? "
        "Known: intent, slots\n"
    )


def test_scores_in_english_alone_name_the_option_that_shows_them(filled, door):
    write_study(
        filled.root / "studies" / "english.yml",
        study_settings(ENCODER, name="english", intermediates=["none"], targets=["intent"], data={"languages": ["en"]}),
    )
    fill(filled, "english", languages=("en",))
    code, out, err = door("scores", "english")
    assert (code, out) == (1, "")
    assert err == (
        "error: study 'english' has no score in a language other than English; `--by language` shows English\n"
    )
    assert door("scores", "english", "--by", "language")[0] == 0


DECISIVE = ("COLUMNS", "PYTHONIOENCODING", "PYTHONUTF8")  # for what a command prints
NOT_UTF8 = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("given", NOT_UTF8.values(), ids=NOT_UTF8)
def test_an_output_that_is_not_utf8_has_plain_signs(filled, door, given):
    printed = door("compare", "tiny", "nli", "none")[1]
    command = [sys.executable, "-m", "stilts.cli", "compare", "tiny", "nli", "none"]
    inherited = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    done = subprocess.run(command, capture_output=True, check=False, env=inherited | given)
    head, _, *rows = [line for line in done.stdout.decode("ascii").splitlines() if line.startswith("|")]
    assert (done.returncode, done.stderr) == (0, b"")
    assert "nli - none" in head
    assert [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows] == [
        [cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in cells(printed)
    ]


@pytest.mark.parametrize("given", NOT_UTF8.values(), ids=NOT_UTF8)
def test_json_keeps_what_an_output_cannot_encode(filled, given):
    titled = study_settings(ENCODER, name="titled", title="Lääne \N{EN DASH} \N{SNOWMAN}")
    write_study(filled.root / "studies" / "titled.yml", titled)
    inherited = {name: value for name, value in os.environ.items() if name not in DECISIVE}
    command = [sys.executable, "-m", "stilts.cli", "studies", "--json"]
    done = subprocess.run(command, capture_output=True, check=False, env=inherited | given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)[1]["title"] == titled["title"]


def test_a_condition_that_cannot_be_compared_gives_the_nearest(filled, door):
    code, out, err = door("compare", "tiny", "nlj", "none")
    assert (code, out) == (1, "")
    assert err == (
        "error: unknown condition with zero-shot records of study 'tiny' 'nlj'. Did you mean 'nli'? Known: nli, none\n"
    )


# --- one record ------------------------------------------------------------------------------------------------------


def test_a_record_is_shown_with_what_it_rests_on(filled, door):
    run = next(run for run in open_plan(filled, "tiny").runs if run.slug == "target-nli.intent-s1")
    code, out, err = door("show", "target-nli.intent-s1")
    assert (code, err) == (0, "")
    path = filled.runs / "records" / f"{run.id}.json"
    assert cells(out)[:14] == [
        ["encoder.name", ENCODER], ["encoder.fingerprint", run.settings.encoder.fingerprint], ["suite", "pocket"],
        ["condition.name", "nli"], ["condition.tasks", "nli"], ["training.examples", "200"], ["training.epochs", "2"],
        ["training.batch_size", "4"], ["training.learning_rate", "0.0002"], ["training.head_learning_rate", "0.002"],
        ["training.max_length", "128"], ["training.frozen_layers", "0"], ["training.dev_examples", "20"],
        ["en", "80", "200", "10"],
    ]  # fmt: skip
    lines = out.splitlines()
    assert lines[0] == run.id
    assert heads(out)[1][:3] == ["language", "English dev accuracy, percent", "n"]
    assert "9 further settings have their defaults; `--json` shows them" in lines
    assert f"starts from: {run.parents[0]}" in lines
    assert ["seconds", "12.50"] in cells(out)
    assert lines[-2:] == [f"record: {path}", f"sha256: {json.loads(path.read_text())['sha256']}"]


def test_a_record_is_printed_as_json(filled, door):
    run = next(run for run in open_plan(filled, "tiny").runs if run.slug == "zero-shot-nli.intent-s2")
    record = filled.store().get(run.id)
    folder = filled.runs / "records"
    printed = json.loads(door("show", run.id, "--json")[1])
    assert printed["settings"]["languages"] == list(LANGUAGES)
    assert printed["provenance"].pop("packages.torch") == "2.13.0"
    del printed["settings"], printed["provenance"]
    assert printed == {
        "id": run.id, "phase": "zero-shot", "condition": "nli", "target": "intent", "seed": 2,
        "parents": list(run.parents), "data": run.data, "metrics": record.metrics,
        "score_names": {"score": "test accuracy, percent"}, "history": [], "at_chance": [],
        "file": str(folder / f"{run.id}.json"),
        "sha256": json.loads((folder / f"{run.id}.json").read_text())["sha256"],
        "predictions": str(folder / f"{run.id}.parquet"), "predictions_sha256": record.predictions_sha256,
    }  # fmt: skip


def test_all_settings_of_a_record_are_printed_as_json(filled, door):
    run = next(run for run in open_plan(filled, "tiny").runs if run.slug == "target-nli.intent-s1")
    held = json.loads((filled.runs / "records" / f"{run.id}.json").read_text())["record"]["run"]["settings"]
    assert json.loads(door("show", run.id, "--json")[1])["settings"] == {
        **{f"encoder.{key}": value for key, value in held["encoder"].items()},
        "suite": "pocket",
        **{f"condition.{key}": value for key, value in held["condition"].items()},
        **{f"training.{key}": value for key, value in held["training"].items()},
    }
    assert held["training"]["learning_rate"] == 2e-4


def test_dev_scores_of_a_training_are_shown_without_its_losses(filled, door):
    run = open_plan(filled, "tiny").runs[0].model_copy(update={"seed": 7})
    noted = [{"update": 1.0, "loss": 0.5}, {"update": 2.0, "loss": 0.4}, {"update": 2.0, "dev_score": 61.5}]
    filled.store().write(Record(run=run, metrics={}, history=noted, at_chance=[12.5], provenance=ORIGIN))
    out = door("show", run.id)[1]
    assert ["2", "61.50"] in cells(out)
    assert ["update", "English dev accuracy, percent"] in heads(out)
    assert "loss" not in out
    assert "trainings at chance before this one: 12.5" in out.splitlines()


SCORES = {
    "architecture-shared/records/pretraining-decoder-s1": {
        "score": "held-out accuracy, percent", "dev_score": "minus held-out bits per token",
    },
    "pocket-full/records/intermediate-multi-s1": {
        "score": "mean English dev score, percent", "dev_score": "mean English dev score, percent",
        **{f"score.{name}": f"{name} English dev accuracy, percent" for name in ("nli", "para", "intent")},
        **{f"score.{name}": f"{name} English dev chunk F1, percent" for name in ("slots", "dates")},
        "score.qa": "qa English dev F1, percent",
    },
    "adapters-matched/records/zero-shot-mnli-fresh.command-nli-s1": {"score": "test accuracy, percent"},
    "complexity-pilot/records/measure-complexity-anli-s1": {
        "score": "English dev accuracy, percent", "dev_score": "English dev accuracy, percent",
        "score.anli": "anli English dev accuracy, percent",
    },
}  # fmt: skip


@pytest.mark.parametrize("beginning", SCORES)
def test_a_score_is_named_by_its_set_and_metric(beginning):
    (path,) = ROOT.glob(f"results/{beginning}-*.json")
    record = Record.model_validate(json.loads(path.read_text())["record"])
    assert RecordReport(record, path.parent).score_names == SCORES[beginning]


@pytest.mark.parametrize(
    "beginning, words",
    [
        ("target-none.i", "'target-none.i' begins the ids of 2 records; give more of it: target-none.intent-s1-"),
        ("target-nil.intent", "no record's id begins with 'target-nil.intent'. Did you mean 'target-nli.intent-s"),
        ("?", "no record's id begins with '?'. `stilts plan STUDY --runs` lists the ids\n"),
    ],
)
def test_a_beginning_that_names_no_single_record_is_refused(filled, door, beginning, words):
    code, out, err = door("show", beginning)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: {words}")


def test_a_record_of_an_earlier_version_of_its_phase_is_not_shown(filled, door):
    (filled.runs / "records" / "target-old-s1-0123456789.json").write_bytes(
        next(filled.runs.glob("records/target-*.json")).read_bytes()
    )
    code, _, err = door("show", "target-old")
    assert code == 1
    reason = "is of an earlier version of its phase, or damaged; run its study again"
    assert err == f"error: record target-old-s1-0123456789 {reason}\n"


# --- plan and status -------------------------------------------------------------------------------------------------


def test_a_plan_is_printed_as_json(here, door):
    first, second, third = open_plan(here, "tiny").runs
    record_runs(here, [first])
    code, out, err = door("plan", "tiny", "--json")
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert printed["runs"] == [
        {"id": first.id, "phase": "intermediate", "condition": "intent", "target": None, "seed": 1, "parents": [],
         "recorded": True, "expected_seconds": None, "measured": None},
        {"id": second.id, "phase": "target", "condition": "intent", "target": "intent", "seed": 1,
         "parents": [first.id], "recorded": False, "expected_seconds": 30.0, "measured": False},
        {"id": third.id, "phase": "zero-shot", "condition": "intent", "target": "intent", "seed": 1,
         "parents": [second.id], "recorded": False, "expected_seconds": 20.0, "measured": False},
    ]  # fmt: skip
    assert (printed["study"], printed["recorded"], printed["to_do"], printed["notebooks"]) == ("tiny", 1, 2, 2)
    assert printed["notes"][0] == "3 runs, 1 recorded, 2 to do in 2 notebooks"


def test_a_plan_never_expects_no_time_at_all(here, door):
    write_study(here.root / "studies" / "tiny.yml", study_settings(ENCODER, seeds=[1, 2]))
    record_runs(here, open_plan(here, "tiny").runs[:3], seconds=0.2)
    rows = cells(door("plan", "tiny")[1])
    assert [row[4] for row in rows] == ["under 1 s", "under 1 s", "under 1 s"]


def test_a_status_is_printed_as_json(here, door):
    first, second, _ = open_plan(here, "tiny").runs
    record_runs(here, [first])
    here.progress(second.id)(30, 100)
    code, out, _ = door("status", "tiny", "--json")
    assert code == 0
    printed = json.loads(out)
    assert printed.pop("left_seconds") == pytest.approx(30 * 0.7 + 20 + 2 * NOTEBOOK_SECONDS)
    assert printed == {
        "study": "tiny", "runs": 3, "recorded": 1,
        "started": [
            {"id": second.id, "share": 0.3, "state": "interrupted, resumes with the next `stilts run`"},
        ],
        "missing_data": "",
    }  # fmt: skip


def test_the_status_of_a_study_without_data_is_that_of_its_plan(here, door, monkeypatch):
    monkeypatch.delenv("STILTS_DATA", raising=False)
    data = {"suite": "xtreme", "folder": "no-data"}
    away = study_settings(ENCODER, name="away", data=data, targets=["xnli"], intermediates=["none"])
    write_study(here.root / "studies" / "away.yml", away)
    code, out, err = door("status", "away")
    assert (code, err) == (0, "")
    first, last = out.splitlines()
    assert first == f"data folder {here.root}/no-data does not exist: records cannot be matched with the runs"
    assert last.startswith("away: 0 of 2 runs recorded, about ")


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_a_doctor_looks_at_everything_and_never_fails(here, door, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PATH", "")
    code, out, _ = door("doctor", "--json")
    assert code == 0
    printed = json.loads(out)
    assert [check["name"] for check in printed] == [
        "Python", "studies", "disk", "GPU", "precision", "package index", "fonts", "browser",
    ]  # fmt: skip
    assert [check["ok"] for check in printed if check["name"] in ("Python", "package index", "browser")] == [
        True, False, False,
    ]  # fmt: skip
    lines = door("doctor")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["ok" if check["ok"] else "warning" for check in printed]


# --- power -----------------------------------------------------------------------------------------------------------


def test_power_says_what_tests_see_and_what_more_would_take(door, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, out, err = door("power", "order-six", "--json")
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert [row["test"] for row in printed] == list(Checkout(ROOT).study("order-six").question.tests)
    for row in printed:
        assert (row["seeds"], row["smallest_effect"], row["unit"]) == (10, 2.0, "points")
        assert (row["seeds_needed"] is None) == bool(row["note"])
    code, out, err = door("power", "order-six")
    assert [row[0] for row in cells(out)] == [row["test"] for row in printed]
    assert [row[1] for row in cells(out)] == [f"{row['detectable']:.1f}" for row in printed]
    assert "Further seeds are assumed to spread like those at hand: " in out


def test_power_needs_a_question(filled, door):
    code, _, err = door("power", "tiny")
    assert (code, err) == (
        1, "error: study 'tiny' has no question: its file lacks the block `question` with its tests\n"
    )  # fmt: skip
