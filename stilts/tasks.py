"""The registry: a task names its format and its place in a suite. A new task is one entry."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stilts.errors import StiltsError, UnknownName
from stilts.formats import TRAINED
from stilts.study import NO_INTERMEDIATE, Condition

SOURCE_LANGUAGE = "en"

Group = Literal["classification", "tagging", "question answering", "retrieval"]


@dataclass(frozen=True)
class Task:
    """One task of a suite.

    Attributes
    ----------
    name : str
        As studies, records and pages call it.
    format : str
        Which of `stilts.formats` it has.
    config : str
        Config of the suite in the Hub's layout; `{language}` stands for the ISO 639-1 code.
    group : str
        XTREME's group that it mirrors.
    metric : str
        Name of its score, in percent.
    """

    name: str
    format: str
    config: str
    group: Group
    metric: str

    @property
    def trained(self) -> bool:
        """Whether the task has a head and a training set."""
        return self.format in TRAINED

    def config_for(self, language: str) -> str:
        """Return the config that holds the task in a language."""
        return self.config.format(language=language)


def _registry(*tasks: Task) -> dict[str, Task]:
    return {task.name: task for task in tasks}


TARGETS = _registry(
    Task("intent", "classification", "intent.{language}", "classification", "accuracy"),
    Task("command-nli", "classification", "command-nli.{language}", "classification", "accuracy"),
    Task("command-para", "classification", "command-para.{language}", "classification", "accuracy"),
    Task("slots", "tagging", "slots.{language}", "tagging", "chunk F1"),
    Task("dates", "tagging", "dates.{language}", "tagging", "chunk F1"),
    Task("command-qa", "span_qa", "command-qa.{language}", "question answering", "F1"),
    Task("ui-retrieval", "retrieval", "ui-retrieval.{language}", "retrieval", "accuracy"),
    Task("ui-mining", "mining", "ui-mining.{language}", "retrieval", "F1"),
)

INTERMEDIATES = _registry(
    Task("nli", "classification", "intermediate.nli.{language}", "classification", "accuracy"),
    Task("para", "classification", "intermediate.para.{language}", "classification", "accuracy"),
    Task("qa", "span_qa", "intermediate.qa.{language}", "question answering", "F1"),
    Task("intent", "classification", "intermediate.intent.{language}", "classification", "accuracy"),
    Task("slots", "tagging", "intermediate.slots.{language}", "tagging", "chunk F1"),
    Task("dates", "tagging", "intermediate.dates.{language}", "tagging", "chunk F1"),
)

MULTI = "multi"


def get_target(name: str) -> Task:
    """Return a target task; UnknownName if there is none of that name."""
    if name not in TARGETS:
        raise UnknownName("target task", name, TARGETS)
    return TARGETS[name]


def get_intermediate(name: str) -> Task:
    """Return an intermediate task; UnknownName if there is none of that name."""
    if name not in INTERMEDIATES:
        raise UnknownName("intermediate task", name, INTERMEDIATES)
    return INTERMEDIATES[name]


def condition(entry: str | Condition) -> Condition:
    """Return what an entry of `intermediates` means: none, one task, `multi` (all of them), or a condition of its own.

    Raises
    ------
    UnknownName
        If it names no intermediate task.
    """
    if isinstance(entry, Condition):
        for task in entry.tasks:
            get_intermediate(task)
        return entry
    if entry == NO_INTERMEDIATE:
        return Condition(name=entry, tasks=())
    if entry == MULTI:
        return Condition(name=entry, tasks=tuple(INTERMEDIATES))
    if entry not in INTERMEDIATES:
        raise UnknownName("intermediate task", entry, [NO_INTERMEDIATE, MULTI, *INTERMEDIATES])
    return Condition(name=entry, tasks=(entry,))


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
