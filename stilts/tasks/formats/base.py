"""What a format is: all that the study asks of a shape that tasks can have.

A new format is one class in a file of this folder, and an entry in `FORMATS`. Nothing else in the package asks which
format a task has.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from stilts.study.errors import StiltsError
from stilts.study.settings import SOURCE_LANGUAGE, Heads
from stilts.tasks.formats.evaluation import ModelUnderTest, Scored, Split, Splits
from stilts.tasks.formats.inputs import Input, Row
from stilts.tasks.formats.terms import Terms
from stilts.tasks.metrics import Counts

if TYPE_CHECKING:
    import torch
    from datasets import Dataset, Features
    from torch import nn
    from transformers import PreTrainedTokenizerFast

Group = Literal["classification", "tagging", "question answering", "retrieval", "multiple choice", "language model"]

UNLIMITED = 10**12


class Format(ABC):
    """A shape that a task can have.

    Attributes
    ----------
    name : str
        In the registry of formats, and in exported models.
    group : str
        XTREME's group that its tasks belong to.
    metric : str
        What a task's score is called; it is in percent.
    rule : str
        How the score is counted, in words.
    text_columns : tuple of str
        Columns whose texts, lists of texts or words go through the tokenizer.
    test_columns : tuple of str
        Columns that a row of a test set must have.
    trained : bool
        Whether it has a head and training sets.
    answers_are_labels : bool
        Whether an answer is one of a few labels, so that the most frequent one is what guessing scores.
    suffix : str
        Of the files in which the XTREME leaderboard takes its predictions.
    numbered : bool
        Whether a test row's `id` is its number in the official file.
    """

    name: str
    group: Group
    metric: str
    rule: str
    text_columns: tuple[str, ...]
    test_columns: tuple[str, ...]
    trained: ClassVar[bool] = False
    answers_are_labels: ClassVar[bool] = False
    suffix: ClassVar[str] = "tsv"
    numbered: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"<format {self.name}>"

    @abstractmethod
    def features(self, labels: Sequence[str] = (), *, pairs: bool = False) -> "Features":
        """Return the columns that a suite holds of an example.

        Parameters
        ----------
        labels : sequence of str
            Names in the order of their numbers (BIO tags for tagging); of no use where answers are no labels.
        pairs : bool
            Whether an example of classification has two sentences.
        """

    @abstractmethod
    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Predict and score the test sets of all languages of a task."""

    @abstractmethod
    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """Return `example` and `answer` of a row of a language's test set, as a reader sees them."""

    def with_options(self, *, chunk_rule: str | None = None, doc_stride: int | None = None) -> Self:
        """Return this format with a study's options; those that it has no use for, and None, change nothing.

        Parameters
        ----------
        chunk_rule : str, optional
            How tags are read as chunks, see `stilts.tasks.metrics.chunk_counts`.
        doc_stride : int, optional
            How windows of a long context are laid, see `stilts.tasks.formats.span_qa`.
        """
        return self

    def suite_rows(self, sizes: Mapping[str, int]) -> int:
        """Return how many rows of a test set a suite of these sizes holds at most."""
        return sizes.get("test", UNLIMITED)

    # --- what the XTREME leaderboard takes

    def asked_rows(self, data: "Dataset", language: str) -> list[Row]:
        """Return the rows of a test set that have a prediction each, in their order."""
        return data.to_list()

    def true_pairs(self, data: "Dataset", language: str) -> int | None:
        """Return the pairs that a test set hides; None where it hides none."""
        return None

    def scoring_options(self) -> dict[str, str]:
        """Return by what further rules a score is counted: name -> value."""
        return {}

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """Return the text of the file in which the leaderboard takes the predictions of `asked_rows`.

        Parameters
        ----------
        predictions : sequence of str
            Those of the first rows.
        names : mapping of str to str
            Label -> what the official files call it; empty where a task is not one of theirs.

        Raises
        ------
        StiltsError
            If the leaderboard has no task of this format.
        """
        raise StiltsError(f"the XTREME leaderboard has no task of the format {self.name}")


class SearchFormat(Format):
    """A format without training: sentences look for their translations by the vectors of the encoder as it is.

    Attributes
    ----------
    searched_sides : int
        Sentences that a search holds for each row that is counted.
    """

    searched_sides: ClassVar[int]

    @abstractmethod
    def english_sentences(self, data: "Dataset") -> list[str]:
        """Return the English sentences of a split."""


