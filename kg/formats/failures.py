"""Failure markers: the words that stand where a time would."""

from __future__ import annotations

from pathlib import Path

from spak.kg.formats.refusal import refuse
from spak.kg.model.run import Failure, Invalidity

_MARKERS: dict[str, Invalidity] = {
    "InvalidConfig": "constraints",
    "CompilationFailedConfig": "compile",
    "RuntimeFailedConfig": "runtime",
    "ErrorConfig": "runtime",
}
"""Source: Kernel Tuner, `util.py`, the subclasses of ErrorConfig."""

NO_RESULT = 1e20
"""Kernel Tuner before 0.4 wrote this "time" for a configuration that failed."""


def failure_of(path: Path, field: str, marker: str) -> tuple[Invalidity, Failure]:
    """The stage that failed, for a marker of Kernel Tuner.

    Raises:
        InvalidFilesError: If `marker` is none.
    """
    invalidity = _MARKERS.get(marker)
    if invalidity is None:
        refuse(path, f"a text where a number is expected (got {marker!r}; known: {', '.join(_MARKERS)})", field=field)
    return invalidity, Failure(type=marker, message="")
