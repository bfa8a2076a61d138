"""What to run of an op on a device, as laws and recorded runs advise; and one warning where PyTorch's own runs instead."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from spak.kernels.interface import Configuration, Problem
from spak.kernels.launch_device import LaunchDevice, launch_device

BETWEEN = frozenset({"spak", "torch"})
"""Packages that may lie between a call and what serves it."""


class Advised(NamedTuple):
    """What to run of an op at a problem size.

    Attributes:
        configuration: None: PyTorch.
        because: In words.
    """

    configuration: Configuration | None
    because: str


class NoKernelError(Exception):
    """Nothing is known to fit, or PyTorch is faster: the message says which."""


class Advise(Protocol):
    """What laws and recorded runs say of one device."""

    def __call__(self, op: str, problem: Problem, where: str = "") -> Advised:
        """Of an op at a problem size; `where` is a condition that the configuration satisfies."""
        ...


AdviceOf = Callable[[str, Problem, LaunchDevice], Advised]
"""Op, problem size, device -> what to run."""

_ADVICE: dict[str, AdviceOf] = {}
_told: set[str] = set()


def advise_by(name: str, advice: AdviceOf) -> None:
    """Has calls whose `laws` is `name` run what `advice` says."""
    _ADVICE[name] = advice


def advised(laws: str, op: str, problem: Problem | str, device: Any) -> Advised:
    """What laws of that name, see `advise_by`, say of torch's device; `problem` in words is why no kernel has one."""
    found = launch_device(device)
    if isinstance(found, str):
        return Advised(None, found)
    return Advised(None, problem) if isinstance(problem, str) else _ADVICE[laws](op, problem, found)


def configured_by(laws: str, op: str, device: Any) -> Callable[[Problem], Configuration]:
    """What gives the configuration that laws of that name advise for a problem size.

    It raises `NoKernelError` where they advise none, as does this where the device has no kernels.
    """
    found = launch_device(device)
    if isinstance(found, str):
        raise NoKernelError(found)

    def configuration(problem: Problem) -> Configuration:
        advice = _ADVICE[laws](op, problem, found)
        if advice.configuration is None:
            raise NoKernelError(advice.because)
        return advice.configuration

    return configuration


def tell_once(operator: str, reason: str, instead: str) -> None:
    """Warn whoever called `spak.<operator>` that torch's `instead` runs, once for each operator and reason."""
    text = f"spak.{operator}: {reason}; torch's {instead} runs instead"
    if text not in _told:
        _told.add(text)
        warnings.warn(text, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """For a warning by whoever asks: how far up the first frame is that is neither this package's nor PyTorch's."""
    frame, levels = sys._getframe(1), 1  # noqa: SLF001  # as warnings does; skip_file_prefixes needs Python 3.12
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, levels = frame.f_back, levels + 1
    return levels
