"""What holds for every format, on a few rows, with a real tiny encoder: what `tasks/formats/base.py` promises."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tiny
import torch

from stilts.models.encoders import load_tokenizer
from stilts.models.model import build_model
from stilts.sources.pocket.card import POCKET_CARD
from stilts.sources.splits import SuiteSplits, load
from stilts.sources.suite import Table, write_suite
from stilts.sources.texts import read_texts
from stilts.study.errors import StiltsError
from stilts.study.settings import TrainingSettings
from stilts.tasks import coverage
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.base import Format, Group, TrainedFormat, encode_split
from stilts.tasks.formats.evaluation import Split
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.kept_inputs import KeptInputs
from stilts.tasks.registry import Task
from stilts.training.evaluated_model import EvaluatedModel
from stilts.training.loop import train
from stilts.training.prediction import compute_outputs

EXACT = {"batch_tokens": 512, "precision": "fp32"}


@dataclass(frozen=True)
class Example:
    """A few rows of a format.

    Attributes
    ----------
    tests : dict
        Language -> rows of its test set.
    trained : sequence of mapping
        Rows of the training and of the dev set; none where nothing is trained.
    labels : sequence of str
    further : sequence of Table
        What a suite holds besides, of the task "made".
    test_features : Features, optional
        Columns of the test sets, where they are not those of the training sets.
    settings : dict
        Of the training, where the usual ones do not suffice.
    """

    tests: dict[str, list[dict]]
    trained: Sequence[dict] = ()
    labels: Sequence[str] = ()
    further: Sequence[Table] = ()
    test_features: object = None
    settings: dict = field(default_factory=dict)


def check_format(form: Format, example: Example, encoder: Path, folder: Path) -> None:
    """Check all that the study asks of a format."""
    check_names(form)
    splits = written_splits(form, example, folder)
    check_columns(form, example, splits)
    check_shown(form, splits)
    labels = list(example.labels)
    if isinstance(form, TrainedFormat):
        split = load(splits.suite, splits.task, "en", "train", 10**6)
        assert list(split.labels) == labels
        check_texts_are_covered(form, split, encoder)
        check_inputs(form, split, encoder)
        check_kept_inputs(form, split, encoder, folder.with_name("inputs"))
        check_learning(form, split, encoder, example.settings)
    check_evaluation(form, example, splits, encoder)


def check_names(form: Format) -> None:
    assert FORMATS[form.name] is form
    assert form.group in get_args(Group)
    assert all((form.metric, form.rule, form.suffix))
    assert form.with_options() is form


def written_splits(form: Format, example: Example, folder: Path) -> SuiteSplits:
    """Write the rows as a suite and return the task's splits in it."""
    columns = form.features(example.labels, pairs="sentence2" in str(example.trained[:1]))
    tests = example.test_features or columns
    tables = [Table(f"made.{language}", "test", tests, rows) for language, rows in example.tests.items()]
    if example.trained:
        tables += [Table("made.en", split, columns, example.trained) for split in ("train", "validation")]
    else:
        tables += [table._replace(split="validation") for table in tables]
    suite = write_suite([*tables, *example.further], folder, {"fingerprint": form.name}, POCKET_CARD)
    return SuiteSplits(suite, Task("made", "Made", form), list(example.tests))


def check_columns(form: Format, example: Example, splits: SuiteSplits) -> None:
    for language in example.tests:
        assert {*form.test_columns} <= {*splits.data(language).column_names}
    assert [*read_texts(splits.suite, form.text_columns)]
    if isinstance(form, TrainedFormat):
        assert {*form.columns} <= {*splits.data("en", "train").column_names}


def check_shown(form: Format, splits: SuiteSplits) -> None:
    for language in splits.languages:
        shown = form.show(splits, language, 0)
        assert shown.keys() == {"example", "answer"}
        assert shown["example"]
        with pytest.raises(StiltsError, match=rf"test set made.{language} has rows 0 to"):
            form.show(splits, language, 10**6)


def texts_of(rows: Sequence[dict], columns: Sequence[str]) -> list[str]:
    found = [row[column] for row in rows for column in columns if column in row]
    return [text for each in found for text in ([each] if isinstance(each, str) else each)]


