"""The transferred order: what is known elsewhere, corrected by every trial, alternating with a random order.

At least half of the proposals are random, except for a few earned by each improvement that one of the others made after
the first: knowledge that misleads earns none and costs at most a factor of two. The others come from the belief, or are
bred from the best found here, whichever has lately led to good ones: among the fastest, differences are too small and too
much this GPU's own for what is known elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spak.kg.space.factors import Floats
from spak.kg.space.space import mixed_radix
from spak.tuner.knowledge.belief import Belief, log_expected_improvement
from spak.tuner.knowledge.known import Knowledge, knowledge, leading, named
from spak.tuner.knowledge.source import WORST
from spak.tuner.strategy.asking import Asking, Explain
from spak.tuner.strategy.base import Observation, SpaceView
from spak.tuner.strategy.credit import Credit
from spak.tuner.strategy.population import BRED, Population

EARNED = 4
"""Proposals exempt from alternating for each improvement."""

GOOD = 10
"""A proposal is to the credit of what made it if it comes among so many of the best so far."""

BELIEF, BREEDING = 0, 1


class Transfer(Asking):
    """Proposes by expected improvement of the belief or by breeding, every other time at random."""

    name = "transfer"

    def __init__(self, known: Knowledge | None = None, explain: Explain | None = None) -> None:
        """Start from `known`, about the whole space, or from nothing."""
        super().__init__(explain)
        self._given = known

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin a search of `space`, all or part of what the knowledge is about."""
        known = self._given or knowledge(space.codes, space.cardinalities, [], [])
        self._rng = rng
        self._belief = Belief(known.rows(_places(known, space)), rng)
        self._believed: list[tuple[int, float | None]] = []  # row, log time or failed: what the belief was told
        super().start(space, rng)
        own = rng.spawn(1)[0]  # chance and the belief's pool stay as they are whatever is bred
        self._population, self._credit = Population(space, own), Credit(2, own)
        self._proposed: dict[int, int] = {}  # row -> BELIEF or BREEDING
        self._whose: dict[int, tuple[str, ...]] = {}
        self._best = math.inf
        self._num_asked = self._num_random = self._earned = 0

    def tell(self, observations: Sequence[Observation]) -> None:
        """Update the belief with finished trials."""
        super().tell(observations)
        for seen in observations:
            good = False
            if seen.objective is None:
                self._believe(seen.index, None)
            else:
                good = self._population.add(seen.index, seen.objective) < GOOD
                self._succeeded(seen.index, math.log(seen.objective))
            if seen.index in self._proposed:
                self._credit.settle(self._proposed[seen.index], good=good)

    def _succeeded(self, row: int, log_time: float) -> None:
        if log_time < self._best:
            self._earned += EARNED if row in self._proposed and math.isfinite(self._best) else 0
            self._best = log_time
        self._believe(row, min(log_time, self._best + WORST))

    def _believe(self, row: int, log_time: float | None) -> None:
        self._believed.append((row, log_time))
        _tell(self._belief, row, log_time)

    def hear(self, known: Knowledge) -> None:
        """Believe what `known` says and every trial so far; what was earned, bred and drawn stays as it is."""
        self._belief = Belief(known.rows(_places(known, self._space)), self._rng)
        for row, log_time in self._believed:
            _tell(self._belief, row, log_time)

    def whose(self, index: int) -> tuple[str, ...]:
        """The columns that the belief took this configuration for faster by, than one drawn at random."""
        return self._whose.get(index, ())

    def _random_is_due(self) -> bool:
        """Whenever random proposals so far are fewer than half of those not earned; never first."""
        return 2 * self._num_random < self._num_asked - self._earned

    def _next(self) -> tuple[int, str]:
        arm, row = (BELIEF, None) if self._random_is_due() else self._by_reason()
        self._num_asked += 1
        if row is None:
            self._num_random += 1
            return self._by_chance()
        self._proposed[row] = arm
        return row, BRED if arm == BREEDING else self._reason()

    def _by_reason(self) -> tuple[int, int | None]:
        """Of the belief or bred, and what; None if there is nothing of the kind left."""
        if self._population.can_breed and self._credit.choose() == BREEDING:
            child = self._population.child(self._asked)
            if child is not None:
                return BREEDING, child
        return BELIEF, self._by_belief()

    def _by_belief(self) -> int | None:
        """What it expects most of; None if all that the belief is about was asked."""
        belief, score = self._belief, self._scores()
        place = int(np.argmax(score))
        if not np.isfinite(score[place]):
            return None
        row = int(belief.pool[place])
        known = belief.known
        faster = belief.weights() * (known.means - known.columns[:, row])
        self._whose[row] = tuple(label for label, _ in leading(known.labels, faster))
        return row

    def _scores(self) -> Floats:
        """(pool,) log of what is expected of each configuration that was not asked for; minus infinity of the others."""
        belief = self._belief
        if math.isfinite(self._best):
            score = log_expected_improvement(belief.mean, belief.variance, self._best)
        else:
            score = -belief.mean
        return np.where(self._asked[belief.pool], -np.inf, score + np.log(belief.runs))

    def _reason(self) -> str:
        """What spoke for it: the columns by their share of the weight, and how many trials corrected them."""
        belief = self._belief
        trials = f"{belief.num_trials} trials here" if belief.num_trials else ""
        return "; ".join(filter(None, (named(belief.known.labels, belief.weights()), trials)))


def _tell(belief: Belief, row: int, log_time: float | None) -> None:
    if log_time is None:
        belief.fail(row)
    else:
        belief.update(row, log_time)


def _places(known: Knowledge, space: SpaceView) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """(N,) where each row of `space` is in the knowledge."""
    if space.size == len(known.codes):
        return np.arange(len(known.codes))
    ranks = mixed_radix(known.codes, known.cardinalities)
    order = np.argsort(ranks)
    return order[np.searchsorted(ranks[order], mixed_radix(space.codes, space.cardinalities))]
