"""Transfer on made-up spaces of many kinds, beside random search: does anything but the recorded kernel break it?

    python -m bench.made_up_spaces [--seeds 5] [--only 150k]

Log times are sums over values and over pairs of values, one part shared by all GPUs and one of each GPU's own.
They are easier than a real kernel, so the table says what breaks and what is slow, not how much is saved.
A search that has not come within 5 % of the best after `BUDGET` evaluations counts as the whole space.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spak.tuner.knowledge.known import Knowledge, knowledge
from spak.tuner.knowledge.source import WORST, Source
from spak.tuner.strategy.base import Observation, SpaceView
from spak.tuner.strategy.transfer import Transfer

BUDGET = 20_000
GOOD = 0.95
SEARCHES = 4
"""Of each space: one search alone may need N evaluations where one configuration is good, as random search may."""
PAIRS = 4
SPREAD = 0.4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """One kind of space.

    Attributes:
        sizes: Values of each parameter.
        kept: Share of their product that restrictions leave.
        alike: Share of the log time that all GPUs have in common.
        failing: Share that fails to run, mostly the same on all GPUs.
        recorded: Configurations recorded of each source; 0: all.
        lying: Sources turned upside down.
        sources: Number of sources.
        unit: Microseconds are multiplied by it on the target.
    """

    sizes: tuple[int, ...] = (8, 6, 4, 4, 4, 2)
    kept: float = 1.0
    alike: float = 0.8
    failing: float = 0.0
    recorded: int = 0
    lying: int = 0
    sources: int = 4
    unit: float = 1.0


KINDS = {
    "plain": Kind(),
    "ten parameters": Kind((4, 4, 3, 3, 3, 2, 2, 4, 4, 2), kept=0.1),
    "two parameters": Kind((32, 24)),
    "one parameter": Kind((64,)),
    "ten switches": Kind((2,) * 10),
    "60 % fail": Kind(kept=0.6, failing=0.6),
    "100 recorded": Kind(recorded=100),
    "two of four lie": Kind(lying=2),
    "all four lie": Kind(lying=4),
    "nothing in common": Kind(alike=0.0),
    "half in common": Kind(alike=0.5),
    "times in seconds": Kind(unit=1e-6),
    "20k": Kind((8, 8, 8, 5, 4, 2), kept=0.98),
    "150k": Kind((8, 8, 8, 8, 4, 5, 2), kept=0.92, sources=3),
}


class MadeUp:
    """A space of one kind and its GPUs."""

    def __init__(self, kind: Kind, seed: int) -> None:
        self.kind, self._seed = kind, seed
        self._rng = np.random.default_rng(seed)
        total = math.prod(kind.sizes)
        kept = np.sort(self._rng.choice(total, int(total * kind.kept), replace=False))
        self.codes = np.array(np.unravel_index(kept, kind.sizes)).T.astype(np.int16)

    def log_time(self, gpu: int) -> Floats:
        """(N,) of one GPU; nan where it fails."""
        own = 10_000 * (self._seed + 1) + 10 * gpu
        times = self.kind.alike * self._part(self._seed) + 2 * (1 - self.kind.alike) * self._part(own)
        if not self.kind.failing:
            return times
        strain = 0.8 * self._part(self._seed + 5_000) + 0.3 * self._part(own + 5)
        return np.where(strain > np.quantile(strain, 1 - self.kind.failing), np.nan, times)

    def known(self) -> Knowledge:
        """What the sources recorded."""
        found = [self._source(number) for number in range(1, self.kind.sources + 1)]
        return knowledge(self.codes, self.kind.sizes, found, [1.0] * len(found))

    def _source(self, number: int) -> Source:
        times = self.log_time(number)
        count = min(len(times), self.kind.recorded or len(times))
        rows = np.sort(self._rng.choice(len(times), count, replace=False))
        slower = np.minimum(np.nan_to_num(times[rows] - np.nanmin(times[rows]), nan=WORST), WORST)
        return Source(f"gpu{number}", {}, rows, WORST - slower if number <= self.kind.lying else slower)

    def _part(self, seed: int) -> Floats:
        rng = np.random.default_rng(seed)
        sizes = self.kind.sizes
        total = np.zeros(len(self.codes))
        for p, size in enumerate(sizes):
            total += rng.normal(0, SPREAD, size)[self.codes[:, p]]
        for _ in range(PAIRS if len(sizes) > 1 else 0):
            p, q = rng.choice(len(sizes), 2, replace=False)
            total += rng.normal(0, SPREAD, (sizes[p], sizes[q]))[self.codes[:, p], self.codes[:, q]]
        return total


def compare(made_up: MadeUp) -> tuple[float, float, float]:
    """Mean evaluations of random search and of transfer, and its processor time in ms a trial."""
    target = np.exp(made_up.log_time(0)) * made_up.kind.unit
    enough = np.nanmin(target) / GOOD
    expected = (len(target) + 1) / (int((target <= enough).sum()) + 1)
    known = made_up.known()
    found = [search(made_up, known, target, enough, seed) for seed in range(SEARCHES)]
    needed, cost = np.mean(found, axis=0)
    return expected, needed, cost


def search(made_up: MadeUp, known: Knowledge, target: Floats, enough: float, seed: int) -> tuple[int, float]:
    """Evaluations of one search, and its processor time in ms a trial."""
    strategy = Transfer(known)
    strategy.start(SpaceView.of(made_up.codes, made_up.kind.sizes), np.random.default_rng(seed))
    needed, started = 0, time.process_time()
    for number in range(1, min(BUDGET, len(target)) + 1):
        (row,) = strategy.ask(1)
        if target[row] <= enough:
            needed = number
            break
        strategy.tell([Observation(row, None if np.isnan(target[row]) else float(target[row]))])
    cost = (time.process_time() - started) / number * 1e3
    return needed or len(target), cost


def geometric(values: Floats) -> float:
    return float(np.exp(np.log(values).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", choices=sorted(KINDS))
    options = parser.parse_args()
    print(f"{'kind':20} {'N':>7} {'random':>9} {'transfer':>9} {'times fewer':>12} {'worst':>7} {'ms a trial':>10}")
    for name, kind in KINDS.items():
        if options.only in {None, name}:
            spaces = [MadeUp(kind, seed) for seed in range(options.seeds)]
            random, ours, cost = np.array([compare(space) for space in spaces]).T
            print(
                f"{name:20} {len(spaces[0].codes):7} {geometric(random):9.1f} {geometric(ours):9.1f}"
                f" {geometric(random / ours):12.1f} {(random / ours).min():7.2f} {cost.mean():10.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
