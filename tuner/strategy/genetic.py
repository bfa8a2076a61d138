"""A genetic algorithm: the better half breeds, uniform crossover, one mutation on average, never the same twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from spak.tuner.strategy.asking import Asking
from spak.tuner.strategy.base import Observation, SpaceView
from spak.tuner.strategy.population import BRED, POPULATION, Population


class Genetic(Asking):
    """Steady state: every child replaces the worst of the population if it is better."""

    name = "genetic"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin with the best half of a known order and random configurations for the rest."""
        super().start(space, rng)
        self._order = islice(self._order, POPULATION // 2)
        self._population = Population(space, rng)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Keep the best `POPULATION`; failures never breed."""
        super().tell(observations)
        for seen in observations:
            if seen.objective is not None:
                self._population.add(seen.index, seen.objective)

    def _next(self) -> tuple[int, str]:
        known = self._by_order()
        if known is not None:
            return known
        child = self._population.child(self._asked) if self._population.can_breed else None
        return self._by_chance() if child is None else (child, BRED)
