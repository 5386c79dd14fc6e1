"""Reading the splits of a task in a suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stilts.sources.hub import load_split, read_features
from stilts.study.errors import StiltsError
from stilts.tasks.configs import Config
from stilts.tasks.formats.base import UNLIMITED, TrainedFormat
from stilts.tasks.formats.evaluation import Split
from stilts.tasks.registry import Task

if TYPE_CHECKING:
    from datasets import Dataset, Features


@dataclass(frozen=True)
class SuiteSplits:
    """The splits of one task in a suite, see `stilts.tasks.formats.evaluation.Splits`.

    Parameters
    ----------
    suite : Path
        Folder of a suite.
    task : Task
    languages : sequence of str
        Languages in which the task is tested.
    most : int
        Maximum number of rows of a test set to evaluate.
    """

    suite: Path
    task: Task
    languages: Sequence[str] = ()
    most: int = UNLIMITED

    @property
    def parallel(self) -> bool:
        """Whether the test items of different languages are translations of one another."""
        return self.task.parallel is not None

    @property
    def place(self) -> str:
        """Suite and task, for messages."""
        return f"{self.suite}, task '{self.task.name}'"

    def config(self, language: str) -> str:
        """Return the config that holds the task in a language."""
        return self.task.config_for(language)

    def read(self, language: str) -> Split:
        """Return the test set of a language, at most `most` rows."""
        return load(self.suite, self.task, language, "test", self.most)

    def labels(self) -> list[str]:
        """Return the label names of the first language's test set."""
        return read_labels(self.suite, self.task, self.languages[0], "test")

    def data(self, language: str, split: str = "test", columns: Sequence[str] = ()) -> "Dataset":
        """Return all rows of a split."""
        return load_split(self.suite, self.config(language), split, columns=columns)


def load(suite: Path, task: Task, language: str, split: str, most: int) -> Split:
    """Return the first `most` rows of a split that are the task's.

    Raises
    ------
    StiltsError
        If it does not have the columns of the task's format, or no row of the task.
    """
    form = task.format
    columns = form.test_columns if split == "test" else form.columns
    data = load_split(suite, task.config_for(language), split, columns=columns)
    if task.slot is not None:
        data = _select_questions(data, task.slot, f"{suite}, task '{task.name}' in {language}")
    return take_first_rows(data, form, language, most)


def _select_questions(data: "Dataset", slot: str, place: str) -> "Dataset":
    """Return the rows whose question asks for a slot of a command."""
    from stilts.sources.pocket.commands.questions import list_questions_on

    asking = list_questions_on(slot)
    rows = [row for row, question in enumerate(data["question"]) if question in asking]
    if not rows:
        raise StiltsError(f"{place}: no question asks for '{slot}'")
    return data.select(rows)


def read_labels(suite: Path, task: Task, language: str, split: str) -> list[str]:
    """Return the label names of a split, without reading its rows."""
    return list_label_names(read_features(suite, task.config_for(language), split), task.format)


def take_first_rows(data: "Dataset", form: TrainedFormat, language: str, most: int) -> Split:
    """Return the first `most` rows of a dataset, and its label names."""
    first = data if len(data) <= most else data.select(range(most))
    return Split(first.to_list(), list_label_names(data.features, form), language)


def list_label_names(features: "Features", form: TrainedFormat) -> list[str]:
    """Return the label names of a split in the order of their numbers; none if the format has no labels.

    Raises
    ------
    StiltsError
        If the labels are numbers without names.
    """
    if form.label_column is None:
        return []
    feature = getattr(features[form.label_column], "feature", features[form.label_column])
    if not hasattr(feature, "names"):
        raise StiltsError(
            f"column {form.label_column} holds {feature}, which names no labels; make it a datasets.ClassLabel with "
            "their names"
        )
    return feature.names


def list_covered_languages(task: Task, suite: Path, wanted: tuple[str, ...] | list[str] | Literal["all"]) -> list[str]:
    """Return the wanted languages in which the suite has a test set of a task; "all" in alphabetical order.

    A task need not cover every language of its suite, so wanted languages without a test set are skipped.

    Raises
    ------
    StiltsError
        If the suite has no test set of the task, or none in any wanted language.
    """
    found = [folder.name for folder in suite.glob(task.config_for("*")) if any(folder.glob("test-*.parquet"))]
    covered = sorted(Config.parse(name).language for name in found)
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
