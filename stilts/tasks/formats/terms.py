"""What the head of a format chooses: terms, each one symbol among so many options.

The class of a sentence is one term, the tags of a sentence are a term each, an answer is two (its start and its end).
With them labels can be drawn from a model's own predictions, coded without any model, and their entropy taken, for
every format alike.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from stilts.tasks.formats.inputs import Input

if TYPE_CHECKING:
    import torch


class Terms(Protocol):
    """The terms of one format's inputs.

    Attributes
    ----------
    kinds : int
        Kinds of terms, which take turns in an input and have a distribution each: start and end of an answer are two.
    """

    kinds: int

    def symbols(self, part: Input) -> np.ndarray:
        """Return the true symbols of an input, numbers (terms,)."""

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return among how many options each symbol is, (terms,); `labels` is the number of the head's own."""

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return what the head says of one input alone as (terms, options)."""

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with other symbols (terms,)."""

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return the score, in percent, of the best prediction that does not look at an input."""


class ClassTerms:
    """One label an input."""

    kinds = 1

    def symbols(self, part: Input) -> np.ndarray:
        """Return the label, (1,)."""
        return np.array([part.target])

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the number of labels, (1,)."""
        return np.array([labels])

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the head's output as it is, (1, labels)."""
        return logits

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with another label."""
        return replace(part, target=int(symbols[0]))

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return the share of the most frequent label."""
        return measure_most_frequent(self, inputs)


def uniform_bits(terms: Terms, inputs: Sequence[Input], labels: int) -> float:
    """Return the bits that the symbols of all inputs cost where every option is equally likely."""
    return float(sum(np.log2(terms.options(part, labels)).sum() for part in inputs))


def label_entropy(terms: Terms, inputs: Sequence[Input]) -> float:
    """Return the entropy, in bits a term, of the symbols' distribution over all inputs.

    It is that of the observed shares, which is too low where symbols are many and examples few. Of several kinds of
    terms the mean is given.
    """
    from scipy.stats import entropy

    symbols = np.concatenate([terms.symbols(part) for part in inputs]).reshape(-1, terms.kinds)
    counts = [np.unique(column, return_counts=True)[1] for column in symbols.T]
    return float(np.mean([entropy(own, base=2) for own in counts]))


def draw_input(terms: Terms, part: Input, logits: "torch.Tensor", generator: "torch.Generator") -> Input:
    """Return an input with symbols that are drawn from what the head says of it.

    Parameters
    ----------
    logits : Tensor
        The head's output for this input alone.
    generator : torch.Generator
        Of the CPU.
    """
    import torch

    shares = terms.logits(logits.detach().float(), part).softmax(-1).cpu()
    return terms.replaced(part, torch.multinomial(shares, 1, generator=generator).squeeze(1).numpy())


def measure_most_frequent(terms: Terms, inputs: Sequence[Input]) -> float:
    """Return the share of the most frequent symbol, in percent."""
    counts = np.unique(np.concatenate([terms.symbols(part) for part in inputs]), return_counts=True)[1]
    return 100 * float(counts.max() / counts.sum())
