"""No law may hide its own counter-evidence: what to try where the laws say not to look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from spak.kg.model.run import Trial
from spak.kg.space.factors import Codes, Mask
from spak.kg.space.masks import union
from spak.tuner.chance import Indices, Ties
from spak.tuner.engine.tally import AxisTally, LawTally, Tally
from spak.tuner.knowledge.restriction import Restriction, Rule

_Chooser = Callable[[Indices], int]
"""Chooses one of some configurations."""


@dataclass(frozen=True)
class Aside:
    """A configuration that was compiled and, by its features, not evaluated.

    Attributes:
        trial: How a run file records it if it stays so.
        laws: Every law about compiled features that names it, with power or without.
        unsafe: Whether one of them is about safety: it is never evaluated.
    """

    trial: Trial
    laws: frozenset[str]
    unsafe: bool


class Audits:
    """Configurations that laws hide, those first whose removal would cost most if the law were wrong.

    In turn from each law, in each round the one that hides most first. Of what a law names, what no other law speaks
    against; of that, in one round what differs least from the best trial so far, in the next what differs least from
    the default: only the law stands between it and a trial. Of a collapsed axis the best trials with another value of
    it. Of a suspended law, beside which too little else was tried to judge it by, what it does not name.
    """

    def __init__(
        self, restriction: Restriction, tallies: Mapping[str, Tally], promising: _Chooser, rng: np.random.Generator
    ) -> None:
        """Begin the turns; `tallies` by law, `promising` chooses what is expected to take least."""
        self._restriction, self._space, self._tallies = restriction, restriction.space, tallies
        self._rules = [rule for rule in restriction.rules if rule.is_audited and rule.id not in restriction.contested]
        unsafe = (rule.named for rule in restriction.live if rule.is_safety)
        self._safe = ~union((named for named in unsafe if named is not None), restriction.space.shape)
        self._ties, self._promising = Ties(rng), promising
        self._default = restriction.space.default_codes
        self._queue: list[Rule] = []
        self._round = 0

    def next(self, taken: Collection[int], best: int | None, asides: Mapping[int, Aside]) -> int | None:
        """The next to audit; None if there is nothing that would tell more.

        Args:
            taken: What was tried, is out, or was set aside.
            best: The best trial's.
            asides: What laws about compiled features hide.
        """
        free = self._safe.flat
        gone = np.array([index for index in taken if free[index]], np.int64)
        free[gone] = False
        for _ in range(2 * len(self._rules)):
            if not self._queue:
                self._queue = sorted(self._rules, key=lambda rule: self._num_hidden(rule, gone, asides))
                self._round += 1
            rule = self._queue.pop()
            found = self._of(rule, free, self._reason(best), asides)
            if found is not None:
                return found
        return None

    def _reason(self, best: int | None) -> _Chooser:
        """How this round chooses of what a law hides: next to the best trial, what is promising, next to the default."""
        reasons = [self._promising]
        reasons += [] if self._default is None else [self._nearest_to(self._default)]
        reasons += [] if best is None else [self._nearest_to(self._space.at([best])[0])]
        return reasons[-self._round % len(reasons)]

    def _of(self, rule: Rule, free: Mask, reason: _Chooser, asides: Mapping[int, Aside]) -> int | None:
        """What tells most of `rule`."""
        tally = self._tallies[rule.id]
        if isinstance(tally, AxisTally):
            twins = (self._space.index(twin) for twin in tally.twins())
            return next((index for index in twins if index is not None and free[index]), None)
        if rule.named is None:
            rows = np.array([index for index, aside in asides.items() if _hides(rule, aside)], np.int64)
        elif isinstance(tally, LawTally) and tally.lacks_others and rule.id in self._restriction.suspended:
            rows = np.flatnonzero(~rule.named.flat & free)
        else:
            rows = np.flatnonzero(rule.named.flat & free)
            others = self._restriction.penalty[rows]  # its own weight is in each of them
            rows = rows[others == others.min(initial=np.iinfo(np.int16).max)]
        return reason(rows) if len(rows) else None

    def _num_hidden(self, rule: Rule, gone: Indices, asides: Mapping[int, Aside]) -> int:
        """What `rule` keeps from being tried of what is safe and not `gone`, counted on the factors that it speaks of."""
        if rule.named is None:
            return sum(_hides(rule, aside) for aside in asides.values())
        return (rule.named & self._safe).sum() - int(rule.named.at(gone).sum())

    def _nearest_to(self, codes: Codes) -> _Chooser:
        """Chooses what differs from `codes` in fewest parameters."""

        def choose(rows: Indices) -> int:
            distance = (self._space.at(rows) != codes).sum(axis=1)
            return self._ties.first(rows[distance == distance.min()])

        return choose


def _hides(rule: Rule, aside: Aside) -> bool:
    return rule.id in aside.laws and not aside.unsafe
