"""Numbers that are typed in the book's prose, held against the records and the study files that they are of."""

from functools import cache
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from stilts.analysis import findings
from stilts.analysis.claims import gather_evidence
from stilts.analysis.opened import open_study
from stilts.analysis.origins import find_recorded_studies
from stilts.analysis.regime import tabulate_arms
from stilts.analysis.sizes import show_sizes, tabulate_sizes
from stilts.study.provenance import ran_on_gpu
from stilts.study.records import SCORES
from stilts.study.settings import Condition, Study
from stilts.tasks.registry import INTERMEDIATES, TARGETS, get_intermediate
from stilts.workspace.checkout import find_checkout

ROOT = Path(__file__).parents[2]
HERE = find_checkout(ROOT)
NUMBERS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
QUESTIONS = ("order", "distance", "architecture", "adapters", "complexity")


@cache
def words(place: str) -> str:
    """What a reader reads of a page, on one line: prose, or a template's Markdown and captions."""
    text = (ROOT / place).read_text(encoding="utf-8")
    if place.endswith(".ipynb"):
        cells = nbformat.reads(text, 4).cells
        captions = [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in cells]
        text = "\n".join([*(cell.source for cell in cells if cell.cell_type == "markdown"), *captions])
    return " ".join(text.split())


@cache
def recorded() -> pd.DataFrame:
    return tabulate_sizes(find_recorded_studies(HERE))


def most(study: str, phase: str, setting: str) -> float:
    """The largest value of a setting that any run of a recorded study had in a phase."""
    table = recorded()
    return table[(table["study"] == study) & (table["phase"] == phase)][setting].max()


def rate(study: str, phase: str) -> str:
    (found,) = set(show_sizes(recorded()).query("study == @study and phase == @phase")["learning rate"])
    return found


def seeds(study: str) -> int:
    return int(recorded().query("study == @study")["seeds"].max())


@cache
def study(name: str) -> Study:
    return HERE.study(name)


def targets(name: str) -> int:
    return len(study(name).targets)


def tasks(name: str) -> set[str]:
    """Intermediate tasks of a study, whatever the language of their data."""
    found = set()
    for entry in study(name).intermediates:
        for task in entry.all_tasks if isinstance(entry, Condition) else (entry,):
            found.add(task.partition(".")[0])
    return found - {"none", "multi"}


def single_tasks(name: str) -> int:
    """Number of a study's conditions of one English task alone."""
    named = [entry for entry in study(name).intermediates if isinstance(entry, str)]
    return len([entry for entry in named if entry in INTERMEDIATES and INTERMEDIATES[entry].in_multi])


def languages_beside(name: str) -> int:
    """Source languages of a study's intermediate data besides English."""
    conditions = [entry for entry in study(name).intermediates if isinstance(entry, Condition)]
    found = {get_intermediate(task).source_language for entry in conditions for task in entry.all_tasks}
    return len(found - {"en"})


@cache
def scored_languages(name: str) -> int:
    """Languages besides English that a recorded study has scores in."""
    scores = pd.read_csv(ROOT / "results" / name / SCORES)
    return scores.loc[scores["language"] != "en", "language"].nunique()


def in_words(number: int) -> str:
    return NUMBERS[number]


SENTENCES = [
    ("README.md", "short texts in {} languages besides English", lambda: scored_languages("pocket-full")),
    ("README.md", "other than English and {} seeds of the study `pilot`.", lambda: in_words(seeds("pilot"))),
    ("README.md", "(XLM-R Large, {} intermediate tasks,", lambda: in_words(single_tasks("paper"))),
    ("README.md", "tasks, {} targets,", lambda: in_words(targets("paper"))),
    ("README.md", "targets, {} seeds;", lambda: in_words(len(study("paper").seeds))),
    ("README.md", "`order-pilot`, ... | rows of XTREME, {} seed; `dis", lambda: in_words(seeds("order-pilot"))),
    ("index.md", "({:,} English examples of an inter", lambda: most("pocket-full", "intermediate", "examples")),
    ("index.md", "intermediate task, {} of a target)", lambda: most("pocket-full", "target", "examples")),
    ("index.md", "the six highest layers at {}, on which", lambda: rate("pocket-full", "intermediate")),
    ("index.md", "all layers at {}.", lambda: rate("pocket-rate", "intermediate")),
    ("book/method.md", "six highest layers at a peak rate of {}, that", lambda: rate("pocket-full", "intermediate")),
    ("book/method.md", "that of the pilot all layers at {}, where", lambda: rate("pilot", "intermediate")),
    ("book/method.md", "- {} seeds in the pocket study", lambda: in_words(seeds("pocket-full")).capitalize()),
    ("book/method.md", "{} in those of architecture, complexity", lambda: in_words(seeds("architecture-shared"))),
    ("book/method.md", "{} in those of architecture, complexity", lambda: in_words(seeds("complexity-grain"))),
    ("book/method.md", "{} in those of architecture, complexity", lambda: in_words(seeds("adapters-matched"))),
    ("book/method.md", "{} in that of order", lambda: in_words(seeds("order-six"))),
    ("book/method.md", "{} in the pilot and the study", lambda: in_words(seeds("pilot"))),
    ("book/method.md", "{:,} examples of an intermediate task,", lambda: most("pilot", "intermediate", "examples")),
    ("book/method.md", "intermediate task, {:,} of a target,", lambda: most("pilot", "target", "examples")),
    ("book/method.md", "of a target, {} of a language's test set", lambda: most("pilot", "zero-shot", "examples")),
    ("book/method.md", "come from {} examples at most", lambda: most("pilot", "target", "dev_examples")),
    ("book/method.md", "The {} lowest layers**", lambda: in_words(most("pilot", "target", "frozen_layers"))),
    ("book/method.md", "all examples, {} seeds", lambda: in_words(len(study("paper").seeds))),
    ("notebooks/order.ipynb", "reduced version: {} languages beside", lambda: in_words(languages_beside("order"))),
    ("notebooks/order.ipynb", "not drawn: {} say little", lambda: in_words(languages_beside("order-six"))),
    ("notebooks/order.ipynb", "It has {} seed, so", lambda: in_words(seeds("order-pilot"))),
    ("notebooks/architecture.ipynb", "less pretraining, {} targets", lambda: in_words(targets("architecture"))),
    ("notebooks/adapters.ipynb", "here. {} interm", lambda: in_words(len(tasks("adapters-matched"))).title()),
    ("notebooks/adapters.ipynb", "other tasks: {} intermediate tasks", lambda: in_words(len(tasks("adapters")))),
    ("notebooks/adapters.ipynb", "before {} targets, one seed", lambda: in_words(targets("adapters"))),
    ("notebooks/complexity.ipynb", "before {} targets.", lambda: in_words(targets("complexity-pilot"))),
    ("notebooks/complexity.ipynb", "one seed, {} tasks and", lambda: in_words(len(tasks("complexity-pilot")))),
    ("notebooks/complexity.ipynb", "tasks, {} language beside", lambda: in_words(languages_beside("complexity"))),
]


