"""Kills workers, the scheduler and the search of a simulated fleet at random moments, and counts what is left.

    python -m bench.fleet_kills [--workers 100] [--schedulers 20] [--searches 20] [--members 8] [--gpus 2] [--json FILE]

Searches of a recorded sweep run one after the other until all kills have been made. Each is the command, `tune fmha --fleet
ADDRESS`, and where it was killed `tune --resume RUN`, over real Dask processes whose compilers and GPUs sleep
(`bench.simulated_fleet`). Some configurations end whoever compiles or checks them, each time. A fleet replaces its workers
and its scheduler. A search that gives up, as where all GPUs are taken out, is resumed too, as by somebody who has looked at
them. After each search the journal and the run file are held against the space, and against what the workers wrote down
themselves; the JSON file is written again.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import msgspec

import spak
from bench.fleet_work import CHECK, COMPILE, DIARY, Records, key_of, read_diary, write_records
from bench.simulated_fleet import (
    HW,
    OP,
    ROOT,
    START_S,
    SWEEPS,
    SimulatedFleet,
    fleet_of,
    recorded_laws,
    recorded_sweeps,
    simulated_members,
)
from spak.kg.files.loader import load
from spak.kg.model.run import Run, Trial
from spak.tuner.engine import journal

WORKER, SCHEDULER, SEARCH = "worker", "scheduler", "search"

BAD_INPUT = 2
"""Exit code of a command that says why it gives up."""

MOST_GIVEN_UP = 10
"""Times that one search may give up before it is taken for a fault of ours."""


@dataclass(frozen=True)
class KillPlan:
    """What is searched, by whom, and how often anybody is killed.

    Attributes:
        scale: Seconds here for one recorded.
        every_s: Mean time between two kills.
        pills: Configurations that end their worker, in each search: every second one when it is compiled, the others
            when they are checked.
    """

    kills: dict[str, int]
    sweep: str = SWEEPS[0]
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
        innocent: Of those, such as are more than their worker was killed: one death charges one at most.
        failed: Trials that failed otherwise.
        pills: Configurations that end their worker.
        pills_charged: Of those, such as failed with a worker, in journal and run file.
        compile_pills: Of those, such as end whoever compiles them.
        compile_pill_deaths: Workers that these ended.
        check_pill_deaths: Workers that the others ended: halves of their batch are measured again.
        given_up: What searches said that ended by themselves and were resumed.
    """

    searches: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    busy: int = 0
    trials: int = 0
    lost: int = 0
    twice: int = 0
    charged: int = 0
    innocent: int = 0
    failed: int = 0
    pills: int = 0
    pills_charged: int = 0
    compile_pills: int = 0
    compile_pill_deaths: int = 0
    check_pill_deaths: int = 0
    given_up: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, counted twice or charged to who had no part in it, and no compilation killed twice."""
        again = max(0, self.compile_pill_deaths - self.compile_pills)
        return not any((self.lost, self.twice, self.innocent, self.failed, again, self.pills - self.pills_charged))


# -------------------------------------------------------------------------------------------------------------- search


@dataclass(frozen=True)
class TuneCommand:
    """The command that searches, and goes on with what it began.

    Attributes:
        folder: Where it is called: its journals and run files are in `.spak`, its cache beside.
    """

    folder: Path
    laws: Path
    address: str
    problem: str
    trials: int
    seed: int

    @property
    def journal(self) -> Path | None:
        """What it has written down so far; None before its first line is there."""
        found = sorted((self.folder / ".spak" / "journal").glob("*.jsonl"))
        return found[0] if found and b"\n" in found[0].read_bytes() else None

    @property
    def run_file(self) -> Path:
        """What it leaves when it has ended."""
        assert self.journal is not None  # noqa: S101 - it has ended
        return self.folder / ".spak" / "runs" / f"{self.journal.stem}.json"

    @property
    def num_lines(self) -> int:
        """Of its journal."""
        return 0 if self.journal is None else self.journal.read_bytes().count(b"\n")

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on."""
        if self.journal is None:
            shutil.rmtree(self.folder / ".spak", ignore_errors=True)
            asked = [OP, "--hw", HW, "--problem", self.problem, "--budget", str(self.trials), "--seed", str(self.seed)]
            asked += ["--fleet", self.address]
        else:
            asked = ["--resume", self.journal.stem]
        command = [sys.executable, "-m", "spak.cli.tune", "--laws", str(self.laws), "search", *asked, "--no-write"]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "PYTHONPATH": _path()}
        with (self.folder / "said").open("wb") as said:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def said(self) -> str:
        """The last line that it wrote."""
        lines = (self.folder / "said").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _path() -> str:
    """Where modules are, whatever folder a process is started in."""
    return os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path)


# -------------------------------------------------------------------------------------------------------------- kills


