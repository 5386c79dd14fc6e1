"""The name of a config says what it holds, and nothing is lost on the way there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stilts.tasks.configs import Config

PART = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)


@given(st.builds(Config, PART, PART, st.booleans()))
def test_a_config_is_read_back_from_its_name(config):
    assert Config.parse(str(config)) == config


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("intent.de", Config("intent", "de")),
        ("intermediate.nli.en", Config("nli", "en", True)),
        ("intermediate.mlm.multilingual", Config("mlm", "multilingual", True)),
        ("lareqa.candidates", Config("lareqa", "candidates")),
    ],
)
def test_the_names_of_suites_are_known(name, config):
    assert Config.parse(name) == config
    assert str(config) == name