class TrainedFormat(Format):
    """A format with a head: from rows to encoder inputs, and from the head's outputs back to predictions.

    Attributes
    ----------
    columns : tuple of str
        Columns that a row of a training or dev set must have; of a test set, too, where nothing else is said.
    label_column : str, optional
        The one that holds the numbers of labels.
    one_input : bool
        Whether each example makes one input, so that their number tells that of the updates.
    whole_batches : bool
        Whether `loss` compares the inputs of a batch with each other, so that no batch may be cut.
    predicts_tokens : bool
        Whether the labels of its head are the tokens of the vocabulary.
    takes_checkpoint_head : bool
        Whether its head goes on with the weights that a checkpoint brings along for masked tokens.
    terms : Terms, optional
        What its head chooses; None where it ranks and chooses nothing.
    """

    columns: tuple[str, ...]
    label_column: str | None = None
    trained: ClassVar[bool] = True
    one_input: ClassVar[bool] = False
    whole_batches: bool = False
    predicts_tokens: ClassVar[bool] = False
    takes_checkpoint_head: ClassVar[bool] = False
    terms: Terms | None = None

    @property
    def test_columns(self) -> tuple[str, ...]:
        """Columns that a row of a test set must have."""
        return self.columns

    @abstractmethod
    def encode(self, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int) -> list[Input]:
        """Return the encoder inputs of all rows, in their order."""

    @abstractmethod
    def head(self, hidden_size: int, labels: Sequence[Any], style: Heads = "mean") -> "nn.Module":
        """Return a new head, see `stilts.tasks.formats.heads`.

        Parameters
        ----------
        labels : sequence
            What the head chooses among.
        style : {"mean", "pooler"}
            A format whose head is of one style alone passes over the other.
        """

    @abstractmethod
    def loss(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "torch.Tensor":
        """Return the summed loss of inputs; divided by the sum of their `weight`, it is the mean loss of a batch."""

    @abstractmethod
    def weight(self, inputs: Sequence[Input]) -> int:
        """Return the number of terms that `loss` sums: inputs, tagged or masked tokens, span ends."""

    @abstractmethod
    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Return what decoding needs of each input's logits, without padding."""

    @abstractmethod
    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Return one prediction per row, as text."""

    @abstractmethod
    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Return what each row adds to the metric."""

    def extra_scores(self, split: Split, predictions: Sequence[str]) -> dict[str, float]:
        """Return further numbers that a record holds of a test set, in percent, by name."""
        return {}

    def gold_labels(self, split: Split) -> list[str] | None:
        """Return the labels of rows as predictions name them; None where answers are no labels."""
        return None

    def read_tokens(self, part: Input) -> np.ndarray:
        """Return the tokens of an input's text before anything of it was hidden, (tokens,)."""
        return part.input_ids

    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Predict the test sets of all languages in one pass, so that batches of like length fill up."""
        tests = [splits.read(language) for language in splits.languages]
        rows = [row for split in tests for row in split.rows]
        inputs = self.encode(rows, model.tokenizer, model.max_length)
        outputs = model.outputs(inputs, len(rows))
        yield from self.scored(tests, self.decode(rows, inputs, outputs, tests[0].labels), splits.parallel)

    def scored(self, tests: Iterable[Split], predictions: Sequence[str], parallel: bool) -> Iterator[Scored]:
        """Score the predictions of all languages' rows, which follow each other."""
        start = 0
        for split in tests:
            own = predictions[start : start + len(split.rows)]
            counts = self.counts(split.rows, own, split.labels, split.language)
            items = [str(row["id"]) for row in split.rows] if parallel else None
            yield Scored(split.language, own, counts, self.extra_scores(split, own), items)
            start += len(own)


@dataclass(frozen=True)
class EncodedSplit:
    """A split as its format has encoded it: what is trained on, or predicted and scored.

    Rows and labels are not needed where there is nothing to score.
    """

    form: TrainedFormat
    inputs: Sequence[Input]
    rows: Sequence[Row] = ()
    labels: Sequence[str] = ()
    language: str = SOURCE_LANGUAGE

    def decode(self, outputs: Sequence[np.ndarray]) -> list[str]:
        """Return one prediction per row from what `TrainedFormat.outputs` gave for each input."""
        return self.form.decode(self.rows, self.inputs, outputs, self.labels)

    def counts(self, predictions: Sequence[str]) -> Counts:
        """Return what each row adds to the metric."""
        return self.form.counts(self.rows, predictions, self.labels, self.language)

    def gold_labels(self) -> list[str] | None:
        """Return the labels of rows as predictions name them; None where answers are no labels."""
        return self.form.gold_labels(Split(self.rows, self.labels, self.language))


def encode_split(
    form: TrainedFormat, split: Split, tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> EncodedSplit:
    """Return a split with its rows as encoder inputs of at most so many tokens."""
    inputs = form.encode(split.rows, tokenizer, max_length)
    return EncodedSplit(form, inputs, split.rows, split.labels, split.language)


def row_at(rows: Sequence[Row], place: int, config: str) -> Row:
    """Return a row of the test set of a config; StiltsError if it has no such row."""
    if not 0 <= place < len(rows):
        raise StiltsError(f"test set {config} has rows 0 to {len(rows) - 1}; 'place' asks for {place}")
    return rows[place]
