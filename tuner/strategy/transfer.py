"""The transferred order: what is known elsewhere, corrected by every trial, alternating with a random order.

At least half of the proposals are random, except for a few earned by each improvement that a transferred proposal made
after the first: knowledge that misleads earns none and costs at most a factor of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from kg.space import mixed_radix
from tuner.indices import permutation
from tuner.prior.belief import Belief, log_expected_improvement
from tuner.prior.knowledge import Knowledge, knowledge
from tuner.prior.source import WORST
from tuner.strategy.base import Observation, SpaceView

EARNED = 4
"""Proposals exempt from alternating for each improvement."""

RANDOM = "random"

NEGLIGIBLE = 0.05
"""Share of the weight below which a source is not named as a reason."""


class Transfer:
    """Proposes by expected improvement of the belief, every other time at random."""

    name = "transfer"

    def __init__(self, known: Knowledge | None = None, explain: Callable[[int, str], None] | None = None) -> None:
        """Start from `known`, about the whole space, or from nothing; `explain` is told why each index was proposed."""
        self._given = known
        self._explain = explain or (lambda _index, _reason: None)

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin a search of `space`, all or part of what the knowledge is about."""
        self._known = self._given or knowledge(space.codes, space.cardinalities, [], [])
        self._rows = _places(self._known, space)
        self._belief = Belief(self._known.rows(self._rows), rng)
        self._random = iter(permutation(rng, space.size))
        self._asked = np.zeros(space.size, dtype=bool)
        self._transferred: set[int] = set()
        self._best = math.inf
        self._num_asked = self._num_random = self._earned = 0

    def ask(self, count: int) -> Sequence[int]:
        """Up to `count` rows never asked before."""
        found = []
        for _ in range(min(count, len(self._asked) - int(self._asked.sum()))):
            row = self._by_chance() if self._random_is_due() else self._by_belief()
            self._asked[row] = True
            self._num_asked += 1
            found.append(row)
        return found

    def tell(self, observations: Sequence[Observation]) -> None:
        """Update the belief with finished trials."""
        for seen in observations:
            self._asked[seen.index] = True
            if seen.objective is None:
                self._belief.fail(seen.index)
            else:
                self._succeeded(seen.index, math.log(seen.objective))

    def _succeeded(self, row: int, log_time: float) -> None:
        if log_time < self._best:
            self._earned += EARNED if row in self._transferred and math.isfinite(self._best) else 0
            self._best = log_time
        self._belief.update(row, min(log_time, self._best + WORST))

    def _random_is_due(self) -> bool:
        """Whenever random proposals so far are fewer than half of those not earned; never first."""
        return 2 * self._num_random < self._num_asked - self._earned

    def _by_chance(self) -> int:
        row = next(int(row) for row in self._random if not self._asked[row])
        self._num_random += 1
        self._explain(int(self._rows[row]), RANDOM)
        return row

    def _by_belief(self) -> int:
        belief = self._belief
        if math.isfinite(self._best):
            score = log_expected_improvement(belief.mean, belief.variance, self._best)
        else:
            score = -belief.mean
        score = np.where(self._asked[belief.pool], -np.inf, score + np.log(belief.runs))
        place = int(np.argmax(score))
        if not np.isfinite(score[place]):
            return self._by_chance()
        row = int(belief.pool[place])
        self._transferred.add(row)
        self._explain(int(self._rows[row]), self._reason())
        return row

    def _reason(self) -> str:
        """What spoke for it: the columns by their share of the weight, and how many trials corrected them."""
        weights = np.maximum(self._belief.weights(), 0.0)
        if not weights.sum():
            return f"{self._belief.num_trials} trials here"
        shares = weights / weights.sum()
        named = [f"{self._known.labels[s]} {shares[s]:.0%}" for s in np.argsort(-shares)[:3] if shares[s] >= NEGLIGIBLE]
        trials = f"; {self._belief.num_trials} trials here" if self._belief.num_trials else ""
        return ", ".join(named) + trials


def _places(known: Knowledge, space: SpaceView) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) where each row of `space` is in the knowledge."""
    if space.size == len(known.codes):
        return np.arange(len(known.codes))
    ranks = mixed_radix(known.codes, known.cardinalities)
    order = np.argsort(ranks)
    return order[np.searchsorted(ranks[order], mixed_radix(space.codes, space.cardinalities))]
