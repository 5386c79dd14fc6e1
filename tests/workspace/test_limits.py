"""Settings that no computer can meet, or that would do in silence something else, end with the plan, in a line."""

import cProfile
import json
import pstats
import time
from pathlib import Path
from types import UnionType
from typing import Annotated, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from tiny_checkout import write_checkout, write_study

from stilts.study.errors import StiltsError
from stilts.study.settings import Study
from stilts.workspace.checkout import Checkout
from stilts.workspace.limits import check_number
from stilts.workspace.plan_report import PlanReport
from stilts.workspace.resolution import open_plan, resolve

ROOT = Path(__file__).parents[2]
SCRATCH = {"architecture": "encoder"}
HALVES = {"name": "multilingual-e5-small", "convert_to": "encoder-decoder"}  # with six layers each
BASE = {
    "name": "absurd",
    "title": "A study",
    "encoder": {"name": "multilingual-e5-small"},
    "intermediates": ["none", {"name": "pair", "tasks": ["nli", "qa"]}],
    "targets": ["intent", "ui-retrieval"],
}
# What makes a block of settings stand in the study, so that its fields are read.
WITH = {
    "encoder.scratch": {"encoder": {"name": "multilingual-e5-small", "scratch": SCRATCH}},
    "pretraining": {"encoder": {"name": "multilingual-e5-small", "scratch": SCRATCH}},
    "lora": {"intermediates": [{"name": "fresh", "tasks": [], "adapters": "fresh"}]},
    "measures.similarity": {"measures": {"similarity": {}}},
    "measures.complexity": {"measures": {"complexity": {}}},
    "question": {"question": {"number": 1, "text": "?", "tests": {"a": "b"}}},
}
ABSURD = (
    2**70, -(2**70), 10**9, -1, 0, 1e300, 5e-324, "", "x" * 300, "x" * 10**5, "../..", "a/b", "a\0b", "ä b\nc",
    [], [[]], [2**70], ["x" * 300], ["de", "de"], {}, {"x" * 300: 1}, {"x": 2**70},
)  # fmt: skip


def fields(model: type[BaseModel], place: tuple[str, ...] = ()):
    """Yield the places of all fields of a study file, those of its blocks included."""
    for name, field in model.model_fields.items():
        block = next((kind for kind in kinds(field.annotation) if issubclass(kind, BaseModel)), None)
        if block and get_origin(field.annotation) is not dict and name != "intermediates":
            yield from fields(block, (*place, name))
        yield (*place, name)


def kinds(annotation) -> list[type]:
    if get_origin(annotation) in (Annotated, UnionType, dict):
        return [kind for part in get_args(annotation) for kind in kinds(part)]
    return [annotation] if isinstance(annotation, type) else []


FIELDS = [".".join(place) for place in fields(Study)]
CONDITION = [f"intermediates.{name}" for name in ("name", "tasks", "example_cap", "before", "adapters", "encoder")]


def changed(place: str, value) -> dict:
    """Return a study's settings with another value at a place."""
    content = json.loads(json.dumps(BASE))
    for start, block in WITH.items():
        if place.startswith(start):
            content |= json.loads(json.dumps(block))
    if place.startswith("intermediates."):
        content["intermediates"] = [{"name": "own", "tasks": ["nli"], place.partition(".")[2]: value}]
        return content
    *parents, name = place.split(".")
    inner = content
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[name] = value
    return content


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return write_checkout(tmp_path_factory.mktemp("absurd"))


def plan_of(here: Checkout, content: dict):
    path = write_study(here.root / "absurd.yml", content)
    study = here.study(str(path))
    plan = resolve(study, here)
    PlanReport(plan).summary()
    return plan


def test_all_fields_are_tried():
    assert {"encoder.scratch.hidden", "target_training.lora.rank", "measures.similarity.layers"} <= set(FIELDS)


