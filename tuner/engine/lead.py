"""What a law had hidden, once trials contradict it: where to look first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Mask
from spak.kg.space.space import Space
from spak.tuner.chance import Indices, Ties
from spak.tuner.knowledge.belief import MAX_TRIALS, expected

MAX_MODELLED = 1 << 16
"""Most hidden configurations that the model is asked about at once."""

Scores = npt.NDArray[np.number[Any]]
_Chooser = Callable[[Indices], int]


class Lead:
    """Configurations that contradicted laws had hidden, in turn by three reasons to expect a good one there.

    Next to the best trial among them; where the belief that strategies start from, with nothing but these trials,
    expects the least time; next to the op's default. Any one of them alone is led astray by some landscape that the others see through
    (`bench/laws.py planted`).
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        self._space, self._ties = space, Ties(rng)
        self._default = space.default_codes
        self._freed: Mask = np.zeros(len(space), np.bool_)
        self._values: dict[int, float] = {}
        self._best: tuple[float, int] | None = None
        self._turn = 0
        self.is_open = False

    def free(self, freed: Mask) -> None:
        """Look at `freed`: what laws hid that have fallen, or are in doubt."""
        self._freed = freed
        hidden = [(value, index) for index, value in self._values.items() if self._freed[index]]
        self._best = min(hidden, default=None)
        self.is_open = bool(hidden)

    def note(self, value: float, index: int) -> None:
        """Take in a trial, of what was hidden or not."""
        self._values[index] = value
        if self._freed[index] and (self._best is None or value < self._best[0]):
            self._best, self.is_open = (value, index), True

    def next(self, taken: Iterable[int]) -> int | None:
        """The next configuration to look at, none of `taken`; None if there is no lead, or no more of it."""
        if self._best is None or not self.is_open:
            return None
        free = self._freed.copy()
        free[list(taken)] = False
        rows = np.flatnonzero(free)
        if not len(rows):
            self.is_open = False
            return None
        self._turn += 1
        reasons = [self._from(self._space.at([self._best[1]])[0]), self.promising]
        reasons += [] if self._default is None else [self._from(self._default)]
        return reasons[self._turn % len(reasons)](rows)

    def _from(self, codes: npt.NDArray[np.int16]) -> _Chooser:
        """Chooses what differs from `codes` in fewest parameters."""
        return lambda rows: self._least(rows, self._space.distance(codes)[rows])

    def promising(self, rows: Indices) -> int:
        """The one of `rows` that is expected after the best trials so far to take least."""
        if not self._values:
            return self._ties.first(rows)
        if len(rows) > MAX_MODELLED:
            rows = rows[np.argpartition(self._ties.places(rows), MAX_MODELLED)[:MAX_MODELLED]]
        seen = sorted(self._values, key=lambda index: self._values[index])[:MAX_TRIALS]
        logs = np.log([self._values[index] for index in seen])
        space = self._space
        return self._least(rows, np.round(expected(space.at(seen), logs, space.at(rows), space.cardinalities), 6))

    def _least(self, rows: Indices, scores: Scores) -> int:
        return self._ties.first(rows[scores == scores.min()])
