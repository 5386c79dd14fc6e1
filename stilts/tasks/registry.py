"""The registry: a task names its format and its place in a suite. A new task is one entry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stilts.study.errors import StiltsError, UnknownName
from stilts.study.settings import BASELINE, SOURCE_LANGUAGE, Condition, Study, split_reference, task_name
from stilts.tasks.formats import TRAINED

Group = Literal["classification", "tagging", "question answering", "retrieval", "multiple choice", "language model"]


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes
    ----------
    name : str
        As studies, records and pages call it.
    format : str
        Which of `stilts.tasks.formats` it has.
    config : str
        Config of the suite in the Hub's layout; `{language}` stands for the ISO 639-1 code.
    group : str
        XTREME's group that it mirrors.
    metric : str
        Name of its score, in percent.
    suite : str
        The suite that holds it.
    trained_as : str, optional
        Target task whose training it shares, as MLQA and XQuAD share one model trained on SQuAD; its own by default.
    in_multi : bool
        Whether an intermediate task is one of those that the multi-task condition trains together.
    licensed : bool
        Whether its data may only be had under a licence: a study goes on without it where they are not.
    english_queries : bool
        Of retrieval, whether English sentences look for their translations, as XTREME evaluates Tatoeba; else those
        look for the English ones.
    by_source : bool
        Whether a suite has it only for studies with `data.source_languages`, in these and in English.
    family : str, optional
        A suite has it only for studies that ask for this by `data.families`.
    tests_of : tuple of str
        Targets whose test sets have its rows, and which it must not be trained before.
    parallel : str, optional
        Of a target whose test items are translations of one another, so that they are drawn together: `rows` if all
        languages have the same items in the same rows, `ids` if their ids alone tell.
    source_language : str
        That its training and dev data are in; of a task whose one config holds many languages, without meaning.
    """

    name: str
    format: str
    config: str
    group: Group
    metric: str
    suite: str = "pocket"
    trained_as: str | None = None
    in_multi: bool = True
    licensed: bool = False
    english_queries: bool = False
    by_source: bool = False
    family: str | None = None
    tests_of: tuple[str, ...] = ()
    parallel: Literal["rows", "ids"] | None = None
    source_language: str = SOURCE_LANGUAGE

    @property
    def trained(self) -> bool:
        """Whether the task has a head and a training set."""
        return self.format in TRAINED

    @property
    def reference(self) -> str:
        """What a study file calls the task: its name, and its language where that is not English."""
        return self.name if self.source_language == SOURCE_LANGUAGE else f"{self.name}.{self.source_language}"

    @property
    def training_task(self) -> str:
        """Name of the task whose training set and head it uses."""
        return self.trained_as or self.name

    def config_for(self, language: str) -> str:
        """Return the config that holds the task in a language."""
        return self.config.format(language=language)


def _registry(*tasks: Task) -> dict[str, Task]:
    return {task.name: task for task in tasks}


def _by_source(name: str, format_name: str, group: Group, metric: str, tests_of: tuple[str, ...] = ()) -> Task:
    config = f"intermediate.{name}.{{language}}"
    return Task(name, format_name, config, group, metric, "xtreme", in_multi=False, by_source=True, tests_of=tests_of)


TARGETS = _registry(
    Task("intent", "classification", "intent.{language}", "classification", "accuracy"),
    Task("command-nli", "classification", "command-nli.{language}", "classification", "accuracy"),
    Task("command-para", "classification", "command-para.{language}", "classification", "accuracy"),
    Task("slots", "tagging", "slots.{language}", "tagging", "chunk F1"),
    Task("dates", "tagging", "dates.{language}", "tagging", "chunk F1"),
    Task("command-qa", "span_qa", "command-qa.{language}", "question answering", "F1"),
    Task("ui-retrieval", "retrieval", "ui-retrieval.{language}", "retrieval", "accuracy"),
    Task("ui-mining", "mining", "ui-mining.{language}", "retrieval", "F1"),
    # XTREME (Hu et al. 2020, arXiv:2003.11080).
    Task("xnli", "classification", "xnli.{language}", "classification", "accuracy", "xtreme", parallel="rows"),
    Task("paws-x", "classification", "paws-x.{language}", "classification", "accuracy", "xtreme", parallel="rows"),
    Task("udpos", "tagging", "udpos.{language}", "tagging", "chunk F1", "xtreme"),
    Task("pan-x", "tagging", "pan-x.{language}", "tagging", "chunk F1", "xtreme"),
    Task("xquad", "span_qa", "xquad.{language}", "question answering", "F1", "xtreme", parallel="rows"),
    Task(
        "mlqa", "span_qa_mlqa", "mlqa.{language}", "question answering", "F1", "xtreme", trained_as="xquad",
        parallel="ids",
    ),
    Task("tydiqa", "span_qa", "tydiqa.{language}", "question answering", "F1", "xtreme"),
    Task("bucc2018", "mining", "bucc2018.{language}", "retrieval", "F1", "xtreme"),
    Task("tatoeba", "retrieval", "tatoeba.{language}", "retrieval", "accuracy", "xtreme", english_queries=True),
    # What XTREME-R adds (Ruder et al. 2021, arXiv:2104.07412).
    Task("xcopa", "multiple_choice", "xcopa.{language}", "multiple choice", "accuracy", "xtreme", parallel="rows"),
    Task("lareqa", "passage_retrieval", "lareqa.{language}", "retrieval", "mAP@20", "xtreme", parallel="rows"),
    Task("mewsli-x", "passage_retrieval", "mewsli-x.{language}", "retrieval", "mAP@20", "xtreme"),
)

