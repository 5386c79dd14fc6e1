"""Read YAML safely: plain data of limited size and depth.

Aliases and merge keys (`<<`) are supported. Duplicate keys, recursive aliases, and aliases that expand beyond memory
are refused.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from stilts.study.errors import StiltsError, shorten_value

MOST_BYTES = 16 * 2**20
MOST_DEPTH = 40  # nested mappings and lists; thousands crash the C parser
MOST_VALUES = 10**6  # after aliases are expanded

_MERGE = "tag:yaml.org,2002:merge"
_OPENING, _CLOSING = (yaml.MappingStartEvent, yaml.SequenceStartEvent), (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_CONVERSIONS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def read_yaml(path: Path, what: str) -> Any:
    """Return the content of a YAML file; None if it is empty.

    Parameters
    ----------
    what : str
        What the file is, for messages ("study file").

    Raises
    ------
    StiltsError
        If it cannot be read, is not a regular file, is too large or not UTF-8; is not valid YAML; has a duplicate key
        or an invalid value (the date 2020-13-45); or is nested too deeply or expands too far.
    """
    text = _read_text(path, what)
    try:
        _check_depth(text)
        return yaml.load(text, _Loader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        raise StiltsError(f"{path} is not valid YAML: {_in_a_line(error)}") from None


def _read_text(path: Path, what: str) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise StiltsError(f"cannot read {what} {path}: it is not a regular file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise StiltsError(f"cannot read {what} {path}: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise StiltsError(f"{what} {path} has more than {MOST_BYTES // 2**20} MB; is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StiltsError(f"{what} {path} is not UTF-8: {error.reason} at byte {error.start}") from None


def _in_a_line(error: yaml.YAMLError) -> str:
    """Return the parser's message, which has several lines, in one."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    problem = ", ".join(filter(None, (error.context, error.problem)))
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}"


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > MOST_DEPTH:
            raise _fault(f"more than {MOST_DEPTH} mappings and lists are nested", event.start_mark)


def _fault(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """A SafeLoader (the C version if available) that checks nodes before it constructs values."""

    def get_single_node(self) -> yaml.Node | None:
        """Return the document's node, checked."""
        node = super().get_single_node()
        if node is not None:
            self._unfolded(node, {}, set())
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node; conversion errors are raised with the value and its location."""
        try:
            return super().construct_object(node, deep)
        except _CONVERSIONS as error:
            kind = node.tag.rsplit(":", 1)[-1]
            raise _fault(f"{shorten_value(node.value)} is not a valid {kind} ({error})", node.start_mark) from None

    def _unfolded(self, node: yaml.Node, known: dict[int, tuple[int, int]], opened: set[int]) -> tuple[int, int]:
        """Return number of values and depth of a node, aliases expanded; `opened` are the ids of its parents."""
        if id(node) in opened:
            raise _fault("an alias refers to a mapping or list that contains it", node.start_mark)
        if id(node) in known:
            return known[id(node)]
        if isinstance(node, yaml.MappingNode):
            self._check_keys(node)
            parts = [part for pair in node.value for part in pair]
        else:
            parts = node.value if isinstance(node, yaml.SequenceNode) else []
        opened.add(id(node))
        inside = [self._unfolded(part, known, opened) for part in parts]
        opened.discard(id(node))
        count, depth = 1 + sum(values for values, _ in inside), 1 + max((deep for _, deep in inside), default=0)
        if count > MOST_VALUES or depth > MOST_DEPTH + 1:
            raise _fault("its aliases expand to more values than a study can have", node.start_mark)
        known[id(node)] = count, depth
        return count, depth

    def _check_keys(self, node: yaml.MappingNode) -> None:
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a key is a mapping or list; keys must be text", key.start_mark)
            value = key.value if key.tag == _MERGE else self.construct_object(key)
            line = key.start_mark.line + 1
            if value in lines:
                raise _fault(f"key {shorten_value(value)} occurs twice, first in line {lines[value]}", key.start_mark)
            lines[value] = line
