"""The errors of this package: each is one clear line for a person."""

from __future__ import annotations


class TunerError(Exception):
    """Base class; `str()` of it is what a person reads, and what to do about it."""
