"""What the backend and its worker processes say to each other: one JSON document a line."""

from __future__ import annotations

import errno
import os
import tempfile

from spak.kg.model.base import Model, Scalar
from spak.kg.model.run import Failure, Invalidity

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What a disk that takes nothing more answers; tools print it too."""


class Setup(Model, frozen=True, kw_only=True):
    """First line to a worker: what all its compilations share.

    Attributes:
        spec: `module:attribute` of the kernel's spec.
        time_limit_s: Seconds one run of a tool may take.
        memory_limit_bytes: Address space of the worker and of each tool it runs.
    """

    spec: str
    arch: str
    tileiras: str
    nvdisasm: str
    time_limit_s: float
    memory_limit_bytes: int


class Order(Model, frozen=True, kw_only=True):
    """One configuration to compile, for `arch` if it is not that of the setup."""

    problem: dict[str, Scalar]
    configuration: dict[str, Scalar]
    arch: str = ""


class Compiled(Model, frozen=True, kw_only=True):
    """What the compiler made of one configuration. Holds nothing that depends on the device within its capability.

    Attributes:
        features: Feature -> value (see `spak.tuner.backend.compile.features`); empty after a failure.
        lasting: False if the failure may be the machine's doing (time, memory): then it is not cached.
        broken: Why nothing can be compiled on this machine now, such as a full disk; then it says nothing of the configuration.
    """

    features: dict[str, float] = {}  # noqa: RUF012 - msgspec copies mutable defaults
    invalidity: Invalidity = "correct"
    failure: Failure | None = None
    seconds: float = 0.0
    lasting: bool = True
    broken: str = ""


def failed(invalidity: Invalidity, kind: str, message: str, *, lasting: bool = True) -> Compiled:
    """A failure with a message of a length that a report can hold."""
    return Compiled(invalidity=invalidity, failure=Failure(type=kind, message=shorten(message)), lasting=lasting)


def disk_fault(error: Exception) -> str:
    """What is wrong with the disk, if that is what `error` is about: no configuration is at fault then. Else empty."""
    if isinstance(error, OSError) and error.errno in {*_FULL, errno.EIO, errno.EFBIG}:
        return f"{error.filename or tempfile.gettempdir()}: {error.strerror}"
    return next((said for said in map(os.strerror, _FULL) if said in str(error)), "")


def shorten(message: str, limit: int = 500) -> str:
    """`message` on one line of at most `limit` characters."""
    line = " | ".join(part.strip() for part in message.splitlines() if part.strip())
    return line if len(line) <= limit else line[: limit - 3] + "..."
