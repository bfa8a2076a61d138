"""Time units as result files spell them, misspellings of the field included."""

from __future__ import annotations

MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
"""Unit -> microseconds in one of it."""

_SPELLINGS = {
    "ns": ("ns", "nanosecond", "nanoseconds"),
    "us": ("us", "µs", "μs", "usec", "microsecond", "microseconds"),
    "ms": ("ms", "msec", "millisecond", "milliseconds", "milisecond", "miliseconds"),  # the hub writes "miliseconds"
    "s": ("s", "sec", "second", "seconds"),
}
_UNIT = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}


def time_unit(text: str) -> str | None:
    """`ns`, `us`, `ms` or `s` for any known spelling; None for anything else, the empty text included."""
    return _UNIT.get(text.strip().lower())
