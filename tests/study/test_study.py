"""Study files, plans, ids and jobs."""

from pathlib import Path
from typing import get_args

import pytest
import yaml
from fakes import make_run
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stilts.study import runs
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.files import read_study
from stilts.study.planning import drop_repeated, group_jobs, plan_runs
from stilts.study.runs import Run
from stilts.study.settings import Condition, EvaluationSettings, Phase, Study, TrainingSettings

ROOT = Path(__file__).parents[2]
TRAINED, UNTRAINED = ("intent", "slots"), ("ui-retrieval", "ui-mining")
BASE = {
    "name": "a-study",
    "title": "A study",
    "encoder": {"name": "an-encoder"},
    "intermediates": ["none", "nli", "multi"],
    "targets": [*TRAINED, *UNTRAINED],
    "seeds": [1, 2],
}
CONDITIONS = {"none": (), "nli": ("nli",), "qa": ("qa",), "slots": ("slots",), "multi": ("nli", "qa", "slots")}


def plan(fingerprints: tuple[str, str] = ("suite@1", "encoder@1"), **changes) -> list[Run]:
    made = Study.model_validate({**BASE, **changes})
    conditions = [
        entry if isinstance(entry, Condition) else Condition(name=entry, tasks=CONDITIONS[entry])
        for entry in made.intermediates
    ]
    data, encoder = fingerprints
    encoders = {name: encoder for name in (None, *made.encoders)}
    return plan_runs(made, conditions, {task: task for task in TRAINED}, data, encoders)


def by_place(runs: list[Run]) -> dict[tuple, str]:
    return {(run.phase, run.condition, run.target, run.seed): run.id for run in runs}


def changed(before: list[Run], after: list[Run]) -> set[tuple]:
    """Phase, condition, target and seed of the runs whose ids differ."""
    old, new = by_place(before), by_place(after)
    assert old.keys() == new.keys()
    return {place for place in old if old[place] != new[place]}


PLAN = plan()
PHASES = get_args(Phase)
EVERY = set(by_place(PLAN))


def places(phases=PHASES, conditions=CONDITIONS, targets=(None, *TRAINED, *UNTRAINED)) -> set[tuple]:
    return {each for each in EVERY if each[0] in phases and each[1] in conditions and each[2] in targets}


# --- ids -------------------------------------------------------------------------------------------------------------


def another(value):
    """Another valid value of a setting."""
    if value is None:
        return 7
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return "fp32"
    return value + 1 if isinstance(value, int) else value / 2


def another_setting(field: str):
    """Another valid value of a training setting."""
    return {"rank": 4} if field == "lora" else another(getattr(TrainingSettings(), field))


@pytest.mark.parametrize("field", TrainingSettings.model_fields)
def test_a_setting_of_target_training_names_the_target_runs_anew_and_what_follows(field):
    value = another_setting(field)
    # The longest input is the one training setting that evaluation has too, that of retrieval included.
    reached = (*TRAINED, *UNTRAINED) if field == "max_length" else TRAINED
    assert changed(PLAN, plan(target_training={field: value})) == places(("target", "zero-shot"), targets=reached)


@pytest.mark.parametrize("field", TrainingSettings.model_fields)
def test_a_setting_of_intermediate_training_names_all_runs_anew_but_those_of_the_baseline(field):
    value = another_setting(field)
    assert changed(PLAN, plan(intermediate_training={field: value})) == places(conditions=("nli", "multi"))


@pytest.mark.parametrize(
    "field, reached",
    [("examples", TRAINED), ("batch_tokens", (*TRAINED, *UNTRAINED)), ("retrieval_layer", UNTRAINED)],
)
def test_a_setting_of_evaluation_names_the_runs_anew_that_it_bears_on(field, reached):
    value = another(getattr(EvaluationSettings(), field))
    assert changed(PLAN, plan(evaluation={field: value})) == places(("zero-shot",), targets=reached)


