"""Figures as people read them: few digits, units where they are not in the heading, intervals in brackets."""

from __future__ import annotations

from collections.abc import Sequence

from spak.kg.model.figures import digits
from spak.tuner.report.timing import Beside, Span

NOTHING = "-"
"""A cell without a value."""

APART = "~"
"""Before a ratio of two times that were not timed in the same rounds."""


def span(found: Span) -> str:
    """`60.06 [59.94, 60.19]`; the bare value where there is no interval."""
    value = digits(found.value, 4)
    return value if found.low == found.high else f"{value} [{digits(found.low, 4)}, {digits(found.high, 4)}]"


def times(found: Span) -> str:
    """A ratio: `1.02x [1.01, 1.03]`."""
    value = f"{found.value:.2f}x"
    return f"{value} [{found.low:.2f}, {found.high:.2f}]" if found.low != found.high else value


def against(found: Beside | None) -> str:
    """A speed-up in a cell: `1.02`, `~1.02`."""
    return NOTHING if found is None else f"{'' if found.together else APART}{found.ratio.value:.2f}"


def percents(changes: Sequence[float]) -> str:
    """The least and the largest change in percent, with signs: `-3.4 to +13.0`; from 100 on without decimals."""
    low, high = (_signed(100 * end(changes)) for end in (min, max))
    return low if low == high else f"{low} to {high}"


def _signed(percent: float) -> str:
    """Three digits at most; zero has no sign."""
    decimals = 0 if abs(round(percent, 1)) >= _THREE_DIGITS else 1
    return f"{percent:+.{decimals}f}".replace("-0.0", "0.0").replace("+0.0", "0.0")


_THREE_DIGITS = 100
