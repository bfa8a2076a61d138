"""Several spaces of one op looked at together: whether an expression parts each of them can mostly be told from a few rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from spak.kg.expression import Expression
from spak.kg.expression.columns import Column
from spak.kg.model.base import Scalar
from spak.kg.space.space import Space
from spak.kg.space.truths import Truths


class Glances:
    """What a glance takes in of each of `spaces`, one behind the other."""

    def __init__(self, spaces: Sequence[Space]) -> None:
        """Keep the spaces; they differ in what holds around their configurations, not in parameters and their values."""
        self._spaces = spaces

    def parts_all(self, expression: Expression) -> bool:
        """Whether `expression` is seen to be true of one configuration and not of another, in every one of the spaces.

        If not, nothing is known: it may still be so where nobody looked.
        """
        if not self._spaces or not all(space.speaks_of(expression) for space in self._spaces[:1]):
            return False
        starts, truths = self._rows
        seen = truths.holds(expression)
        some, every = np.logical_or.reduceat(seen, starts), np.logical_and.reduceat(seen, starts)
        return bool(np.all(some & ~every))

    @cached_property
    def _rows(self) -> tuple[list[int], Truths]:
        """Where each space begins, and the rows."""
        codes = [space.glanced for space in self._spaces]
        sizes = list(map(len, codes))
        first, together = self._spaces[0], np.concatenate(codes)
        columns: dict[str, Column | Scalar] = {
            name: _column([space.setting.names[name] for space in self._spaces], sizes) for name in first.setting.names
        }
        columns |= {
            name: Column(values, own) for name, values, own in zip(first.names, first.values, together.T, strict=True)
        }
        return [0, *np.cumsum(sizes)[:-1].tolist()], Truths(columns, len(together))


def _column(values: Sequence[Scalar], sizes: Sequence[int]) -> Column | Scalar:
    """What holds around the rows of each space; a scalar where it is the same in all."""
    exactly = {(type(value), value): value for value in values}
    if len(exactly) == 1:
        return values[0]
    places = {key: place for place, key in enumerate(exactly)}
    codes = np.repeat(np.array([places[type(value), value] for value in values], np.int16), sizes)
    return Column(tuple(exactly.values()), codes)
