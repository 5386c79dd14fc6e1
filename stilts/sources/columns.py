"""Schemas of source files: declared by a recipe and validated when a file is opened.

A kind of column converts equivalent Arrow types to a single one (large texts, views, dictionaries, integers of any
width, lists of any layout, as written by pandas, polars and others). It refuses anything else and reports the first
invalid row.
"""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class Misfit(Exception):
    """An invalid value of a column.

    Parameters
    ----------
    row : int
        The first invalid row, counted from 0.
    found : str
        Description of the value.
    right : str
        Description of a valid value.
    field : str
        The field of the column, such as ".text"; empty if it has no fields.
    """

    def __init__(self, row: int, found: str, right: str, field: str = ""):
        super().__init__(f"{found}; it should be {right}")
        self.row, self.found, self.right, self.field = row, found, right, field


class Kind(Protocol):
    """The kind of a column's values."""

    def arrow_type(self) -> "pa.DataType":
        """Return the type of the arrays that `conform` returns."""

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return equivalent values of `arrow_type`; raise `Misfit` for the first invalid row."""


@dataclass(frozen=True)
class Text:
    """Texts, never null.

    Attributes
    ----------
    noun : str
        Name of a value in messages.
    allowed : sequence of str
        The valid texts; by default any.
    pattern : str
        A regular expression (RE2) that must match somewhere in every text.
    should : str
        Description of a valid text.
    """

    noun: str = "text"
    allowed: Sequence[str] = ()
    pattern: str = ""
    should: str = "a text"

    @property
    def right(self) -> str:
        """Description of a valid value."""
        return f"one of {', '.join(self.allowed)}" if self.allowed else self.should

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's string."""
        import pyarrow as pa

        return pa.string()

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return strings in UTF-8."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = _without_nulls(values, self.noun, self.right)
        if not _is_text(values.type):
            right = f"a text, {self.right}" if self.allowed else self.right
            return _refuse_type(values, self.noun, right, self.arrow_type())
        encoded = values.cast(pa.large_binary())
        texts = _cast(encoded, self.arrow_type(), self.noun, "a text in UTF-8")
        if self.allowed:
            _refuse_where(pc.invert(pc.is_in(texts, pa.array(self.allowed))), texts, self.noun, self.right)
        if self.pattern:
            matched = pc.match_substring_regex(texts, self.pattern)
            _refuse_where(pc.invert(matched), texts, self.noun, self.right)
        return texts


@dataclass(frozen=True)
class Number:
    """Integers, never null.

    Attributes
    ----------
    noun : str
    lowest, highest : int
        The valid range, including both ends.
    """

    noun: str
    lowest: int
    highest: int = 2**31 - 1

    @property
    def right(self) -> str:
        """Description of a valid value."""
        return f"{self.lowest} to {self.highest}"

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's int64."""
        import pyarrow as pa

        return pa.int64()

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return 64-bit integers; integral values of other types, such as 1.0, are converted."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = _without_nulls(values, self.noun, self.right)
        kinds = pa.types
        if not (kinds.is_integer(values.type) or kinds.is_floating(values.type) or kinds.is_decimal(values.type)):
            return _refuse_type(values, self.noun, self.right, self.arrow_type())
        numbers = _cast(values, self.arrow_type(), self.noun, self.right)
        outside = pc.or_(pc.less(numbers, self.lowest), pc.greater(numbers, self.highest))
        _refuse_where(outside, numbers, self.noun, self.right)
        return numbers


@dataclass(frozen=True)
class Label(Number):
    """Label numbers.

    Attributes
    ----------
    names : sequence of str
        Label names in the order of their numbers. Label names in a file's metadata must be the same.
    """

    names: Sequence[str] = ()


@dataclass(frozen=True)
class NamedLabel(Text):
    """Labels given as texts, one of `allowed`, which are converted to their numbers."""

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's int64."""
        import pyarrow as pa

        return pa.int64()

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return numbers."""
        import pyarrow as pa
        import pyarrow.compute as pc

        names = Text(self.noun, self.allowed).conform(values)
        return pc.index_in(names, value_set=pa.array(self.allowed)).cast(pa.int64())


@dataclass(frozen=True)
class Items:
    """Lists, never null.

    Attributes
    ----------
    each : Kind
        Kind of the items.
    least, most : int, optional
        Valid range of the number of items.
    """

    each: Kind
    least: int = 0
    most: int | None = None

    @property
    def right(self) -> str:
        """Description of a valid value."""
        if self.least == self.most:
            return f"a list of {self.least} items"
        return f"a list of {self.least} or more items" if self.least else "a list"

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's list."""
        import pyarrow as pa

        return pa.list_(self.each.arrow_type())

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return lists with items converted by `each`."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        values = _without_nulls(values, "list", self.right)
        if not _is_list(values.type):
            return _refuse_type(values, "value", self.right, self.arrow_type())
        lengths = pc.list_value_length(values).cast(pa.int64())
        most = self.most if self.most is not None else np.iinfo(np.int32).max
        _refuse_where(pc.or_(pc.less(lengths, self.least), pc.greater(lengths, most)), values, "list", self.right)
        try:
            items = self.each.conform(pc.list_flatten(values))
        except Misfit as misfit:
            row = pc.list_parent_indices(values)[misfit.row].as_py()
            raise Misfit(row, misfit.found, misfit.right, misfit.field) from misfit
        ends = np.concatenate([[0], np.cumsum(lengths.to_numpy())]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), items)


