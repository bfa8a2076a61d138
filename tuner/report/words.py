"""Figures as people read them: few digits, units where they are not in the heading, intervals in brackets."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spak.tuner.report.timing import Span

NOTHING = "-"
"""A cell without a value."""


def digits(value: float, count: int = 3) -> str:
    """`value` with `count` significant digits, in plain notation; all digits before the point are kept."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, count - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def span(found: Span, *, ends: bool = True) -> str:
    """`60.06 [59.94, 60.19]`; the bare value where there is no interval."""
    if found.is_exact or not ends:
        return digits(found.value, 4)
    return f"{digits(found.value, 4)} [{digits(found.low, 4)}, {digits(found.high, 4)}]"


def times(found: Span, *, ends: bool = True) -> str:
    """A ratio: `1.02x [1.01, 1.03]`."""
    value = f"{found.value:.2f}x"
    return value if found.is_exact or not ends else f"{value} [{found.low:.2f}, {found.high:.2f}]"


def percent(share: float) -> str:
    """A share without decimals."""
    return f"{100 * share:.0f} %"


def signed_percent(change: float) -> str:
    """A change with its sign and one decimal; what rounds to nothing has none."""
    text = f"{100 * change:+.1f}"
    return "0.0 %" if float(text) == 0 else f"{text} %"


def extent(values: Sequence[float], suffix: str = "", count: int = 3) -> str:
    """`3 to 5 %` of the least and the most; one number if they read the same."""
    low, high = digits(min(values), count), digits(max(values), count)
    return f"{low}{suffix}" if low == high else f"{low} to {high}{suffix}"


def counted(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
