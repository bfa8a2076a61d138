"""The best configurations of a search, and what is bred from two of them: uniform crossover, one mutation on average."""

from __future__ import annotations

import bisect

import numpy as np

from spak.kg.space.factors import Mask
from spak.kg.space.space import mixed_radix
from spak.tuner.strategy.base import SpaceView

POPULATION = 20
"""Source: Kernel Tuner, `strategies/genetic_algorithm.py`, default `popsize`."""

_ATTEMPTS = 50
"""Children drawn before there is none: most recombinations of a constrained space are infeasible."""

BRED = "bred from two of the best here"


class Population:
    """Steady state: every newcomer replaces the worst of the `POPULATION` best if it is better."""

    def __init__(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Nothing is in it yet; `rng` picks parents, genes and mutations."""
        self._sizes = np.array(space.cardinalities)
        self._rng = rng
        self._codes = space.codes
        self._ranks = mixed_radix(space.codes, space.cardinalities)
        self._members: list[tuple[float, int]] = []

    @property
    def can_breed(self) -> bool:
        """Whether it is half full."""
        return len(self._members) >= POPULATION // 2

    def add(self, row: int, objective: float) -> int:
        """Note configuration `row` with `objective`, lower is better; its place among the best, from 0."""
        member = (objective, row)
        place = bisect.bisect(self._members, member)
        self._members.insert(place, member)
        del self._members[POPULATION:]
        return place

    def child(self, asked: Mask) -> int | None:
        """A row not `asked` (N,) that two members would have; None if recombining and mutating found none."""
        for _ in range(_ATTEMPTS):
            row = self._row(self._genes())
            if row is not None and not asked[row]:
                return row
        return None

    def _genes(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """(P,) from two parents, mutated."""
        rng = self._rng
        first, second = (self._codes[self._members[i][1]] for i in rng.integers(len(self._members), size=2))
        genes = np.where(rng.random(len(self._sizes)) < 0.5, first, second)  # noqa: PLR2004 - a fair coin
        mutated = rng.random(len(self._sizes)) < 1 / len(self._sizes)
        return np.where(mutated, rng.integers(self._sizes), genes)

    def _row(self, genes: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int | None:
        """Where `genes` (P,) are in the space; None if they left it."""
        rank = int(mixed_radix(genes[None, :], self._sizes)[0])
        place = int(np.searchsorted(self._ranks, rank))
        return place if place < len(self._ranks) and self._ranks[place] == rank else None
