"""How alike configurations are: the product over the parameters of the correlation of their values, computed in halves.

A space has far fewer combinations of half of its parameters than configurations, so the product is taken over the
combinations of each half first: two look-ups for each configuration, whatever the number of parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Codes, Floats
from spak.kg.space.space import mixed_radix

MOST_CELLS = 4
"""Most combinations of both halves, for each configuration, that a sum over trials is laid out as a matrix for."""

Rows = npt.NDArray[np.int64]


class Likeness:
    """Correlation of the configurations `codes` (N, P) with others."""

    def __init__(self, codes: Codes, tables: Sequence[Floats]) -> None:
        """Lay out the combinations of each half; `tables` has one (V, V) for each parameter."""
        tuned = [p for p, table in enumerate(tables) if len(table) > 1]
        self._num = len(codes)
        self._halves = [_Half(codes, tables, part) for part in _halves(tuned, tables)]

    def to(self, code: npt.NDArray[np.int16]) -> Floats:
        """(N,) likeness to the configuration `code` (P,)."""
        return np.asarray(self.to_each(code[None, :])[0])

    def to_each(self, codes: Codes) -> Floats:
        """(n, N) likeness to each of the configurations `codes` (n, P)."""
        first, second = self._halves
        out = first.products(codes).take(first.place, axis=1)
        out *= second.products(codes).take(second.place, axis=1)
        return np.asarray(out)

    def summed(self, codes: Codes, weights: Floats) -> Floats:
        """(N,) sum of the likeness to each of `codes` (n, P) times its weight (n,)."""
        first, second = self._halves
        if first.num * second.num <= MOST_CELLS * self._num:
            cells = (first.products(codes) * weights[:, None]).T @ second.products(codes)  # (U, W)
            return np.asarray(cells[first.place, second.place])
        total = np.zeros(self._num)
        for code, weight in zip(codes, weights, strict=True):
            total += weight * self.to(code)
        return total


class _Half:
    """The distinct combinations of some parameters."""

    def __init__(self, codes: Codes, tables: Sequence[Floats], parameters: Sequence[int]) -> None:
        ranks = mixed_radix(codes[:, list(parameters)], [len(tables[p]) for p in parameters])
        _, rows, place = np.unique(ranks, return_index=True, return_inverse=True)
        self.place: Rows = place.ravel()
        self.num = len(rows)
        self._parts = [(p, tables[p][:, codes[rows, p]]) for p in parameters]  # (V, num) each

    def products(self, codes: Codes) -> Floats:
        """(n, num) product over these parameters of the correlation with each of `codes` (n, P)."""
        out = np.ones((len(codes), self.num))
        for p, likeness in self._parts:
            out *= likeness[codes[:, p]]
        return out


def _halves(tuned: Sequence[int], tables: Sequence[Floats]) -> tuple[list[int], list[int]]:
    """`tuned` in two parts of about as many combinations each: the largest first, always to the smaller part."""
    parts: tuple[list[int], list[int]] = ([], [])
    sizes = [0.0, 0.0]
    for p in sorted(tuned, key=lambda p: -len(tables[p])):
        place = int(sizes[1] < sizes[0])
        parts[place].append(p)
        sizes[place] += float(np.log(len(tables[p])))
    return parts
