"""The base classes of formats, which define everything that depends on the kind of a task.

A new format is one class in this folder and an entry in `FORMATS`. No other code of the package depends on a task's
format.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol, Self

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
    """The kind of a task: its columns, metric and evaluation.

    Attributes
    ----------
    name : str
        Name in the registry of formats and in exported models.
    group : str
        Group of its tasks in XTREME.
    metric : str
        Name of the score, which is in percent.
    rule : str
        Description of how the score is computed.
    text_columns : tuple of str
        Columns whose texts, lists of texts or words are tokenised.
    test_columns : tuple of str
        Columns that a row of a test set must have.
    trained : bool
        Whether it has a head and training sets.
    answers_are_labels : bool
        Whether an answer is one of a few labels, so that there is a majority baseline.
    suffix : str
        Suffix of prediction files for the XTREME leaderboard.
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
        """Return the features of an example in a suite.

        Parameters
        ----------
        labels : sequence of str
            Label names in the order of their numbers (BIO tags for tagging); ignored by formats without labels.
        pairs : bool
            Whether a classification example has two sentences.
        """

    @abstractmethod
    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Predict and score the test sets of all languages of a task."""

    @abstractmethod
    def show(self, splits: Splits, language: str, place: int) -> dict[str, str]:
        """Return a row of a language's test set as readable texts: `example` and `answer`."""

    def with_options(self, *, chunk_rule: str | None = None, doc_stride: int | None = None) -> Self:
        """Return this format with a study's options; None and options of other formats are ignored.

        Parameters
        ----------
        chunk_rule : str, optional
            How tags are parsed as chunks, see `stilts.tasks.metrics.count_chunks`.
        doc_stride : int, optional
            How a long context is split into windows, see `stilts.tasks.formats.span_qa`.
        """
        return self

    def suite_rows(self, sizes: Mapping[str, int]) -> int:
        """Return the maximum number of test rows in a suite of these sizes."""
        return sizes.get("test", UNLIMITED)

    # --- predictions for the XTREME leaderboard

    def asked_rows(self, data: "Dataset", language: str) -> list[Row]:
        """Return the rows of a test set that need a prediction, in order."""
        return data.to_list()

    def true_pairs(self, data: "Dataset", language: str) -> int | None:
        """Return the number of gold pairs in a test set for mining; None for other formats."""
        return None

    def scoring_options(self) -> dict[str, str]:
        """Return the options that affect the score: name -> value."""
        return {}

    def write_predictions(self, rows: Sequence[Row], predictions: Sequence[str], names: Mapping[str, str]) -> str:
        """Return the content of the prediction file for `asked_rows` in the leaderboard's format.

        Parameters
        ----------
        predictions : sequence of str
            Predictions of the first rows.
        names : mapping of str to str
            Label -> its name in the official files; empty for tasks outside XTREME.

        Raises
        ------
        StiltsError
            If the leaderboard has no task of this format.
        """
        raise StiltsError(f"the XTREME leaderboard has no task of the format {self.name}")


class SearchFormat(Format):
    """A format without training, which finds translations by the encoder's sentence vectors.

    Attributes
    ----------
    searched_sides : int
        Number of sentences that a search encodes per counted row.
    """

    searched_sides: ClassVar[int]

    @abstractmethod
    def english_sentences(self, data: "Dataset") -> list[str]:
        """Return the English sentences of a split."""