def test_a_target_may_have_a_number_of_test_examples_of_its_own():
    own = plan(evaluation={"per_target": {"slots": 7}})
    assert changed(PLAN, own) == places(("zero-shot",), targets=("slots",))
    one, other = (
        {run.id for run in each if run.phase == "zero-shot" and (run.condition, run.target) == ("nli", "slots")}
        for each in (own, plan(evaluation={"examples": 7}))
    )
    assert one == other


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprints": ("suite@2", "encoder@1")},
        {"fingerprints": ("suite@1", "encoder@2")},
        {"encoder": {"name": "another"}},
        {"encoder": {"name": "an-encoder", "revision": "c0ffee"}},
        {"encoder": {"name": "an-encoder", "trim_vocabulary": False}},
        {"data": {"suite": "another"}},
    ],
    ids=str,
)
def test_data_and_encoder_name_every_run_anew(changes):
    assert changed(PLAN, plan(**changes)) == EVERY


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "another"}, {"title": "Another"}, {"per_task": {"qa": {"epochs": 3}}},
        {"schedule": {"runs_per_job": 5}}, {"schedule": {"threads_per_job": 2}}, {"schedule": {"memory_mb": 9}},
        {"schedule": {"keep_checkpoints": "all"}}, {"schedule": {"state_minutes": 0}}, {"schedule": {"processes": 4}},
        # These act through the suite's fingerprint.
        {"data": {"seed": 5}}, {"data": {"sizes": {"test": 9}}},
    ],
    ids=str,
)  # fmt: skip
def test_what_decides_no_result_changes_no_id(changes):
    assert changed(PLAN, plan(**changes)) == set()


def test_chosen_languages_are_part_of_the_evaluation():
    chosen = plan(evaluation={"languages": ["en", "de"]})
    assert changed(PLAN, chosen) == places(("zero-shot",))
    assert changed(chosen, plan(data={"languages": ["en", "de"]})) == set()
    of_more = plan(data={"languages": ["en", "de", "zh"]}, evaluation={"languages": ["en", "de"]})
    assert changed(chosen, of_more) == set()


@pytest.mark.parametrize("field, value", [("tasks", ("nli", "qa")), ("example_cap", 500)])
def test_a_condition_of_its_own_is_told_by_its_tasks_and_cap(field, value):
    one, other = ({"name": "pair", "tasks": ["nli", "slots"]} | change for change in ({}, {field: value}))
    runs, others = plan(intermediates=["none", one]), plan(intermediates=["none", other])
    assert changed(runs, others) == {place for place in by_place(runs) if place[1] == "pair"}


def test_a_raised_version_of_a_phase_names_its_runs_anew_and_what_follows(monkeypatch):
    before = by_place(PLAN)
    monkeypatch.setattr(runs, "PHASE_VERSIONS", {**runs.PHASE_VERSIONS, "target": 2})
    after = by_place(plan())
    renamed = {place for place in before if before[place] != after[place]}
    assert renamed == places(("target", "zero-shot"), targets=TRAINED)


TRAININGS = st.builds(
    TrainingSettings,
    examples=st.integers(1, 3),
    epochs=st.sampled_from([1.0, 2.0]),
    frozen_layers=st.integers(0, 1),
    train_embeddings=st.booleans(),
)


@hypothesis_settings(max_examples=30)
@given(TRAININGS, TRAININGS)
def test_equal_settings_and_no_other_give_equal_ids(one, other):
    ids = [[run.id for run in plan(target_training=each.model_dump())] for each in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)


def test_an_id_is_readable_and_the_same_in_every_process():
    run = make_run("target", "nli", "slots", 3)
    assert run.id == "target-nli.slots-s3-be5211b85e"
    content = run.model_dump(mode="json")
    assert Run(**{**content, "settings": dict(reversed(content["settings"].items()))}).id == run.id
    assert Run.model_validate_json(run.model_dump_json()) == run


def test_ids_are_told_apart_by_phase_target_seed_and_parents():
    assert len({run.id for run in PLAN}) == len(set(EVERY))
    first, second = (make_run("target", "nli", "slots", parents=(parent,)) for parent in "ab")
    assert first.id != second.id


