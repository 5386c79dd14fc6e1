"""The interfaces that the evaluation of a format uses: a task's splits, and the model under test.

`stilts.sources.splits` and `stilts.training.evaluated_model` implement them. So formats do not depend on a suite's
folder, on how a model is loaded, or on the available memory.
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

VECTOR_BYTES = 2**30  # limit of the sentence vectors that an evaluation holds at once


@dataclass(frozen=True)
class Split:
    """Rows of one task in one language, and the names of its labels, if it has any."""

    rows: Sequence[Row]
    labels: Sequence[str] = ()
    language: str = SOURCE_LANGUAGE


class Scored(NamedTuple):
    """The predictions and scores of one language's test set.

    Attributes
    ----------
    predictions : sequence of str
        One per row.
    counts : Counts
        Contribution of each row to the metric.
    extras : dict
        Further numbers for the record, by name.
    items : sequence of str, optional
        The rows' ids, if equal ids mark items of several languages as translations of one another.
    """

    language: str
    predictions: Sequence[str]
    counts: Counts
    extras: Mapping[str, float]
    items: Sequence[str] | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The language's metrics in a record: `score` in percent, the number of rows `n`, and the extras."""
        return {"score": score(self.counts), "n": len(self.predictions), **self.extras}


class Splits(Protocol):
    """A task's splits in a suite.

    Attributes
    ----------
    languages : sequence of str
        Languages in which the task is tested.
    parallel : bool
        Whether the test items of different languages are translations of one another.
    place : str
        Suite and task, for messages.
    """

    languages: Sequence[str]
    parallel: bool
    place: str

    def config(self, language: str) -> str:
        """Return the config that holds the task in a language."""

    def read(self, language: str) -> Split:
        """Return the test set of a language, limited to the number of rows that the study evaluates."""

    def data(self, language: str, split: str = "test", columns: Sequence[str] = ()) -> "Dataset":
        """Return all rows of a split; `language` is that part of the config's name and may be e.g. `candidates`."""


class EncodingFormat(Protocol):
    """A format that turns rows into inputs."""

    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """Return the encoder inputs of all rows, in their order."""


class SentenceVectors(Protocol):
    """Pooled vectors of sentences by hidden layer."""

    def of(self, texts: Sequence[str], layer: int) -> np.ndarray:
        """Return the vectors (texts, hidden) of one layer."""


class ModelUnderTest(Protocol):
    """The model that is evaluated.

    Attributes
    ----------
    max_length : int
        Maximum number of tokens of an input.
    layers : sequence of int
        Numbers of the hidden layers, from 1.
    layer : int
        The layer whose vectors are used to compare sentences.
    """

    tokenizer: "PreTrainedTokenizerFast"
    max_length: int
    layers: Sequence[int]
    layer: int

    def encode(self, form: EncodingFormat, rows: Sequence[Row]) -> Sequence[Input]:
        """Return the inputs of rows for the model's tokenizer, of at most `max_length` tokens."""

    def outputs(self, inputs: Sequence[Input], examples: int) -> list[np.ndarray]:
        """Return the outputs of `TrainedFormat.outputs` for each input; `examples` is the number of examples."""

    def expect(self, texts: int) -> None:
        """Set the total number of texts for which `vectors` will be called."""

    def vectors(self, texts: Sequence[str], layers: Sequence[int]) -> SentenceVectors:
        """Return the pooled vectors of every distinct text at some layers."""

    def groups(self, sizes: Mapping[Key, int], layers: Sequence[int]) -> Iterator[list[Key]]:
        """Yield the keys of sets of texts in groups whose vectors fit into memory, given each set's number of texts."""

    def layer_groups(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield the layers in groups for which the vectors of these texts fit into memory."""
