"""Who gets the next trials of a search of many targets: the one where they are worth most, every other time the next in turn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

ShareName = Literal["worth", "turns"]
"""By expected gain, or equal shares."""


@dataclass(frozen=True)
class TargetClaim:
    """What speaks for giving one target the next trials.

    Attributes:
        name: Of the target.
        spent: Trials it had, those under way included.
        weight: What its time counts beside that of the others; positive.
        promise: Logarithm of the time by which its next guess is expected to improve its best; infinite before it has
            one, None where nobody can tell.
    """

    name: str
    spent: int
    weight: float
    promise: float | None

    @property
    def worth(self) -> float:
        """Share of the time of all that the next guess is expected to save.

        Where all failed, the chance that one does not, by Laplace's rule of succession.
        """
        promise = self.promise or 0.0
        return self.weight * (promise if math.isfinite(promise) else 1.0 / (self.spent + 2))


@dataclass
class Sharing:
    """Deals out trials.

    By worth, every other one goes in turn all the same, so that a promise that misleads costs at most a factor of two:
    at any time each target had half of what equal shares, by weight, would have given it, less one.

    Source: of the turns, Demers, Keshav, Shenker, "Analysis and simulation of a fair queueing algorithm", SIGCOMM 1989.
    """

    how: ShareName = "worth"
    turns: Counter[str] = field(default_factory=Counter)
    num_by_worth: int = 0

    def choose(self, claims: Sequence[TargetClaim]) -> TargetClaim:
        """The target that the next trials go to, of at least one; first come those that had none."""
        new = next((claim for claim in claims if not claim.spent), None)
        if new is not None:
            return new
        best = max(claims, key=lambda claim: claim.worth)
        if self.how == "worth" and best.worth > 0 and self.num_by_worth <= self.turns.total():
            self.num_by_worth += 1
            return best
        first = min(claims, key=lambda claim: (self.turns[claim.name] + 1) / claim.weight)
        self.turns[first.name] += 1
        return first
