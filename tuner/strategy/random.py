"""Uniform random configurations without repetition; where an order is known, every second one is its next best."""

from __future__ import annotations

import numpy as np

from spak.tuner.strategy.asking import Asking
from spak.tuner.strategy.base import SpaceView


class Random(Asking):
    """Half known order, half uniform: however wrong the order is, half of the trials are a random search."""

    name = "random"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin with the known order."""
        super().start(space, rng)
        self._turn = 0

    def _next(self) -> tuple[int, str]:
        self._turn += 1
        return (self._by_order() if self._turn % 2 else None) or self._by_chance()
