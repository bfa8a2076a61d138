"""The median of a few times and an interval for it that assumes nothing about how they are distributed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

COVERAGE = 0.95
MIN_SAMPLES = 6
"""The fewest samples whose smallest and largest bracket the median with 95 % (1 - 2 * 0.5**6 = 96.9 %)."""


@dataclass(frozen=True)
class Interval:
    """A median with its interval; `low` and `high` are None below `MIN_SAMPLES` samples."""

    median: float
    low: float | None
    high: float | None


def summarise(samples: Sequence[float]) -> Interval:
    """The median of `samples` and its distribution-free 95 % interval, from order statistics.

    The number of samples below the true median is binomial (n, 1/2), so the r-th smallest and the r-th largest
    sample bracket it with probability 1 - 2 * P(B < r); r is the largest rank that keeps this at 95 % or more.

    Raises:
        ValueError: If there is no sample, or one is not finite.

    Source: H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, section 7.1.
    """
    if not samples or not all(math.isfinite(sample) for sample in samples):
        raise ValueError(f"times must be finite and at least one (got {list(samples)[:5]})")
    ordered = sorted(samples)
    count = len(ordered)
    middle = statistics.median(ordered)
    rank = interval_rank(count)
    if rank == 0:
        return Interval(middle, None, None)
    return Interval(middle, ordered[rank - 1], ordered[count - rank])


def interval_rank(count: int) -> int:
    """The rank r (1-based, from either end) whose order statistics bracket the median with 95 %; 0 if none does."""
    tail, rank = 0.0, 0
    for below in range(count // 2):
        tail += math.comb(count, below) * 0.5**count
        if 2 * tail > 1 - COVERAGE:
            break
        rank = below + 1
    return rank