# --- plan ------------------------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=30)
@given(
    st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, unique=True),
    st.lists(st.sampled_from([*TRAINED, *UNTRAINED]), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
)
def test_parents_come_before_children(conditions, targets, seeds):
    done = set()
    for run in plan(intermediates=conditions, targets=targets, seeds=seeds):
        assert set(run.parents) <= done
        done.add(run.id)


def test_the_plan_of_a_condition():
    intermediate, *rest = (run for run in PLAN if (run.condition, run.seed) == ("nli", 2))
    assert (intermediate.phase, intermediate.target, intermediate.parents) == ("intermediate", None, ())
    summary = [(run.phase, run.target, run.parents) for run in rest]
    intent, slots = (run.id for run in rest if run.phase == "target")
    assert summary == [
        ("target", "intent", (intermediate.id,)),
        ("zero-shot", "intent", (intent,)),
        ("target", "slots", (intermediate.id,)),
        ("zero-shot", "slots", (slots,)),
        ("zero-shot", "ui-retrieval", (intermediate.id,)),
        ("zero-shot", "ui-mining", (intermediate.id,)),
    ]


def test_a_target_that_an_intermediate_head_predicts_is_evaluated_where_a_stage_trained_it():
    cut = {"max_length": 99}
    made = Study.model_validate({**BASE, "targets": ["direct"], "seeds": [1], "intermediate_training": cut})
    conditions = [
        Condition(name="none", tasks=()),
        Condition(name="nli", tasks=("nli",)),
        Condition(name="qa-then-nli", before=(("qa.de",),), tasks=("nli",)),
    ]
    runs = plan_runs(made, conditions, {}, "suite@1", {None: "encoder@1"}, scored_by={"direct": "qa"})
    assert [(run.phase, run.condition, run.target) for run in runs] == [
        ("intermediate", "nli", None),
        ("intermediate", "stage-qa-de", None),
        ("intermediate", "qa-then-nli", None),
        ("zero-shot", "qa-then-nli", "direct"),
    ]
    assert runs[3].parents == (runs[2].id,)
    assert (runs[3].settings.max_length, runs[3].settings.doc_stride) == (99, made.intermediate_training.doc_stride)
    assert runs[3].settings.evaluation.retrieval_layer is None


def test_a_head_is_evaluated_on_inputs_cut_as_in_its_own_training():
    changes = {"qa.de": {"max_length": 99}, "long-qa": {"max_length": 100, "doc_stride": 30}, "nli": {"max_length": 32}}
    made = Study.model_validate({**BASE, "targets": ["direct"], "seeds": [1], "per_task": changes})
    conditions = [
        Condition(name="qa-then-nli", before=(("qa.de",),), tasks=("nli",)),
        Condition(name="long-qa", tasks=("qa",)),
    ]
    runs = plan_runs(made, conditions, {}, "suite@1", {None: "encoder@1"}, scored_by={"direct": "qa"})
    direct = {run.condition: run.settings for run in runs if run.phase == "zero-shot"}
    assert {name: (each.max_length, each.doc_stride) for name, each in direct.items()} == {
        "qa-then-nli": (99, made.intermediate_training.doc_stride), "long-qa": (100, 30),
    }  # fmt: skip


def test_the_untrained_encoder_is_evaluated_once_for_all_seeds():
    untrained = [run for run in drop_repeated(PLAN) if run.untrained]
    assert [(run.condition, run.target, run.seed) for run in untrained] == [
        ("none", "ui-retrieval", 0), ("none", "ui-mining", 0)
    ]  # fmt: skip
    trained = [run for run in drop_repeated(PLAN) if not run.untrained]
    assert {run.seed for run in trained} == {1, 2}
    assert {run.phase for run in trained} == {"intermediate", "target", "zero-shot"}


def test_adapters_with_trained_embeddings_are_refused_by_the_plan():
    ways = [{"name": "nli-fresh", "tasks": ["nli"], "adapters": "fresh"}]
    with pytest.raises(StiltsError, match="nli-fresh: train_embeddings is true, but lora trains adapters and heads"):
        plan(intermediates=ways, target_training={"train_embeddings": True})


