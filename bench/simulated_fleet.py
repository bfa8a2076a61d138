"""A fleet of real Dask processes whose compilers and GPUs take as long as recorded sweeps say, in scaled time, and what is searched on it.

The scheduler and each worker are processes of their own, forked from one that has imported Dask, since importing it 64
times would keep a small machine busy for minutes. What they run is `FleetScheduler` and `FleetWorker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import msgspec

from bench.fleet_work import MEASURE_S, PREPARE_S, WORKS, RecordedRow, key_of
from spak.kg.expression.assignment import show_assignments
from spak.kg.files.loader import Laws
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.gpu.orphan import end_with_parent
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.executor import CPU, FleetMember

ROOT = Path(__file__).parent.parent
OP, HW = "fmha", "h100"
SWEEP = f"measured-{HW}-{OP}-"
SWEEPS = tuple(
    f"{SWEEP}{size}"
    for size in ("d128-s1024-causal", "d128-s1024-full", "d64-s1024-causal", "gqa32x8-d128-s2048-causal")
)
"""Sweeps of 324 configurations whose compilations were not in the cache: 1 to 13 s each, 2.9 s in the mean."""

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
        self._context.set_forkserver_preload(
            ["bench.simulated_fleet", "spak.tuner.fleet.dask_server", "spak.kernels.registry"]
        )
        self._cache, self._changing, self._closing = cache, threading.Lock(), threading.Event()
        self.access = FleetAccess(f"tcp://127.0.0.1:{_free_port()}", None)
        self._scheduler = self._start(None)
        _until_listening(self.access.address)
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
        process = self._context.Process(
            target=serve, args=(msgspec.msgpack.encode(setup),)
        )  # which has children of its own
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


def _until_listening(address: str) -> None:
    """Wait until somebody answers there."""
    ends, (host, port) = time.monotonic() + START_S, address.removeprefix("tcp://").split(":")
    while True:
        try:
            socket.create_connection((host, int(port)), 1.0).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def simulated_members(count: int, gpus: int) -> list[FleetMember]:
    """`count` workers of which so many have a GPU and compile nothing; a single one does both."""
    if count == 1:
        return [FleetMember(name="both", host="here", resources=(CPU, device_id(0)))]
    measuring = [FleetMember(name=f"gpu-{n}", host="here", resources=(device_id(n),)) for n in range(gpus)]
    return measuring + [FleetMember(name=f"cpu-{n}", host="here", resources=(CPU,)) for n in range(count - gpus)]


def device_id(number: int) -> str:
    """Of a GPU that is not there."""
    return f"{number:012x}"


@contextlib.contextmanager
def fleet_of(members: Sequence[FleetMember], cache: Path) -> Iterator[SimulatedFleet]:
    """A fleet that ends with the block."""
    fleet = SimulatedFleet(members, cache)
    try:
        yield fleet
    finally:
        fleet.close()


# ---------------------------------------------------------------------------------------------------------- the records


@dataclass(frozen=True)
class RecordedSweeps:
    """What is searched: whole spaces that were once tried from end to end.

    Attributes:
        problems: Names of the problem sizes, for `tune --problem`.
        rows: `key_of` -> what is known of a configuration.
        best_us: Problem size -> its fastest time.
    """

    problems: tuple[str, ...]
    rows: dict[str, RecordedRow]
    best_us: dict[str, float]

    @property
    def seconds(self) -> float:
        """Recorded seconds of all that is to be done."""
        return sum(row.compile_s + MEASURE_S for row in self.rows.values())

    @property
    def gpu_s(self) -> float:
        """Recorded seconds of GPUs, in batches of the product's size."""
        return len(self.rows) * (MEASURE_S + PREPARE_S / TimingMethod.batch_size)


def recorded_sweeps(names: Sequence[str], laws: Laws) -> RecordedSweeps:
    """Of the runs of those names."""
    found = RecordedSweeps(tuple(name.removeprefix(SWEEP) for name in names), {}, {})
    for run, trial in ((one, trial) for one in map(laws.run, names) for trial in one.trials):
        time_us, size = trial.value("time"), show_assignments(dict(sorted(run.problem.items())))
        assert time_us is not None  # noqa: S101 - all of these sweeps' configurations ran
        found.best_us[size] = min(time_us, found.best_us.get(size, time_us))
        found.rows[key_of(run.problem, trial.configuration)] = RecordedRow(
            compile_s=trial.times.compilation / 1e3,
            time_us=time_us,
            features={one.name: one.value for one in trial.measurements if one.name not in {"time", "relative_error"}},
        )
    return found


def recorded_laws(names: Sequence[str], laws: Laws, folder: Path) -> Path:
    """A law root in `folder` without laws and runs, whose op has the values that the sweeps have, and no others."""
    root = folder / "laws"
    for part in ("hardware", "ops"):
        shutil.copytree(laws.root / part, root / part)
    trials = [trial for name in names for trial in laws.run(name).trials]
    op = root / "ops" / f"{OP}.yaml"
    text = op.read_text(encoding="utf-8")
    for name in trials[0].configuration:
        values = json.dumps(sorted({trial.configuration[name] for trial in trials}))
        text, count = re.subn(rf"(?m)^(  {name}:\n    values: )\[.*\]$", rf"\g<1>{values}", text)
        if count != 1:
            raise TunerError(f"{op}: {name} has no line of values")
    op.write_text(text, encoding="utf-8")
    return root


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
