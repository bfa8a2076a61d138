"""What every strategy does alike: ask row by row, never twice, and say where each proposal came from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from spak.tuner.chance import shuffled
from spak.tuner.strategy.base import Observation, SpaceView

Explain = Callable[[tuple[int, ...], str], None]
"""Told the codes of each proposed configuration and what it was proposed from."""

KNOWN, RANDOM = "known order", "random"


class Asking(ABC):
    """A strategy that proposes one row at a time."""

    def __init__(self, explain: Explain | None = None) -> None:
        """Say to `explain` why each configuration is proposed."""
        self._explain = explain

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin a search of `space`."""
        self._space = space
        self._asked = np.zeros(space.size, dtype=bool)
        self._num_left = space.size
        self._chance = shuffled(rng, space.size)
        self._order: Iterator[int] = iter([] if space.order is None else space.order)

    def ask(self, count: int) -> Sequence[int]:
        """Up to `count` rows never asked before; fewer only when the space is exhausted."""
        found = []
        for _ in range(min(count, self._num_left)):
            row, reason = self._next()
            self._mark(row)
            if self._explain is not None:  # looks at the matrix of the space, which a search of millions does not need
                self._explain(tuple(self._space.codes[row].tolist()), reason)
            found.append(row)
        return found

    def tell(self, observations: Sequence[Observation]) -> None:
        """Never ask for what was tried."""
        for seen in observations:
            self._mark(seen.index)

    def _mark(self, row: int) -> None:
        self._num_left -= not self._asked[row]
        self._asked[row] = True

    @abstractmethod
    def _next(self) -> tuple[int, str]:
        """A row not asked for yet, of which there is one, and where it comes from."""

    def _by_order(self) -> tuple[int, str] | None:
        """The next of the known order; None if nothing is known or all of it was asked."""
        return next(((int(row), KNOWN) for row in self._order if not self._asked[row]), None)

    def _by_chance(self) -> tuple[int, str]:
        return next((row, RANDOM) for row in self._chance if not self._asked[row])