def test_a_condition_may_have_a_rate_of_its_own_for_adapters():
    ways = [{"name": "slow", "tasks": ["nli"], "adapters": "fresh", "target_training": {"lora": {"rank": 2}}},
            {"name": "usual", "tasks": ["nli"], "adapters": "fresh"}]  # fmt: skip
    runs = plan(intermediates=ways, lora={"rank": 4}, seeds=[1])
    ranks = {(run.phase, run.condition): run.settings.training.lora.rank for run in runs
             if run.phase in ("intermediate", "target")}  # fmt: skip
    assert ranks == {("intermediate", "stage-nli-lora"): 4, ("target", "slow"): 2, ("target", "usual"): 4}


def test_settings_of_a_task_replace_those_of_its_phase():
    own = {"slots": {"epochs": 3, "learning_rate": 1e-3}, "nli": {"examples": 7}, "multi": {"batch_size": 2}}
    runs = plan(per_task=own, intermediates=["none", "nli", "slots", "multi"], target_training={"epochs": 2})
    training = {(run.phase, run.condition, run.target): run.settings.training for run in runs
                if run.phase in ("intermediate", "target")}  # fmt: skip

    def resolved(**changes):
        return TrainingSettings(**changes)

    assert training["intermediate", "nli", None] == resolved(examples=7)
    assert training["intermediate", "slots", None] == resolved(epochs=3, learning_rate=1e-3)
    assert training["intermediate", "multi", None] == resolved(batch_size=2)
    assert training["target", "nli", "intent"] == resolved(epochs=2)
    assert training["target", "nli", "slots"] == resolved(epochs=3, learning_rate=1e-3)


def test_a_number_means_the_same_whether_a_task_or_its_phase_has_it():
    """YAML reads 2 as a whole number and 2e-4 as text; both are rates like any other."""
    own = {"intent": {"epochs": 2, "learning_rate": "3e-4"}, "slots": {"epochs": 2.0, "learning_rate": 0.0003}}
    shared = plan(target_training={"epochs": 2, "learning_rate": 3e-4})
    assert changed(shared, plan(per_task=own)) == set()


def test_a_condition_may_train_its_targets_otherwise_and_shares_its_stage_with_those_that_do_so_too():
    def arm(name, **changes):
        return Condition(name=name, tasks=("nli",), target_training=changes)

    study = {"per_task": {"slots": {"epochs": 3}}, "seeds": [1]}
    runs = plan(
        intermediates=["nli", arm("slow", learning_rate=1e-5), arm("long", learning_rate="2e-4", epochs=5)], **study
    )
    trained = {(run.condition, run.target): run for run in runs if run.phase == "target"}

    def resolved(**changes):
        return TrainingSettings(**changes)

    assert trained["slow", "intent"].settings.training == resolved(learning_rate=1e-5)
    assert trained["slow", "slots"].settings.training == resolved(epochs=3, learning_rate=1e-5)
    assert trained["long", "slots"].settings.training == resolved(epochs=5, learning_rate=2e-4)
    assert trained["slow", "intent"].parents == trained["long", "intent"].parents
    assert trained["nli", "intent"].id == by_place(plan(intermediates=["nli"], **study))["target", "nli", "intent", 1]


def test_settings_of_a_condition_that_do_not_fit_are_named():
    with pytest.raises(UnknownName, match=r"setting \(target_training of condition slow\) 'learning_rat'"):
        plan(intermediates=[{"name": "slow", "tasks": [], "target_training": {"learning_rat": 1}}])
    with pytest.raises(ValueError, match="target_training of condition slow: epochs: Input should be greater than 0"):
        plan(intermediates=[{"name": "slow", "tasks": [], "target_training": {"epochs": 0}}])


