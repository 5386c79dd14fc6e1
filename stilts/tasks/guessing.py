"""Scores that put accuracy in relation to guessing: the majority baseline and balanced accuracy."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def majority(gold: Sequence[str]) -> float:
    """Return the percentage of the most frequent label, which is the score of the best constant prediction."""
    return 100 * max(Counter(gold).values()) / len(gold)


def balanced_accuracy(gold: Sequence[str], predictions: Sequence[str]) -> float:
    """Return the balanced accuracy: the mean over labels of each label's recall, in percent."""
    right = defaultdict(list)
    for label, predicted in zip(gold, predictions, strict=True):
        right[label].append(label == predicted)
    return 100 * float(np.mean([np.mean(each) for each in right.values()]))


def score_guessing(gold: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Return the scores that a record holds besides accuracy: `majority` and `balanced`, in percent."""
    return {"majority": majority(gold), "balanced": balanced_accuracy(gold, predictions)}
