"""How well `tune --fleet` uses a fleet: real Dask workers, 1 to 64 of them, that take as long as recorded sweeps say, in scaled time.

    python -m bench.fleet [--workers 1,2,4,8,16,32,64] [--repeats 3] [--seconds 40] [--strategy NAME] [--json FILE]

Each search is `spak.search_targets` over `spak.open_fleet`, which is what `tune fmha --problem A,B,C,D --fleet ADDRESS`
calls: batches, journals, machine code that travels and is kept, features, reference kernels and run files are the product's.
Compilers and GPUs are stand-ins (bench/fleet_work.py). It tries all of four recorded H100 sweeps, 1,296 configurations.
Time is scaled so that each search takes about `--seconds`; what costs the same however time is scaled, messages and
journals, so weighs more the shorter they are. Efficiency is recorded seconds done over workers times wall time, the wall
time of the whole call. Repeats have seeds of their own. The JSON file is written after each search. Workers keep a diary;
from it the rest is told apart: workers for a GPU that had nothing to measure, the time before a worker's first piece and
after the last configuration was begun, waiting between two pieces, and pieces that took longer than recorded: what a
batch costs that a configuration does not, this machine and our messages.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import spak
from bench.fleet_work import CHECK, COMPILE, MEASURE, DiaryLine, Records, key_of, read_diary, write_records
from bench.simulated_fleet import (
    HW,
    OP,
    ROOT,
    START_S,
    SWEEPS,
    RecordedSweeps,
    fleet_of,
    recorded_laws,
    recorded_sweeps,
    simulated_members,
)
from spak.kg.files.loader import load
from spak.kg.model.run import Run
from spak.tuner.many import TargetsResult

NEAR = 1.02
"""A configuration within this of the best of its sweep is near it."""


@dataclass(frozen=True)
class FleetEfficiency:
    """One search. Seconds are recorded ones but for those of the wall and of processors; shares are of workers times wall time.

    Attributes:
        strategy: As asked for; empty: what `tune` takes.
        scale: Seconds here for one recorded.
        wall_s: Of the whole call, from names to run files.
        search_s: Of that, the search itself.
        efficiency: Share in which workers did what they were asked for.
        gpu_idle: Share of those with a GPU that had nothing to measure.
        end: Share after the last configuration was begun, or before a worker's first.
        waiting: Share between two pieces of one worker.
        longer: Share by which pieces took longer than recorded.
        near_s: Recorded seconds until each sweep had a time within `NEAR` of its best, on average.
        cpu_s: Processor seconds of the searching process.
    """

    workers: int
    gpus: int
    strategy: str
    seed: int
    scale: float
    trials: int
    wall_s: float
    search_s: float
    efficiency: float
    gpu_idle: float
    end: float
    waiting: float
    longer: float
    near_s: float
    cpu_s: float
    load: float


@dataclass(frozen=True)
class FleetPlan:
    """How many search, for how long, and how."""

    workers: int
    seconds: float
    strategy: str = ""
    seed: int = 0
    sweeps: tuple[str, ...] = SWEEPS


def measure(plan: FleetPlan) -> FleetEfficiency:
    """One search with so many workers that is to take about so many seconds."""
    recorded = recorded_sweeps(plan.sweeps, load(ROOT / "laws"))
    gpus = max(1, math.ceil(plan.workers * recorded.gpu_s / recorded.seconds))
    scale = plan.seconds * plan.workers / recorded.seconds
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        folder = Path(name)
        write_records(folder, Records(scale=scale, rows=recorded.rows))
        with (
            fleet_of(simulated_members(plan.workers, gpus), folder) as simulated,
            spak.open_fleet(simulated.access.address, folder, within_s=START_S) as fleet,
        ):
            if not fleet.gather(plan.workers, START_S):
                raise RuntimeError(f"of {plan.workers} workers some have not come")
            cpu_s, started = _cpu_s(), time.monotonic()
            found = search(plan, recorded, fleet, folder)
            wall_s, cpu_s = time.monotonic() - started, _cpu_s() - cpu_s
        lines = read_diary(folder)
    check_complete([one.result.run for one in found.targets], recorded)
    near = near_seconds(lines, recorded, started)
    return FleetEfficiency(
        workers=plan.workers,
        gpus=gpus,
        strategy=plan.strategy,
        seed=plan.seed,
        scale=scale,
        trials=len(recorded.rows),
        wall_s=wall_s,
        search_s=found.seconds,
        near_s=near / scale,
        cpu_s=cpu_s,
        load=os.getloadavg()[0],
        **shares_of(lines, plan.workers, started, wall_s),
    )


def search(plan: FleetPlan, recorded: RecordedSweeps, fleet: spak.Fleet, folder: Path) -> TargetsResult:
    """What `tune fmha --problem A,B,C,D --hw h100 --fleet ADDRESS --no-write` does."""
    library = spak.load(recorded_laws(plan.sweeps, load(ROOT / "laws"), folder))
    around = spak.here(library, cache=folder / "search", local=folder / "local")
    request = spak.TargetsRequest(
        kernel=OP,
        hw=HW,
        problem=",".join(recorded.problems),
        trials=len(recorded.rows),
        strategy=plan.strategy,
        seed=plan.seed,
        write="run",
    )
    return spak.search_targets(request, replace(fleet.surroundings(around, HW), say=lambda _: None))


def check_complete(runs: Sequence[Run], recorded: RecordedSweeps) -> None:
    """Hold what was recorded against the records.

    Raises:
        RuntimeError: If a configuration has no trial, two, or one that failed.
    """
    tried = Counter(key_of(run.problem, trial.configuration) for run in runs for trial in run.trials)
    correct = sum(trial.invalidity == "correct" for run in runs for trial in run.trials)
    if tried != Counter(recorded.rows.keys()) or correct != len(recorded.rows):
        raise RuntimeError(f"{tried.total()} trials, {correct} correct, of {len(recorded.rows)} configurations")


def shares_of(lines: Sequence[DiaryLine], workers: int, started: float, wall_s: float) -> dict[str, float]:
    """What the time of all workers went into, from what they wrote down."""
    done: dict[str, list[DiaryLine]] = defaultdict(list)
    for line in lines:
        if line.ended and line.stage != CHECK:
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


def near_seconds(lines: Sequence[DiaryLine], recorded: RecordedSweeps, started: float) -> float:
    """Seconds until each sweep had a time within `NEAR` of its best, on average: until the batch ended that had it."""
    batches = [line for line in lines if line.stage == MEASURE and line.ended]
    found: dict[str, float] = {}
    for line in lines:
        if line.stage != CHECK or not line.ended:
            continue
        size = line.key.partition(" | ")[0]
        if recorded.rows[line.key].time_us <= NEAR * recorded.best_us[size]:
            ended = min(one.ended for one in batches if one.member == line.member and one.ended >= line.ended)
            found[size] = min(ended, found.get(size, ended))
    return sum(moment - started for moment in found.values()) / len(recorded.best_us)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(found: Sequence[FleetEfficiency]) -> str:
    """A line for each number of workers."""
    lines = [
        "workers  GPUs   scale   wall s  search s  efficiency  GPU idle   ends  waiting  longer  to 2 % (s)  CPU s  load"
    ]
    for one in found:
        shares = f"{one.efficiency:10.1%}  {one.gpu_idle:8.1%} {one.end:6.1%}  {one.waiting:7.1%}  {one.longer:6.1%}"
        lines.append(
            f"{one.workers:7}  {one.gpus:4}  {one.scale:6.3f}  {one.wall_s:7.1f}  {one.search_s:8.1f}  {shares}  "
            f"{one.near_s:10.1f}  {one.cpu_s:5.1f}  {one.load:4.1f}"
        )
    return "\n".join(lines)


def write_found(path: Path, found: Sequence[FleetEfficiency]) -> None:
    """Keep what was measured so far; never half of it."""
    written: Mapping[str, object] = {
        "cores": len(os.sched_getaffinity(0)),
        "searches": [asdict(one) for one in found],
    }
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(written, indent=1) + "\n")
    beside.replace(path)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2,4,8,16,32,64")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--strategy", default="", help="as `tune --strategy`")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.workers.split(",")]
    found: list[FleetEfficiency] = []
    for seed in range(arguments.repeats):
        for count in counts:
            found.append(measure(FleetPlan(count, arguments.seconds, arguments.strategy, seed)))
            print(table(found[-1:]) if len(found) == 1 else table(found[-1:]).splitlines()[1], flush=True)
            if arguments.json is not None:
                write_found(arguments.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