# --- jobs ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 7), st.integers(1, 2))
def test_jobs_hold_every_run_once_in_even_parts(targets, most, seeds):
    runs = [
        make_run(phase, "nli", f"t{number}", seed)
        for seed in range(seeds)
        for number in range(targets)
        for phase in ("target", "zero-shot")
    ]
    jobs = group_jobs([*runs, *runs], most)
    for phase in ("target", "zero-shot"):
        for seed in range(seeds):
            parts = [job.runs for job in jobs if (job.phase, job.condition, job.seed) == (phase, "nli", seed)]
            assert [run for part in parts for run in part] == [
                run for run in runs if (run.phase, run.seed) == (phase, seed)
            ]
            assert len(parts) == -(-targets // most)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            assert max(map(len, parts)) <= most
    assert len({job.id for job in jobs}) == len(jobs)


def test_a_job_is_named_by_its_runs():
    one, other = group_jobs([run for run in PLAN if run.phase == "target" and run.condition == "nli"], 2)
    assert one.id.startswith("target-nli-s1-")
    assert (one.targets, one.seed, other.seed) == (["intent", "slots"], 1, 2)
    assert one.model_copy(update={"runs": one.runs[:1]}).id != one.id
    (intermediate,) = group_jobs([run for run in PLAN if run.phase == "intermediate"][:1], 2)
    assert intermediate.targets == []


# --- study files -----------------------------------------------------------------------------------------------------


def write(folder: Path, content) -> Path:
    path = folder / "study.yml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_study_file_is_read_with_defaults(tmp_path):
    read = read_study(write(tmp_path, BASE))
    assert read == Study.model_validate(BASE)
    assert (read.intermediates, read.seeds) == (("none", "nli", "multi"), (1, 2))
    assert (read.data.suite, read.data.languages, read.schedule.runs_per_job) == ("pocket", "all", 1)


STUDIES = {path.stem: path for path in sorted((ROOT / "studies").glob("*.yml"))}


@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_of_the_project_are_read(name):
    made = read_study(STUDIES[name], STUDIES)
    assert made.name == name
    assert Study(**made.model_dump()) == made  # as notebooks change settings


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"shedule": {}}, r"unknown setting \(.*study.yml, top level\) 'shedule'. Did you mean 'schedule'\? Known: "),
        ({"target_training": {"epoch": 2}}, r"study.yml, target_training\) 'epoch'. Did you mean 'epochs'\? Known: b"),
        ({"encoder": {"nam": "x", "name": "y"}}, r"study.yml, encoder\) 'nam'. Did you mean 'name'\? Known: convert"),
        ({"data": {"lang": "all"}}, r"study.yml, data\) 'lang'. Did you mean 'languages'\?"),
        ({"evaluation": {"exemples": 2}}, r"study.yml, evaluation\) 'exemples'. Did you mean 'examples'\?"),
        ({"schedule": {"threads": 2}}, r"study.yml, schedule\) 'threads'. Did you mean 'threads_per_job'\?"),
        (
            {"intermediates": ["none", {"name": "pair", "taks": ["nli"]}]},
            r"study.yml, intermediates.1.Condition\) 'taks'. Did you mean 'tasks'\? Known: adapters, .*, tasks",
        ),
        (
            {"per_task": {"slots": {"epocs": 2}}},
            r"unknown setting \(per_task.slots\) of .*study.yml 'epocs'. Did you mean 'epochs'\?",
        ),
    ],
)
def test_an_unknown_key_is_rejected_with_the_nearest_name(tmp_path, changes, message):
    with pytest.raises(UnknownName, match=message):
        read_study(write(tmp_path, {**BASE, **changes}))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seeds": 1}, r"study.yml: seeds: Input should be a list \(got 1\)$"),
        ({"seeds": []}, r"study.yml: seeds: List should have at least 1 item, not 0 \(got \[\]\)$"),
        ({"seeds": ["a"]}, r"study.yml: seeds.0: Input should be a valid integer, .* an integer \(got 'a'\)$"),
        ({"targets": [5]}, r"study.yml: targets.0: Input should be a valid string \(got 5\)$"),
        ({"seeds": [1, "one"]}, r"seeds.1: Input should be a valid integer.*\(got 'one'\)"),
        ({"name": "A Study"}, "name: String should match pattern"),
        ({"title": None}, r"title: Input should be a valid string \(got None\)"),
        ({"targets": "intent"}, r"targets: Input should be a list \(got 'intent'\)"),
        ({"intermediates": ["none", 5]}, r"intermediates.1.constrained-str: Input should be a valid string \(got 5\)"),
        ({"intermediates": ["nli", "none", "nli"]}, "study.yml: intermediates: nli is listed more than once"),
        ({"intermediates": ["nli", {"name": "nli", "tasks": ["qa"]}]}, "nli is listed more than once"),
        ({"intermediates": [{"name": "x", "tasks": ["nli"], "example_cap": 0}]}, "greater than 0"),
        ({"target_training": {"examples": 2.5}}, r"target_training.examples: .*fractional part \(got 2.5\)"),
        ({"target_training": {"examples": 0}}, r"target_training.examples: .*greater than 0 \(got 0\)"),
        ({"target_training": {"examples": True}}, r"target_training.examples: must not be true or .*\(got True\)"),
        ({"seeds": [1, True]}, r"seeds: must not be true or false \(in YAML also yes, no, on, off\)"),
        ({"data": {"languages": ["de", False]}}, r"data.languages: must not be true or false \(in YAML also yes, no,"),
        ({"target_training": {"epochs": float("inf")}}, "target_training.epochs: Input should be a finite number"),
        ({"target_training": {"learning_rate": float("nan")}}, "target_training.learning_rate: Input should be"),
        ({"target_training": {"warmup": 1}}, r"target_training.warmup: Input should be less than 1 \(got 1\)"),
        ({"target_training": {"max_length": 31}}, "target_training.max_length: .* 32"),
        ({"target_training": {"precision": "fp16"}}, r"target_training.precision: .*'auto', 'bf16' or 'fp32'"),
        ({"target_training": 5}, "target_training: Input should be a valid dictionary"),
        ({"per_task": {"slots": {"epochs": -1}}}, r"study.yml: per_task.slots: epochs: .*greater than 0 \(got -1\)"),
        ({"per_task": {"slots": 5}}, r"per_task.slots: Input should be a valid dictionary \(got 5\)"),
        ({"data": {"sizes": {"train": "many"}}}, r"data.sizes.train: .*valid integer.*\(got 'many'\)"),
        ({7: "seven"}, r"7: Keys should be strings"),
        (
            {"encoder": {"name": "e5", "scratch": {"architecture": "encoder", "hidden": 255}}},
            r"study.yml: encoder.scratch: heads is 4, which does not divide hidden, 255; change one of them$",
        ),
        (
            {"encoders": {"t5": {"name": "e5", "scratch": {"architecture": "encoder-decoder", "layers": 3}}}},
            r"encoders.t5.scratch: layers is 3; an encoder-decoder needs an even number of layers$",
        ),
        (
            {"pretraining": {"batch_tokens": 31, "length": 32}},
            "pretraining: batch_tokens is 31, less than one block of 32 tokens; raise it, or lower length$",
        ),
        (
            {"pretraining": {"updates": 10, "evaluations": 11}},
            "pretraining: evaluations is 11, but there are only 10 updates; lower it$",
        ),
        (
            {"measures": {"complexity": {"first": 500}}},
            "measures.complexity: first is 500, which leaves none of the 500 examples; lower it, or raise examples$",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path, changes, message):
    with pytest.raises(StiltsError, match=message) as caught:
        read_study(write(tmp_path, {**BASE, **changes}))
    assert str(caught.value).startswith(f"{tmp_path / 'study.yml'}: ")