@dataclass(frozen=True)
class Fields:
    """Structs of lists of equal length, never null; unknown fields are dropped.

    Attributes
    ----------
    of : mapping of str to Items
    """

    of: Mapping[str, Items]

    @property
    def right(self) -> str:
        """Description of a valid value."""
        return f"a struct with the lists {' and '.join(self.of)}"

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's struct."""
        import pyarrow as pa

        return pa.struct([(name, kind.arrow_type()) for name, kind in self.of.items()])

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return structs with fields converted by their kinds."""
        import pyarrow as pa

        values = _without_nulls(values, "struct", self.right)
        names = [each.name for each in values.type.fields] if pa.types.is_struct(values.type) else []
        if any(names.count(name) != 1 for name in self.of):
            return _refuse_type(values, "value", self.right, self.arrow_type())
        fields = {name: self._field(values, name) for name in self.of}
        check_lengths(fields)
        return pa.StructArray.from_arrays(list(fields.values()), list(fields))

    def _field(self, values: "pa.Array", name: str) -> "pa.Array":
        import pyarrow.compute as pc

        try:
            return self.of[name].conform(pc.struct_field(values, name))
        except Misfit as misfit:
            raise Misfit(misfit.row, misfit.found, misfit.right, f".{name}{misfit.field}") from misfit


@dataclass(frozen=True)
class Schema:
    """The columns that a recipe reads from a file, and their constraints.

    Attributes
    ----------
    columns : mapping of str to Kind
        Required columns.
    further : mapping of str to Kind
        Optional columns.
    key : str, optional
        Column whose values must be unique in a split.
    together : tuple of str
        Columns of lists that must have equal lengths in each row.
    """

    columns: Mapping[str, Kind]
    further: Mapping[str, Kind] = field(default_factory=dict)
    key: str | None = None
    together: tuple[str, ...] = ()

    def only(self, *names: str) -> "Schema":
        """Return a schema of some of the columns."""
        return Schema({name: self.columns[name] for name in names})


def check_lengths(lists: "Mapping[str, pa.Array]") -> None:
    """Raise `Misfit` for the first row in which the lists of two columns differ in length."""
    import pyarrow.compute as pc

    lengths = {name: pc.list_value_length(own) for name, own in lists.items()}
    for first, other in pairwise(lengths):
        row = pc.index(pc.not_equal(lengths[first], lengths[other]), True).as_py()
        if row >= 0:
            counts = lengths[first][row].as_py(), lengths[other][row].as_py()
            raise Misfit(row, f"{counts[0]} of {first} and {counts[1]} of {other}", "as many of either")


def format_value(value: object) -> str:
    """Return the `repr` of a value, truncated to one short line."""
    return "null" if value is None else _SHORT.repr(value)


TEXT = Text()
ID = Text("id", pattern=r"\S", should="a text that is not empty")
# Ids of search results: predictions and submissions join several with white space.
BARE_ID = Text("id", pattern=r"^[^\s\p{Z}\x{85}]+$", should="a text without white space")
ANSWER = Text("answer", pattern="(?s).", should="a text that is not empty")


def make_label(names: Sequence[str], unlabelled: bool = False) -> Label:
    """Return the kind of numbers of labels with these names; -1 is valid too if rows may have no label."""
    return Label("label", -1 if unlabelled else 0, len(names) - 1, names)


def make_squad_answers(least: int, text: Text = ANSWER) -> Fields:
    """Return the kind of SQuAD's answers, at least `least` per row: texts, and offsets in characters."""
    # An offset may be one character too low; `answers.align_answers` checks it against the text.
    return Fields({"text": Items(text, least), "answer_start": Items(Number("offset", -1), least)})


# --- what the kinds share ---------------------------------------------------------------------------------------------


def _without_nulls(values: "pa.Array", noun: str, right: str) -> "pa.Array":
    """Return values with dictionaries decoded; raise `Misfit` for the first null."""
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count:
        raise Misfit(values.is_null().index(True).as_py(), f"{noun} null", right)
    return values


def _is_text(given: "pa.DataType") -> bool:
    import pyarrow as pa

    return pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given)


def _is_list(given: "pa.DataType") -> bool:
    import pyarrow as pa

    layouts = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)
    return isinstance(given, layouts)


def _refuse_type(values: "pa.Array", noun: str, right: str, wanted: "pa.DataType") -> "pa.Array":
    """Raise `Misfit` for the first row; if there is none, return an empty array."""
    import pyarrow as pa

    if len(values):
        raise Misfit(0, f"{noun} {_value(values, 0)} of type {values.type}", right)
    return pa.array([], wanted)


def _refuse_where(wrong: "pa.Array", values: "pa.Array", noun: str, right: str) -> None:
    row = wrong.index(True).as_py()
    if row >= 0:
        raise Misfit(row, f"{noun} {_value(values, row)}", right)


def _cast(values: "pa.Array", wanted: "pa.DataType", noun: str, right: str) -> "pa.Array":
    """Return values cast to a type; raise `Misfit` for the first value that cannot be cast."""
    import pyarrow as pa

    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        row = _first_failing(values, lambda part: part.cast(wanted))
        raise Misfit(row, f"{noun} {_value(values, row)}", right) from None


def _first_failing(values: "pa.Array", work: "Callable[[pa.Array], object]") -> int:
    """Return the first row at which work on the values fails, by bisection."""
    import pyarrow as pa

    first, behind = 0, len(values)
    while behind - first > 1:
        middle = (first + behind) // 2
        try:
            work(values.slice(first, middle - first))
            first = middle
        except pa.ArrowInvalid:
            behind = middle
    return first


def _value(values: "pa.Array", row: int) -> str:
    """Return a value for a message, even if it cannot be decoded."""
    try:
        return format_value(values[row].as_py())
    except (ValueError, OverflowError) as error:
        return f"that cannot be shown ({error})"
