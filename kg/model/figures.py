"""Numbers as people read them, wherever they are printed: few digits, and no exponent where nobody expects one."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number_text(value: float) -> str:
    """`value` with at most five significant digits and no exponent where people do not expect one."""
    if float(value).is_integer() and abs(value) < 1e15:  # noqa: PLR2004 - above it floats are no longer exact
        return str(int(value))
    return f"{value:.5g}"


def digits(value: float, count: int = 3) -> str:
    """`value` with `count` significant digits, in plain notation; all digits before the point are kept."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, count - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def extent(values: Sequence[float], suffix: str = "", count: int = 3) -> str:
    """`3 to 5 %` of the least and the most; one number if they read the same."""
    low, high = digits(min(values), count), digits(max(values), count)
    return f"{low}{suffix}" if low == high else f"{low} to {high}{suffix}"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 law`, `2 laws`, `1,000 laws`; `many` where an s at the end does not make it."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
