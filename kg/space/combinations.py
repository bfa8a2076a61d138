"""Every combination of the values of some parameters, for asking what an expression decides of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from math import prod

import numpy as np

from spak.kg.expression import Expression
from spak.kg.expression.columns import Column
from spak.kg.model.base import Scalar
from spak.kg.space.factors import Mask, holds


@dataclass(frozen=True)
class Combinations:
    """Every combination of the values of some parameters, the last fastest.

    Attributes:
        varied: Parameter -> its values.
        rest: Values of the other parameters, in every combination.
    """

    varied: Mapping[str, tuple[Scalar, ...]]
    rest: Mapping[str, Scalar]

    @cached_property
    def _columns(self) -> dict[str, Column]:
        codes = np.indices([len(values) for values in self.varied.values()]).reshape(len(self.varied), -1)
        return {name: Column(values, own) for (name, values), own in zip(self.varied.items(), codes, strict=True)}

    def any_left(
        self, required: Iterable[Expression], removed: Iterable[Expression], known: Mapping[str, Scalar]
    ) -> bool | None:
        """Whether a feasible combination is left that none of `removed` surely removes; None if none is feasible.

        Args:
            required: What is true of every feasible combination; what `known` leaves undecided of one says nothing.
            removed: What is true of every combination that is removed.
            known: Values of other names.
        """
        nowhere = np.zeros(prod(map(len, self.varied.values())), dtype=bool)
        broken = reduce(np.logical_or, (self._decided(one, known, outcome=False) for one in required), nowhere)
        if broken.all():
            return None
        gone = reduce(np.logical_or, (self._decided(one, known, outcome=True) for one in removed), broken)
        return not gone.all()

    def _decided(self, expression: Expression, known: Mapping[str, Scalar], *, outcome: bool) -> Mask:
        """(combinations,): where `expression` is `outcome`, whatever it names besides them and `known`."""
        count = prod(map(len, self.varied.values()))
        left = expression.partial({**self.rest, **known})
        if isinstance(left, bool):
            return np.full(count, left is outcome)
        if left.all_names <= self.varied.keys():
            return np.asarray(holds(left, self._columns, count) == outcome)
        settings = (dict(zip(self.varied, values, strict=True)) for values in product(*self.varied.values()))
        return np.array([left.partial(setting) is outcome for setting in settings])
