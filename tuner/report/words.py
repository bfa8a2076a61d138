"""Figures as people read them: few digits, units where they are not in the heading, intervals in brackets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spak.tuner.report.timing import Beside, Span

NOTHING = "-"
"""A cell without a value."""

APART = "~"
"""Before a ratio of two times that were not timed in the same rounds."""


def digits(value: float, count: int = 3) -> str:
    """`value` with `count` significant digits, in plain notation; all digits before the point are kept."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, count - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def span(found: Span) -> str:
    """`60.06 [59.94, 60.19]`; the bare value where there is no interval."""
    value = digits(found.value, 4)
    return value if found.low == found.high else f"{value} [{digits(found.low, 4)}, {digits(found.high, 4)}]"


def times(found: Span, *, ends: bool = True) -> str:
    """A ratio: `1.02x [1.01, 1.03]`."""
    value = f"{found.value:.2f}x"
    return f"{value} [{found.low:.2f}, {found.high:.2f}]" if ends and found.low != found.high else value


def against(found: Beside | None) -> str:
    """A speed-up in a cell: `1.02`, `~1.02`."""
    return NOTHING if found is None else f"{'' if found.together else APART}{found.ratio.value:.2f}"


def percents(changes: Sequence[float]) -> str:
    """The least and the largest change in percent, with signs: `-3.4 to +13.0`."""
    low, high = (f"{100 * end(changes):+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0") for end in (min, max))
    return low if low == high else f"{low} to {high}"


def extent(values: Sequence[float], suffix: str = "", count: int = 3) -> str:
    """`3 to 5 %` of the least and the most; one number if they read the same."""
    low, high = digits(min(values), count), digits(max(values), count)
    return f"{low}{suffix}" if low == high else f"{low} to {high}{suffix}"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
