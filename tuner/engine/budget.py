"""How much a search may spend: trials, seconds, or both; and how much of it is audit."""

from __future__ import annotations

import math
from dataclasses import dataclass

FRONT = 4
"""The audit is spent this much faster than the budget: all of it in the first quarter, when a wrong law costs most."""

MAX_AUDIT = 0.5
"""Share of the trials that audits take at most where laws fell and so the others are doubted more."""


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Attributes:
        trials: Most trials; None for no limit.
        seconds: Most wall time; when it ends, what has compiled of the batch under way is finished, the default in any case.
        audit: Share of the trials that goes where the laws say not to look, 0 to 1.
    """

    trials: int | None = None
    seconds: float | None = None
    audit: float = 0.05

    def seconds_left(self, elapsed_s: float) -> float:
        """Seconds that remain after so many; infinite without a limit."""
        return math.inf if self.seconds is None else max(0.0, self.seconds - elapsed_s)

    def left(self, spent: int, elapsed_s: float) -> int:
        """Trials that may still be asked for after so many and so long; 0 if the time is up."""
        if not self.seconds_left(elapsed_s):
            return 0
        return max(0, self.trials - spent) if self.trials is not None else _MANY

    def audits_due(self, spent: int, batch: int, num_fallen: int = 0) -> int:
        """Audit trials there should have been after the next `batch`.

        With a limit in trials the audit is spent in the first quarter; without one it keeps to its share. Each law that
        fell adds as much again: the laws with which it came are likely no better.
        """
        after, most = spent + batch, max(self.audit, MAX_AUDIT)
        share = min(self.audit * (1 + num_fallen), most)
        if self.trials is None:
            return math.ceil(share * after)
        rate = max(FRONT * self.audit, min(FRONT * share, most))
        return min(math.ceil(share * self.trials), math.ceil(rate * after))


_MANY = 1 << 62
