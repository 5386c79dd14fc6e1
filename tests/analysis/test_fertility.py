import pytest
import yaml

from stilts.analysis.languages.facts import read_languages
from stilts.analysis.languages.fertility import (
    ENCODERS,
    TABLE,
    count_tokens,
    measure_fertility,
    read_fertility,
    write_table,
)
from stilts.study.errors import StiltsError


class Words:
    """A tokenizer that takes words for tokens, and adds special ones unless told not to."""

    def __call__(self, texts, add_special_tokens=True):
        return {"input_ids": [text.split() + ["[SEP]"] * add_special_tokens for text in texts]}


def test_tokens_are_counted_without_special_ones():
    assert count_tokens(Words(), ["one two", "three"]) == 3


def test_fertility_is_the_ratio_of_sums_over_messages():
    found = measure_fertility(Words(), ["en", "de", "xx"])
    assert list(found) == ["de"]  # English is 1 by definition; too few messages in the other
    assert 0.7 < found["de"]["fertility"] < 1.1
    assert found["de"]["messages"] >= 100


def test_the_table_is_of_known_languages():
    for encoder in ENCODERS:
        table = read_fertility(encoder)
        assert set(table) <= set(read_languages())
        assert table["en"] == 1.0
        assert all(0.9 < value < 3 for value in table.values())
    assert read_fertility("an-encoder-not-measured") == {}


def test_writing_the_table_and_reading_it_changes_nothing(tmp_path):
    content = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    write_table(content["encoders"], content["made_with"], tmp_path / "fertility.yaml")
    assert (tmp_path / "fertility.yaml").read_bytes() == TABLE.read_bytes()


def test_a_missing_table_says_how_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr("stilts.analysis.languages.fertility.TABLE", tmp_path / "fertility.yaml")
    with pytest.raises(StiltsError, match="`python -m stilts.analysis.languages.fertility` makes it"):
        read_fertility.__wrapped__("multilingual-e5-small")