@pytest.mark.parametrize("missing", ["name", "title", "encoder", "intermediates", "targets"])
def test_a_missing_setting_is_named(tmp_path, missing):
    content = {key: value for key, value in BASE.items() if key != missing}
    with pytest.raises(StiltsError, match=f"study.yml: {missing}: Field required"):
        read_study(write(tmp_path, content))


@pytest.mark.parametrize("content, kind", [("", "nothing"), ("- a\n", "a list"), ("text", "a str"), ("5", "a int")])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content, kind):
    with pytest.raises(StiltsError, match=f"study.yml: a study file must be a mapping of settings, but .* {kind}"):
        read_study(write(tmp_path, content))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(StiltsError, match=r"cannot read study file .*none.yml: No such file"):
        read_study(tmp_path / "none.yml")
    with pytest.raises(StiltsError, match="cannot read study file .*: Is a directory"):
        read_study(tmp_path)
    (tmp_path / "latin.yml").write_bytes("title: Müller".encode("latin-1"))
    with pytest.raises(StiltsError, match="study file .*latin.yml is not UTF-8: .* at byte 8"):
        read_study(tmp_path / "latin.yml")
    with pytest.raises(StiltsError, match="(?s)study.yml is not valid YAML: .*line 3"):
        read_study(write(tmp_path, "a: 1\nb: [\n"))


