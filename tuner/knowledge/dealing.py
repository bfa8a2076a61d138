"""Deals the CTAs of a launch to the SMs in launch order: each next CTA goes to the place that is free first.

While CTAs are left, every place of every SM is taken, and all CTAs go at the pace of full SMs. When the last one has
been dealt, each SM drains: the fewer CTAs it still holds, the faster each of them goes. A persistent grid is dealt once;
each of its CTAs then walks over the work of the others in turn, whatever that is, so an unlucky stride piles up work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

EXACT_DEALING = 20_000
"""CTAs that are dealt one by one, the last of the launch; those before them fill all places evenly on average."""


@dataclass(frozen=True)
class Pace:
    """How fast CTAs go.

    Attributes:
        edge: Clocks of a tile outside its loop, during which the CTA uses no unit of the SM.
        periods: Clocks between the ends of two passes on an SM that 1, 2, ... CTAs share.
    """

    edge: float
    periods: tuple[float, ...]

    def alone(self, ctas: int) -> float:
        """Clocks of a pass for one CTA of the `ctas` on its SM."""
        return ctas * self.periods[ctas - 1]


def in_order(iterations: Sequence[tuple[int, int]], repeats: int) -> _Floats:
    """(CTAs,) passes of each CTA of a launch, first to last."""
    counts, passes = zip(*iterations, strict=True)
    return np.tile(np.repeat(np.array(passes, dtype=float), counts), repeats)


def walked(passes: _Floats, walkers: int) -> tuple[_Floats, _Floats]:
    """(walkers,) passes and tiles of each CTA of a persistent grid: the w-th takes every `walkers`-th tile from the w-th on.

    Args:
        passes: (CTAs,) of the launch that is not persistent.
        walkers: CTAs of the persistent grid.
    """
    rounds = -(-len(passes) // walkers)
    table = np.zeros(rounds * walkers)
    table[: len(passes)] = passes
    taken = np.arange(rounds * walkers).reshape(rounds, walkers) < len(passes)
    return table.reshape(rounds, walkers).sum(axis=0), taken.sum(axis=0).astype(float)


def clocks(passes: _Floats, tiles: _Floats | float, num_sms: int, pace: Pace) -> float:
    """Clocks from the first CTA's start to the last one's end.

    Args:
        passes: (CTAs,) in launch order.
        tiles: Tiles of each, every one of which has an edge.
        num_sms: SMs of the machine.
        pace: With as many periods as CTAs fit on an SM.
    """
    resident = min(len(pace.periods), -(-len(passes) // num_sms))
    full = pace.alone(resident)
    costs = passes * full + tiles * pace.edge
    places = num_sms * resident
    early, late = costs[:-EXACT_DEALING], costs[-EXACT_DEALING:]
    free, last = _dealt(late, places, float(early.sum()) / places)
    left = np.maximum(free - last, 0.0).reshape(resident, num_sms) / full
    return last + _drained(left, pace)


def _dealt(costs: _Floats, places: int, start: float) -> tuple[_Floats, float]:
    """(places,) when each place is free again, and when the last CTA was dealt; place p is on SM p modulo their number.

    As many CTAs are dealt at once as none of them could end before the next of these places is free.
    """
    free = np.full(places, start)
    done, last = 0, start
    while done < len(costs):
        order = np.argsort(free, kind="stable")[: len(costs) - done]
        begin = free[order]
        end = begin + costs[done : done + len(order)]
        overtaken = np.flatnonzero(np.minimum.accumulate(end)[:-1] < begin[1:])
        count = int(overtaken[0]) + 1 if len(overtaken) else len(order)
        free[order[:count]] = end[:count]
        last = float(begin[count - 1])
        done += count
    return free, last


def _drained(left: _Floats, pace: Pace) -> float:
    """Clocks until the SM that has most left is done; `left` is (resident, SMs), passes that each CTA still has to do."""
    ends = np.sort(left, axis=0)
    steps = np.diff(ends, axis=0, prepend=0.0)
    alive = [pace.alone(ctas) for ctas in range(len(left), 0, -1)]
    return float((np.array(alive) @ steps).max())
