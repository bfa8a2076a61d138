"""Made-up GPUs: the same kernel on relatives of one another, and on a stranger."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

NAMES = ("bx", "by", "tile", "shared", "unroll")
VALUES = ((16, 32, 64, 128, 256), (1, 2, 4, 8), (1, 2, 3, 4), (0, 1), (0, 1))


class Landscape:
    """A space of 320 configurations and log times that depend smoothly on them, differently on each GPU."""

    def __init__(self):
        self.codes = np.array(list(product(*(range(len(v)) for v in VALUES))), np.int16)
        self.cardinalities = tuple(len(v) for v in VALUES)

    def log_time(self, seed: int, likeness: float = 0.9) -> np.ndarray:
        """(N,): a part all GPUs share and a part of this one's own; `likeness` is the share of the first."""
        return likeness * self._part(1000) + (1 - likeness) * self._part(seed)

    def _part(self, seed):
        rng = np.random.default_rng(seed)
        total = np.zeros(len(self.codes))
        for p, size in enumerate(self.cardinalities):
            total += rng.normal(0, 0.6, size)[self.codes[:, p]]
        for p, q in ((0, 1), (1, 2), (0, 3)):
            table = rng.normal(0, 0.4, (self.cardinalities[p], self.cardinalities[q]))
            total += table[self.codes[:, p], self.codes[:, q]]
        return total


@pytest.fixture
def landscape():
    return Landscape()
