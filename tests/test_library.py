"""What the book shows of the library works as it stands, on a few rows in the place of the Hub's."""

import re

import datasets
import pytest
import tiny
from small_book import ROOT

from stilts import evaluate, train
from stilts.study.errors import StiltsError
from stilts.tasks.formats import CLASSIFICATION, TAGGING
from stilts.training.evaluated_model import EvaluatedModel
from stilts.training.fine_tuning import MemorySplits

PAGE = (ROOT / "book" / "extending.md").read_text(encoding="utf-8").partition("## Use it as a library\n")[2]
CODE = re.search(r"```python\n(.*?)```", PAGE, flags=re.S).group(1)


def as_hub(columns: dict[str, str], rows: list[dict], names: list[str]) -> datasets.DatasetDict:
    """Rows of ours under the names that a data set of the Hub has for their columns."""
    form = CLASSIFICATION.features(names, pairs=True)
    made = datasets.Dataset.from_list(rows, features=form).rename_columns(columns)
    return datasets.DatasetDict(train=made, validation=made, test=made)


def load_dataset(name: str, config: str) -> datasets.DatasetDict:
    if name == "nyu-mll/glue":
        rows = [{**row, "label": int(row["label"] == 0)} for row in tiny.nli_rows("en")]
        return as_hub({"sentence1": "question1", "sentence2": "question2"}, rows, ["not_duplicate", "duplicate"])
    assert name == "facebook/xnli"
    return as_hub({"sentence1": "premise", "sentence2": "hypothesis"}, tiny.nli_rows(config), tiny.NLI)


def test_the_page_runs(monkeypatch, encoder, capsys):
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 20
    exec(compile(CODE.replace("multilingual-e5-small", str(encoder)), "extending.md", "exec"), {})
    said = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d+\.\d", "x", line) for line in said] == [
        f"{name} {{'en': x, 'de': x, 'sw': x}}" for name in ("none", "qqp")
    ]


def tagged(language: str) -> datasets.Dataset:
    return datasets.Dataset.from_list(tiny.slot_rows(language), features=TAGGING.features(tiny.TAGS))


def test_what_was_trained_is_gone_on_with_and_stays_as_it_is(encoder):
    settings = {**tiny.TRAINING, "epochs": 4, "dev_examples": 100}
    first = train(str(encoder), TAGGING, tagged("en"), tagged("en"), **settings)
    before = {name: value.clone() for name, value in first.model.state_dict().items()}
    second = train(first, TAGGING, tagged("de"), tagged("de"), **settings)
    assert all(value.equal(before[name]) for name, value in first.model.state_dict().items())
    alone = train(str(encoder), TAGGING, tagged("de"), tagged("de"), **settings)
    weights = [each.model.encoder.state_dict() for each in (second, alone)]
    assert not all(value.equal(weights[1][name]) for name, value in weights[0].items())
    scores = evaluate(second, {"de": tagged("de"), "sw": tagged("sw")}, precision="fp32")
    assert {language: own.keys() for language, own in scores.items()} == dict.fromkeys(
        ("de", "sw"), {"score", "n", "token_accuracy"}
    )
    assert scores["de"]["score"] == pytest.approx(second.dev_score, abs=1e-6)


def test_equal_seeds_give_equal_scores(encoder):
    found = [train(str(encoder), TAGGING, tagged("en"), tagged("en"), seed=3, **tiny.TRAINING) for _ in range(2)]
    assert evaluate(found[0], {"sw": tagged("sw")}) == evaluate(found[1], {"sw": tagged("sw")})


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"restarts": 2}, "training settings: restarts: 2 would be ignored; .* train again with another seed"),
        ({"learning_rat": 1}, "training settings: learning_rat: Extra inputs are not permitted"),
        ({"epochs": -1}, "training settings: epochs: .* greater than 0"),
    ],
)
def test_settings_that_a_training_cannot_follow_are_refused(encoder, settings, said):
    with pytest.raises(StiltsError, match=said):
        train(str(encoder), TAGGING, tagged("en"), tagged("en"), **{**tiny.TRAINING, **settings})


def test_texts_have_vectors_before_it_is_said_how_many_will_come(encoder):
    trained = train(str(encoder), TAGGING, tagged("en"), tagged("en"), **tiny.TRAINING)
    told = []
    model = EvaluatedModel(trained.model, "task", trained.form, trained.tokenizer, trained.max_length,
                           progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert model.vectors(["a b", "c"], [1]).of(["c"], 1).shape[0] == 1
    assert told == []
    model.expect(2)
    model.vectors(["a b", "c"], [1])
    assert told[-1] == (2, 2)


def test_sets_in_memory_have_no_other_split_than_that_of_the_test():
    splits = MemorySplits(TAGGING, {"de": tagged("de")})
    assert splits.data("de").num_rows == tagged("de").num_rows
    with pytest.raises(StiltsError, match="test set 'de': split 'validation' is asked for"):
        splits.data("de", "validation")


def test_data_that_do_not_fit_are_named(encoder):
    rows = datasets.Dataset.from_dict({"tokens": [["a"]], "tags": [[0]]})
    with pytest.raises(StiltsError, match="column tags holds .*int64.*, which names no labels; make it a .*ClassLabel"):
        train(str(encoder), TAGGING, rows, rows)
    with pytest.raises(StiltsError, match="dev set: column tags is missing; it has tokens"):
        train(str(encoder), TAGGING, tagged("en"), tagged("en").remove_columns("tags"))