INTERMEDIATES = _registry(
    Task("nli", "classification", "intermediate.nli.{language}", "classification", "accuracy"),
    Task("para", "classification", "intermediate.para.{language}", "classification", "accuracy"),
    Task("qa", "span_qa", "intermediate.qa.{language}", "question answering", "F1"),
    Task("intent", "classification", "intermediate.intent.{language}", "classification", "accuracy"),
    Task("slots", "tagging", "intermediate.slots.{language}", "tagging", "chunk F1"),
    Task("dates", "tagging", "intermediate.dates.{language}", "tagging", "chunk F1"),
    # What a study asks for by `data.families`: tasks whose difficulty is a setting, and unlabelled texts.
    *(
        Task(
            f"dial-{level}", "classification", f"intermediate.dial-{level}.{{language}}", "classification", "accuracy",
            in_multi=False, family=family,
        )
        for family, levels in {
            "dial": (
                "base", "slots-2", "slots-3", "slots-4", "distractors-1", "distractors-2", "distractors-3",
                "steps-2", "steps-3", "steps-4",
            ),
            "lures": ("lures-0", "lures-15", "lures-30", "lures-45", "lures-60"),
        }.items()
        for level in levels
    ),
    Task(
        "text", "mlm", "intermediate.text.multilingual", "language model", "accuracy", in_multi=False, family="text",
    ),
    # The nine of Phang et al. (2020, arXiv:2005.13013).
    Task("anli", "classification", "intermediate.anli.{language}", "classification", "accuracy", "xtreme"),
    Task("mnli", "classification", "intermediate.mnli.{language}", "classification", "accuracy", "xtreme"),
    Task("qqp", "classification", "intermediate.qqp.{language}", "classification", "accuracy", "xtreme"),
    Task("squad", "span_qa", "intermediate.squad.{language}", "question answering", "F1", "xtreme"),
    Task("squad2", "span_qa_null", "intermediate.squad2.{language}", "question answering", "F1", "xtreme"),
    Task("hellaswag", "multiple_choice", "intermediate.hellaswag.{language}", "multiple choice", "accuracy", "xtreme"),
    Task("ccg", "tagging", "intermediate.ccg.{language}", "tagging", "chunk F1", "xtreme", licensed=True),
    Task("cosmosqa", "multiple_choice", "intermediate.cosmosqa.{language}", "multiple choice", "accuracy", "xtreme"),
    Task(
        "commonsenseqa", "multiple_choice", "intermediate.commonsenseqa.{language}", "multiple choice", "accuracy",
        "xtreme",
    ),
    # What is mixed in or put in their place: texts of many languages, and intermediate data in other languages. Their
    # one config holds all languages.
    Task("mlm", "mlm", "intermediate.mlm.multilingual", "language model", "accuracy", "xtreme", in_multi=False),
    Task(
        "mnli-translated", "classification", "intermediate.mnli-translated.multilingual", "classification",
        "accuracy", "xtreme", in_multi=False,
    ),
    Task(
        "squad-translated", "span_qa", "intermediate.squad-translated.multilingual", "question answering",
        "F1", "xtreme", in_multi=False,
    ),
    Task(
        "xnli-dev-translated", "classification", "intermediate.xnli-dev-translated.multilingual", "classification",
        "accuracy", "xtreme", in_multi=False,
    ),
    Task(
        "siqa", "multiple_choice", "intermediate.siqa.{language}", "multiple choice", "accuracy", "xtreme",
        in_multi=False,
    ),
    # Intermediate data in several source languages, by people; a suite has them where a study names such languages.
    _by_source("xnli-dev", "classification", "classification", "accuracy"),
    _by_source("paws-x-train", "classification", "classification", "accuracy"),
    _by_source("xquad-test", "span_qa", "question answering", "F1", tests_of=("xquad", "lareqa")),
    _by_source("tydiqa-train", "span_qa", "question answering", "F1"),
    _by_source("pan-x-train", "tagging", "tagging", "chunk F1"),
    _by_source("udpos-train", "tagging", "tagging", "chunk F1"),
)  # fmt: skip

MULTI = "multi"


