"""What a checkout makes of a study: its plan, its folders, its locks; and what notebooks open."""

import logging
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
import yaml

from stilts.phases import notebook
from stilts.phases.notebook import change_settings, run_phase
from stilts.sources.pocket import source
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import Study
from stilts.workspace.checkout import Checkout
from stilts.workspace.resolution import SUITES, open_plan, resolve


@pytest.fixture
def encoder(tmp_path):
    """A folder that is fingerprinted and never loaded."""
    return tiny.write_unread_encoder(tmp_path / "encoder")


@pytest.fixture
def here(tmp_path, encoder, monkeypatch) -> Checkout:
    monkeypatch.setitem(SUITES, "pocket", lambda folder: tiny.SOURCE)
    pair = {"name": "pair", "tasks": ["nli", "qa"]}
    own = {"slots": {"epochs": 3}, "pair": {"examples": 6, "epochs": 2}}
    here = tiny.checkout(
        tmp_path / "checkout", encoder, intermediates=["none", "nli", pair], per_task=own, seeds=[1, 2]
    )
    monkeypatch.chdir(here.root)
    return here


def plan(here: Checkout, **changes):
    study = here.study("tiny")
    return resolve(Study.model_validate({**study.model_dump(), **changes}), here)


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"targets": ["slot"]}, "unknown target task 'slot'. Did you mean 'slots'"),
        ({"intermediates": ["nil"], "per_task": {}}, "unknown intermediate task 'nil'. Did you mean 'nli'"),
        ({"per_task": {"pari": {}}}, "unknown task or condition of per_task 'pari'. Did you mean 'pa"),
        ({"evaluation": {"per_target": {"slot": 5}}}, "unknown target .* of evaluation.per_target 'slot'. .* 'slots'"),
        ({"evaluation": {"per_target": {"ui-mining": 5}}}, "unknown target with a head .* 'ui-mining'"),
        ({"data": {"suite": "poket"}}, "unknown suite 'poket'. Did you mean 'pocket'"),
        ({"data": {"languages": ["de", "dee"]}}, "unknown language of the pocket suite 'dee'. Did you mean 'de'"),
        ({"data": {"sizes": {"tests": 5}}}, "unknown size of the suite 'tests'. Did you mean 'test'"),
        ({"encoder": {"name": "multilingual-e5-smal"}}, "unknown encoder .* Did you mean 'multilingual-e5-small'"),
    ],
    ids=str,
)
def test_an_unknown_name_is_said_with_the_nearest_before_anything_runs(here, monkeypatch, changes, message):
    if "data" in changes and "suite" not in changes["data"]:
        monkeypatch.setitem(SUITES, "pocket", lambda folder: source)
        changes = {**changes, "data": {"suite": "pocket", **changes["data"]}}
    with pytest.raises(UnknownName, match=message):
        plan(here, **changes)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"target_training": {**tiny.TRAINING, "max_length": 640}}, "target run of intent: max_length is 640"),
        ({"intermediate_training": {**tiny.TRAINING, "max_length": 513}}, "intermediate run of nli: max_length is 513"),
        ({"per_task": {"slots": {"max_length": 600}}}, "target run of slots: max_length is 600"),
    ],
    ids=str,
)
def test_inputs_longer_than_the_encoder_has_positions_are_refused_by_the_plan(here, encoder, changes, said):
    for name in (str(encoder), "multilingual-e5-small"):
        message = f"{said}, but encoder {name} has positions for 512 tokens; lower it to 512"
        with pytest.raises(StiltsError, match=message):
            plan(here, **changes, encoder={"name": name})
    config = encoder / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"llama"'))  # positions are reckoned
    assert plan(here, **changes).runs


def test_a_condition_of_several_tasks_may_have_settings_of_its_own(here):
    runs = [run for run in plan(here).runs if run.phase == "intermediate"]
    assert {run.condition: run.settings.training.examples for run in runs} == {"nli": 24, "pair": 6}


def test_parents_of_a_job_are_the_jobs_that_hold_its_runs_parents(here):
    made = plan(here, schedule={"runs_per_job": 2})
    by_run = {run.id: job for job in made.jobs for run in job.runs}
    for job in made.jobs:
        wanted = {by_run[parent].id for run in job.runs for parent in run.parents}
        assert {parent.id for parent in made.parents(job)} == wanted
        assert len(made.parents(job)) == len(wanted)
    assert {job.phase for job in made.jobs if not made.parents(job)} == {"intermediate", "target", "zero-shot"}