@pytest.mark.parametrize("place", [*FIELDS, *CONDITION])
def test_an_absurd_value_ends_soon_in_a_plan_or_a_line(here, place):
    start = time.process_time()
    for value in ABSURD:
        plan, line = None, ""
        try:
            plan = plan_of(here, changed(place, value))
        except StiltsError as error:
            line = str(error)
        assert len(line) < 3000, (place, value)
        assert "\n" not in line, (place, value)
        assert plan is None or all(len(f"{run.id}.parquet.part-4194304") < 255 for run in (*plan.runs, *plan.jobs))
    assert time.process_time() - start < 20


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seeds": [2**70]}, r"seeds.0: Input should be less than 4294967296 \(got 1180591620717411303424\)"),
        ({"seeds": [-1]}, "seeds.0: Input should be greater than or equal to 1"),
        ({"seeds": [1, 0]}, r"seeds.1: Input should be greater than or equal to 1 \(got 0\)"),
        ({"data": {"seed": 2**32}}, "data.seed: Input should be less than 4294967296"),
        ({"seeds": [1, 2, 1]}, "seeds: 1 is listed more than once"),
        ({"targets": ["intent", "intent"]}, "targets: intent is listed more than once"),
        ({"data": {"languages": ["de", "de"]}}, "data.languages.*: de is listed more than once"),
        ({"data": {"languages": []}}, "data.languages.*: .*at least 1 item"),
        ({"evaluation": {"languages": []}}, "evaluation.languages.*: .*at least 1 item"),
        ({"data": {"families": ["grain", "grain"]}}, "data.families: grain is listed more than once"),
        ({"target_training": {"evaluations": 10**9}}, "target_training.evaluations: .*less than or equal to 100000"),
        (
            {"target_training": {"evaluations": 1000}},
            "target run of intent: evaluations is 1000, but 1 epochs of at most 1500 examples in batches of 32 give "
            "only 47 updates; lower it",
        ),
        ({"target_training": {"epochs": 1e-9}}, "target run of intent: 1e-09 epochs of .* are less than one update"),
        ({"target_training": {"epochs": 1e300}}, "target_training.epochs: .*less than or equal to 10000"),
        ({"target_training": {"frozen_layers": 99}}, "frozen_layers is 99, but the encoder has 12 layers"),
        ({"intermediate_training": {"frozen_layers": 13}}, "intermediate run of pair: frozen_layers is 13, but the"),
        ({"intermediate_training": {"frozen_layers": 12}}, "frozen_layers is 12, all layers of the encoder, so that "),
        (
            {"intermediate_training": {"frozen_layers": 6}, "encoder": HALVES},
            "intermediate run of pair: frozen_layers is 6, all layers of the encoder, so that nothing is handed on",
        ),
        ({"evaluation": {"retrieval_layer": 7}, "encoder": HALVES}, "this encoder has layers 1 to 6"),
        ({"target_training": {"lora": {"rank": 385}}}, "lora.rank is 385, but the encoder's hidden size is 384"),
        ({"target_training": {"lora": {"rank": 10**9}}}, "target_training.lora.rank: .*less than or equal to 1000000"),
        (
            {"target_training": {"lora": {}, "frozen_layers": 12}},
            "frozen_layers is 12, all layers of the encoder, which leaves none for adapters",
        ),
        ({"evaluation": {"retrieval_layer": 13}}, "evaluation.retrieval_layer is 13; this encoder has layers 1 to"),
        ({"evaluation": {"retrieval_layer": 0}}, "evaluation.retrieval_layer is 0; this encoder has layers 1 to"),
        ({"measures": {"similarity": {"layers": 13}}}, "similarity.layers is 13, but the encoder has 12 layers"),
        (
            {"measures": {"complexity": {}}, "intermediate_training": {"restarts": 2}},
            "measure run of complexity-nli: restarts is 2, which a measure of complexity would ignore: its trainings "
            "are points of a learning curve, also those at chance; set it to 0",
        ),
        ({"measures": {"complexity": {"growth": 1.0000001}}}, "complexity.growth: .*greater than or equal to 1.1"),
        ({"data": {"sizes": {"train": 10**8}}}, "sizes.train: Input should be less than or equal to 1000000"),
        ({"intermediates": [{"name": "none", "tasks": ["nli"]}]}, r"condition none: it is the baseline, but has tasks"),
        ({"intermediates": [{"name": "qa", "tasks": ["nli"]}]}, "condition qa: it has the name of the task 'qa', but "),
        ({"intermediates": [{"name": "x" * 101, "tasks": ["nli"]}]}, "at most 100 characters"),
        ({"intermediates": [{"name": "x", "tasks": ["nli", "nli"]}]}, "nli is listed more than once"),
        ({"name": "x" * 300}, "name: String should have at most 100 characters"),
        ({"encoder": {"name": "x" * 300}}, "encoder.name: not a valid path: a part has more than 255 bytes"),
        ({"encoders": {"a/b": {"name": "x"}}}, "encoders.a/b.*: String should match pattern"),
        (
            {"encoder": {"name": "multilingual-e5-small", "scratch": SCRATCH | {"positions": 64}}},
            "max_length is 128, but the encoder has 64 positions",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_would_be_fatal_or_silent_later_is_refused_by_the_plan(here, changes, message):
    with pytest.raises(StiltsError, match=message):
        plan_of(here, BASE | changes)


def test_more_runs_than_a_plan_can_hold_are_refused():
    check_number(30_000, 1, 8)
    with pytest.raises(StiltsError, match="the study has about 1,020,000 runs .* split it into several studies"):
        check_number(30_000, 2, 8)


def test_the_plan_of_many_conditions_takes_work_in_proportion(here):
    def count_calls(conditions: int) -> int:
        ways = [{"name": f"way-{n}", "tasks": ["nli", "qa"], "example_cap": n + 1} for n in range(conditions)]
        path = here.root / "many.yml"
        path.write_text(yaml.safe_dump(BASE | {"intermediates": ways}))
        with cProfile.Profile() as profile:
            plan = open_plan(here, str(path))
            PlanReport(plan).summary()
        assert len(plan.runs) == 4 * conditions
        return pstats.Stats(profile).total_calls

    count_calls(10)  # what is read once per process is read here
    assert count_calls(400) < 5 * count_calls(100)


def test_a_stage_with_many_tasks_has_a_name_that_fits(here):
    tasks = ["nli", "para", "qa", "intent", "slots", "dates", *(f"dial-grain-{n}" for n in (2, 4, 8, 16))]
    tasks += [f"{task}.{code}" for task in ("nli", "para", "qa", "intent", "slots") for code in ("de", "zh")]
    way = {"name": "many", "tasks": tasks, "adapters": "continued"}
    data = {"families": ["grain"], "source_languages": ["de", "zh"]}
    plan = plan_of(here, BASE | {"intermediates": [way], "data": data})
    (name,) = {run.condition for run in plan.runs if run.phase == "intermediate"}
    assert len(name) == 100
    assert name.startswith("stage-nli-para-qa-intent-slots-dates-dial-grain-2-")
