"""`cuda.tile.tune.exhaustive_search`: the space that it is given, filtered and ordered; its result as evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import spak
from spak.adapters.advice import MeasuredBy, Sifted, TunedKernel, Value

T = TypeVar("T")

TIMER = (
    "mean of samples of cuda.tile.tune, at least 5, until its 95 % interval is 1 % or 0.5 us wide on either side; those "
    "it stops early, because they cannot be among the five best, are less exact"
)
"""Source: cuda/tile/tune/_tune.py of cuda-tile 1.7."""


class Measured(Protocol):
    """`cuda.tile.tune.Measurement`."""

    @property
    def config(self) -> Any:
        """A member of the search space."""

    @property
    def mean_us(self) -> float:
        """Microseconds."""

    @property
    def error_margin_us(self) -> float:
        """Half of the 95 % interval."""


class TuningOutcome(Protocol):
    """`cuda.tile.tune.TuningResult`."""

    @property
    def successes(self) -> Sequence[Measured]:
        """What ran."""

    @property
    def failures(self) -> Sequence[tuple[Any, type[BaseException], str]]:
        """Configuration, type of the error, its message."""


def parameters_of(config: Any) -> Mapping[str, Value]:
    """What a member of a search space sets: it is a mapping, a dataclass, a named tuple or an object with attributes.

    Raises:
        TypeError: If it is none of these.
    """
    if isinstance(config, Mapping):
        return config
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if isinstance(config, tuple) and hasattr(config, "_asdict"):
        named: Mapping[str, Value] = config._asdict()
        return named
    if hasattr(config, "__dict__"):
        return {**vars(config)}
    raise TypeError(f"search_space: a mapping, dataclass, named tuple or namespace (got {config!r})")


def search_space(kernel: TunedKernel, space: Iterable[T], *, most: int | None = None) -> Sifted[T]:
    """`space` without what laws remove, best first; its `kept` is what `exhaustive_search` is given.

    Args:
        kernel: What is tuned.
        space: Members as `exhaustive_search` takes them.
        most: How many are kept at most; None: all that are worth trying. What is cut is not forbidden, only late.

    Raises:
        ValueError: If the space is empty, or `most` is not positive.
    """
    given = list(space)
    if not given:
        raise ValueError("space: empty; name at least one configuration")
    if most is not None and most < 1:
        raise ValueError(f"most: at least 1 (got {most})")
    found = kernel.sift(given, parameters_of)
    return dataclasses.replace(found, kept=found.kept[:most])


def results(
    kernel: TunedKernel,
    outcome: TuningOutcome,
    at: datetime,
    *,
    checked: bool = False,
    device: str = "",
    flush_l2: bool = True,
) -> spak.ToolRun:
    """What `exhaustive_search` found, failures included, for `spak.record`.

    Args:
        kernel: What was tuned.
        outcome: What it returned. Where nothing ran it raises, and tells of the first failure alone.
        at: When, with its distance from UTC.
        checked: Whether results were checked; if not, the times count as reported.
        device: What the driver calls the device.
        flush_l2: As it was told.

    Raises:
        spak.KgError: If the op can say none of it.
    """
    tried = [
        spak.Tried(parameters_of(one.config), one.mean_us, margin_us=one.error_margin_us) for one in outcome.successes
    ]
    tried += [
        spak.Tried(parameters_of(config), failure=f"{error.__name__}: {message}", stage=_stage(error))
        for config, error, message in outcome.failures
    ]
    timer = f"{TIMER}; L2 {'flushed before' if flush_l2 else 'as left by the launch before'} each sample"
    toolchain = spak.cutile_versions()
    by = MeasuredBy(f"cuda.tile.tune {toolchain['cuda-tile']}", at, timer, toolchain, checked, device)
    return kernel.results(tried, by)


def _stage(error: type[BaseException]) -> Any:
    """Where a trial with this error failed."""
    names = {base.__name__ for base in error.__mro__}
    if "TileLaunchTimeoutError" in names:
        return "timeout"
    return "compile" if "TileError" in names else "runtime"
