"""Errors of the compile backend."""

from __future__ import annotations

from spak.tuner.errors import TunerError


class CompilerMissingError(TunerError):
    """The compiler, or a tool that reads its output, is not installed."""


class CubinError(TunerError):
    """A cubin that cannot be read."""
