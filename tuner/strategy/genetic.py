"""A genetic algorithm: the better half breeds, uniform crossover, one mutation on average, never the same twice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from spak.kg.space.space import mixed_radix
from spak.tuner.strategy.asking import Asking
from spak.tuner.strategy.base import Observation, SpaceView

POPULATION = 20
"""Source: Kernel Tuner, `strategies/genetic_algorithm.py`, default `popsize`."""

_ATTEMPTS = 50
"""Children drawn before one at random is taken instead: most recombinations of a constrained space are infeasible."""

BRED = "bred from two of the best here"


class Genetic(Asking):
    """Steady state: every child replaces the worst of the population if it is better."""

    name = "genetic"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin with the best half of a known order and random configurations for the rest."""
        super().start(space, rng)
        self._order = islice(self._order, POPULATION // 2)
        self._sizes = np.array(space.cardinalities)
        self._rng = rng
        self._codes = space.codes
        self._ranks = mixed_radix(space.codes, space.cardinalities)
        self._members: list[tuple[float, int]] = []

    def tell(self, observations: Sequence[Observation]) -> None:
        """Keep the best `POPULATION`; failures never breed."""
        super().tell(observations)
        timed = [(seen.objective, seen.index) for seen in observations if seen.objective is not None]
        self._members = sorted([*self._members, *timed])[:POPULATION]

    def _next(self) -> tuple[int, str]:
        known = self._by_order()
        if known is not None:
            return known
        if len(self._members) >= POPULATION // 2:
            for _ in range(_ATTEMPTS):
                child = self._child()
                if child is not None and not self._asked[child]:
                    return child, BRED
        return self._by_chance()

    def _child(self) -> int | None:
        """A feasible child of two parents, None if recombining and mutating left the space."""
        rng = self._rng
        first, second = (self._codes[self._members[i][1]] for i in rng.integers(len(self._members), size=2))
        genes = np.where(rng.random(len(self._sizes)) < 0.5, first, second)  # noqa: PLR2004 - a fair coin
        mutated = rng.random(len(self._sizes)) < 1 / len(self._sizes)
        genes = np.where(mutated, rng.integers(self._sizes), genes)
        rank = int(mixed_radix(genes[None, :], self._sizes)[0])
        place = int(np.searchsorted(self._ranks, rank))
        return place if place < len(self._ranks) and self._ranks[place] == rank else None