def test_runs_are_selected_by_phase_condition_seed_and_target(here):
    made = plan(here)
    chosen = made.select("zero-shot", "none", 2)
    assert [(run.target, run.seed) for run in chosen] == [
        ("ui-retrieval", 0), ("ui-mining", 0), ("intent", 2), ("slots", 2), ("command-qa", 2),
    ]  # fmt: skip
    assert [run.target for run in made.select("target", "nli", 1, ["slots"])] == ["slots"]
    message = "study 'tiny' has no target run of condition 'nli' with seed 9 and target slots, intent"
    with pytest.raises(StiltsError, match=message):
        made.select("target", "nli", 9, ["slots", "intent"])


# --- locks -----------------------------------------------------------------------------------------------------------


def test_a_lock_is_waited_for_and_said(here, caplog):
    order, inside = [], threading.Event()

    def second():
        inside.wait()
        with here.lock("run"):
            order.append("second")

    waiting = threading.Thread(target=second)
    with caplog.at_level(logging.WARNING):
        with here.lock("run"):
            waiting.start()
            inside.set()
            waiting.join(timeout=1.5)
            order.append("first")
        waiting.join()
    assert order == ["first", "second"]
    assert "run is in use by another process; waiting for it" in caplog.text


def test_a_lock_is_free_after_an_error_and_others_beside_it(here):
    with pytest.raises(ValueError, match="oh"), here.lock("run"):
        raise ValueError("oh")
    with here.lock("run"), here.lock("another"):
        pass


# --- what notebooks open ---------------------------------------------------------------------------------------------


def test_a_study_is_opened_as_it_is(here):
    study = here.study("tiny")
    unset = {"target_training": {"epochs": None, "examples": None}, "evaluation": {"languages": None}}
    assert change_settings(study, **unset) == study


def test_a_changed_setting_holds_for_all_tasks_of_its_phase(here):
    opened = change_settings(here.study("tiny"), target_training={"epochs": 5, "examples": 9})
    assert {opened.training("target", task).epochs for task in opened.targets} == {5}
    assert opened.training("intermediate", "pair") == here.study("tiny").training("intermediate", "pair")
    opened = change_settings(here.study("tiny"), intermediate_training={"examples": 7})
    assert opened.training("intermediate", "pair").examples == 7
    assert opened.training("intermediate", "pair").epochs == 2
    assert opened.training("target", "slots").epochs == 3


def test_a_changed_setting_holds_for_a_condition_that_has_its_own(here):
    path = here.root / "studies" / "tiny.yml"
    own = {"name": "long", "tasks": [], "target_training": {"epochs": 9, "examples": 3}}
    content = here.study("tiny").model_dump(mode="json")
    path.write_text(yaml.safe_dump({**content, "intermediates": [own], "per_task": {}}), encoding="utf-8")
    opened = change_settings(here.study("tiny"), target_training={"epochs": 5}, intermediate_training={"examples": 7})
    assert [each.target_training for each in opened.intermediates] == [{"examples": 3}]


def test_a_changed_setting_holds_for_the_task_that_a_target_is_trained_as(here):
    own = {"xquad": {"epochs": 1, "examples": 3}, "mlqa": {"epochs": 2, "max_length": 192}}
    study = here.study("tiny").model_copy(update={"targets": ("mlqa",), "per_task": own})
    opened = change_settings(study, target_training={"epochs": 7})
    assert opened.target_training.epochs == 7
    assert opened.per_task == {"xquad": {"examples": 3}, "mlqa": {"max_length": 192}}


def test_a_changed_setting_holds_for_a_task_in_another_language(here):
    study = Study.model_validate(
        {**here.study("tiny").model_dump(), "data": {"source_languages": ["de"]},
         "intermediates": [{"name": "qa-de", "tasks": ["qa.de"]}],
         "per_task": {"qa": {"epochs": 1, "examples": 3}, "qa.de": {"epochs": 2}}}
    )  # fmt: skip
    opened = change_settings(study, intermediate_training={"epochs": 7})
    assert (opened.intermediate_training.epochs, opened.per_task) == (7, {"qa": {"examples": 3}, "qa.de": {}})


