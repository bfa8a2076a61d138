"""A fleet of real Dask processes that replay recorded sweeps in scaled time, and searches over it by the real loop.

The scheduler and each worker are processes of their own, forked from one that has imported Dask, since importing it 64
times would keep a small machine busy for minutes. What they run is `FleetScheduler` and `FleetWorker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import msgspec

from bench.fleet_work import COMPILE, MEASURE, WORKS, RecordedPiece
from spak.kg.expression.assignment import show_assignments
from spak.kg.files.loader import Laws, load
from spak.kg.formats.recording import Recording
from spak.kg.model.run import Run, Trial
from spak.tuner.backend.base import Request
from spak.tuner.backend.gpu.orphan import end_with_parent
from spak.tuner.backend.replay import ReplayBackend
from spak.tuner.engine import loop
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.flow import CompiledPiece
from spak.tuner.engine.searcher import RunningSearch, Searcher
from spak.tuner.engine.targets import SearchOfTargets, TargetSearch
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.executor import CPU, FleetMember, Piece
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.knowledge.source import whereabouts
from spak.tuner.replay import recorded_space
from spak.tuner.strategy import registry

ROOT = Path(__file__).parent.parent
SWEEPS = tuple(
    f"measured-h100-fmha-{size}"
    for size in ("d128-s1024-causal", "d128-s1024-full", "d64-s1024-causal", "gqa32x8-d128-s2048-causal")
)
"""Sweeps of 324 configurations whose compilations were not in the cache: 1 to 13 s each, 2.9 s in the mean."""

MEASURE_S = 0.06
"""Seconds that one configuration takes to be checked and timed.

Source: laws/evidence/measured-h200-fmha-d128-s4096-full, -d128-s4096-causal and -d64-s4096-full, all of whose code was
compiled already: from each one's time of day to the next sweep's 18, 29 and 11 s for 324 configurations.
"""

START_S = 120.0
"""How long a fleet may take to be complete."""


# ----------------------------------------------------------------------------------------------------------- processes


class Server(msgspec.Struct, frozen=True):
    """What a process is to be: the scheduler at `address`, or the worker `member` of it."""

    address: str
    member: FleetMember | None = None
    cache: str = ""


def serve(setup: bytes) -> None:
    """Be it until killed."""
    end_with_parent()
    asyncio.run(_serve(msgspec.msgpack.decode(setup, type=Server)))


async def _serve(setup: Server) -> None:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    from spak.tuner.fleet.dask_server import FleetScheduler, FleetWorker

    if setup.member is None:
        port = int(setup.address.rpartition(":")[2])
        server = await FleetScheduler(host="127.0.0.1", port=port, protocol="tcp://")
    else:
        server = await FleetWorker(
            setup.address,
            name=setup.member.name,
            resources=dict.fromkeys(setup.member.resources, 1),
            host="127.0.0.1",
            memory_limit=0,
            cache=setup.cache,
            works=WORKS,
        )
    await server.finished()


class SimulatedFleet:
    """Scheduler and workers, and who replaces them: as `spak fleet up`, with processes that start in milliseconds."""

    def __init__(self, members: Sequence[FleetMember], cache: Path) -> None:
        """Start them all."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["bench.simulated_fleet", "spak.tuner.fleet.dask_server"])
        self._cache, self._changing, self._closing = cache, threading.Lock(), threading.Event()
        self.access = FleetAccess(f"tcp://127.0.0.1:{_free_port()}", None)
        self._scheduler = self._start(None)
        self._workers = {member: self._start(member) for member in members}
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def workers(self) -> dict[str, int]:
        """Name -> process id of the workers that are alive."""
        with self._changing:
            alive = {member.name: process for member, process in self._workers.items() if process.is_alive()}
            return {name: process.pid or 0 for name, process in alive.items()}

    @property
    def scheduler(self) -> int:
        """Process id of the scheduler; 0 if it is not alive."""
        with self._changing:
            return self._scheduler.pid or 0 if self._scheduler.is_alive() else 0

    def close(self) -> None:
        """End them all."""
        self._closing.set()
        self._keeper.join()
        for process in (self._scheduler, *self._workers.values()):
            process.kill()
            process.join()

    def _start(self, member: FleetMember | None) -> ForkServerProcess:
        setup = Server(self.access.address, member, str(self._cache))
        process = self._context.Process(target=serve, args=(msgspec.msgpack.encode(setup),), daemon=True)
        process.start()
        return process

    def _keep(self) -> None:
        """Start again whatever ended."""
        while not self._closing.wait(0.1):
            with self._changing:
                if not self._scheduler.is_alive():
                    self._scheduler = self._start(None)
                for member, process in list(self._workers.items()):
                    if not process.is_alive():
                        self._workers[member] = self._start(member)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def simulated_members(count: int, gpus: int) -> list[FleetMember]:
    """`count` workers of which so many have a GPU and compile nothing; a single one does both."""
    if count == 1:
        return [FleetMember(name="both", host="here", resources=(CPU, "gpu-0"))]
    measuring = [FleetMember(name=f"gpu-{n}", host="here", resources=(f"gpu-{n}",)) for n in range(gpus)]
    return measuring + [FleetMember(name=f"cpu-{n}", host="here", resources=(CPU,)) for n in range(count - gpus)]