class TrainedFormat(Format):
    """A format with a head: it turns rows into encoder inputs, and the head's outputs into predictions.

    Attributes
    ----------
    columns : tuple of str
        Columns that a row of a training or dev set must have; by default also of a test set.
    label_column : str, optional
        Column with the label numbers.
    one_input : bool
        Whether each example makes one input, so that the number of updates follows from that of examples.
    whole_batches : bool
        Whether `loss` compares the inputs of a batch with each other, so that batches cannot be split.
    predicts_tokens : bool
        Whether the labels of its head are the tokens of the vocabulary.
    takes_checkpoint_head : bool
        Whether its head is initialised from a checkpoint's own masked-language-modelling head.
    terms : Terms, optional
        The symbols that its head predicts; None if it only ranks.
    detail : type, optional
        The named tuple that `Input.detail` is; None if it is one value or nothing.
    """

    columns: tuple[str, ...]
    label_column: str | None = None
    trained: ClassVar[bool] = True
    one_input: ClassVar[bool] = False
    whole_batches: bool = False
    predicts_tokens: ClassVar[bool] = False
    takes_checkpoint_head: ClassVar[bool] = False
    terms: Terms | None = None
    detail: ClassVar[type[NamedTuple] | None] = None

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
            The labels to predict.
        style : {"mean", "pooler"}
            Ignored by formats whose head has only one style.
        """

    @abstractmethod
    def targets(self, inputs: Sequence[Input]) -> "tuple[torch.Tensor, ...]":
        """Return what `sum_loss` compares the logits of inputs with, on the CPU.

        It is computed while earlier updates train, so that no update waits for it.
        """

    @abstractmethod
    def sum_loss(self, logits: "torch.Tensor", *targets: "torch.Tensor") -> "torch.Tensor":
        """Return the summed loss of inputs, given their `targets` on the device of the logits.

        No value of a tensor may be read here (`item`, `tolist`, a mask as an index): a GPU would be waited for.
        """

    def loss(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> "torch.Tensor":
        """Return the summed loss of inputs. Divided by their `weight`, it is the mean loss."""
        return self.sum_loss(logits, *(target.to(logits.device) for target in self.targets(inputs)))

    @abstractmethod
    def weight(self, inputs: Sequence[Input]) -> int:
        """Return the number of terms that the loss sums: inputs, tagged or masked tokens, span ends."""

    @abstractmethod
    def outputs(self, logits: "torch.Tensor", inputs: Sequence[Input]) -> list[np.ndarray]:
        """Return, for each input, the part of its logits that decoding needs, without padding."""

    @abstractmethod
    def decode(
        self, rows: Sequence[Row], inputs: Sequence[Input], outputs: Sequence[np.ndarray], labels: Sequence[str]
    ) -> list[str]:
        """Return one prediction per row, as text."""

    @abstractmethod
    def counts(self, rows: Sequence[Row], predictions: Sequence[str], labels: Sequence[str], language: str) -> Counts:
        """Return the contribution of each row to the metric."""

    def extra_scores(self, split: Split, predictions: Sequence[str]) -> dict[str, float]:
        """Return further scores of a test set for the record, in percent, by name."""
        return {}

    def gold_labels(self, split: Split) -> list[str] | None:
        """Return the label names of the rows; None if answers are not labels."""
        return None

    def read_tokens(self, part: Input) -> np.ndarray:
        """Return the tokens of an input's text before masking, (tokens,)."""
        return part.input_ids

    def evaluate(self, splits: Splits, model: ModelUnderTest) -> Iterator[Scored]:
        """Predict the test sets of all languages together, so that batches contain inputs of similar length."""
        tests = [splits.read(language) for language in splits.languages]
        rows = [row for split in tests for row in split.rows]
        inputs = model.encode(self, rows)
        outputs = model.outputs(inputs, len(rows))
        yield from self.scored(tests, self.decode(rows, inputs, outputs, tests[0].labels), splits.parallel)

    def scored(self, tests: Iterable[Split], predictions: Sequence[str], parallel: bool) -> Iterator[Scored]:
        """Yield the scores of each language, from the concatenated predictions of all languages."""
        start = 0
        for split in tests:
            own = predictions[start : start + len(split.rows)]
            counts = self.counts(split.rows, own, split.labels, split.language)
            items = [str(row["id"]) for row in split.rows] if parallel else None
            yield Scored(split.language, own, counts, self.extra_scores(split, own), items)
            start += len(own)


@dataclass(frozen=True)
class EncodedSplit:
    """A split encoded by its format, for training or evaluation. Rows and labels are only needed for scoring."""

    form: TrainedFormat
    inputs: Sequence[Input]
    rows: Sequence[Row] = ()
    labels: Sequence[str] = ()
    language: str = SOURCE_LANGUAGE

    def decode(self, outputs: Sequence[np.ndarray]) -> list[str]:
        """Return one prediction per row from the result of `TrainedFormat.outputs`."""
        return self.form.decode(self.rows, self.inputs, outputs, self.labels)

    def counts(self, predictions: Sequence[str]) -> Counts:
        """Return the contribution of each row to the metric."""
        return self.form.counts(self.rows, predictions, self.labels, self.language)

    def gold_labels(self) -> list[str] | None:
        """Return the label names of the rows; None if answers are not labels."""
        return self.form.gold_labels(Split(self.rows, self.labels, self.language))


class Encode(Protocol):
    """What turns rows into inputs of at most `max_length` tokens: `encode_rows`, or what keeps its results on disk."""

    def __call__(
        self, form: TrainedFormat, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int
    ) -> Sequence[Input]:
        """Return the result of `TrainedFormat.encode`."""


def encode_rows(
    form: TrainedFormat, rows: Sequence[Row], tokenizer: "PreTrainedTokenizerFast", max_length: int
) -> Sequence[Input]:
    """Return the result of `TrainedFormat.encode`."""
    return form.encode(rows, tokenizer, max_length)


def encode_split(
    form: TrainedFormat,
    split: Split,
    tokenizer: "PreTrainedTokenizerFast",
    max_length: int,
    encode: Encode = encode_rows,
) -> EncodedSplit:
    """Return a split with its rows encoded as inputs of at most `max_length` tokens."""
    inputs = encode(form, split.rows, tokenizer, max_length)
    return EncodedSplit(form, inputs, split.rows, split.labels, split.language)


def get_row(rows: Sequence[Row], place: int, config: str) -> Row:
    """Return a row of a config's test set; StiltsError if it does not exist."""
    if not 0 <= place < len(rows):
        raise StiltsError(f"test set {config} has rows 0 to {len(rows) - 1}, but 'place' is {place}")
    return rows[place]