def test_a_changed_number_of_test_examples_holds_for_targets_that_have_their_own(here):
    study = Study.model_validate({**here.study("tiny").model_dump(), "evaluation": {"per_target": {"slots": 5}}})
    opened = change_settings(study, evaluation={"examples": 3})
    assert (opened.evaluation.examples, opened.evaluation.per_target) == (3, {})
    opened = change_settings(study, evaluation={"languages": "de"})
    assert opened.evaluation.per_target == {"slots": 5}


@pytest.mark.parametrize(
    "block, settings, kept",
    [
        ("evaluation", {"examples": 3}, ("intermediate", "target")),
        ("evaluation", {"languages": "de, sw"}, ("intermediate", "target")),
        ("target_training", {"examples": 3, "epochs": 1, "evaluations": 1}, ("intermediate",)),
    ],
)
def test_a_changed_setting_leaves_the_runs_before_its_phase(here, block, settings, kept):
    """Else a notebook of a later phase would train everything before it anew."""
    studies = here.study("tiny"), change_settings(here.study("tiny"), **{block: settings})
    before, after = ([run for run in resolve(study, here).runs if run.phase in kept] for study in studies)
    assert before == after


def test_languages_are_given_as_one_text(here):
    assert change_settings(here.study("tiny"), evaluation={"languages": "de, sw"}).evaluation.languages == ("de", "sw")
    assert change_settings(here.study("tiny"), evaluation={"languages": "all"}).evaluation.languages == "all"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"target_training": {"examples": 0}}, r"parameter target_training.examples: .*greater than 0 \(got 0\)"),
        ({"evaluation": {"examples": True}}, r"parameter evaluation.examples: must not be true or .* \(got True\)"),
        ({"target_training": {"epochs": "many"}}, r"parameter target_training.epochs: .* number.*\(got 'many'\)"),
    ],
)
def test_a_value_that_does_not_fit_is_named(here, changes, message):
    with pytest.raises(StiltsError, match=message):
        change_settings(here.study("tiny"), **changes)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("target", "qa", 1), "unknown condition of study 'tiny' 'qa'. Known: nli, none"),
        (("target", "nli", 1, "slot"), "unknown target task of study 'tiny' 'slot'. Did you mean 'slots'"),
        (("target", "nli", 1, "slots, dates"), "unknown target task of study 'tiny' 'dates'"),
        (("target", "nli", 1, "ui-mining"), "no target run of condition 'nli' with seed 1 and target ui-mining"),
    ],
)
def test_runs_that_the_study_has_not_are_named_before_anything_is_prepared(here, arguments, message):
    with pytest.raises(StiltsError, match=message):
        run_phase(open_plan(here, "tiny"), *arguments)
    assert not here.runs.exists()


def test_a_target_may_be_trained_on_a_task_that_is_no_target(here, monkeypatch):
    monkeypatch.setitem(SUITES, "xtreme", lambda folder: tiny.SOURCE)
    study = Study.model_validate(
        {**here.study("tiny").model_dump(), "data": {"suite": "xtreme"}, "intermediates": ["none"], "targets": ["mlqa"],
         "per_task": {}, "seeds": [1]}
    )  # fmt: skip
    done = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(notebook, "prepare", lambda *_: None)
    monkeypatch.setattr(notebook, "complete", lambda run, *_: SimpleNamespace(run=run, provenance=done))
    opened = resolve(study, here)
    (job, _) = opened.jobs
    (record,) = run_phase(opened, "target", "none", 1, ",".join(job.targets))
    assert record.run.target == "xquad"


# --- data that are not there -----------------------------------------------------------------------------------------


def test_a_study_goes_on_without_a_licensed_task_and_says_so(here, monkeypatch, caplog):
    source = SimpleNamespace(**{**vars(tiny.SOURCE), "missing": {"ccg": "no folder ccg"}.get})
    monkeypatch.setitem(SUITES, "xtreme", lambda folder: source)
    conditions = ["none", "ccg", {"name": "two", "tasks": ["mnli", "ccg"]}]
    found = plan(here, data={"suite": "xtreme"}, intermediates=conditions, targets=["xnli"], per_task={}, seeds=[1])
    assert [run.settings.condition.tasks for run in found.runs if run.phase == "intermediate"] == [("mnli",)]
    assert "condition two: task ccg is skipped: no folder ccg" in caplog.messages
    assert "condition ccg: task ccg is skipped: no folder ccg" in caplog.messages


