"""Every configuration once, best known order first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spak.tuner.strategy.asking import KNOWN, Asking
from spak.tuner.strategy.base import SpaceView


class Exhaustive(Asking):
    """Goes through the space in the known order, else in its canonical one."""

    name = "exhaustive"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin at the front."""
        self._reason = KNOWN if space.order is not None else "canonical order"
        order = np.arange(space.size) if space.order is None else space.order
        super().start(replace(space, order=order), rng)

    def _next(self) -> tuple[int, str]:
        return (self._by_order() or self._by_chance())[0], self._reason
