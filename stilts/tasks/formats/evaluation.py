"""What the evaluation of a format is given: a task's splits, and a model that reads inputs and sentences.

`stilts.sources.splits` and `stilts.training.evaluated_model` implement both; a format knows neither a suite's folder
nor how a model is loaded, nor how much memory there is.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

from stilts.study.settings import SOURCE_LANGUAGE
from stilts.tasks.formats.inputs import Input, Row
from stilts.tasks.metrics import Counts, score

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

Key = TypeVar("Key", bound=Hashable)

VECTOR_BYTES = 2**30  # of sentence vectors that an evaluation makes of several languages, or layers, at a time


@dataclass(frozen=True)
class Split:
    """Rows of one task in one language, and the names of its labels (none where answers are no labels)."""

    rows: Sequence[Row]
    labels: Sequence[str] = ()
    language: str = SOURCE_LANGUAGE


class Scored(NamedTuple):
    """What the predictions of one language's test set came to.

    Attributes
    ----------
    predictions : sequence of str
        One for each row.
    counts : Counts
        What each row adds to the metric.
    extras : dict
        Further numbers of the record, by name.
    items : sequence of str, optional
        The rows' ids, where they tell which items of several languages are translations of one another.
    """

    language: str
    predictions: Sequence[str]
    counts: Counts
    extras: Mapping[str, float]
    items: Sequence[str] | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What a record holds of the language: `score` in percent, `n` rows, and the further numbers."""
        return {"score": score(self.counts), "n": len(self.predictions), **self.extras}


class Splits(Protocol):
    """A task's splits in a suite.

    Attributes
    ----------
    languages : sequence of str
        In which the task is tested.
    parallel : bool
        Whether the test items of different languages are translations of one another.
    place : str
        Suite and task, as messages name them.
    """

    languages: Sequence[str]
    parallel: bool
    place: str

    def config(self, language: str) -> str:
        """Return the config that holds the task in a language."""

    def read(self, language: str) -> Split:
        """Return the test set of a language, at most as many rows as the study evaluates."""

    def data(self, language: str, split: str = "test", columns: Sequence[str] = ()) -> "Dataset":
        """Return all rows of a split; `language` may be what stands for one in the config's name."""


class SentenceVectors(Protocol):
    """Pooled vectors of sentences by hidden layer."""

    def of(self, texts: Sequence[str], layer: int) -> np.ndarray:
        """Return the vectors (texts, hidden) of one layer."""


class ModelUnderTest(Protocol):
    """A model after the training that a test is about.

    Attributes
    ----------
    max_length : int
        Tokens of an input, at most.
    layers : sequence of int
        Numbers of the hidden layers, from 1.
    layer : int
        The one by whose vectors sentences are compared.
    """

    tokenizer: "PreTrainedTokenizerFast"
    max_length: int
    layers: Sequence[int]
    layer: int

    def outputs(self, inputs: Sequence[Input], examples: int) -> list[np.ndarray]:
        """Return what decoding needs of the task's head for each input; these are of so many examples."""

    def expect(self, texts: int) -> None:
        """Take note how many texts `vectors` will be asked for in all."""

    def vectors(self, texts: Sequence[str], layers: Sequence[int]) -> SentenceVectors:
        """Return the pooled vectors of every distinct text at some layers."""

    def groups(self, sizes: Mapping[Key, int], layers: Sequence[int]) -> Iterator[list[Key]]:
        """Yield the keys of sets of texts of these sizes in their order, as many at a time as may be held together."""

    def layer_groups(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield the layers, as many at a time as may be held of these texts."""
