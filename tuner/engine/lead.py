"""What a law had hidden, once trials contradict it: where to look first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Mask
from spak.kg.space.space import Space
from spak.tuner.chance import Indices, Ties

CANDIDATES = 1 << 16
"""Most hidden configurations that the model is asked about at once."""

RIDGE = 0.3
"""How much an effect needs to be seen before the model believes it: in trials of average weight."""

Scores = npt.NDArray[np.number[Any]]
_Chooser = Callable[[Indices], int]


class Lead:
    """Configurations that contradicted laws had hidden, in turn by three reasons to expect a good one there.

    Next to the best trial among them; where the effects of each parameter, seen in all trials, add up to the least
    time; next to the op's default. Any one of them alone is led astray by some landscape that the others see through
    (`bench/laws.py planted`).
    """

    def __init__(self, space: Space, rng: np.random.Generator) -> None:
        """Nothing is hidden yet; `rng` breaks ties."""
        self._space, self._ties = space, Ties(rng)
        self._offsets = np.concatenate([[0], np.cumsum(space.cardinalities)[:-1]]).astype(np.int64)
        self._num_effects = sum(space.cardinalities)
        self._default = space.default_codes
        self._freed: Mask = np.zeros(len(space), np.bool_)
        self._values: dict[int, float] = {}
        self._best: tuple[float, int] | None = None
        self._turn = 0
        self.is_open = False

    def free(self, freed: Mask) -> None:
        """Laws that hid `freed` have fallen."""
        self._freed = self._freed | freed
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
        reasons = [self._from(self._space.at([self._best[1]])[0]), self._modelled]
        reasons += [] if self._default is None else [self._from(self._default)]
        return reasons[self._turn % len(reasons)](rows)

    def _from(self, codes: npt.NDArray[np.int16]) -> _Chooser:
        """Chooses what differs from `codes` in fewest parameters."""
        return lambda rows: self._least(rows, self._space.distance(codes)[rows])

    def _modelled(self, rows: Indices) -> int:
        """By a ridge regression of log time on the values of all parameters; trials near the best count most."""
        if len(rows) > CANDIDATES:
            rows = rows[np.argpartition(self._ties.places(rows), CANDIDATES)[:CANDIDATES]]
        seen = np.fromiter(self._values, np.int64)
        logs = np.log(np.fromiter(self._values.values(), np.float64))
        weight = np.exp(logs.min() - logs)
        effects = np.zeros((len(seen), self._num_effects))
        effects[np.arange(len(seen))[:, None], self._space.at(seen) + self._offsets] = 1
        squares = (effects * weight[:, None]).T @ effects + RIDGE * weight.mean() * np.eye(self._num_effects)
        fitted = np.linalg.solve(squares, (effects * weight[:, None]).T @ (logs - np.average(logs, weights=weight)))
        return self._least(rows, np.round(fitted[self._space.at(rows) + self._offsets].sum(axis=1), 6))

    def _least(self, rows: Indices, scores: Scores) -> int:
        return self._ties.first(rows[scores == scores.min()])
