"""How well a search uses a fleet: recorded sweeps behind real Dask workers, in scaled time, 1 to 64 of them.

    python -m bench.fleet [--workers 1,2,4,8,16,32,64] [--repeats 3] [--orders longest,asked] [--seconds 40] [--json FILE]

Each search tries all of four recorded H100 sweeps, 1,296 configurations: each is compiled by one worker, as long as it
once took, and measured by another one that has a GPU. Time is scaled so that each search takes about `--seconds`; what
costs the same however time is scaled, messages and journal, so weighs more the shorter they are. Efficiency is the work
done over workers times time. Repeats have seeds of their own, the same for both orders, which take turns: at the end of a
search the longest compilations first, as it is, or all as asked for, as it was. The JSON file is written after each
search. Workers keep a diary; from it the rest is told apart: workers for a GPU that had nothing to
measure, the end of the search when fewer configurations are left than workers, waiting between two pieces, and pieces
that took longer than they should: both of these are what this machine and our messages cost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.fleet_work import COMPILE, DiaryLine, read_diary
from bench.simulated_fleet import (
    MEASURE_S,
    ROOT,
    SWEEPS,
    RecordedRoute,
    fleet_of,
    key_of,
    recorded_search,
    simulated_members,
    until_complete,
)
from spak.kg.expression.assignment import show_assignments
from spak.kg.files.loader import load
from spak.kg.model.run import Trial
from spak.tuner.engine import journal
from spak.tuner.engine.flow import Flow, FlowPatience
from spak.tuner.engine.loop import SearchWatch

NEAR = 1.02
"""A configuration within this of the best of its sweep is near it."""

ORDERS = {"longest": FlowPatience(), "asked": FlowPatience(end=0.0)}
"""In which order the last configurations of a search are begun."""


@dataclass(frozen=True)
class FleetEfficiency:
    """One search. Seconds are recorded ones but for `wall_s` and `cpu_s`; shares are of workers times wall time.

    Attributes:
        order: Of the end of the search: `longest` first, or as `asked` for.
        scale: Seconds here for one recorded.
        efficiency: Share in which workers did what they were asked for.
        gpu_idle: Share of those with a GPU that had nothing to measure.
        end: Share after the last configuration was given out, or before the first.
        waiting: Share between two pieces of one worker.
        longer: Share by which pieces took longer than asked.
        near_s: Recorded seconds until each sweep had a time within `NEAR` of its best, on average.
        cpu_s: Processor seconds of the searching process.
    """

    workers: int
    gpus: int
    order: str
    seed: int
    scale: float
    trials: int
    wall_s: float
    efficiency: float
    gpu_idle: float
    end: float
    waiting: float
    longer: float
    near_s: float
    cpu_s: float
    load: float


def measure(workers: int, seconds: float, *, order: str = "longest", seed: int = 0) -> FleetEfficiency:
    """One search with so many workers that is to take about `seconds`."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    search = recorded_search(SWEEPS, seed=len(SWEEPS) * seed, laws=load(ROOT / "laws"))
    count = len(search.trials)
    gpus = max(1, math.ceil(workers * count * MEASURE_S / search.seconds))
    scale = seconds * workers / search.seconds
    members = simulated_members(workers, gpus)
    ended: list[tuple[float, Trial]] = []
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder, fleet_of(members, Path(folder)) as fleet:
        executor = DaskExecutor(fleet.access)
        until_complete(members, executor.members)
        diary = journal.Journal.create(Path(folder) / "search.jsonl", header())

        def keep(trial: Trial) -> None:
            diary.add(trial)
            ended.append((time.monotonic(), trial))

        cpu_s, started = _cpu_s(), time.monotonic()
        route = RecordedRoute(search.records, scale)
        watch = SearchWatch(time.monotonic, lambda *_: None)
        Flow(search.lane(keep), route, executor, watch, ORDERS[order]).run()
        wall_s, cpu_s = time.monotonic() - started, _cpu_s() - cpu_s
        executor.close()
        diary.close()
        lines = read_diary(Path(folder))
    if len({key_of(trial) for _, trial in ended}) != count or len(ended) != count:
        raise RuntimeError(f"{len(ended)} trials of {count} configurations")
    shares = shares_of(lines, workers, started, wall_s)
    near = near_seconds(ended, search.best_us, started)
    return FleetEfficiency(
        workers=workers,
        gpus=gpus,
        order=order,
        seed=seed,
        scale=scale,
        trials=count,
        wall_s=wall_s,
        near_s=near / scale,
        cpu_s=cpu_s,
        load=os.getloadavg()[0],
        **shares,
    )