class _Killer:
    """Kills at random moments while a search runs, and starts it again."""

    def __init__(self, plan: KillPlan, fleet: SimulatedFleet, cache: Path) -> None:
        self._plan, self._fleet, self._cache = plan, fleet, cache
        self._recorded = recorded_sweeps((plan.sweep,), load(ROOT / "laws"))
        self._rng = random.Random(plan.seed)
        self.left = [kind for kind, count in plan.kills.items() for _ in range(count)]
        self._rng.shuffle(self.left)
        self.found = KillCount(kills=dict.fromkeys(plan.kills, 0))
        self._killed: Counter[str] = Counter()

    def run(self, number: int) -> None:
        """One search to its end, whatever is killed meanwhile."""
        plan, recorded = self._plan, self._recorded
        self._killed.clear()
        chosen = self._rng.sample(sorted(recorded.rows), plan.pills)
        pills = {key: (COMPILE, CHECK)[place % 2] for place, key in enumerate(chosen)}
        write_records(self._cache, Records(scale=plan.scale, rows=recorded.rows, pills=pills))
        (self._cache / DIARY).write_bytes(b"")  # workers append
        shutil.rmtree(self._cache / "cubins", ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="kills-") as name:
            folder = Path(name)
            laws = recorded_laws((plan.sweep,), load(ROOT / "laws"), folder)
            address, trials = self._fleet.access.address, len(recorded.rows)
            command = TuneCommand(folder, laws, address, recorded.problems[0], trials, plan.seed + number)
            self._see_through(command)
            self._count(command, pills)

    def _see_through(self, command: TuneCommand) -> None:
        searching, known, given_up = self._start(command), 1, 0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                searching.wait(self._rng.expovariate(1 / self._plan.every_s))
            if searching.poll() is None and self.left and command.num_lines > known:  # before, there is nothing to lose
                self._kill(self.left[-1], searching)
            code = searching.poll()
            if code == 0:
                return
            if code is None:
                continue
            if code != -signal.SIGKILL:
                given_up += 1
                self.found.given_up.append(command.said())
                if code != BAD_INPUT or given_up > MOST_GIVEN_UP:
                    raise RuntimeError(f"the search ended with {code}: {command.said()}")
            searching, known = self._start(command), command.num_lines

    def _start(self, command: TuneCommand) -> subprocess.Popen[bytes]:
        """Start it once all workers are there, as one who resumes a search would."""
        with spak.open_fleet(self._fleet.access.address, self._cache, within_s=START_S) as fleet:
            if not fleet.gather(self._plan.workers, START_S):
                raise RuntimeError(f"of {self._plan.workers} workers some have not come back")
        return command.start()

    def _kill(self, kind: str, searching: subprocess.Popen[bytes]) -> None:
        """Kill one that is alive, and count it."""
        name, process = kind, searching.pid
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
            searching.wait()
        elif kind == WORKER:
            last = [line for line in read_diary(self._cache) if line.member == name][-1:]
            self.found.busy += bool(process and last and not last[0].ended)

    def _count(self, command: TuneCommand, pills: dict[str, str]) -> None:
        """Hold journal and run file against the space and the workers' diary."""
        assert command.journal is not None  # noqa: S101 - it has ended
        kept = journal.read_journal(command.journal).trials
        run = msgspec.json.decode(command.run_file.read_bytes(), type=Run)
        found, keys = self.found, self._recorded.rows.keys()
        found.searches += 1
        found.trials += len(kept)
        for trials in (kept, run.trials):
            counts = Counter(key_of(run.problem, trial.configuration) for trial in trials)
            found.lost += len(keys - counts.keys())
            found.twice += sum(counts.values()) - len(counts)
        lost_with = {key_of(run.problem, trial.configuration): _lost_with(trial) for trial in kept}
        written = {key_of(run.problem, trial.configuration): _lost_with(trial) for trial in run.trials}
        charged = {key for key, member in lost_with.items() if member}
        charges = Counter(lost_with[key] for key in charged - pills.keys())
        found.charged += charges.total()
        found.innocent += sum((charges - self._killed).values())
        failed = {key_of(run.problem, trial.configuration) for trial in kept if trial.invalidity != "correct"}
        found.failed += len(failed - charged)
        found.pills += len(pills)
        found.pills_charged += sum(bool(lost_with.get(key) and written.get(key)) for key in pills)
        found.compile_pills += sum(stage == COMPILE for stage in pills.values())
        begun = Counter(
            line.stage for line in read_diary(self._cache) if not line.ended and pills.get(line.key) == line.stage
        )
        found.compile_pill_deaths += begun[COMPILE]
        found.check_pill_deaths += begun[CHECK]


def _lost_with(trial: Trial) -> str:
    """The worker with which a configuration was lost; empty if it was not."""
    failure = trial.failure
    return failure.message.partition(":")[0] if failure is not None and failure.type == "WorkerLost" else ""


def kills(plan: KillPlan, counted: Callable[[KillCount], None] = lambda _: None) -> KillCount:
    """Search until all kills of `plan` have been made; `counted` is told what was found so far after each search."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as name:
        cache = Path(name)
        with fleet_of(simulated_members(plan.workers, plan.gpus), cache) as fleet:
            killer = _Killer(plan, fleet, cache)
            for number in itertools.count():
                killer.run(number)
                counted(killer.found)
                if not killer.left:
                    return killer.found
    raise AssertionError


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
            beside = arguments.json.with_name(f"{arguments.json.name}.new")
            beside.write_text(json.dumps(written, indent=1) + "\n")
            beside.replace(arguments.json)

    found = kills(plan, keep)
    for one in fields(found):
        print(f"{one.name:19} {getattr(found, one.name)}")
    return 0 if found.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
