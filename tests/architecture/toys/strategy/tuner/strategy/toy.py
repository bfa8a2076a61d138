"""A toy strategy: the canonical order backwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spak.tuner.strategy.asking import Asking
from spak.tuner.strategy.base import SpaceView


class Toy(Asking):
    """Goes through the space from its end."""

    name = "toy"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin at the last configuration."""
        super().start(replace(space, order=np.arange(space.size)[::-1]), rng)

    def _next(self) -> tuple[int, str]:
        row, _ = self._by_order() or self._by_chance()
        return row, "backwards"
