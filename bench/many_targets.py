"""Evaluations until every problem size on every device is within 2 % of its best, searched alone and together.

    python -m bench.many_targets matmul --seeds 10
    python -m bench.many_targets fmha fmha-backward --seeds 10 --out FILE

Recorded sweeps stand in for the devices: each (device, problem size) whose sweep in `laws/evidence` is a whole product is a
target, and its space is what was swept. Nothing of the op is known beforehand: no run file and no law; only the hardware
tree, and what the search itself tries. Counted is every trial of every target, the defaults included, until the last
target has tried something within 2 % of the best of its sweep (and, to see the rest, until half and nine in ten have).

    alone    each target searched by itself with strategy `transfer`; with equal budgets, as nobody knows when to stop: all
             targets times the trials of the slowest
    turns    one search, trials in turn, nothing flows
    flow     one search, trials in turn, each hears of the others: what `tune --problem all --hw all` does
    equal    flow with `--weights time`, but trials in turn whatever the weights

`--weights time` gives each target the time of its best as weight, as where each size is called equally often on each device;
else all count alike. The excess is what the best so far take over the best there are, weighted so, after `AFTER` trials a
target on average. Intervals are 95 % of the mean over seeds, by resampling them. `--growth` varies a constant.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from spak.kg.files.loader import Laws, load
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.run import Run, Trial
from spak.kg.space.space import Space
from spak.tuner.backend.replay import RecordedSizes
from spak.tuner.engine import loop, targets
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch, Searcher
from spak.tuner.knowledge.gather import Gathering, SearchTarget
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.knowledge.source import whereabouts
from spak.tuner.replay import recorded_space
from spak.tuner.strategy import registry

NEAR = 1.02
"""Time over the best of the sweep that counts as found."""

SHARES = (0.5, 0.9, 1.0)
"""Shares of the targets that evaluations are counted to."""

AFTER = (4, 8, 16, 32)
"""Trials a target, on average, after which the excess is looked at."""

WAYS = {"turns": False, "flow": True, "equal": True}
"""Whether knowledge flows."""


@dataclass(frozen=True)
class Sweep:
    """One target: what was recorded of it."""

    hw: str
    name: str
    recording: Recording
    space: Space

    @property
    def best(self) -> float:
        """Shortest recorded time, us."""
        return min(value for trial in self.recording.trials if (value := trial.value("time")) is not None)


@dataclass(frozen=True)
class Row:
    """One search: evaluations until each of `SHARES` of the targets was near its best, and trials of each target until it was.

    `excess` is the weighted excess after each of `AFTER`.
    """

    op: str
    way: str
    seed: int
    until: tuple[int, ...]
    each: dict[str, int]
    excess: tuple[float, ...] = ()


def sweeps(laws: Laws, op_name: str) -> list[Sweep]:
    """The largest recorded product of each problem size on each device, of the same parameters everywhere."""
    op = laws.ops[op_name]
    runs = [laws.run(name) for name in laws.run_ids]
    whole = [
        run for run in runs if run.op == op_name and run.tier == "measured" and run.exhaustive_over and run.problem
    ]
    largest: dict[tuple[str, str], Run] = {}
    for run in whole:
        key = run.hw, str(sorted(run.problem.items()))
        if key not in largest or len(run.trials) > len(largest[key].trials):
            largest[key] = run
    most = max(len(run.trials) for run in largest.values())
    kept = [run for run in largest.values() if 2 * len(run.trials) > most]
    return [_sweep(laws, run) for run in sorted(kept, key=lambda run: run.id)] if op else []


def _sweep(laws: Laws, run: Run) -> Sweep:
    seen: dict[str, Trial] = {str(sorted(trial.configuration.items())): trial for trial in run.trials}
    trials = tuple(seen.values())
    recording = Recording("run", seen_parameters(trials), declared=False, trials=trials, problem=run.problem)
    space = recorded_space(recording, laws.ops[run.op], run.op, hardware_facts(laws, run.hw))
    recording = replace(recording, problem=space.setting.problem)
    return Sweep(run.hw, run.id.removeprefix(f"measured-{run.hw}-{run.op}-"), recording, space)


class _Found:
    """Counts trials until every target is near its best and `AFTER` are over; then ends the search."""

    def __init__(self, of: Sequence[Sweep], weights: Sequence[float]) -> None:
        self.least = {(one.hw, one.name): one.best for one in of}
        self.enough = {key: NEAR * best for key, best in self.least.items()}
        self.weights = dict(zip(self.least, weights, strict=True))
        self.now: dict[tuple[str, str], float] = {}
        self.excess: list[float] = []
        self.total = 0
        self.own: dict[tuple[str, str], int] = dict.fromkeys(self.enough, 0)
        self.at: dict[tuple[str, str], int] = {}
        self.each: dict[tuple[str, str], int] = {}

    def keeping(self, key: tuple[str, str], watch: Callable[[Trial], None]) -> Callable[[Trial], None]:
        """What counts the trials of one target."""

        def record(trial: Trial) -> None:
            watch(trial)
            self.total += 1
            self.own[key] += 1
            value = trial.value("time")
            if key not in self.at and value is not None and value <= self.enough[key]:
                self.at[key], self.each[key] = self.total, self.own[key]
            if value is not None:
                self.now[key] = min(value, self.now.get(key, value))
            if self.total in {after * len(self.enough) for after in AFTER}:
                self.excess.append(self.over())

        return record

    def check(self, _trials: int, _seconds: float) -> None:
        """End the search once there is nothing more to count."""
        if len(self.at) == len(self.enough) and len(self.excess) == len(AFTER):
            raise KeyboardInterrupt

    def over(self) -> float:
        """Weighted mean of the best so far over the best there is, less one; ten times where there is none so far."""
        ratios = [self.weights[key] * self.now.get(key, 10 * best) / best for key, best in self.least.items()]
        return sum(ratios) / sum(self.weights.values()) - 1


@dataclass(frozen=True)
class Manner:
    """How a search goes.

    Attributes:
        flows: Whether knowledge flows.
        by_time: Whether the excess counts targets by their times.
        blind: Whether trials are dealt out as if all counted alike.
    """

    flows: bool
    by_time: bool
    blind: bool = False


def search(
    laws: Laws, of: Sequence[Sweep], seed: int, manner: Manner, watch: Callable[[Trial], None] = lambda _: None
) -> _Found:
    """One search of all of `of` until the last is found; `watch` sees each trial."""
    mean = float(np.mean([one.best for one in of]))
    weights = [one.best / mean if manner.by_time else 1.0 for one in of]
    found = _Found(of, weights)
    backends = {hw: RecordedSizes([one.recording for one in of if one.hw == hw]) for hw in {one.hw for one in of}}
    begun = []
    for number, one in enumerate(of):
        problem = one.space.setting.problem
        target = SearchTarget(one.hw, "other-problems", problem)
        gathering = Gathering(laws, one.space, target, {}) if manner.flows else None
        restriction = Restriction(one.space)
        chosen = RunningSearch(restriction, lambda: registry.make("transfer"), Budget(audit=0.0), seed * 1000 + number)
        begun.append(
            targets.TargetSearch(
                f"{one.hw} {one.name}",
                whereabouts(one.hw, problem),
                1.0 if manner.blind else weights[number],
                Searcher(chosen, "time"),
                found.keeping((one.hw, one.name), watch),
                gathering,
            )
        )
    targets.SearchOfTargets(begun, Budget(audit=0.0)).run(backends, loop.SearchWatch(time.monotonic, found.check))
    return found


def rows(laws: Laws, op: str, seeds: range, ways: Sequence[str], *, by_time: bool) -> Iterator[Row]:
    """Every search of one op."""
    of = sweeps(laws, op)
    for seed in seeds:
        for way in ways:
            if way == "alone":
                each, over = {}, []
                for number, one in enumerate(of):
                    found = search(laws, [one], seed * 1000 + number, Manner(False, False))
                    each |= {f"{hw} {name}": count for (hw, name), count in found.each.items()}
                    over.append(found.excess)
                weights = [one.best if by_time else 1.0 for one in of]
                excess = np.average(over, axis=0, weights=weights).tolist()
                counts = sorted(each.values())
                until = [counts[_last(share, len(counts))] * len(counts) for share in SHARES]
            else:
                found = search(laws, of, seed, Manner(WAYS[way], by_time, way == "equal"))
                excess = found.excess
                each = {f"{hw} {name}": count for (hw, name), count in found.each.items()}
                at = sorted(found.at.values())
                until = [at[_last(share, len(at))] for share in SHARES]
            yield Row(op, way, seed, tuple(until), each, tuple(excess))


def _last(share: float, count: int) -> int:
    """Place, in order, of the target with which `share` of `count` are found."""
    return int(np.ceil(share * count)) - 1


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval of the mean over resampled values."""
    rng = np.random.default_rng(0)
    data = np.array(values, float)
    means = data[rng.integers(len(data), size=(4000, len(data)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(data.mean()), float(low), float(high)


def show(found: Sequence[Row]) -> None:
    for op in dict.fromkeys(row.op for row in found):
        own = [row for row in found if row.op == op]
        print(f"{op}: {len(own[0].each)} targets; evaluations until half, nine in ten, all within 2 % of their best")
        first = {row.seed: row for row in own if row.way == own[0].way}
        for way in dict.fromkeys(row.way for row in own):
            mine = [row for row in own if row.way == way]
            shown = [
                f"{m:7.0f} ({a:.0f} to {b:.0f})" for m, a, b in (interval([r.until[k] for r in mine]) for k in range(3))
            ]
            ratio = interval([np.log(first[row.seed].until[-1] / row.until[-1]) for row in mine])
            times = " to ".join(f"{np.exp(value):.2f}" for value in ratio[1:])
            print(f"  {way:6} {'  '.join(shown)}   {np.exp(ratio[0]):.2f} times fewer ({times})")
            over = [interval([100 * row.excess[k] for row in mine]) for k in range(len(AFTER))]
            print("         excess, %: " + "  ".join(f"{m:6.2f} ({a:.2f} to {b:.2f})" for m, a, b in over))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ops", nargs="+")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--ways", default="alone,turns,flow")
    parser.add_argument("--weights", choices=("equal", "time"), default="equal")
    parser.add_argument("--growth", type=float, default=targets.HEARD_GROWTH)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    targets.HEARD_GROWTH = options.growth
    laws = load(options.laws)
    ways = options.ways.split(",")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found = [row for op in options.ops for row in rows(laws, op, seeds, ways, by_time=options.weights == "time")]
    show(found)
    if options.out:
        options.out.write_text(json.dumps([asdict(row) for row in found]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