def shares_of(lines: Sequence[DiaryLine], workers: int, started: float, wall_s: float) -> dict[str, float]:
    """What the time of all workers went into, from what they wrote down."""
    done: dict[str, list[DiaryLine]] = defaultdict(list)
    for line in lines:
        if line.ended:
            done[line.member].append(line)
    last = max(line.begun for line in lines if line.stage == COMPILE)
    spent = {"efficiency": 0.0, "gpu_idle": 0.0, "end": 0.0, "waiting": 0.0, "longer": 0.0}
    for own in done.values():
        own.sort(key=lambda line: line.begun)
        asked = sum(line.asked_s for line in own)
        took = sum(line.ended - line.begun for line in own)
        idle = wall_s - took
        spent["efficiency"] += asked
        spent["longer"] += took - asked
        if all(line.stage != COMPILE for line in own):
            spent["gpu_idle"] += idle
            continue
        end = max(0.0, started + wall_s - max(last, own[-1].ended)) + own[0].begun - started
        spent["end"] += end
        spent["waiting"] += idle - end
    spent["end"] += (workers - len(done)) * wall_s
    return {name: seconds / (workers * wall_s) for name, seconds in spent.items()}


def near_seconds(ended: Sequence[tuple[float, Trial]], best_us: dict[str, float], started: float) -> float:
    """Seconds until each sweep had a time within `NEAR` of its best, on average over the sweeps."""
    found: dict[str, float] = {}
    for moment, trial in ended:
        size, value = show_assignments(trial.problem), trial.value("time")
        if value is not None and value <= NEAR * best_us[size]:
            found.setdefault(size, moment - started)
    return sum(found.values()) / len(best_us)


def header() -> journal.Header:
    """Of a journal of this benchmark."""
    created = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    return journal.Header(
        format=journal.FORMAT, run="fleet", created=created, arguments={}, source_sha256="0" * 64, toolchain={}
    )


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(found: Sequence[FleetEfficiency]) -> str:
    """A line for each number of workers."""
    lines = [
        "workers  GPUs  order    scale   wall s  efficiency  GPU idle   ends  waiting  longer  to 2 % (s)  load",
    ]
    for one in found:
        shares = f"{one.efficiency:10.1%}  {one.gpu_idle:8.1%} {one.end:6.1%}  {one.waiting:7.1%}  {one.longer:6.1%}"
        lines.append(
            f"{one.workers:7}  {one.gpus:4}  {one.order:7}  {one.scale:5.3f}  {one.wall_s:7.1f}  {shares}  "
            f"{one.near_s:10.1f}  {one.load:4.1f}"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,4,8,16,32,64")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--orders", default="longest", help=f"of {', '.join(ORDERS)}")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    counts, orders = [int(count) for count in arguments.workers.split(",")], arguments.orders.split(",")
    if not set(orders) <= set(ORDERS):
        parser.error(f"--orders: {arguments.orders}: there are {', '.join(ORDERS)}")
    found: list[FleetEfficiency] = []
    for seed, count, order in itertools.product(range(arguments.repeats), counts, orders):
        found.append(measure(count, arguments.seconds, order=order, seed=seed))
        print(table(found[-1:]) if len(found) == 1 else table(found[-1:]).splitlines()[1], flush=True)
        if arguments.json is not None:
            written = {"cores": len(os.sched_getaffinity(0)), "searches": [asdict(one) for one in found]}
            arguments.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
