"""Kills workers, the scheduler and the search of a simulated fleet at random moments, and counts what is left.

    python -m bench.fleet_kills [--workers 100] [--schedulers 20] [--searches 20] [--members 8] [--gpus 2] [--json FILE]

Searches of recorded sweeps run one after the other, each in a process of its own, over real Dask processes
(`bench.simulated_fleet`), until all kills have been made. Some configurations end whoever compiles or measures them, each
time. A search that is killed is resumed from its journal; a fleet replaces its workers and its scheduler. A search that has
taken out all GPUs ends by itself and says so; it is resumed with all of them, as by somebody who has looked at them.
After each search the journal and the run file are held against the space, and against what the workers wrote down
themselves; the JSON file is written again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import msgspec

from bench.fleet import header
from bench.fleet_work import COMPILE, DIARY, MEASURE, DiaryLine, read_diary
from bench.simulated_fleet import (
    ROOT,
    SWEEPS,
    RecordedRoute,
    SimulatedFleet,
    fleet_of,
    key_of,
    recorded_search,
    simulated_members,
    until_complete,
)
from spak.kg.files.loader import load
from spak.kg.model.run import Run, Trial
from spak.tuner.backend.base import Request
from spak.tuner.backend.gpu.orphan import end_with_parent
from spak.tuner.engine import journal, record
from spak.tuner.engine.flow import Flow, FlowPatience
from spak.tuner.engine.loop import SearchWatch
from spak.tuner.engine.searcher import Searcher
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.executor import CPU

WORKER, SCHEDULER, SEARCH = "worker", "scheduler", "search"
JOURNAL = "search.jsonl"

TAKEN_OUT = "taken-out.jsonl"
"""Beside the journal: a line for each GPU that the search took out, and why."""

NOBODY_LEFT = 3
"""Exit code of a search that ended because it had taken out all GPUs."""

MEMBERS_S = 10.0
"""How long a search waits for a member here: killed ones are replaced within a second."""


@dataclass(frozen=True)
class KillPlan:
    """What is searched, by whom, and how often anybody is killed.

    Attributes:
        scale: Seconds here for one recorded.
        every_s: Mean time between two kills.
        pills: Configurations that end their worker, in each search.
    """

    kills: dict[str, int]
    sweeps: tuple[str, ...] = SWEEPS[:1]
    workers: int = 8
    gpus: int = 2
    scale: float = 0.04
    every_s: float = 0.25
    pills: int = 4
    seed: int = 0


@dataclass
class KillCount:
    """What was found, over all searches.

    Attributes:
        busy: Workers that were killed with a piece in hand.
        lost: Configurations of the space without a trial in journal or run file.
        twice: Trials beyond the first of a configuration, in journal or run file.
        charged: Trials that failed with a worker, of configurations that kill nobody.
        between: Of those, such as no worker's diary leaves unfinished: it was killed between its word that it begins and
            its first line, or between its last line and its answer.
        innocent: Of those charged, such as are more than its worker was killed: one death charges one at most.
        pills: Configurations that end their worker.
        pills_charged: Of those, such as failed with a worker.
        pills_again: Times that one was given to a second worker while its search went on.
        pills_resumed: Likewise, after the search had been killed before it had written down the first.
        taken_out: GPUs that a search took out, with why; killing a worker twice in a row looks like a GPU that fails.
        nobody_left: Times that a search ended because it had taken out all of them, and was resumed.
    """

    searches: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    busy: int = 0
    trials: int = 0
    lost: int = 0
    twice: int = 0
    charged: int = 0
    between: int = 0
    innocent: int = 0
    pills: int = 0
    pills_charged: int = 0
    pills_again: int = 0
    pills_resumed: int = 0
    taken_out: list[str] = field(default_factory=list)
    nobody_left: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, counted twice, charged to who had no part in it, or given to a second worker."""
        again = self.pills_again + self.pills_resumed
        return not any((self.lost, self.twice, self.innocent, again, self.pills - self.pills_charged))


# -------------------------------------------------------------------------------------------------------------- search


class SearchSetup(msgspec.Struct, frozen=True):
    """What the searching process does."""

    address: str
    folder: str
    sweeps: tuple[str, ...]
    scale: float
    pills: dict[str, str]
    seed: int
    begun: datetime


def search(setup: bytes) -> None:
    """Search, or go on with the journal there is."""
    end_with_parent()
    run_search(msgspec.msgpack.decode(setup, type=SearchSetup))


