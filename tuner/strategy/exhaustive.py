"""Every configuration once, best known order first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuner.strategy.base import Observation, SpaceView


class Exhaustive:
    """Goes through the space in the given order, else in its canonical one."""

    name = "exhaustive"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:  # noqa: ARG002 - nothing here is random
        """Begin at the front."""
        self._order = np.arange(space.size) if space.order is None else space.order
        self._next = 0

    def ask(self, count: int) -> Sequence[int]:
        """The next `count`."""
        found = self._order[self._next : self._next + count]
        self._next += len(found)
        return [int(index) for index in found]

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn nothing."""
