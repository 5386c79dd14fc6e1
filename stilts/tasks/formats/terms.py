"""Terms: the symbols that a format's head predicts, each among a number of options.

The class of a sentence is one term, each tag of a sentence is one, and an answer has two (its start and its end). They
allow all formats to be treated alike when labels are sampled from predictions, coded, or measured by their entropy.
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
        Number of kinds of terms, which alternate in an input. Each has its own distribution: an answer's start and end.
    """

    kinds: int

    def symbols(self, part: Input) -> np.ndarray:
        """Return the gold symbols of an input as numbers, (terms,)."""

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the number of options of each symbol, (terms,); `labels` is the number of the head's labels."""

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the head's output for a single input as (terms, options)."""

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with other symbols (terms,)."""

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return the score, in percent, of the best prediction that ignores the input."""


class ClassTerms:
    """One label per input."""

    kinds = 1

    def symbols(self, part: Input) -> np.ndarray:
        """Return the label, (1,)."""
        return np.array([part.target])

    def options(self, part: Input, labels: int) -> np.ndarray:
        """Return the number of labels, (1,)."""
        return np.array([labels])

    def logits(self, logits: "torch.Tensor", part: Input) -> "torch.Tensor":
        """Return the head's output unchanged, (1, labels)."""
        return logits

    def replaced(self, part: Input, symbols: np.ndarray) -> Input:
        """Return the input with another label."""
        return replace(part, target=int(symbols[0]))

    def chance(self, inputs: Sequence[Input]) -> float:
        """Return the share of the most frequent label."""
        return measure_most_frequent(self, inputs)


def measure_uniform_bits(terms: Terms, inputs: Sequence[Input], labels: int) -> float:
    """Return the code length, in bits, of the symbols of all inputs if all options are equally likely."""
    return float(sum(np.log2(terms.options(part, labels)).sum() for part in inputs))


def measure_label_entropy(terms: Terms, inputs: Sequence[Input]) -> float:
    """Return the entropy, in bits per term, of the symbols' distribution over all inputs.

    This is the plug-in estimate, which is too low for many symbols and few examples. Several kinds of terms are
    averaged.
    """
    from scipy.stats import entropy

    symbols = np.concatenate([terms.symbols(part) for part in inputs]).reshape(-1, terms.kinds)
    counts = [np.unique(column, return_counts=True)[1] for column in symbols.T]
    return float(np.mean([entropy(own, base=2) for own in counts]))


def draw_input(terms: Terms, part: Input, logits: "torch.Tensor", generator: "torch.Generator") -> Input:
    """Return an input with symbols sampled from the head's distribution.

    Parameters
    ----------
    logits : Tensor
        The head's output for this input alone.
    generator : torch.Generator
        Generator on the CPU.
    """
    import torch

    shares = terms.logits(logits.detach().float(), part).softmax(-1).cpu()
    return terms.replaced(part, torch.multinomial(shares, 1, generator=generator).squeeze(1).numpy())


def measure_most_frequent(terms: Terms, inputs: Sequence[Input]) -> float:
    """Return the percentage of the most frequent symbol."""
    counts = np.unique(np.concatenate([terms.symbols(part) for part in inputs]), return_counts=True)[1]
    return 100 * float(counts.max() / counts.sum())