def run_search(setup: SearchSetup) -> None:
    """Search to the end and write the run files."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    path, laws = Path(setup.folder) / JOURNAL, load(ROOT / "laws")
    executor = DaskExecutor(FleetAccess(setup.address, None))
    found = recorded_search(setup.sweeps, seed=setup.seed, laws=laws)
    if path.exists() and b"\n" in path.read_bytes():
        executor.recall(setup.begun)
        diary = journal.Journal.reopen(path)
        found.restore(journal.read_journal(path).trials)
    else:
        path.unlink(missing_ok=True)
        diary = journal.Journal.create(path, header())
    route = RecordedRoute(found.records, setup.scale, setup.pills)
    watch = SearchWatch(time.monotonic, lambda *_: None)
    flow = Flow(found.lane(diary.add), route, executor, watch, FlowPatience(members_s=MEMBERS_S, look_s=0.05))
    try:
        flow.run()
    except TunerError:
        devices = {name for member in executor.members() for name in member.resources if name != CPU}
        if not devices <= flow.health.out.keys():
            raise
        sys.exit(NOBODY_LEFT)
    finally:
        with (path.parent / TAKEN_OUT).open("ab") as said:
            said.writelines(msgspec.json.encode(f"{gpu}: {why}") + b"\n" for gpu, why in flow.health.out.items())
    for name, searcher in zip(setup.sweeps, found.searchers, strict=True):
        run = msgspec.structs.replace(laws.run(name), id=f"{name}-killed", trials=tuple(searcher.trials))
        record.write_run(run, Path(setup.folder))
    executor.close()
    diary.close()


# -------------------------------------------------------------------------------------------------------------- kills


class _Killer:
    """Kills at random moments while a search runs, and starts it again."""

    def __init__(self, plan: KillPlan, fleet: SimulatedFleet, cache: Path) -> None:
        self._plan, self._fleet, self._cache = plan, fleet, cache
        self._rng = random.Random(plan.seed)
        self.left = [kind for kind, count in plan.kills.items() for _ in range(count)]
        self._rng.shuffle(self.left)
        self.found = KillCount(kills=dict.fromkeys(plan.kills, 0))
        self._context = multiprocessing.get_context("forkserver")
        self._restarts: list[float] = []
        self._killed: Counter[str] = Counter()

    def run(self, number: int) -> None:
        """One search to its end, whatever is killed meanwhile."""
        plan, self._restarts = self._plan, []
        self._killed.clear()
        (self._cache / DIARY).write_bytes(b"")  # workers append
        space = recorded_search(plan.sweeps, laws=load(ROOT / "laws"))
        keys = [key for searcher in space.searchers for key in _keys(searcher)]
        pills = {key: (COMPILE, MEASURE)[place % 2] for place, key in enumerate(self._rng.sample(keys, plan.pills))}
        with tempfile.TemporaryDirectory(prefix="kills-") as folder:
            address, seed, begun = self._fleet.access.address, plan.seed + number, datetime.now(UTC)
            setup = SearchSetup(address, folder, plan.sweeps, plan.scale, pills, seed, begun)
            self._see_through(setup)
            self._count(Path(folder), set(keys), pills)

    def _see_through(self, setup: SearchSetup) -> None:
        path = Path(setup.folder) / JOURNAL
        searching, known = self._start(setup), 1
        while searching.exitcode != 0:
            searching.join(self._rng.expovariate(1 / self._plan.every_s))
            has_begun, was_killed = _num_lines(path) > known, False  # before, there is nothing to lose
            if searching.exitcode is None and self.left and has_begun:
                was_killed = self.left[-1] == SEARCH
                self._kill(self.left[-1], searching)
            if searching.exitcode in {None, 0}:
                continue
            if searching.exitcode == NOBODY_LEFT:
                self.found.nobody_left += 1
            elif (
                searching.exitcode > 0 and not was_killed
            ):  # a killed one whose end nobody could read has a code of 255
                raise RuntimeError(f"the search ended with {searching.exitcode}")
            self._restarts.append(time.monotonic())
            searching, known = self._start(setup), _num_lines(path)

    def _start(self, setup: SearchSetup) -> ForkServerProcess:
        searching = self._context.Process(target=search, args=(msgspec.msgpack.encode(setup),), daemon=True)
        searching.start()
        return searching

    def _kill(self, kind: str, searching: ForkServerProcess) -> None:
        """Kill one that is alive, and count it."""
        name, process = kind, searching.pid or 0
        if kind == SCHEDULER:
            process = self._fleet.scheduler
        elif kind == WORKER:
            name, process = self._rng.choice([*self._fleet.workers.items()] or [("", 0)])
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                self.found.kills[kind] += 1
                self._killed[name] += 1
                self.left.pop()
        if kind == SEARCH:
            searching.join()
        elif kind == WORKER:
            last = [line for line in read_diary(self._cache) if line.member == name][-1:]
            self.found.busy += bool(process and last and not last[0].ended)

    def _count(self, folder: Path, keys: set[str], pills: dict[str, str]) -> None:
        """Hold journal and run files against the space and the workers' diary."""
        kept = journal.read_journal(folder / JOURNAL).trials
        written = [t for path in folder.glob("*.json") for t in _read(path).trials]
        found, lines = self.found, read_diary(self._cache)
        found.searches += 1
        found.trials += len(kept)
        found.taken_out += [msgspec.json.decode(said) for said in (folder / TAKEN_OUT).read_bytes().splitlines()]
        for trials in (kept, written):
            counts = Counter(key_of(trial) for trial in trials)
            found.lost += len(keys - counts.keys())
            found.twice += sum(counts.values()) - len(counts)
        lost_with = {key_of(trial): member for trial in kept if (member := _lost_with(trial))}
        failed = lost_with.keys()
        found.charged += len(failed - pills.keys())
        found.between += len(failed - pills.keys() - unfinished(lines))
        charges = Counter(member for key, member in lost_with.items() if key not in pills)
        found.innocent += sum((charges - self._killed).values())
        found.pills += len(pills)
        found.pills_charged += len(failed & pills.keys())
        for key, stage in pills.items():
            begun = [line.begun for line in lines if (line.key, line.stage) == (key, stage)]
            resumed = sum(any(a < moment < b for moment in self._restarts) for a, b in itertools.pairwise(begun))
            found.pills_resumed += resumed
            found.pills_again += max(0, len(begun) - 1 - resumed)  # killed before its stage: none


