"""The rows of a task that a phase reads before it computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stilts.sources.hub import load_split
from stilts.tasks.formats import get_format
from stilts.tasks.registry import Task


@dataclass(frozen=True)
class Split:
    """Rows of one task, language and split, and the names of its labels (none for span QA)."""

    rows: list[dict[str, Any]]
    labels: list[str]


def load(suite: Path, task: Task, language: str, split: str, most: int, columns: Sequence[str] = ()) -> Split:
    """Return the first `most` rows of a split, which must have the columns of the task's format or those given."""
    form = get_format(task.format)
    data = load_split(suite, None, task.config_for(language), split, columns=columns or form.columns)
    labels: list[str] = []
    if form.label_column:
        feature = data.features[form.label_column]
        labels = (feature.feature if hasattr(feature, "feature") else feature).names
    return Split(data.select(range(min(most, len(data)))).to_list(), labels)
