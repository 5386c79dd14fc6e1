"""Encoder inputs as a few flat arrays, which a safetensors file can hold.

A field of all inputs is one array if its values are numbers, or tuples of as many. If they are arrays or lists of
numbers, it is their concatenation, beside their lengths in `<field>.lengths` or `<field>.counts`. A field that no input
has is absent.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from stilts.tasks.formats.inputs import Input

LENGTHS = ".lengths"  # of arrays
COUNTS = ".counts"  # of the numbers in lists
_DETAIL = "detail"
_ARRAYS = ("positions", "ends", "written")


def flatten_inputs(inputs: Sequence[Input]) -> dict[str, np.ndarray]:
    """Return the fields of inputs as flat arrays, by name.

    Raises
    ------
    ValueError
        If some inputs have a field that others lack, or a field holds something else.
    """
    alternatives = [part.alternatives for part in inputs]
    columns = {
        "example": [part.example for part in inputs],
        "input_ids": [part.input_ids for part in inputs],
        "target": [part.target for part in inputs],
        "alternatives.of": [len(sequences) for sequences in alternatives],
        "alternatives": [sequence for sequences in alternatives for sequence in sequences],
        **{name: [getattr(part, name) for part in inputs] for name in _ARRAYS},
        **_split_details([part.detail for part in inputs]),
    }
    return {name: array for field, values in columns.items() for name, array in _flatten(field, values).items()}


def restore_inputs(arrays: Mapping[str, np.ndarray], detail: type[NamedTuple] | None = None) -> list[Input]:
    """Return the inputs whose fields are flat arrays, as `flatten_inputs` gives them.

    Parameters
    ----------
    arrays : mapping of str to array
        They may not be changed afterwards: the inputs hold parts of them.
    detail : type, optional
        The named tuple that `Input.detail` is; None if it is one value.
    """
    if "example" not in arrays:
        return []
    count = len(arrays["example"])
    sequences = iter(_restore("alternatives", arrays, 0))
    alternatives = [tuple(next(sequences) for _ in range(own)) for own in arrays["alternatives.of"].tolist()]
    names = [_DETAIL] if detail is None else [f"{_DETAIL}.{name}" for name in detail._fields]
    details = zip(*(_restore(name, arrays, count) for name in names), strict=True)
    return [
        Input(example, ids, target, own[0] if detail is None else detail(*own), others, *rest)
        for example, ids, target, own, others, *rest in zip(
            *(_restore(name, arrays, count) for name in ("example", "input_ids", "target")),
            details,
            alternatives,
            *(_restore(name, arrays, count) for name in _ARRAYS),
            strict=True,
        )
    ]


def _split_details(details: Sequence[Any]) -> dict[str, list[Any]]:
    """Return the columns of the inputs' details: one for each field of a named tuple."""
    fields = getattr(details[0], "_fields", None) if details else None
    if fields is None:
        return {_DETAIL: list(details)}
    return {f"{_DETAIL}.{name}": [getattr(each, name) for each in details] for name in fields}


def _flatten(name: str, values: Sequence[Any]) -> dict[str, np.ndarray]:
    missing = sum(value is None for value in values)
    if missing == len(values):
        return {}
    if missing:
        raise ValueError(f"{missing} of {len(values)} inputs lack '{name}'")
    if isinstance(values[0], np.ndarray):
        return {name: np.concatenate(values), name + LENGTHS: np.array([len(value) for value in values])}
    if isinstance(values[0], list):
        counts = np.array([len(value) for value in values])
        return {name: _array(name, list(chain.from_iterable(values))), name + COUNTS: counts}
    return {name: _array(name, values)}


def _array(name: str, values: Sequence[Any]) -> np.ndarray:
    array = np.array(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"'{name}' holds neither numbers nor arrays or lists of them: {values[0]!r}")
    return array


def _restore(name: str, arrays: Mapping[str, np.ndarray], count: int) -> Sequence[Any]:
    """Return the values of a field: arrays, lists, numbers, tuples of numbers, or `count` times None."""
    if name not in arrays:
        return [None] * count
    values = arrays[name]
    if name + LENGTHS in arrays:
        return _split(values, arrays[name + LENGTHS])
    if name + COUNTS in arrays:
        return _split(values.tolist(), arrays[name + COUNTS])
    return values.tolist() if values.ndim == 1 else list(map(tuple, values.tolist()))


def _split(values: Any, lengths: np.ndarray) -> list[Any]:
    """Return the parts of an array or a list that have these lengths."""
    return [values[start:stop] for start, stop in pairwise([0, *np.cumsum(lengths).tolist()])]