def get_target(name: str, suite: str | None = None) -> Task:
    """Return a target task (of a suite, where one is given); UnknownName if there is none of that name."""
    known = of_suite(TARGETS, suite) if suite else TARGETS
    if name not in known:
        raise UnknownName("target task", name, known)
    return known[name]


def of_suite(registry: dict[str, Task], suite: str) -> dict[str, Task]:
    """Return the tasks of a registry that a suite holds."""
    return {name: task for name, task in registry.items() if task.suite == suite}


def get_intermediate(reference: str) -> Task:
    """Return an intermediate task by its name (`qa`) or by name and language (`qa.de`).

    Raises
    ------
    UnknownName
        If there is none of that name.
    StiltsError
        If it has no data by language.
    """
    name, language = split_reference(reference)
    if name not in INTERMEDIATES:
        raise UnknownName("intermediate task", reference, INTERMEDIATES)
    task = INTERMEDIATES[name]
    if language and "{language}" not in task.config:
        raise StiltsError(f"intermediate task '{reference}': the data of '{name}' are one set in many languages")
    return replace(task, source_language=language or SOURCE_LANGUAGE)


def check_sources(tasks: Iterable[Task], targets: Iterable[str], source_languages: Sequence[str]) -> None:
    """Check that a suite has intermediate tasks in their source languages, and that none has rows of a target's tests.

    Raises
    ------
    StiltsError
        If one is not in a suite for these source languages, or must not stand before a target.
    """
    for task in tasks:
        if task.by_source and not source_languages:
            raise StiltsError(
                f"intermediate task '{task.reference}': the suite has it only beside data.source_languages; set them, "
                "for example [de]"
            )
        if spoilt := [name for name in targets if name in task.tests_of]:
            raise StiltsError(
                f"intermediate task '{task.reference}' has the rows on which {' and '.join(spoilt)} would be tested; "
                "take the task or the target out of the study"
            )


def condition(entry: str | Condition, suite: str = "pocket") -> Condition:
    """Return what an entry of `intermediates` means: none, one task, `multi` (all of them), or a condition of its own.

    Parameters
    ----------
    suite : str
        The suite whose tasks may be named.

    Raises
    ------
    UnknownName
        If it names no intermediate task of the suite.
    """
    known = of_suite(INTERMEDIATES, suite)
    if isinstance(entry, Condition):
        for task in entry.all_tasks:
            if task_name(task) not in known:
                raise UnknownName("intermediate task", task, known)
            get_intermediate(task)
        if entry.name in known and entry.name not in map(task_name, entry.all_tasks):
            raise StiltsError(
                f"condition {entry.name}: it is called like the task '{entry.name}', but trains on "
                f"{', '.join(entry.all_tasks) or 'none'}; rename it"
            )
        return entry
    if entry == BASELINE:
        return Condition(name=entry, tasks=())
    if entry == MULTI:
        return Condition(name=entry, tasks=tuple(task.name for task in known.values() if task.in_multi))
    if entry not in known:
        raise UnknownName("intermediate task", entry, [BASELINE, MULTI, *known])
    return Condition(name=entry, tasks=(entry,))


def study_conditions(study: Study) -> list[Condition]:
    """Return what the entries of a study's `intermediates` mean, see `condition`."""
    return [condition(entry, study.data.suite) for entry in study.intermediates]


def measured_tasks(study: Study) -> list[Condition]:
    """Return the tasks that a study measures besides those of its conditions, each as a condition of this task alone.

    Raises
    ------
    UnknownName
        If one is no intermediate task of the study's suite.
    """
    alone = (Condition(name=f"measured-{task.replace('.', '-')}", tasks=(task,)) for task in study.measures.tasks)
    return [condition(each, study.data.suite) for each in alone]


def tasks_read(study: Study) -> list[str]:
    """Return the intermediate tasks that a study trains on or measures, each as its file calls it (`qa`, `qa.de`)."""
    return [task for each in (*study_conditions(study), *measured_tasks(study)) for task in each.all_tasks]


def languages(task: Task, suite: Path, wanted: tuple[str, ...] | list[str] | Literal["all"]) -> list[str]:
    """Return those of the wanted languages in which the suite has a test set of a task; "all" in alphabetical order.

    A task need not cover every language of its suite, so a wanted language without a test set is left out.

    Raises
    ------
    StiltsError
        If the suite has no test set of the task at all, or none in a wanted language.
    """
    prefix, suffix = task.config.split("{language}")
    found = [folder.name for folder in suite.glob(f"{prefix}*{suffix}") if any(folder.glob("test-*.parquet"))]
    covered = sorted(name[len(prefix) : len(name) - len(suffix)] for name in found)
    if not covered:
        raise StiltsError(f"suite {suite} has no test set of task '{task.name}'")
    if wanted == "all":
        return covered
    chosen = [language for language in wanted if language in covered]
    if not chosen:
        raise StiltsError(
            f"task '{task.name}' has no test set in {', '.join(wanted)}; its languages in {suite}: {', '.join(covered)}"
        )
    return chosen