def test_yaml_that_would_run_code_is_refused(tmp_path):
    with pytest.raises(StiltsError, match="not valid YAML"):
        read_study(write(tmp_path, "name: !!python/object/apply:os.getcwd []\n"))


# --- extends ---------------------------------------------------------------------------------------------------------


def read_joined(tmp_path, own: dict, **others: dict) -> Study:
    """Read a study that may extend others, which are given by name."""
    known = {}
    for name, content in others.items():
        known[name] = tmp_path / f"{name}.yml"
        known[name].write_text(yaml.safe_dump({"name": name, **content}))
    path = tmp_path / "own.yml"
    path.write_text(yaml.safe_dump({"name": "own", **own}))
    return read_study(path, {**known, "own": path})


def test_a_study_has_the_settings_of_the_one_that_it_extends_but_for_its_own(tmp_path):
    base = {**BASE, "data": {"seed": 3, "languages": ["de", "fr"]}, "per_task": {"nli": {"epochs": 2}}}
    own = {"extends": "base", "title": "Another", "data": {"languages": ["hi"]}, "per_task": {"qa": {"epochs": 3}}}
    read = read_joined(tmp_path, own, base=base)
    assert (read.name, read.title, read.seeds) == ("own", "Another", tuple(BASE["seeds"]))
    assert (read.data.seed, read.data.languages) == (3, ("hi",))
    assert read.per_task == {"nli": {"epochs": 2}, "qa": {"epochs": 3}}


def test_of_several_studies_the_later_one_holds_and_one_may_extend_another(tmp_path):
    first, second = {**BASE, "seeds": [1], "title": "First"}, {"extends": "first", "title": "Second"}
    third = {**BASE, "title": "Third"}
    assert read_joined(tmp_path, {"extends": ["second"]}, first=first, second=second).title == "Second"
    both = {"extends": ["third", "second"]}
    assert read_joined(tmp_path, both, first=first, second=second, third=third).seeds == (1,)


def test_an_empty_key_takes_away_what_was_inherited_and_means_nothing_else(tmp_path):
    base = {**BASE, "per_task": {"nli": {"epochs": 2}, "qa": {"epochs": 3}}}
    own = {"extends": "base", "per_task": {"nli": None, "slots": None}, "seeds": None}
    read = read_joined(tmp_path, own, base=base)
    assert (read.per_task, read.seeds) == ({"qa": {"epochs": 3}}, (1,))
    without = {key: value for key, value in BASE.items() if key != "per_task"}
    assert read_joined(tmp_path, {"extends": "base", "per_task": {"nli": None}}, base=without).per_task == {}


@pytest.mark.parametrize(
    "own, others, message",
    [
        ({"extends": "bas"}, {"base": BASE}, r"own.yml extends 'bas'. Did you mean 'base'\?"),
        ({"extends": "own"}, {}, "own.yml: it extends itself"),
        ({"extends": "a"}, {"a": {"extends": "own"}}, "own.yml: it extends itself through a"),
    ],
)
def test_a_study_that_cannot_be_extended_is_named(tmp_path, own, others, message):
    with pytest.raises(StiltsError, match=message):
        read_joined(tmp_path, own, **others)