@contextlib.contextmanager
def fleet_of(members: Sequence[FleetMember], cache: Path) -> Iterator[SimulatedFleet]:
    """A fleet that ends with the block."""
    fleet = SimulatedFleet(members, cache)
    try:
        yield fleet
    finally:
        fleet.close()


# ----------------------------------------------------------------------------------------------------------- the route


@dataclass(frozen=True)
class RecordedRoute:
    """Pieces that take what a record says, times `scale`, and whose answers are its trials.

    Attributes:
        records: Problem size -> what was recorded there.
        pills: Configurations, by `key_of`, that end whoever compiles or measures them: key -> stage.
    """

    records: Mapping[str, ReplayBackend]
    scale: float
    pills: Mapping[str, str] = field(default_factory=dict)

    def compiling(self, request: Request) -> Piece:
        """Sleeps as long as it compiled."""
        return self._piece(request, COMPILE, self.seconds(request, COMPILE), CPU)

    def compiled(self, request: Request, answer: bytes) -> CompiledPiece | Trial:
        """The recorded failure to compile, or nothing but the way on."""
        trial = self.trial(request)
        return trial if trial.invalidity == "compile" else CompiledPiece(answer)

    def measuring(self, request: Request, compiled: CompiledPiece, device: str) -> Piece:
        """Sleeps as long as a measurement takes."""
        del compiled
        return self._piece(request, MEASURE, self.seconds(request, MEASURE), device)

    def measured(self, request: Request, answer: bytes) -> Trial:
        """As recorded."""
        if answer.decode() != key_of(request):
            raise TunerError(f"the answer to {key_of(request)} is of {answer.decode()}")
        return self.trial(request)

    def trial(self, request: Request) -> Trial:
        """As recorded."""
        return next(trial for _, trial in self._record(request).evaluate([request]))

    def seconds(self, request: Request, stage: str) -> float:
        """Recorded seconds of a stage, not scaled."""
        return self.trial(request).times.compilation / 1e3 if stage == COMPILE else MEASURE_S

    def _record(self, request: Request) -> ReplayBackend:
        return self.records[show_assignments(request.problem)]

    def _piece(self, request: Request, stage: str, seconds: float, wants: str) -> Piece:
        key = key_of(request)
        piece = RecordedPiece(stage=stage, key=key, seconds=seconds * self.scale, kills=self.pills.get(key) == stage)
        return Piece(work=stage, data=msgspec.msgpack.encode(piece), wants=wants)


def key_of(request: Request | Trial) -> str:
    """Problem size and configuration as text."""
    return f"{show_assignments(request.problem)} | {show_assignments(request.configuration)}"


@dataclass(frozen=True)
class RecordedSearch:
    """Searchers over recorded sweeps, and what answers them."""

    searchers: list[Searcher]
    records: dict[str, ReplayBackend]
    best_us: dict[str, float]
    trials: list[Trial]

    @property
    def seconds(self) -> float:
        """Recorded seconds of all that is to be done."""
        return sum(trial.times.compilation / 1e3 + MEASURE_S for trial in self.trials)

    def lane(self, record: Callable[[Trial], None]) -> loop.Asker:
        """All searchers in turn, without a budget, hearing nothing of each other."""
        targets = [
            TargetSearch(name, whereabouts("recorded", searcher.space.setting.problem), 1.0, searcher, record)
            for name, searcher in zip(self.records, self.searchers, strict=True)
        ]
        return SearchOfTargets(targets, Budget(audit=0.0)).lane("recorded")

    def restore(self, done: Sequence[Trial]) -> None:
        """Take over the trials of a journal, each searcher its own."""
        for searcher in self.searchers:
            problem = searcher.space.setting.problem
            searcher.restore([trial for trial in done if trial.problem == problem])


def recorded_search(sweeps: Sequence[str], *, seed: int = 0, laws: Laws | None = None) -> RecordedSearch:
    """A random search of each sweep's whole space."""
    root = laws or load(ROOT / "laws")
    found = RecordedSearch([], {}, {}, [])
    for number, name in enumerate(sweeps):
        run = root.run(name)
        recording = Recording("run", _parameters(run), declared=False, trials=run.trials, problem=run.problem)
        space = recorded_space(recording, root.ops[run.op], run.op, {})
        searching = RunningSearch(Restriction(space), lambda: registry.make("random"), Budget(audit=0.0), seed + number)
        text = show_assignments(space.setting.problem)
        found.searchers.append(Searcher(searching, "time"))
        found.records[text] = ReplayBackend(recording)
        found.trials.extend(run.trials)
        found.best_us[text] = min(time for trial in run.trials if (time := trial.value("time")) is not None)
    return found


def _parameters(run: Run) -> dict[str, tuple[object, ...]]:
    names = run.trials[0].configuration
    return {name: tuple(dict.fromkeys(trial.configuration[name] for trial in run.trials)) for name in names}


def until_complete(members: Sequence[FleetMember], present: object, deadline_s: float = START_S) -> None:
    """Wait until all `members` are among those that `present()` names.

    Raises:
        TunerError: If they are not in time.
    """
    wanted, ends = {member.name for member in members}, time.monotonic() + deadline_s
    while not wanted <= {member.name for member in present()}:  # type: ignore[operator]
        if time.monotonic() > ends:
            raise TunerError(f"of {len(wanted)} workers some have not come within {deadline_s:g} s")
        time.sleep(0.05)
