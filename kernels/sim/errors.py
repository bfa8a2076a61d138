"""Errors of the simulator: the package's base class, and where in a kernel's source something happened."""

from __future__ import annotations

from typing import Any


class SimulatorError(Exception):
    """A kernel did something it must not do on a GPU, or something the simulator cannot do. One line, `path:line:col: …`."""


class UnsupportedOperationError(SimulatorError):
    """The kernel uses an operation that the simulator lacks; the message names it."""


class SimulatorWarning(UserWarning):
    """A kernel relies on what cuTile leaves open. One line, `path:line:col: …`."""


def at(operation: Any, message: str) -> SimulatorError:
    """The error for `message` at the source line of an IR operation."""
    return SimulatorError(f"{place(operation)}{operation.op}: {message}")


def unsupported(operation: Any, what: str) -> UnsupportedOperationError:
    """The error for an operation that the simulator lacks."""
    return UnsupportedOperationError(f"{place(operation)}{what} is not simulated")


def place(operation: Any) -> str:
    """`path:line:col: ` of an IR operation; empty where cuTile kept none."""
    loc = operation.loc
    return "" if loc.is_unknown() or not loc.filename else f"{loc.filename}:{loc.line}:{loc.col}: "
