"""Fine-tuning and zero-shot evaluation of data sets in memory, without study, suite or checkout.

What the phases of a study do, by the same code: train an encoder on one task, go on with another, score test sets in
any languages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from stilts.models.encoders import load_tokenizer
from stilts.models.model import MultiTaskModel, build_model, resolve_precision
from stilts.sources.hub import check_columns
from stilts.sources.splits import take_first_rows
from stilts.study.errors import StiltsError, describe_reasons
from stilts.study.settings import SOURCE_LANGUAGE, TrainingSettings
from stilts.tasks.formats.base import Format, TrainedFormat, encode_split
from stilts.tasks.formats.evaluation import Split
from stilts.training.evaluated_model import EvaluatedModel
from stilts.training.loop import train as train_model
from stilts.training.prediction import score_dev

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

TASK = "task"  # name of the one head


@dataclass(frozen=True)
class Trained:
    """An encoder that was trained on a task, and its head.

    Attributes
    ----------
    encoder : str
        What the training began with, see `train`.
    dev_score : float
        Of the weights that were kept, in percent.
    """

    encoder: str
    model: MultiTaskModel
    tokenizer: "PreTrainedTokenizerFast"
    form: TrainedFormat
    labels: Sequence[str]
    max_length: int
    dev_score: float


def train(
    encoder: "str | Trained",
    form: TrainedFormat,
    training: "Dataset",
    dev: "Dataset",
    *,
    seed: int = 1,
    **settings: Any,
) -> Trained:
    """Train an encoder, or one that was trained before, with a new head on a task.

    Parameters
    ----------
    encoder : str or Trained
        Name of a registered offline encoder, a folder in the layout of `transformers` or a Hub id; or what an earlier
        training left, whose encoder is gone on with (it stays as it is itself).
    form : TrainedFormat
        One of `stilts.tasks.formats`; its class says which columns the data have.
    training, dev : Dataset
        The dev set chooses among the evaluated weights.
    seed : int
        Decides the head's first weights, the order of the examples and dropout.
    **settings
        Fields of `stilts.study.settings.TrainingSettings`: epochs, learning_rate, examples, max_length, lora, ...

    Raises
    ------
    StiltsError
        If a setting is not valid or is `restarts`, the encoder cannot be loaded or a data set lacks a column, or as
        `stilts.training.loop.train`.
    """
    how = _check_settings(settings)
    form = form.with_options(doc_stride=how.doc_stride)
    name = encoder.encoder if isinstance(encoder, Trained) else encoder
    tokenizer = load_tokenizer(name)
    train_split = _read("training set", training, form, form.columns, how.examples)
    dev_split = _read("dev set", dev, form, form.columns, how.dev_examples)
    model = build_model(Path(name), {TASK: (form, train_split.labels)}, seed)
    before = encoder.model.state_dict() if isinstance(encoder, Trained) else None
    model.begin(before, how, goes_on=False, draw=str(seed))
    data = encode_split(form, train_split, tokenizer, how.max_length)
    held_out = encode_split(form, dev_split, tokenizer, how.max_length)
    outcome = train_model(
        model,
        {TASK: data},
        how,
        seed=seed,
        dev_scores=lambda: {TASK: score_dev(model, TASK, held_out, how.precision)},
    )
    return Trained(name, model, tokenizer, form, train_split.labels, how.max_length, outcome.best_score)


def _check_settings(settings: Mapping[str, Any]) -> TrainingSettings:
    try:
        how = TrainingSettings(**settings)
    except ValidationError as error:
        raise StiltsError(f"training settings: {describe_reasons(error)}") from None
    if how.restarts:
        raise StiltsError(
            f"training settings: restarts: {how.restarts} would be ignored; a training at chance is repeated only in a "
            "study, so train again with another seed"
        )
    return how


def evaluate(
    trained: Trained, tests: "Mapping[str, Dataset]", *, precision: str = "auto"
) -> dict[str, dict[str, float]]:
    """Return the zero-shot scores of test sets, by language: `score` in percent, `n` rows, and what the format adds.

    Parameters
    ----------
    tests : mapping of str to Dataset
        ISO 639-1 code -> test set, with the columns of the format that was trained.

    Raises
    ------
    StiltsError
        If a data set lacks a column.
    """
    computed = resolve_precision(precision, trained.model.device)
    model = EvaluatedModel(
        trained.model, TASK, trained.form, trained.tokenizer, trained.max_length, precision=computed
    )
    splits = MemorySplits(trained.form, tests)
    return {each.language: each.metrics for each in trained.form.evaluate(splits, model)}


@dataclass(frozen=True)
class MemorySplits:
    """Test sets in memory, as `stilts.tasks.formats.evaluation.Splits` gives them."""

    form: Format
    tests: "Mapping[str, Dataset]"
    parallel: bool = False
    place: str = "the test sets"

    @property
    def languages(self) -> list[str]:
        """Languages of the test sets."""
        return list(self.tests)

    def config(self, language: str) -> str:
        """Return the name of a language's test set in messages."""
        return language

    def read(self, language: str) -> Split:
        """Return the test set of a language."""
        data = self.tests[language]
        return _read(f"test set '{language}'", data, self.form, self.form.test_columns, len(data), language)

    def data(self, language: str, split: str = "test", columns: Sequence[str] = ()) -> "Dataset":
        """Return the rows of a language's test set. Raises StiltsError if another split is asked for: there is none."""
        if split != "test":
            raise StiltsError(f"test set '{language}': split '{split}' is asked for; in memory there is 'test' alone")
        check_columns(f"test set '{language}'", self.tests[language].column_names, columns)
        return self.tests[language]


def _read(
    what: str, data: "Dataset", form: TrainedFormat, columns: Sequence[str], most: int, language: str = SOURCE_LANGUAGE
) -> Split:
    check_columns(what, data.column_names, columns)
    return take_first_rows(data, form, language, most)