@pytest.mark.parametrize("place, sentence, value", SENTENCES, ids=[f"{place}-{text}" for place, text, _ in SENTENCES])
def test_a_typed_number_is_that_of_the_records_or_of_the_study_file(place, sentence, value):
    assert sentence.format(value()) in words(place)


def test_the_readme_says_what_the_landing_page_says():
    names = ("pocket-full", "pocket-rate", "pilot")
    pocket, second, xtreme = (gather_evidence(open_study(HERE, name, 2000, 0)) for name in names)
    chosen = f"all layers trained at {rate('pocket-rate', 'intermediate')}, as good a choice on English dev"
    for sentence in (
        *(describe(xtreme, "On rows of XTREME") for describe in (
            findings.describe_average, findings.describe_choice, findings.describe_masked_words,
            findings.describe_retrieval,
        )),
        findings.describe_average(pocket, "On short commands and messages"),
        findings.describe_average(second, f"On these texts with {chosen}"),
        findings.describe_same_task(pocket, "On short commands and messages"),
    ):  # fmt: skip
        assert sentence in words("README.md")


def test_nothing_was_selected_where_the_book_says_so():
    table = recorded()
    chosen = {"architecture-shared", "complexity-grain", "adapters-matched", "order-six"}
    named = {name for name in set(table["study"]) - chosen if name.startswith(QUESTIONS)}
    assert len(named) == 4
    trained = table[table["phase"] != "zero-shot"]
    assert set(trained.loc[trained["study"].isin(named), "evaluations"]) == {1}
    said = "evaluate once, at the end: their last weights were kept, and nothing was selected."
    assert said in words("book/method.md")
    assert set(trained.loc[trained["study"].isin({"pocket-full", "pilot", *chosen}), "evaluations"]) == {4}
    said = "The recorded studies on commands and the pilot keep the best of four evaluations."
    assert said in words("book/method.md")


def test_intermediate_phases_move_the_layers_that_the_book_names():
    table = recorded().query("phase == 'intermediate'").groupby("study")["frozen_layers"]
    assert table.unique()[["pilot", "pocket-full"]].map(set).to_dict() == {"pilot": {0}, "pocket-full": {6}}


def test_studies_on_xtreme_that_judge_have_one_seed_but_the_pilot():
    judging = [name for name in find_recorded_studies(HERE) if not name.startswith("regime")]
    names = [name for name in judging if study(name).data.suite == "xtreme"]
    assert {name: seeds(name) for name in names} == {**dict.fromkeys(names, 1), "pilot": 5}


def test_what_the_pilot_compares_comes_from_one_kind_of_device():
    trained = [record for record in find_recorded_studies(HERE)["pilot"] if not record.run.untrained]
    kinds = {record.run.seed: set() for record in trained}
    for record in trained:
        kinds[record.run.seed].add((ran_on_gpu(record.provenance), record.provenance.precision))
    assert {seed: len(own) for seed, own in kinds.items()} == dict.fromkeys(range(1, 6), 1)
    assert sorted({on_gpu for (on_gpu, _), in kinds.values()}) == [False, True]


def test_the_live_study_is_smaller_in_what_its_page_says():
    live, full = study("pocket"), study("pocket-full")
    assert live.training("target").examples < full.training("target").examples
    assert live.training("intermediate").examples < full.training("intermediate").examples
    assert live.evaluation.examples < full.evaluation.examples


def test_every_target_that_is_named_in_the_prose_exists():
    named = {"intent", "slots", "command-nli", "command-para", "command-qa", "dates", "ui-retrieval", "ui-mining"}
    assert named == set(study("pocket-full").targets) <= set(TARGETS)


def test_no_arm_of_intermediate_training_that_counts_reaches_the_dev_score_of_targets_without_any():
    said = (
        "no arm of intermediate training that counts leaves the targets with as high a dev score as they have without "
        "any"
    )
    assert said in words("notebooks/regime.ipynb")
    phases = {"regime": "target", "regime-intermediate": "intermediate"}
    arms = [tabulate_arms(open_study(HERE, name).records, phase) for name, phase in phases.items()]
    without, after = (each.loc[each["eligible"], "targets"].max() for each in arms)
    assert without > after + 1
