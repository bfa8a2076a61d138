"""How alike neighbouring configurations are: per parameter, the correlation between two of its values.

The belief is a product of these over the parameters. They are learnt from what the sources cannot explain of each
other, pooled with a mild default, so that a parameter that never mattered elsewhere is not explored value by value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Codes, Floats
from spak.kg.space.space import mixed_radix

NEIGHBOUR = 0.93
"""Default correlation of neighbouring values of an ordered parameter; falls by this factor a step, to `FAR`."""
FAR = 0.6
TWO_VALUES = 0.8
"""Default correlation of the two values of a switch."""
DEFAULT_PAIRS = 8
"""How many observed pairs the default is worth."""
FEWEST, MOST = 0.02, 0.98
_FLOOR = 1e-3
"""Least eigenvalue of a table, so that products of tables stay positive definite."""


def default_tables(cardinalities: Sequence[int]) -> list[Floats]:
    """(V, V) for each parameter, without evidence."""
    return [_default(size) for size in cardinalities]


def tables(codes: Codes, cardinalities: Sequence[int], columns: Floats) -> tuple[list[Floats], float]:
    """Correlation tables and residual variance learnt from sources.

    Args:
        codes: (N, P) the space.
        cardinalities: (P,) number of values.
        columns: (S, N) log slowdown on each source, S >= 1.

    Returns:
        (V, V) for each parameter, and the mean square of what the sources cannot explain of each other.
    """
    residuals = _residuals(columns)
    finder = _Pairs(codes, cardinalities)
    learnt = [_learnt(finder, residuals, p, size) for p, size in enumerate(cardinalities)]
    return learnt, float((residuals**2).mean())


def _default(size: int) -> Floats:
    lag = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    far = np.full(lag.shape, TWO_VALUES) if size == 2 else np.maximum(NEIGHBOUR**lag, FAR)  # noqa: PLR2004 - a switch
    return np.where(lag == 0, 1.0, far)


def _residuals(columns: Floats) -> Floats:
    """(S, N) what is left of each column after a linear fit of the others; of one column alone, its deviations."""
    out = np.empty_like(columns)
    for s in range(len(columns)):
        others = np.vstack([np.delete(columns, s, axis=0), np.ones(columns.shape[1])])  # (S, N)
        weights = np.linalg.lstsq(others.T, columns[s], rcond=None)[0]
        out[s] = columns[s] - weights @ others
    return out


def _learnt(finder: _Pairs, residuals: Floats, parameter: int, size: int) -> Floats:
    table = _default(size)
    for a in range(size):
        for b in range(a + 1, size):
            left, right = finder.differing(parameter, a, b)
            if len(left):
                x, y = residuals[:, left].ravel(), residuals[:, right].ravel()
                seen = float(x @ y) / float(np.sqrt((x @ x) * (y @ y)) + 1e-12)
                worth = len(left) / (len(left) + DEFAULT_PAIRS)
                table[a, b] = table[b, a] = np.clip(worth * seen + (1 - worth) * table[a, b], FEWEST, MOST)
    values, vectors = np.linalg.eigh(table)
    positive = (vectors * np.maximum(values, _FLOOR)) @ vectors.T
    scale = np.sqrt(np.diag(positive))
    return np.asarray(positive / np.outer(scale, scale))


class _Pairs:
    """Finds configurations that differ in one parameter only."""

    def __init__(self, codes: Codes, cardinalities: Sequence[int]) -> None:
        self.codes = codes
        self.strides = [math.prod(cardinalities[p + 1 :]) for p in range(len(cardinalities))]
        self.ranks = mixed_radix(codes, cardinalities)
        self.order = np.argsort(self.ranks, kind="stable")
        self.sorted = self.ranks[self.order]

    def differing(self, parameter: int, a: int, b: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows with value `a` of `parameter`, and the rows that are the same but for value `b`."""
        rows = np.flatnonzero(self.codes[:, parameter] == a)
        wanted = self.ranks[rows] + (b - a) * self.strides[parameter]
        places = np.minimum(np.searchsorted(self.sorted, wanted), len(self.sorted) - 1)
        there = self.sorted[places] == wanted
        return rows[there], self.order[places[there]]
