"""How much a search may spend: trials, seconds, or both; and how much of it is audit."""

from __future__ import annotations

import math
from dataclasses import dataclass

FRONT = 4
"""The audit is spent this much faster than the budget: all of it in the first quarter, when a wrong law costs most."""


@dataclass(frozen=True)
class Budget:
    """What a search may spend.

    Attributes:
        trials: Most trials; None for no limit.
        seconds: Most wall time; a batch under way when it ends is finished.
        audit: Share of the trials that goes where the laws say not to look, 0 to 1.
    """

    trials: int | None = None
    seconds: float | None = None
    audit: float = 0.05

    def left(self, spent: int, elapsed_s: float) -> int:
        """Trials that may still be asked for after so many and so long; 0 if the time is up."""
        if self.seconds is not None and elapsed_s >= self.seconds:
            return 0
        return max(0, self.trials - spent) if self.trials is not None else _MANY

    def audits_due(self, spent: int, batch: int) -> int:
        """Audit trials there should have been after the next `batch`.

        With a limit in trials the audit is spent in the first quarter; without one it keeps to its share.
        """
        if not self.audit:
            return 0
        after = spent + batch
        if self.trials is None:
            return math.ceil(self.audit * after)
        return min(math.ceil(self.audit * self.trials), math.ceil(FRONT * self.audit * after))


_MANY = 1 << 62