def _num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def unfinished(lines: Sequence[DiaryLine]) -> set[str]:
    """What some worker began and did not end."""
    begun = Counter((line.key, line.stage) for line in lines if not line.ended)
    ended = Counter((line.key, line.stage) for line in lines if line.ended)
    return {key for key, _ in begun - ended}


def _lost_with(trial: Trial) -> str:
    """The worker with which a configuration was lost; empty if it was not."""
    failure = trial.failure
    return failure.message.partition(":")[0] if failure is not None and failure.type == "WorkerLost" else ""


def _keys(searcher: Searcher) -> list[str]:
    """All configurations of a searcher's space."""
    space, problem = searcher.space, searcher.space.setting.problem
    return [key_of(Request(space.config(place), problem, "")) for place in range(len(space))]


def _read(path: Path) -> Run:
    return msgspec.json.decode(path.read_bytes(), type=Run)


def kills(plan: KillPlan, counted: Callable[[KillCount], None] = lambda _: None) -> KillCount:
    """Search until all kills of `plan` have been made; `counted` is told what was found so far after each search."""
    from spak.tuner.fleet.dask_executor import DaskExecutor

    members = simulated_members(plan.workers, plan.gpus)
    with tempfile.TemporaryDirectory(prefix="fleet-") as cache, fleet_of(members, Path(cache)) as fleet:
        executor = DaskExecutor(fleet.access)
        until_complete(members, executor.members)
        executor.close()
        killer = _Killer(plan, fleet, Path(cache))
        number = 0
        while killer.left or not number:
            killer.run(number)
            counted(killer.found)
            number += 1
    return killer.found


def main() -> int:
    """Kill, count, print; 1 if anything was lost, counted twice or charged to who had no part in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--schedulers", type=int, default=20)
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--members", type=int, default=8, help="workers at a time, those with a GPU among them")
    parser.add_argument("--gpus", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    wanted = {WORKER: arguments.workers, SCHEDULER: arguments.schedulers, SEARCH: arguments.searches}
    plan = KillPlan(wanted, workers=arguments.members, gpus=arguments.gpus, seed=arguments.seed)
    started = time.monotonic()

    def keep(found: KillCount) -> None:
        print(f"{found.searches} searches, killed {found.kills}, {found.trials} trials", file=sys.stderr, flush=True)
        here = {"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0], "wall_s": time.monotonic() - started}
        if arguments.json is not None:
            written = {"plan": asdict(plan), **here, "is_good": found.is_good, "found": asdict(found)}
            arguments.json.write_text(json.dumps(written, indent=1) + "\n")

    found = kills(plan, keep)
    for one in fields(found):
        print(f"{one.name:14} {getattr(found, one.name)}")
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
