"""Whether a device still is what it was: its reference kernels now against their first times on it.

A *reading* times a few fixed kernels that no configuration has a part in, under the same light load each time: one bound by
the SM clock, one by memory. It is taken before and after the rounds of every batch. A device that has become slower, or
faster, by more than the noise of both readings and a margin is unsteady, and what was timed between is marked: kept as
`unsteady_time`, which nothing ranks and no law is judged by.

A power cap that heavy kernels reach by themselves is no drift: it belongs to what is timed, and is over with it
(docs/decisions/0162-a-device-is-judged-by-its-reference-kernels.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spak.kg.model.run import DRIFT, UNSTEADY_TIME, Measurement
from spak.tuner.backend.gpu.statistics import summarise

ReferenceTimes = Mapping[str, tuple[float, ...]]
"""Reference kernel -> microseconds of its launches, one after the other."""

MARGIN = 0.02
"""Change of a reference kernel that is no drift even where it is beyond the noise of both readings.

Source: `python -m bench.drift`: of 479 pairs of recorded samples none is called drift, of those slowed by 5 % four in five.
"""


SCATTER = 0.1
"""Width of the 95 % interval of a reading's median, as a share of it, beyond which the device does not work evenly.

Whoever shares a device takes turns on it: half the launches are as fast as ever, so that a median may not move at all.
Source: `python -m bench.drift`: none of 415 recorded trials of 25 samples is as wide; of those of which two launches in
five were made to take half as long again 84 % are, and their medians alone show next to none.
"""


@dataclass(frozen=True)
class Drift:
    """How a reference kernel changed: `ratio` is its time over the earlier one, within `low` and `high`.

    Attributes:
        scatter: Width of the interval of its median, where it is that which is too much; else 0.
    """

    kernel: str
    ratio: float
    low: float
    high: float
    scatter: float = 0.0

    def measurement(self) -> Measurement:
        """What a trial timed meanwhile says of it."""
        return Measurement(name=DRIFT, value=self.ratio - 1, low=self.low - 1, high=self.high - 1)

    def __str__(self) -> str:
        """`the reference kernel 'clock' takes 5.2 % longer than at first`."""
        if self.scatter:
            width = f"{self.scatter:.0%}".replace("%", " %")
            return (
                f"launches of the reference kernel {self.kernel!r} differ: the interval of their median is {width} wide"
            )
        change = f"{abs(self.ratio - 1):.1%}".replace("%", " %")
        return f"the reference kernel {self.kernel!r} takes {change} {'longer' if self.ratio > 1 else 'less'} than at first"


def change(kernel: str, now: Sequence[float], before: Sequence[float]) -> Drift:
    """How the median of `now` stands to that of `before`; the interval holds whatever both 95 % intervals allow.

    Args:
        kernel: Its name.
        now: Microseconds, at least six.
        before: Likewise.

    Raises:
        ValueError: If either has too few samples for an interval, or one is not finite.
    """
    new, old = summarise(now), summarise(before)
    if new.low is None or new.high is None or old.low is None or old.high is None:
        raise ValueError(f"a reading needs six launches of {kernel} or more (got {len(now)} and {len(before)})")
    return Drift(kernel, new.median / old.median, new.low / old.high, new.high / old.low)


def is_beyond(found: Drift, margin: float = MARGIN) -> bool:
    """Whether all that the intervals allow is a change of more than `margin`, in either direction."""
    return found.low > 1 + margin or found.high < 1 / (1 + margin)


def drift(now: ReferenceTimes, before: ReferenceTimes, margin: float = MARGIN) -> Drift | None:
    """The largest change beyond noise and `margin` of any kernel that both readings have; None if there is none."""
    changes = [change(kernel, now[kernel], before[kernel]) for kernel in sorted(now.keys() & before.keys())]
    found = [one for one in changes if is_beyond(one, margin)]
    return max(found, key=lambda one: max(one.ratio, 1 / one.ratio), default=None)


def scattered(now: ReferenceTimes, before: ReferenceTimes) -> Drift | None:
    """The kernel whose launches in `now` differ most, if by more than `SCATTER`; told against `before` if that has it."""
    found = []
    for kernel, samples in sorted(now.items()):
        interval = summarise(samples)
        width = 0.0 if interval.low is None or interval.high is None else interval.high - interval.low
        if width > SCATTER * interval.median:
            one = change(kernel, samples, before.get(kernel, samples))
            found.append(replace(one, scatter=width / interval.median))
    return max(found, key=lambda one: one.scatter, default=None)


class SteadyWatch:
    """Judges the readings of one device against the first even one of them."""

    def __init__(self, margin: float = MARGIN) -> None:
        """Know nothing yet: the first reading whose launches agree is what the device is."""
        self._margin = margin
        self.first: ReferenceTimes = {}

    def judge(self, readings: Sequence[ReferenceTimes]) -> Drift | None:
        """The worst drift among `readings`, taken before and after some rounds; None if the device was steady.

        One that changed is told before one that is uneven.
        """
        found, uneven = [], []
        for reading in readings:
            differs = scattered(reading, self.first)
            uneven.append(differs)
            self.first = self.first or (reading if differs is None else {})
            found.append(drift(reading, self.first, self._margin))
        worst = max(filter(None, found), key=lambda one: max(one.ratio, 1 / one.ratio), default=None)
        return worst or max(filter(None, uneven), key=lambda one: one.scatter, default=None)


def measured_time(samples: Sequence[float], drifted: Drift | None = None) -> tuple[Measurement, ...]:
    """The median of `samples` in microseconds as a trial records it: `time`, or marked if the device had drifted."""
    interval = summarise(samples)
    name = "time" if drifted is None else UNSTEADY_TIME
    time = Measurement(name=name, value=interval.median, unit="us", low=interval.low, high=interval.high)
    return (time,) if drifted is None else (time, drifted.measurement())
