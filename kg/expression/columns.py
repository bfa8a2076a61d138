"""Evaluation of a whole space at once. Same results as one configuration at a time; a property test holds them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from spak.kg.expression import scalar, tree
from spak.kg.model.base import Scalar

Values = npt.NDArray[Any]

GRID_SHARE = 4
"""The grid of distinct combinations is used when it is at least this many times smaller than the space."""


@dataclass(frozen=True)
class Column:
    """A dictionary-encoded column: what a configuration space is made of.

    Attributes:
        values: The distinct values.
        codes: (count,) index into `values` of each row, any integer dtype.
    """

    values: tuple[Scalar, ...]
    codes: npt.NDArray[np.integer[Any]]

    def expanded(self) -> Values:
        """(count,) the values themselves."""
        return np.asarray(_array(self.values)[self.codes])


def evaluate(node: tree.Node, columns: Mapping[str, Any], count: int) -> Values:
    """(count,): `node` for each row.

    A space is a product of few values, so an expression over some of its axes has few distinct results: those are
    computed once on the grid of the axes' values and looked up by code.
    """
    names = sorted({part.id for part in tree.walk(node) if isinstance(part, tree.Name)})
    encoded = {name: columns[name] for name in names if isinstance(columns[name], Column)}
    plain = {name: columns[name] for name in names if name not in encoded}
    size = int(np.prod([len(column.values) for column in encoded.values()], dtype=np.float64)) if encoded else 0
    if encoded and all(np.ndim(value) == 0 for value in plain.values()) and size * GRID_SHARE <= count:
        axes = np.indices([len(column.values) for column in encoded.values()]).reshape(len(encoded), -1)
        grid = {name: _array(column.values)[axis] for (name, column), axis in zip(encoded.items(), axes, strict=True)}
        result = _full(scalar.evaluate_scalar(node, {**plain, **grid}, _COLUMNS), size)
        return np.asarray(result.take(_combined(list(encoded.values()), size), mode="clip"))  # every code is in range
    expanded = {name: column.expanded() for name, column in encoded.items()}
    given = {name: value if np.ndim(value) == 0 else _array(value) for name, value in plain.items()}
    return _full(scalar.evaluate_scalar(node, {**given, **expanded}, _COLUMNS), count)


def _combined(columns: list[Column], size: int) -> npt.NDArray[np.integer[Any]]:
    """(count,) index of each row's cell in a grid of `size` cells, in the narrowest type: the space is read once for each."""
    combined = columns[0].codes.astype(np.min_scalar_type(-size))
    for column in columns[1:]:
        combined *= len(column.values)
        combined += column.codes.astype(combined.dtype, copy=False)
    return combined


def _array(values: Any) -> Values:
    """Numbers as float64, anything with text in it as objects."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64, copy=False) if values.dtype.kind != "b" else values
    listed = list(values)
    if any(isinstance(value, str) for value in listed):
        return np.array(listed, dtype=object)
    return np.array(listed, dtype=bool if all(isinstance(v, bool) for v in listed) else np.float64)


def _full(result: Any, count: int) -> Values:
    array = np.asarray(result)
    return np.broadcast_to(array, (count,)).copy() if array.ndim == 0 else array


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object)


def _truth(value: Any) -> Any:
    if _is_text(value):
        return np.vectorize(scalar.truth, otypes=[bool])(value)
    array = np.asarray(value)
    return array if array.dtype == bool else (array != 0) & ~np.isnan(array.astype(np.float64))


def _numbers(value: Any) -> Any:
    """Text as NaN: arithmetic on it is undefined."""
    if _is_text(value):
        return np.vectorize(scalar._number, otypes=[np.float64])(value)  # noqa: SLF001 - one definition of a number for both modes
    if isinstance(value, np.ndarray):
        return value.astype(np.float64, copy=False)
    return np.float64(scalar._number(value))  # noqa: SLF001


def _arithmetic(op: str, left: Any, right: Any) -> Any:
    left, right = _numbers(left), _numbers(right)
    if op == "**":
        return _distinct(lambda base: scalar.arithmetic("**", base, float(right)), left)
    with np.errstate(all="ignore"):
        result = scalar.ARITHMETIC[op](left, right)
    return np.where(np.isfinite(result), result, np.nan)


def _distinct(function: Callable[[float], float], values: Any) -> Any:
    """A function of the C library applied to each distinct value: NumPy's own may differ in the last bit."""
    unique, inverse = np.unique(np.asarray(values), return_inverse=True)
    results = np.array([function(float(value)) for value in unique])
    return results[inverse].reshape(np.shape(values))


def _compare(op: str, left: Any, right: Any) -> Any:
    if _is_text(left) or _is_text(right):
        return np.vectorize(partial(scalar.compare, op), otypes=[bool])(left, right)
    return scalar.COMPARISONS[op](_comparable(left), _comparable(right))


def _comparable(value: Any) -> Any:
    return value if isinstance(value, np.ndarray) else np.float64(scalar._number(value))  # noqa: SLF001


def _call(function: str, arguments: list[Any]) -> Any:
    numbers = [_numbers(argument) for argument in arguments]
    match function:
        case "min" | "max":
            return reduce(np.minimum if function == "min" else np.maximum, numbers)
        case "abs":
            return np.abs(numbers[0])
        case "log2":
            return _distinct(lambda value: scalar.call("log2", [value]), numbers[0])
        case _:
            return -_arithmetic("//", -numbers[0], numbers[1])


_COLUMNS = scalar.Operations(
    truth=_truth,
    number=_numbers,
    arithmetic=_arithmetic,
    compare=_compare,
    call=_call,
    opposite=np.logical_not,
    all=partial(reduce, np.logical_and),
    any=partial(reduce, np.logical_or),
)
