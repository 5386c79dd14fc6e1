"""Scores by guessing: the majority baseline, balanced accuracy, and whether a dev score is above chance."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

SIZE = 0.01
"""Significance level of the test that a dev score is above chance."""

GUESSED_F1 = 5.0
"""Percent. For chunk F1 and answer F1 no constant answer scores above 0, so guessing is set to this."""


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


def find_p_of_guessing(score: float, n: int, chance: float) -> float:
    """Return the p value of an exact binomial test that a score on n examples is above chance.

    Parameters
    ----------
    score, chance : float
        In percent. If chance is unknown (NaN), the p value is 1.
    """
    from scipy.stats import binomtest

    if math.isnan(chance):
        return 1.0
    return float(binomtest(round(score * n / 100), n, chance / 100, alternative="greater").pvalue)


def is_above_chance(score: float, n: int, chance: float) -> bool:
    """Return whether a score on n examples is above chance (both in percent); False if chance is unknown (NaN)."""
    return find_p_of_guessing(score, n, chance) < SIZE
