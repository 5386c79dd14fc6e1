"""What guessing scores: the share of the most frequent label, and accuracy with every label counting the same."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from stilts.tasks.splits import Split

LABELLED = ("classification", "multiple_choice")


def majority(gold: Sequence[str]) -> float:
    """Return the percentage of the most frequent label: what the best constant answer scores."""
    return 100 * max(Counter(gold).values()) / len(gold)


def balanced_accuracy(gold: Sequence[str], predictions: Sequence[str]) -> float:
    """Return the mean over labels of the percentage of each label's examples that are right."""
    right = defaultdict(list)
    for label, predicted in zip(gold, predictions, strict=True):
        right[label].append(label == predicted)
    return 100 * float(np.mean([np.mean(each) for each in right.values()]))


def gold_labels(split: Split) -> list[str]:
    """Return the labels of rows as predictions name them; of a multiple choice the number of the right one."""
    return [split.labels[row["label"]] if split.labels else str(row["label"]) for row in split.rows]