def test_tasks_may_be_measured_without_being_trained_before_a_target(here, monkeypatch, caplog):
    source = SimpleNamespace(**{**vars(tiny.SOURCE), "missing": {"ccg": "no folder ccg"}.get})
    monkeypatch.setitem(SUITES, "xtreme", lambda folder: source)
    # Of XQuAD's rows nothing that is trained comes before it, so they may be measured.
    named = ["qqp", "ccg", "mnli", "xquad-test.de"]
    found = plan(
        here, data={"suite": "xtreme", "source_languages": ["de"]}, intermediates=["none", "mnli"], targets=["xquad"],
        per_task={}, seeds=[1], measures={"complexity": {}, "tasks": named},
    )  # fmt: skip
    assert [run.condition for run in found.runs if run.phase == "measure"] == [
        "complexity-mnli", "complexity-qqp", "complexity-xquad-test-de",
    ]  # fmt: skip
    assert [run.condition for run in found.runs if run.phase == "intermediate"] == ["mnli"]
    assert "condition measured-ccg is skipped, since one of its stages has no other task" in caplog.messages


@pytest.mark.parametrize(
    "tasks, message",
    [
        (["slotz"], "unknown intermediate task 'slotz'. Did you mean 'slots'"),
        (["qa.de"], r"unknown language of 'qa.de' \(condition measured-qa-de\) in data.source_languages 'de'"),
        (["dial-grain-2"], "task 'dial-grain-2' belongs to family 'grain', which is not in data.families"),
    ],
    ids=str,
)
def test_a_measured_task_that_the_suite_has_not_is_said_before_anything_runs(here, tasks, message):
    with pytest.raises(StiltsError, match=message):
        plan(here, measures={"complexity": {}, "tasks": tasks})


def test_a_task_in_a_language_that_data_source_tasks_leave_out_is_refused(here):
    data = {"source_languages": ["de"], "source_tasks": ["nli"]}
    german = {"name": "german", "tasks": ["nli.de"]}
    assert plan(here, data=data, intermediates=["none", german, "qa"], per_task={}).runs
    with pytest.raises(StiltsError, match=r"unknown task of 'qa.de' \(condition german\) in data.source_tasks 'qa'"):
        plan(here, data=data, intermediates=["none", {**german, "tasks": ["qa.de"]}], per_task={})
    with pytest.raises(ValueError, match=r"source_tasks \(nli\): no source_languages are named for them"):
        plan(here, data={"source_tasks": ["nli"]})


def test_tasks_without_a_measure_are_refused(here):
    with pytest.raises(ValueError, match="tasks are named, but no measure"):
        plan(here, measures={"tasks": ["qa"]})


@pytest.mark.parametrize("missing", ["mnli", "xnli"])
def test_any_other_task_without_data_is_an_error_before_anything_runs(here, monkeypatch, missing):
    source = SimpleNamespace(**{**vars(tiny.SOURCE), "missing": {missing: "no folder of it"}.get})
    monkeypatch.setitem(SUITES, "xtreme", lambda folder: source)
    way_out = "; `stilts fetch tiny` downloads the data, or set STILTS_DATA to a folder that holds them"
    with pytest.raises(StiltsError, match=f"data are missing: {missing}: no folder of it{way_out}"):
        plan(here, data={"suite": "xtreme"}, intermediates=["none", "mnli"], targets=["xnli"], per_task={}, seeds=[1])


def test_where_a_studys_data_are(here, monkeypatch):
    monkeypatch.delenv("STILTS_DATA", raising=False)
    study = here.study("tiny")
    assert here.data_folder(study) is None
    named = study.model_copy(update={"data": study.data.model_copy(update={"folder": "copies"})})
    assert here.data_folder(named) == here.root / "copies"
    monkeypatch.setenv("STILTS_DATA", "/elsewhere")
    assert here.data_folder(named) == Path("/elsewhere")