def check_texts_are_covered(form: TrainedFormat, split: Split, encoder: Path) -> None:
    """The text columns are all that is encoded, and each of their texts is asked for: else it would become unknown."""
    texts = sorted(set(texts_of(split.rows, form.text_columns)))
    tokenizer = load_tokenizer(str(encoder))
    coverage.cover(tokenizer, coverage.hash_texts(texts))
    form.encode(split.rows, tokenizer, 64)
    for number in (0, len(texts) // 2, len(texts) - 1):
        coverage.cover(tokenizer, coverage.hash_texts(texts[:number] + texts[number + 1 :]))
        with pytest.raises(StiltsError, match="is not among those for which the encoder's vocabulary was trimmed"):
            form.encode(split.rows, tokenizer, 64)


def check_inputs(form: TrainedFormat, split: Split, encoder: Path) -> None:
    """Every row has an input; losses and weights add up; what the head says is decoded to one text a row."""
    encoded = encode_split(form, split, load_tokenizer(str(encoder)), 64)
    model = build_model(encoder, {"made": (form, split.labels)}, seed=1).eval()
    assert {part.example for part in encoded.inputs} == {*range(len(split.rows))}
    assert max(part.longest for part in encoded.inputs) <= 64
    assert form.one_input <= (len(encoded.inputs) == len(split.rows))
    assert form.weight(encoded.inputs) == sum(form.weight([part]) for part in encoded.inputs)
    with torch.inference_mode():
        together = form.loss(model.logits("made", encoded.inputs).float(), encoded.inputs)
        each = [form.loss(model.logits("made", [part]).float(), [part]) for part in encoded.inputs]
    if not form.whole_batches:
        assert float(together) == pytest.approx(float(sum(each)), rel=1e-3)
    if form.terms:
        check_terms(form, model, encoded.inputs[0])
    assert all(form.read_tokens(part).dtype == np.int32 for part in encoded.inputs)


def check_kept_inputs(form: TrainedFormat, split: Split, encoder: Path, folder: Path) -> None:
    """Inputs come back from disk as they were made, without a tokenizer; other rows and lengths are others."""
    tokenizer, kept = load_tokenizer(str(encoder)), KeptInputs(folder)
    made = form.encode(split.rows, tokenizer, 64)
    for given in (tokenizer, None):
        assert_same_inputs(kept.encode(form, split.rows, given, 64), made)
    assert_same_inputs(kept.encode(form, split.rows, tokenizer, 16), form.encode(split.rows, tokenizer, 16))
    assert_same_inputs(kept.encode(form, split.rows[1:], tokenizer, 64), form.encode(split.rows[1:], tokenizer, 64))
    assert len([*folder.iterdir()]) == 3


def assert_same_inputs(found: Sequence[Input], expected: Sequence[Input]) -> None:
    assert [describe(part) for part in found] == [describe(part) for part in expected]


def describe(value: object) -> object:
    """Return a value, of which arrays are parts, as one that can be compared, with the types of all its parts."""
    if isinstance(value, Input):
        return {each.name: describe(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, np.ndarray):
        return value.dtype, value.tolist()
    return (type(value), [describe(each) for each in value]) if isinstance(value, tuple) else (type(value), value)


def check_terms(form: TrainedFormat, model, part: Input) -> None:
    """The loss of an input is the cross entropy of its terms."""
    with torch.inference_mode():
        logits = model.logits("made", [part]).float()
        by_term = torch.nn.functional.cross_entropy(
            form.terms.logits(logits, part), torch.as_tensor(form.terms.symbols(part)).long(), reduction="sum"
        )
        assert float(form.loss(logits, [part])) == pytest.approx(float(by_term), rel=1e-4)
    assert len(form.terms.symbols(part)) == form.weight([part])


def check_learning(form: TrainedFormat, split: Split, encoder: Path, changes: dict) -> None:
    """Training lowers the loss, and the score of what was learned is above that of the new head."""
    encoded = encode_split(form, split, load_tokenizer(str(encoder)), 64)
    settings = TrainingSettings(**tiny.TRAINING | {"epochs": 16, "evaluations": 1} | changes)
    model = build_model(encoder, {"made": (form, split.labels)}, seed=1)
    outcome = train(model, {"made": encoded}, settings, seed=1, dev_scores=lambda: {"made": 0.0})
    losses = [point["loss"] for point in outcome.history if "loss" in point]
    assert losses[-1] < 0.9 * losses[0]
    predictions = encoded.decode(compute_outputs(model, "made", form, encoded.inputs, **EXACT))
    counts = encoded.counts(predictions)
    assert len(predictions) == len(counts) == len(split.rows)
    gold = encoded.gold_labels()
    assert (gold is not None) == form.answers_are_labels
    assert gold is None or {*predictions} <= {*gold, *split.labels, *map(str, range(9))}


def check_evaluation(form: Format, example: Example, splits: SuiteSplits, encoder: Path) -> None:
    """Every language is scored, with what a row adds to the score; the leaderboard's file has text, if it takes any."""
    model = build_model(encoder, {"made": (form, example.labels)} if form.trained else {}, seed=1)
    tested = EvaluatedModel(model, "made", form, load_tokenizer(str(encoder)), 64, **EXACT)
    scored = list(form.evaluate(splits, tested))
    assert [each.language for each in scored] == list(example.tests)
    for each in scored:
        asked = form.asked_rows(splits.data(each.language), each.language)
        assert len(each.predictions) == len(each.counts) == each.metrics["n"] == len(asked)
        assert all(isinstance(prediction, str) for prediction in each.predictions)
        assert 0 <= each.metrics["score"] <= 100
        assert each.items is None
        check_written(form, asked, each.predictions, example.labels)


def check_written(form: Format, rows: Sequence[dict], predictions: Sequence[str], labels: Sequence[str]) -> None:
    numbered = [{**row, "id": row.get("id", number)} for number, row in enumerate(rows)]
    names = {label: label for label in labels}
    if type(form).write_predictions is Format.write_predictions:
        with pytest.raises(StiltsError, match=f"the XTREME leaderboard has no task of the format {form.name}"):
            form.write_predictions(numbered, predictions, names)
        return
    text = form.write_predictions(numbered, predictions, names)
    assert text.endswith("\n") or not text
