"""Times of all trials of one file at once: unit conversion, intervals, and the check for mixed units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from spak.kg.formats.refusal import refuse
from spak.kg.model.run import Measurement, Trial

MAX_OUTSIDE = 10.0
"""How far a stated time may lie outside its own samples; a unit mix-up is a factor of 1000, an outlier rule is not 10."""

NORMAL_95 = 1.96
"""Half-width of a 95 % normal interval in standard errors."""


@dataclass(frozen=True)
class Timing:
    """The timing of one trial as its file states it.

    Attributes:
        field: Where in the file it stands.
        value: The stated time; None if only samples are given; a text where the trial failed.
        samples: Single launches, possibly none, in the unit of `value`.
        factor: Microseconds in one unit.
    """

    field: str
    value: float | str | None
    samples: Sequence[float]
    factor: float


def add_times(
    path: Path, trials: Sequence[Trial], timings: Sequence[Timing]
) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """`trials` with a `time` measurement in us wherever they are correct, and notes on the rules applied.

    The rule: the stated time stands (Kernel Tuner states the mean); where none is stated, the mean of the samples.
    The interval is the normal 95 % interval of the mean, centred on the time. Time spent in the samples is
    `times.benchmark` in milliseconds where the file does not state it. The samples themselves are not kept.

    Raises:
        InvalidFilesError: If a correct trial has no positive finite time, or a time lies far outside its own samples.
    """
    means, errors = _spread([timing.samples for timing in timings])
    done = []
    meant = 0
    for place, (trial, timing) in enumerate(zip(trials, timings, strict=True)):
        samples_ms = math.fsum(timing.samples) * timing.factor * 1e-3
        times = trial.times
        if samples_ms and not times.benchmark:
            times = msgspec.structs.replace(times, benchmark=samples_ms)
        if trial.invalidity != "correct":
            done.append(msgspec.structs.replace(trial, times=times))
            continue
        meant += timing.value is None
        value = _value(path, timing, float(means[place]))
        spread = NORMAL_95 * float(errors[place])
        time = Measurement(
            name="time",
            value=value * timing.factor,
            unit="us",
            low=(value - spread) * timing.factor if spread == spread else None,  # noqa: PLR0124 - NaN: no interval
            high=(value + spread) * timing.factor if spread == spread else None,  # noqa: PLR0124
        )
        done.append(msgspec.structs.replace(trial, times=times, measurements=(time, *trial.measurements)))
    notes = (f"{meant} times are the mean of their samples, because none is stated",) if meant else ()
    return tuple(done), notes


def _value(path: Path, timing: Timing, mean: float) -> float:
    value = mean if timing.value is None else timing.value
    if isinstance(value, str) or not math.isfinite(value) or value <= 0:
        refuse(path, f"correct, but its time is {value!r}; expected a positive number", field=timing.field)
    if timing.samples:
        low, high = min(timing.samples), max(timing.samples)
        if not low / MAX_OUTSIDE <= value <= high * MAX_OUTSIDE:
            refuse(
                path,
                f"time {value:g} lies far outside its own samples ({low:g} to {high:g}); mixed units?",
                field=timing.field,
            )
    return float(value)


def _spread(samples: Sequence[Sequence[float]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(N,) mean and (N,) standard error of the mean of each row; NaN where there are fewer than two."""
    means = np.full(len(samples), np.nan)
    errors = np.full(len(samples), np.nan)
    lengths = np.fromiter((len(row) for row in samples), dtype=np.int64, count=len(samples))
    for length in np.unique(lengths[lengths > 0]):
        rows = np.flatnonzero(lengths == length)
        block = np.array([samples[int(row)] for row in rows], dtype=np.float64)  # (rows, length)
        means[rows] = block.mean(axis=1)
        if length > 1:
            errors[rows] = block.std(axis=1, ddof=1) / math.sqrt(length)
    return means, errors
