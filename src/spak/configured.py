"""Operators by the laws and recorded runs that choose their configurations, one for each body of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from spak.choice import Chooser
from spak.gpt_operators import RecordedAdvice
from spak.kernels.advice import AdviceOf, Advised, advise_by
from spak.kernels.attention.operator.dispatch import AttentionOperator
from spak.kernels.interface import Configuration, Problem
from spak.kernels.launch_device import LaunchDevice
from spak.kg.errors import KgError
from spak.kg.formats.nodes import HardwareName
from spak.library import Library, load

_OPERATORS: dict[str | int, tuple[object, AttentionOperator]] = {}
"""Law root or id of a library -> that, kept alive, and the operator that chooses by it."""


def operator_by(laws: Library | str | Path | None) -> AttentionOperator:
    """The operator that chooses by `laws`, made when it is first asked for; None as for `load`.

    Raises:
        TypeError: If `laws` is of another kind.
        KgError: If it cannot be read.
    """
    key = "" if laws is None else id(laws) if isinstance(laws, Library) else _root(laws)
    if key not in _OPERATORS:
        library = laws if isinstance(laws, Library) else load(laws or None)
        _OPERATORS[key] = laws, AttentionOperator(str(key), Choices(library))
        advise_by(str(key), recorded_advice(library))
    return _OPERATORS[key][1]


def recorded_advice(library: Library) -> AdviceOf:
    """What `RecordedAdvice` says of a device, each size looked up once."""
    sources = cache(lambda hardware, arch: RecordedAdvice(library, HardwareName(hardware, arch)))
    found: dict[tuple[Any, ...], Advised] = {}

    def advice(op: str, problem: Problem, device: LaunchDevice) -> Advised:
        key = (op, *problem.items(), device.hardware, device.arch)
        if key not in found:
            found[key] = sources(device.hardware, device.arch)(op, problem)
        return found[key]

    return advice


def _root(laws: object) -> str:
    if isinstance(laws, str | Path):
        return str(laws)
    raise TypeError(f"laws: a spak.Library, the path of a law root, or None (got {laws!r})")


class Choices:
    """The configuration for an op, problem size and device; None if none is feasible."""

    def __init__(self, library: Library) -> None:
        """Begin; no run is read before it is needed."""
        self._library = library
        self._chooser = cache(self._new_chooser)

    def __call__(self, op: str, problem: Problem, device: LaunchDevice, where: str) -> Configuration | None:
        """By the nearest recorded runs, else laws, else the default."""
        try:
            return self._chooser(op, device.hardware, device.arch).choose(dict(problem), where).configuration
        except KgError:
            return None

    def _new_chooser(self, op: str, hardware: str, arch: str) -> Chooser:
        return Chooser(self._library.laws, op, HardwareName(hardware, arch), self._library.toolchain)
