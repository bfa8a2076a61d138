"""What satisfies an op's conditions, as factors: runs of neighbouring parameters that no condition ties to others.

A space is the product of its factors, in canonical order, so that a few hundred rows stand for millions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spak.kg.expression import Expression
from spak.kg.expression.columns import Column
from spak.kg.model.base import Scalar

CHUNK = 1 << 20
"""Most rows of one factor that a condition is asked about at once: bounds the memory of a factor of which little is left."""

Codes = npt.NDArray[np.int16]
"""(n, p) indices into the values of p parameters, one row for each configuration of them."""

Mask = npt.NDArray[np.bool_]
"""(n,) one truth for each row."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Conditions:
    """What has to hold of a configuration.

    Attributes:
        values: Parameter -> its values, in the op's order.
        required: Expressions over the parameters and the names of `given`.
        given: Every other name an expression may have -> its value.
    """

    values: Mapping[str, tuple[Scalar, ...]]
    required: Sequence[Expression]
    given: Mapping[str, Scalar]

    def places(self, condition: Expression) -> list[int]:
        """Which parameters a condition names; the first one where it names none, so that it is asked at all."""
        return [p for p, name in enumerate(self.values) if name in condition.all_names] or [0]


def factors(conditions: Conditions) -> tuple[Codes, ...]:
    """The feasible rows of each factor, ascending; empty where nothing satisfies the conditions.

    Raises:
        ExpressionError: If a condition has a name without a value.
    """
    return tuple(
        np.concatenate(list(_rows(conditions, np.zeros((0, 1), np.int16), first, last)), axis=1).T
        for first, last in _spans(conditions)
    )


def holds(expression: Expression, columns: Mapping[str, npt.NDArray[np.generic] | Column | Scalar], count: int) -> Mask:
    """(count,) where `expression` is true; a number is true unless it is zero or undefined."""
    found = expression.evaluate_columns(columns, count)
    if found.dtype == np.bool_:
        return found.astype(np.bool_, copy=False)
    return np.asarray(np.nan_to_num(found.astype(np.float64)) != 0)


def _spans(conditions: Conditions) -> Iterator[tuple[int, int]]:
    """First and last parameter of each factor: as few parameters as hold every condition that names one of them.

    A parameter with one value goes with those before it: there are no more factors than doublings in the product.
    """
    reach = list(range(len(conditions.values)))
    for condition in conditions.required:
        places = conditions.places(condition)
        reach[places[0]] = max(reach[places[0]], places[-1])
    first = last = 0
    for place, (end, values) in enumerate(zip(reach, conditions.values.values(), strict=True)):
        if place > last and len(values) > 1:
            yield first, last
            first = place
        last = max(last, end)
    yield first, last


def _rows(conditions: Conditions, prefix: Codes, first: int, last: int) -> Iterator[Codes]:
    """(p, n) the feasible rows that begin with one of `prefix` (q, m), piece by piece; a condition is asked once it can be."""
    place = first + len(prefix)
    if place > last:
        yield prefix
        return
    name = list(conditions.values)[place]
    count = len(conditions.values[name])
    due = [condition for condition in conditions.required if conditions.places(condition)[-1] == place]
    step = max(1, CHUNK // count)
    for start in range(0, max(1, prefix.shape[1]), step):
        piece = prefix[:, start : start + step]
        rows = np.vstack(
            [np.repeat(piece, count, axis=1), np.tile(np.arange(count, dtype=np.int16), piece.shape[1])[None, :]]
        )
        for condition in due:
            rows = rows[:, _truth(conditions, condition, first, rows)]
        yield from _rows(conditions, rows, first, last)


def _truth(conditions: Conditions, condition: Expression, first: int, rows: Codes) -> Mask:
    named = list(conditions.values.items())[first : first + len(rows)]
    columns = {name: Column(values, codes) for (name, values), codes in zip(named, rows, strict=True)}
    return holds(condition, {**conditions.given, **columns}, rows.shape[1])
