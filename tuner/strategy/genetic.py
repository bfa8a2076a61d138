"""A genetic algorithm: the better half breeds, uniform crossover, one mutation on average, never the same twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kg.space import mixed_radix
from tuner.indices import permutation
from tuner.strategy.base import Observation, SpaceView

POPULATION = 20
"""Source: Kernel Tuner, `strategies/genetic_algorithm.py`, default `popsize`."""

ATTEMPTS = 50
"""Children drawn before one at random is taken instead: most recombinations of a constrained space are infeasible."""


class Genetic:
    """Steady state: every child replaces the worst of the population if it is better."""

    name = "genetic"

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin with the best half of a known order and random configurations for the rest."""
        self._codes = space.codes
        self._sizes = np.array(space.cardinalities)
        self._rng = rng
        self._ranks = mixed_radix(space.codes, space.cardinalities)
        self._asked = np.zeros(space.size, dtype=bool)
        self._chance = iter(permutation(rng, space.size))
        known = [] if space.order is None else [int(row) for row in space.order[: POPULATION // 2]]
        self._first = iter(known)
        self._members: list[tuple[float, int]] = []

    def ask(self, count: int) -> Sequence[int]:
        """Members of the first population, then children."""
        found = []
        for _ in range(min(count, len(self._asked) - int(self._asked.sum()))):
            row = self._next()
            self._asked[row] = True
            found.append(row)
        return found

    def tell(self, observations: Sequence[Observation]) -> None:
        """Keep the best `POPULATION`; failures never breed."""
        for seen in observations:
            self._asked[seen.index] = True
            if seen.objective is not None:
                self._members.append((seen.objective, seen.index))
        self._members = sorted(self._members)[:POPULATION]

    def _next(self) -> int:
        known = next((row for row in self._first if not self._asked[row]), None)
        if known is not None:
            return known
        if len(self._members) >= POPULATION // 2:
            for _ in range(ATTEMPTS):
                child = self._child()
                if child is not None and not self._asked[child]:
                    return child
        return next(int(row) for row in self._chance if not self._asked[row])

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
