"""What an imported file says of time, settled: units, intervals, the check for mixed units, one trial a configuration."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from spak.kg.formats.content import refuse
from spak.kg.model.run import UNSTEADY_TIME, Measurement, Trial

MAX_OUTSIDE = 10.0
"""How far a stated time may lie outside its own samples; a unit mix-up is a factor of 1000, an outlier rule is not 10."""

MAX_DISAGREEMENT = 10.0
"""Largest factor between two times of one configuration that can still be noise of one experiment.

A single launch in the public records is up to 8.7 times the median of its 32, their mean far less; a factor of ten means other units,
another problem size or another device in one file.
"""

NORMAL_95 = 1.96
"""Half-width of a 95 % normal interval in standard errors."""


@dataclass(frozen=True)
class Timing:
    """The timing of one trial as its file states it.

    Attributes:
        value: The stated time; None if only samples are given; a text where the trial failed.
        samples: Single launches, possibly none, in the unit of `value`.
        factor: Microseconds in one unit.
        margin: Half of the 95 % interval as it is stated, in the unit of `value`; one that reaches 0 is none.
    """

    field: str
    value: float | str | None
    samples: Sequence[float]
    factor: float
    margin: float | None = None


def settled(path: Path, attempts: Sequence[tuple[Trial, Timing]]) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """One trial for each configuration of a file, with its time, and notes on the rules applied.

    Raises:
        InvalidFilesError: If a correct trial has no positive finite time, a time lies far outside its own samples, or
            the times of one configuration differ by `MAX_DISAGREEMENT` or more.
    """
    timed, time_notes = _with_times(path, attempts)
    trials, notes = _merged(path, timed)
    return trials, (*time_notes, *notes)


def _with_times(path: Path, attempts: Sequence[tuple[Trial, Timing]]) -> tuple[list[Trial], tuple[str, ...]]:
    """The trials with a `time` measurement in us wherever they are correct, and notes on the rules applied.

    The rule: the stated time stands (Kernel Tuner states the mean); where none is stated, the mean of the samples.
    The interval is the normal 95 % interval of the mean, centred on the time. Time spent in the samples is
    `times.benchmark` in milliseconds where the file does not state it. The samples themselves are not kept.
    What was measured while its device had drifted (`unsteady_time`) has no time.
    """
    means, errors = _spread([timing.samples for _, timing in attempts])
    done = []
    meant = 0
    for place, (trial, timing) in enumerate(attempts):
        samples_ms = math.fsum(timing.samples) * timing.factor * 1e-3
        times = trial.times
        if samples_ms and not times.benchmark:
            times = msgspec.structs.replace(times, benchmark=samples_ms)
        untimed = timing.value is None and not timing.samples and trial.value(UNSTEADY_TIME) is not None
        if trial.invalidity != "correct" or untimed:
            done.append(msgspec.structs.replace(trial, times=times))
            continue
        meant += timing.value is None
        value = _value(path, timing, float(means[place]))
        spread = _half_interval(timing, value, float(errors[place]))
        time = Measurement(
            name="time",
            value=value * timing.factor,
            unit="us",
            low=(value - spread) * timing.factor if spread == spread else None,  # noqa: PLR0124 - NaN: no interval
            high=(value + spread) * timing.factor if spread == spread else None,  # noqa: PLR0124
        )
        done.append(msgspec.structs.replace(trial, times=times, measurements=(time, *trial.measurements)))
    notes = (f"{meant} times are the mean of their samples, because none is stated",) if meant else ()
    return done, notes


def _value(path: Path, timing: Timing, mean: float) -> float:
    value = mean if timing.value is None else timing.value
    if isinstance(value, str) or not 0 < value <= sys.float_info.max:
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


def _half_interval(timing: Timing, value: float, error: float) -> float:
    """Half of the 95 % interval: the stated one, else by the standard error of the samples; NaN if there is none."""
    if timing.margin is None:
        return NORMAL_95 * error
    return timing.margin if timing.margin < value else math.nan


def _spread(samples: Sequence[Sequence[float]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(N,) mean and (N,) standard error of the mean of each row; NaN where there are fewer than two."""
    means = np.full(len(samples), np.nan)
    errors = np.full(len(samples), np.nan)
    lengths = np.fromiter((len(row) for row in samples), dtype=np.int64, count=len(samples))
    for length in np.unique(lengths[lengths > 0]):
        rows = np.flatnonzero(lengths == length)
        block = np.array([samples[int(row)] for row in rows], dtype=np.float64)  # (rows, length)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused where it is used
            means[rows] = block.mean(axis=1)
            if length > 1:
                errors[rows] = block.std(axis=1, ddof=1) / math.sqrt(length)
    return means, errors


def _merged(path: Path, trials: Sequence[Trial]) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    """One trial for each configuration and problem size, and a note if any occurred more than once.

    The rule: of several correct ones the (lower) median time stands; a failure counts only if no attempt was correct,
    and then the first failure stands. The place is that of the first attempt.
    """
    attempts: dict[object, list[Trial]] = {}
    for trial in trials:
        key = (*trial.configuration.values(), *sorted(trial.problem.items()))
        attempts.setdefault(key, []).append(trial)
    repeated = sum(len(group) > 1 for group in attempts.values())
    if not repeated:
        return tuple(trials), ()
    note = f"{repeated} configurations occur more than once: the median of the correct attempts stands"
    return tuple(_stands(path, group) for group in attempts.values()), (note,)


def _stands(path: Path, group: Sequence[Trial]) -> Trial:
    timed = sorted((time, place) for place, trial in enumerate(group) if (time := trial.value("time")) is not None)
    if not timed:
        return group[0]
    if timed[-1][0] >= MAX_DISAGREEMENT * timed[0][0]:
        named = ", ".join(f"{name}={value}" for name, value in group[0].configuration.items())
        refuse(
            path,
            f"the configuration {named} is recorded at {timed[0][0]:g} us and at {timed[-1][0]:g} us; "
            "that is not noise: check units, problem size and device",
            field="results",
        )
    return group[timed[(len(timed) - 1) // 2][1]]
