"""Words of foreign result files: how they spell time units, and what stands where a time would if there is none."""

from __future__ import annotations

from pathlib import Path

from spak.kg.formats.content import refuse
from spak.kg.model.run import Failure, Invalidity

MICROSECONDS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
"""Unit -> microseconds in one of it."""

_SPELLINGS = {
    "ns": ("ns", "nanosecond", "nanoseconds"),
    "us": ("us", "µs", "μs", "usec", "microsecond", "microseconds"),
    "ms": ("ms", "msec", "millisecond", "milliseconds", "milisecond", "miliseconds"),  # the hub writes "miliseconds"
    "s": ("s", "sec", "second", "seconds"),
}
_UNIT = {spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings}

_MARKERS: dict[str, Invalidity] = {
    "InvalidConfig": "constraints",
    "CompilationFailedConfig": "compile",
    "RuntimeFailedConfig": "runtime",
    "ErrorConfig": "runtime",
}
"""Source: Kernel Tuner, `util.py`, the subclasses of ErrorConfig."""

NO_RESULT = 1e20
"""Kernel Tuner before 0.4 wrote this "time" for a configuration that failed."""


def time_unit(text: str) -> str | None:
    """`ns`, `us`, `ms` or `s` for any known spelling; None for anything else, the empty text included."""
    return _UNIT.get(text.strip().lower())


def failure_of(path: Path, field: str, marker: str) -> tuple[Invalidity, Failure]:
    """The stage that failed, for a marker of Kernel Tuner.

    Raises:
        InvalidFilesError: If `marker` is none.
    """
    invalidity = _MARKERS.get(marker)
    if invalidity is None:
        refuse(path, f"a text where a number is expected (got {marker!r}; known: {', '.join(_MARKERS)})", field=field)
    return invalidity, Failure(type=marker, message="")
