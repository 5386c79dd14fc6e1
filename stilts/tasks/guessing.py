"""What guessing scores: the share of the most frequent label, and accuracy with every label counting the same."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def majority(gold: Sequence[str]) -> float:
    """Return the percentage of the most frequent label: what the best constant answer scores."""
    return 100 * max(Counter(gold).values()) / len(gold)


def balanced_accuracy(gold: Sequence[str], predictions: Sequence[str]) -> float:
    """Return the mean over labels of the percentage of each label's examples that are right."""
    right = defaultdict(list)
    for label, predicted in zip(gold, predictions, strict=True):
        right[label].append(label == predicted)
    return 100 * float(np.mean([np.mean(each) for each in right.values()]))


def score_guessing(gold: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Return what a record holds beside accuracy: `majority` and `balanced`, in percent."""
    return {"majority": majority(gold), "balanced": balanced_accuracy(gold, predictions)}
