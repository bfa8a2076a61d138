"""Uniform random configurations without repetition; where an order is known, every second one is its next best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from tuner.indices import permutation
from tuner.strategy.base import Observation, SpaceView


class Random:
    """Half known order, half uniform: however wrong the order is, half of the trials are a random search."""

    name = "random"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Draw one permutation of the space."""
        self._proposals = self._interleaved(space, permutation(rng, space.size))

    def ask(self, count: int) -> Sequence[int]:
        """The next `count` that were not asked before."""
        return list(islice(self._proposals, count))

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn nothing."""

    @staticmethod
    def _interleaved(space: SpaceView, uniform: np.ndarray) -> Iterator[int]:
        seen: set[int] = set()
        sources = [iter(uniform)] if space.order is None else [iter(space.order), iter(uniform)]
        turn = 0
        while len(seen) < space.size:
            fresh = next((int(i) for i in sources[turn % len(sources)] if int(i) not in seen), None)
            turn += 1
            if fresh is not None:
                seen.add(fresh)
                yield fresh
