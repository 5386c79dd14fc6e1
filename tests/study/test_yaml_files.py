"""Reading YAML that people write: what YAML permits and nobody means is one line, with file and place."""

import os

import pytest

from stilts.study.errors import StiltsError
from stilts.study.yaml_files import MOST_BYTES, read_yaml


def read(folder, text):
    path = folder / "file.yml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path, "study file")


def bomb(kind: str) -> str:
    first, whole = {"list": ("[1, 1]", "[{}]"), "merge": ("{k: 1}", "{{<<: [{}]}}")}[kind]
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{n}: &a{n} {whole.format(', '.join([f'*a{n - 1}'] * 10))}" for n in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: 1\nb: 2\na: 3", "key 'a' occurs twice, first in line 1, line 3, column 1"),
        ("b:\n  x: 1\n  'x': 2", "key 'x' occurs twice, first in line 2, line 3, column 3"),
        ("- {x: 1, x: 1}", "key 'x' occurs twice"),
        ("1: a\n0x1: b", "key 1 occurs twice"),
        ("yes: 1\ntrue: 2", "key True occurs twice"),
        ("<<: {a: 1}\n<<: {b: 1}", "key '<<' occurs twice"),
        ("? [1]\n: 2", "a key is a mapping or list; keys must be text, line 1"),
        ("a: 2020-13-45", r"'2020-13-45' is not a valid timestamp \(month must be in 1..12\), line 1, column 4"),
        ("a: 2020-01-01T99:00:00", "'2020-01-01T99:00:00' is not a valid timestamp"),
        ("a: !!int abc", "'abc' is not a valid int"),
        ("a: !!int ''", "'' is not a valid int"),
        ("a: !!float x", "'x' is not a valid float"),
        ("a: !!bool x", "'x' is not a valid bool"),
        ("a: !!timestamp x", "'x' is not a valid timestamp"),
        ("a: " + "9" * 5000, r"'9{119}\.\.\. is not a valid int \(Exceeds the limit"),
        ("a: !!omap 5", "expected a sequence, but found scalar"),
        ("a: !foo 5", "could not determine a constructor for the tag '!foo'"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor for the tag"),
        ("a: &x [*x]", "an alias refers to a mapping or list that contains it, line 1, column 4"),
        ("&x {a: {b: *x}}", "an alias refers to a mapping or list that contains it"),
        ("a: *nope", "found undefined alias, line 1, column 4"),
        (bomb("list"), "its aliases expand to more values than a study can have"),
        (bomb("merge"), "its aliases expand to more values than a study can have"),
        ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000)), "its aliases expand"),
        ("[" * 100_000, "more than 40 mappings and lists are nested, line 1, column 41"),
        ("- " * 20_000 + "x", "more than 40 mappings and lists are nested"),
        ("{a: " * 20_000, "more than 40 mappings and lists are nested"),
        ("a: \x01", "control characters are not allowed"),
        ("a: b: c", "mapping values are not allowed in this context, line 1, column 5"),
        ("a: 1\n---\nb: 2", "expected a single document in the stream, but found another document, line 2"),
        ("<<: 5", "expected a mapping or list of mappings for merging, but found scalar, line 1"),
    ],
    ids=lambda value: value[:20],
)
def test_what_nobody_means_is_one_line_with_file_and_place(tmp_path, text, message):
    with pytest.raises(StiltsError, match=f"file.yml is not valid YAML: .*{message}") as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text, value",
    [
        ("b: &b {a: 1, x: 1}\nc: {<<: *b, a: 2}", {"b": {"a": 1, "x": 1}, "c": {"a": 2, "x": 1}}),
        ("a: &a [1]\nb: *a\nc: *a", {"a": [1], "b": [1], "c": [1]}),
        ("\ufeffa: ü", {"a": "ü"}),
        ("", None),
    ],
)
def test_what_yaml_means_is_read(tmp_path, text, value):
    assert read(tmp_path, text) == value


def test_what_is_no_file_of_text_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe.yml")
    with pytest.raises(StiltsError, match="cannot read study file .*pipe.yml: it is not a regular file"):
        read_yaml(tmp_path / "pipe.yml", "study file")
    with (tmp_path / "large.yml").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(StiltsError, match="study file .*large.yml has more than 16 MB; is it the right file"):
        read_yaml(tmp_path / "large.yml", "study file")
