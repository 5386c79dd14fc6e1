"""The registry of tasks and what a study's entries mean in it."""

import pytest
from pydantic import ValidationError

from stilts.sources.pocket import source
from stilts.sources.splits import list_covered_languages
from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import Condition, DataSettings
from stilts.tasks.formats import FORMATS
from stilts.tasks.registry import INTERMEDIATES, TARGETS, get_intermediate, get_target, resolve_condition

XTREME = DataSettings(suite="xtreme")
TASKS = [task for task in (*TARGETS.values(), *INTERMEDIATES.values()) if task.rows_of is None]


def test_every_task_has_a_format_and_its_place():
    assert len({task.config_for("en") for task in TASKS}) == len(TASKS)
    for name, task in {**INTERMEDIATES, **TARGETS}.items():
        assert task.name == name
        assert FORMATS[task.format.name] is task.format
    assert {name for name, task in TARGETS.items() if not task.trained} == {
        "ui-retrieval", "ui-mining", "tatoeba", "bucc2018", "command-qa-rooms"
    }  # fmt: skip
    assert all(task.trained for task in INTERMEDIATES.values())
    assert get_target("slots").config_for("zh") == "slots.zh"
    assert get_intermediate("slots").config_for("en") == "intermediate.slots.en"


@pytest.mark.parametrize("task", [task for task in TARGETS.values() if task.trained_as], ids=lambda task: task.name)
def test_a_task_that_shares_a_training_fits_its_head(task):
    training = get_target(task.training_task, task.suite)
    assert training.training_task == training.name
    heads = [each.format.head(8, ["a", "b"]) for each in (task, training)]
    assert [str(head) for head in heads] == [str(heads[0])] * 2


@pytest.mark.parametrize("task", [task for task in TARGETS.values() if task.scored_by], ids=lambda task: task.name)
def test_a_task_that_an_intermediate_head_predicts_has_the_rows_of_a_target_of_this_head(task):
    target, intermediate = get_target(task.rows_of, task.suite), get_intermediate(task.scored_by)
    assert (target.format, intermediate.format) == (task.format, task.format)
    assert task.config_for("de") == target.config_for("de")
    assert (task.head, task.trained) == (task.scored_by, False)


POCKET = [task for task in TASKS if task.suite == "pocket"]


@pytest.mark.parametrize("task", POCKET, ids=lambda task: task.config_for("en"))
def test_the_pocket_suite_has_the_columns_that_a_format_reads(task):
    columns = source.make_task_features(task.name).keys()
    assert {*task.format.test_columns, *getattr(task.format, "columns", ())} <= columns


def test_an_unknown_task_gets_the_nearest_name():
    with pytest.raises(UnknownName, match="unknown target task 'slot'. Did you mean 'slots'"):
        get_target("slot")
    with pytest.raises(UnknownName, match="unknown intermediate task 'nil'. Did you mean 'nli'"):
        get_intermediate("nil")
    with pytest.raises(UnknownName, match="unknown intermediate task 'mutli'. Did you mean 'multi'.*none"):
        resolve_condition("mutli")
    with pytest.raises(UnknownName, match="unknown intermediate task 'nil'. Did you mean 'nli'"):
        resolve_condition(Condition(name="own", tasks=("qa", "nil")))
    with pytest.raises(UnknownName, match="unknown intermediate task 'nli'. Did you mean 'mnli'"):
        resolve_condition("nli", XTREME)
    with pytest.raises(UnknownName, match="unknown target task 'xnli'"):
        get_target("xnli", "pocket")


def test_what_an_entry_of_intermediates_means():
    own = Condition(name="pair", tasks=("nli", "qa"), example_cap=9)
    assert [resolve_condition(entry) for entry in ("none", "qa", "multi", own)] == [
        Condition(name="none", tasks=()),
        Condition(name="qa", tasks=("qa",)),
        Condition(name="multi", tasks=("nli", "para", "qa", "intent", "slots", "dates")),
        own,
    ]
    nine = ("anli", "mnli", "qqp", "squad", "squad2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa")
    assert resolve_condition("multi", XTREME) == Condition(name="multi", tasks=nine)


def test_a_borrowed_task_is_known_beside_those_of_the_suite_and_is_not_in_multi():
    data = DataSettings(borrowed=("mnli", "qqp"))
    assert resolve_condition("mnli", data) == Condition(name="mnli", tasks=("mnli",))
    assert resolve_condition("nli", data) == resolve_condition("nli")
    assert resolve_condition("multi", data) == resolve_condition("multi")
    with pytest.raises(UnknownName, match="unknown intermediate task 'mnli'"):
        resolve_condition("mnli")


@pytest.mark.parametrize("name, near", [
    ("mnl", "Did you mean 'mnli'"), ("qa", "qqp"), ("ccg", "Known"), ("mlm", "Known"), ("xnli-dev", "Known"),
])  # fmt: skip
def test_a_task_that_cannot_be_borrowed_is_said(name, near):
    with pytest.raises(UnknownName, match=f"unknown intermediate task that can be borrowed '{name}'.*{near}"):
        resolve_condition("none", DataSettings(borrowed=(name,)))


def test_no_other_suite_than_pocket_borrows():
    with pytest.raises(ValidationError, match=r"borrowed \(mnli\): suite pocket alone borrows, not xtreme"):
        DataSettings(suite="xtreme", borrowed=("mnli",))


@pytest.fixture
def suite(tmp_path):
    files = ("intent.de/test", "intent.en/test", "intent.zh/test", "intent.sw/train", "intermediate.intent.fi/test")
    for name in files:
        path = tmp_path / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_the_languages_of_a_task_are_those_with_a_test_set(suite):
    task = get_target("intent")
    assert list_covered_languages(task, suite, "all") == ["de", "en", "zh"]
    assert list_covered_languages(task, suite, ["zh", "sw", "de"]) == ["zh", "de"]


def test_a_task_without_a_language_is_named(suite):
    with pytest.raises(StiltsError, match="suite .* has no test set of task 'slots'"):
        list_covered_languages(get_target("slots"), suite, "all")
    with pytest.raises(StiltsError, match="task 'intent' has no test set in sw, yo; its languages in .*: de, en, zh"):
        list_covered_languages(get_target("intent"), suite, ["sw", "yo"])
