"""What is recorded of one op at one problem size on one piece of hardware, in a line."""

from __future__ import annotations

from spak.kg.model.base import Model, Scalar
from spak.kg.model.law import Tier


class RecordedSize(Model, frozen=True, kw_only=True, omit_defaults=False):
    """Trials of all runs together.

    Attributes:
        problem: Problem size as the runs state it; empty if they state none.
        trials: Number of trials that were made; `failures` of them failed.
        best_us: Least time in microseconds; None if nothing ran correctly.
        best: The configuration that took it.
        tier: Of the run that has the best: `measured`, or `reported` where nobody checked its results.
        runs: Ids, the one with the best first.
    """

    hw: str
    op: str
    problem: dict[str, Scalar]
    trials: int
    failures: int
    best_us: float | None
    best: dict[str, Scalar]
    tier: Tier
    runs: tuple[str, ...]
