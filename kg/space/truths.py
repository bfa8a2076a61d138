"""Where expressions are true over the same rows, again and again: what a comparison comes to is remembered.

Thousands of laws are made of few comparisons, joined by `and`, `or` and `not`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, reduce
from operator import and_, or_

import numpy as np

from spak.kg.expression import Expression, Node, tree
from spak.kg.expression.columns import Column
from spak.kg.model.base import Scalar
from spak.kg.space.factors import Floats, Mask, holds

MAX_CELLS = 1 << 22
"""Truths that are remembered, of a byte each: comparisons beyond that are asked anew."""


class Truths:
    """Rows as columns, and of each comparison that was asked for where it is true."""

    def __init__(self, columns: Mapping[str, Column | Scalar | Floats], count: int) -> None:
        """Keep `columns` of `count` rows; a scalar is the same in all."""
        self._columns, self._count = columns, count
        self._coded = {name: one for name, one in columns.items() if isinstance(one, Column)}
        self._scalars = {name: one for name, one in columns.items() if isinstance(one, Scalar)}
        self._seen: dict[Node, Mask] = {}

    def holds(self, expression: Expression) -> Mask:
        """(count,) where `expression` is true; not to be written to.

        Raises:
            ExpressionError: If it has a name without a column.
        """
        return self._holds(expression.root)

    def _holds(self, node: Node) -> Mask:
        match node:
            case tree.Junction(op, operands):
                return reduce(and_ if op == "and" else or_, map(self._holds, operands))
            case tree.Unary("not", operand):
                return np.logical_not(self._holds(operand))
        found = self._seen.get(node)
        if found is None:
            found = self._asked(node)
            if len(self._seen) * self._count < MAX_CELLS:
                self._seen[node] = found
        return found

    def _asked(self, comparison: Node) -> Mask:
        """Where `comparison` is true: where it turns on one column of few values, each of those is asked about once."""
        names = _names(comparison)
        columns = [name for name in names if name in self._coded]
        fixed = tuple((name, self._scalars[name]) for name in names if name in self._scalars)
        if len(columns) != 1 or len(fixed) + 1 < len(names):
            return holds(Expression(comparison), self._columns, self._count)
        column = self._coded[columns[0]]
        if len(column.values) > self._count:
            return holds(Expression(comparison), self._columns, self._count)
        return np.asarray(_of_each(comparison, columns[0], column.values, fixed)[column.codes])


@lru_cache(maxsize=1 << 16)
def _names(comparison: Node) -> tuple[str, ...]:
    return tuple(sorted(Expression(comparison).all_names))


@lru_cache(maxsize=1 << 16)
def _of_each(comparison: Node, name: str, values: tuple[Scalar, ...], fixed: tuple[tuple[str, Scalar], ...]) -> Mask:
    """For each of the `values` of `name`, whether `comparison` is true; the same ones are asked of many runs and spaces."""
    known = dict(fixed)
    return np.array([Expression(comparison).holds({**known, name: value}) for value in values], dtype=bool)
