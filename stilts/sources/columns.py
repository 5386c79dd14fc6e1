"""What the columns of a source's files must hold, stated once by a recipe and checked once, where a file is opened.

A kind of column brings what is equivalent to one Arrow type (large texts, views, dictionaries, integers of any width,
lists of any layout, as pandas, polars and others write them) and refuses the rest with the first row that is wrong.
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
    """A value that a column must not hold.

    Parameters
    ----------
    row : int
        The first that is wrong, counted from 0.
    found : str
        What stands there, in words.
    right : str
        What should.
    field : str
        In which field of the column, ".text"; empty where it has none.
    """

    def __init__(self, row: int, found: str, right: str, field: str = ""):
        super().__init__(f"{found}; it should be {right}")
        self.row, self.found, self.right, self.field = row, found, right, field


class Kind(Protocol):
    """What a column holds."""

    def arrow_type(self) -> "pa.DataType":
        """Return the type that `conform` brings a column to."""

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return equivalent values of `arrow_type`; raise `Misfit` at the first row that holds another thing."""


@dataclass(frozen=True)
class Text:
    """Texts, never null.

    Attributes
    ----------
    noun : str
        What an error calls a value.
    allowed : sequence of str
        The only ones; any by default.
    pattern : str
        What every text must match somewhere, a regular expression of RE2.
    should : str
        What a text should be, in words.
    """

    noun: str = "text"
    allowed: Sequence[str] = ()
    pattern: str = ""
    should: str = "a text"

    @property
    def right(self) -> str:
        """What a value should be."""
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
    """Whole numbers, never null.

    Attributes
    ----------
    noun : str
    lowest, highest : int
        The range that is allowed, both ends included.
    """

    noun: str
    lowest: int
    highest: int = 2**31 - 1

    @property
    def right(self) -> str:
        """What a value should be."""
        return f"{self.lowest} to {self.highest}"

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's int64."""
        import pyarrow as pa

        return pa.int64()

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return numbers of 64 bits; those of other types that are whole, such as 1.0, are numbers too."""
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
    """Numbers of labels.

    Attributes
    ----------
    names : sequence of str
        In the order of their numbers; a file that names its labels must do so too.
    """

    names: Sequence[str] = ()


@dataclass(frozen=True)
class NamedLabel(Text):
    """Labels that are given as text, one of `allowed`; they become their numbers."""

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
        Of every item.
    least, most : int, optional
        How many items a list has.
    """

    each: Kind
    least: int = 0
    most: int | None = None

    @property
    def right(self) -> str:
        """What a value should be."""
        if self.least == self.most:
            return f"a list of {self.least} items"
        return f"a list of {self.least} or more items" if self.least else "a list"

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's list."""
        import pyarrow as pa

        return pa.list_(self.each.arrow_type())

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return lists of what `each` returns."""
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
    """Structs of lists that are equally long, never null; fields that are not named here are left out.

    Attributes
    ----------
    of : mapping of str to Items
    """

    of: Mapping[str, Items]

    @property
    def right(self) -> str:
        """What a value should be."""
        return f"a struct with the lists {' and '.join(self.of)}"

    def arrow_type(self) -> "pa.DataType":
        """Return Arrow's struct."""
        import pyarrow as pa

        return pa.struct([(name, kind.arrow_type()) for name, kind in self.of.items()])

    def conform(self, values: "pa.Array") -> "pa.Array":
        """Return structs of what the fields' kinds return."""
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
    """The columns that a recipe reads of a file, and what holds between them.

    Attributes
    ----------
    columns : mapping of str to Kind
        Those that a file must have.
    further : mapping of str to Kind
        Those that are read where a file has them.
    key : str, optional
        The column by whose values rows are told apart: no two rows of a split may have the same.
    together : tuple of str
        Columns of lists that must be equally long in each row.
    """

    columns: Mapping[str, Kind]
    further: Mapping[str, Kind] = field(default_factory=dict)
    key: str | None = None
    together: tuple[str, ...] = ()

    def only(self, *names: str) -> "Schema":
        """Return a schema of some of the columns."""
        return Schema({name: self.columns[name] for name in names})


def check_lengths(lists: "Mapping[str, pa.Array]") -> None:
    """Raise `Misfit` at the first row in which the lists of two columns are not equally long."""
    import pyarrow.compute as pc

    lengths = {name: pc.list_value_length(own) for name, own in lists.items()}
    for first, other in pairwise(lengths):
        row = pc.index(pc.not_equal(lengths[first], lengths[other]), True).as_py()
        if row >= 0:
            counts = lengths[first][row].as_py(), lengths[other][row].as_py()
            raise Misfit(row, f"{counts[0]} of {first} and {counts[1]} of {other}", "as many of either")


def shown(value: object) -> str:
    """Return a value in one short line."""
    return "null" if value is None else _SHORT.repr(value)


TEXT = Text()
ID = Text("id", pattern=r"\S", should="a text that is not empty")
# Of what is to be found: predictions and submissions hold several, with white space between them.
BARE_ID = Text("id", pattern=r"^[^\s\p{Z}\x{85}]+$", should="a text without white space")
ANSWER = Text("answer", pattern="(?s).", should="a text that is not empty")


def label(names: Sequence[str], unlabelled: bool = False) -> Label:
    """Numbers of labels with some names; -1 too where rows may have none."""
    return Label("label", -1 if unlabelled else 0, len(names) - 1, names)


def squad_answers(least: int, text: Text = ANSWER) -> Fields:
    """Answers as SQuAD has them, at least so many a row: texts, and offsets in characters."""
    # An offset may lie one character before its text; `answers.aligned` compares the two.
    return Fields({"text": Items(text, least), "answer_start": Items(Number("offset", -1), least)})


# --- what the kinds share ---------------------------------------------------------------------------------------------


def _without_nulls(values: "pa.Array", noun: str, right: str) -> "pa.Array":
    """Return values that are no dictionary; raise `Misfit` at the first null."""
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
    """Raise `Misfit` at the first row; return no rows where there are none."""
    import pyarrow as pa

    if len(values):
        raise Misfit(0, f"{noun} {_value(values, 0)} of type {values.type}", right)
    return pa.array([], wanted)


def _refuse_where(wrong: "pa.Array", values: "pa.Array", noun: str, right: str) -> None:
    row = wrong.index(True).as_py()
    if row >= 0:
        raise Misfit(row, f"{noun} {_value(values, row)}", right)


def _cast(values: "pa.Array", wanted: "pa.DataType", noun: str, right: str) -> "pa.Array":
    """Return values cast to a type; raise `Misfit` at the first that has no equivalent there."""
    import pyarrow as pa

    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        row = _first_failing(values, lambda part: part.cast(wanted))
        raise Misfit(row, f"{noun} {_value(values, row)}", right) from None


def _first_failing(values: "pa.Array", work: "Callable[[pa.Array], object]") -> int:
    """Return the first row at which work on the values fails, by halves."""
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
    """Return a value in words, whatever its bytes are."""
    try:
        return shown(values[row].as_py())
    except (ValueError, OverflowError) as error:
        return f"that cannot be shown ({error})"
