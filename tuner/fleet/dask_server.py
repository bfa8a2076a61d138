"""Scheduler and workers of a fleet on Dask: who is there, TLS and the tools that start workers are Dask's; the work is not.

Dask's tasks are functions that travel as pickles. These servers know no tasks: of Dask's operations they keep those by
which workers join, are seen and leave, and a worker has one of its own, which takes a named piece of work as bytes.
Start them by `spak fleet up` and `spak fleet join`, or name the classes to Dask's tools.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import msgspec
from distributed import Scheduler, Status, Worker
from distributed.batched import BatchedSend

from spak.tuner.fleet.access import check_bind
from spak.tuner.fleet.begun import InHand, not_survived
from spak.tuner.fleet.dask_guard import refuse_pickles
from spak.tuner.fleet.dask_listener import listen_promptly
from spak.tuner.fleet.devices import see_only, visible_device
from spak.tuner.fleet.executor import CPU, Piece, PieceOutcome
from spak.tuner.fleet.workbench import WORKS, Workbench, Workplace

PERFORM = "fleet-perform"
"""The operation of a worker that does a piece."""

NOT_SURVIVED = "fleet-not-survived"
"""The operation of a worker that says which pieces members of its host have ended with."""

GPU = "GPU"
"""Resource of a worker started by Dask's tools on a GPU that it has to find out for itself: the first that it sees."""

QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.admin.system-monitor.gil.enabled": False,
}
"""What Dask does many times a second to watch itself, beside what is compiled and timed; here nobody reads it."""

REJOIN_S = 300.0
"""How long a worker without a scheduler waits for one to come back."""

HAND_BACK_S = 2.0
"""How long a worker that leaves tries to say so to those who wait for it."""

_SCHEDULER = frozenset(
    {"identity", "connection_stream", "register-worker", "unregister", "heartbeat_worker", "terminate"}
)
_SCHEDULER_STREAM = frozenset({"keep-alive", "worker-status-change", "log-event"})
_WORKER = frozenset({"identity", "connection_stream", "terminate", "ping"})
_WORKER_STREAM = frozenset({"close", "remove-worker"})


class FleetScheduler(Scheduler):  # type: ignore[misc]  # distributed has no types
    """Knows who is there. It is given no task, and a pickle that reaches it is not read."""

    def __init__(self, **options: Any) -> None:
        """Take Dask's options.

        Raises:
            TunerError: If it was to listen to other machines without TLS.
        """
        refuse_pickles()
        listen_promptly()
        dask.config.set(QUIET)
        check_bind(options.get("host") or "", options.get("protocol") or "tcp://")
        super().__init__(**{**options, "extensions": {}, "dashboard": False, "allowed_failures": 0})
        _keep(self, _SCHEDULER, _SCHEDULER_STREAM)

    def start_http_server(self, *_: object, **__: object) -> None:
        """No second door: Dask's pages and their API ask nobody who they are."""


class FleetWorker(Worker):  # type: ignore[misc]
    """Does pieces of named work, one at a time, for whoever the fleet's certificate lets in."""

    def __init__(self, scheduler_ip: str, *, cache: str = "", works: Mapping[str, str] = WORKS, **options: Any) -> None:
        """Take Dask's options.

        Args:
            scheduler_ip: Address of the scheduler, as Dask's tools name the first of their arguments.
            cache: Folder that keeps what is compiled; empty: the one of this user.
            works: See `Workbench`.
            options: As Dask has them. Of `resources` one named `GPU` becomes the id of the GPU that this process sees.

        Raises:
            TunerError: If it was to listen to other machines without TLS, or has no GPU that it should have.
        """
        refuse_pickles()
        listen_promptly()
        dask.config.set(QUIET)
        check_bind(options.get("host") or "", options.get("protocol") or scheduler_ip or "")
        resources = dict.fromkeys(options.get("resources") or {CPU: 1}, 1)
        if resources.pop(GPU, None):
            resources[visible_device()] = 1
        device = next((name for name in resources if name != CPU), "")
        if device:
            see_only(device)
        name = str(options.get("name") or f"{socket.gethostname()}-{device or CPU}-{secrets.token_hex(3)}")
        fixed = {"name": name, "resources": resources, "extensions": {}, "nthreads": 1, "dashboard": False}
        super().__init__(scheduler_ip, **{**options, **fixed})
        self._offered = frozenset((*resources, name))
        place = Workplace(name, Path(cache) if cache else default_cache(), device, CPU in resources)
        self._bench = Workbench(place, works)
        self._in_hand, self._begun_on = InHand(place.cache, name), place.cache
        self._turn = asyncio.Lock()
        self._asked: set[asyncio.Task[Any]] = set()
        self._leaving = False
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="fleet-work")
        _keep(self, _WORKER, _WORKER_STREAM)
        self.handlers[PERFORM] = self.perform
        self.handlers[NOT_SURVIVED] = self.not_survived

    def start_http_server(self, *_: object, **__: object) -> None:
        """No second door."""

    async def start_unsafe(self) -> Any:
        """Join; once this worker is there, begin what its first piece will need."""
        await super().start_unsafe()
        threading.Thread(target=self._bench.prepare, name="fleet-prepare", daemon=True).start()
        return self

    async def perform(self, comm: Any, piece: bytes, ticket: str) -> dict[str, object]:
        """Do a piece after those that came before it, and say when it is begun; answers carry the ticket of the question.

        A piece that was never begun has nothing to do with this worker's end, nor has one that is handed back because this
        worker was told to leave.
        """
        asked = asyncio.current_task()
        assert asked is not None  # noqa: S101 - the server makes a task of each connection
        self._asked.add(asked)
        left = {"ticket": ticket, "left": True}
        try:
            async with self._turn:
                await comm.write({"ticket": ticket, "begun": True})
                outcome = await asyncio.get_running_loop().run_in_executor(self._hand, self._perform, piece)
        except asyncio.CancelledError:
            await comm.write(left)
            self._end_works()
            raise
        finally:
            self._asked.discard(asked)
        return left if self._leaving else {"ticket": ticket, "outcome": msgspec.msgpack.encode(outcome)}

    def leave(self) -> None:
        """Have it that this worker is told to end, so that nothing it has in hand is at fault."""
        self._in_hand.leave()

    async def not_survived(self, since: float) -> dict[str, str]:
        """Name of each piece that a member of this host has ended with after that time of day -> that member."""
        return not_survived(self._begun_on, float(since))

    async def handle_scheduler(self, comm: Any) -> None:
        """Stay when the scheduler is lost, go on with what there is to do, and join the one that takes its place.

        Dask's workers end with their scheduler, whose tasks they have; these have none of its.
        """
        try:
            await self.handle_stream(comm)
        finally:
            if self.status is Status.running:
                self.batched_stream = BatchedSend(interval="2ms", loop=self.loop)
                try:
                    await asyncio.wait_for(self._register_with_scheduler(), REJOIN_S)
                except (OSError, ValueError):  # what a time limit raises is an OSError
                    await self.close(reason="no scheduler took the place of the last one")

    async def close(self, *arguments: Any, **named: Any) -> Any:
        """Leave the fleet: hand back what is asked of this worker, and end what the works started."""
        self._leaving = True
        self.leave()
        asked = self._asked - {asyncio.current_task()}
        for task in asked:
            task.cancel()
        if asked:
            await asyncio.wait(asked, timeout=HAND_BACK_S)
        self._end_works()
        return await super().close(*arguments, **named)

    def _end_works(self) -> None:
        self._leaving = True
        self.leave()
        self._hand.shutdown(wait=False, cancel_futures=True)
        self._bench.close()

    def _perform(self, data: bytes) -> PieceOutcome:
        try:
            piece = msgspec.msgpack.decode(data, type=Piece)
        except (msgspec.DecodeError, TypeError) as error:
            return PieceOutcome(member=str(self.name), error=f"this is no piece of work: {error}")
        if piece.wants not in self._offered:
            return PieceOutcome(member=str(self.name), error=f"{piece.work}: {piece.wants} is not here")
        self._in_hand.begin(piece)
        outcome = self._bench.perform(piece)
        self._in_hand.end()
        return outcome


def default_cache() -> Path:
    """Where this user's compiled code is kept."""
    return Path("~/.cache/spak").expanduser()


def _keep(server: Any, handlers: frozenset[str], stream: frozenset[str]) -> None:
    """Of what a server does when asked, keep these."""
    server.handlers = {name: handler for name, handler in server.handlers.items() if name in handlers}
    server.stream_handlers = {name: handler for name, handler in server.stream_handlers.items() if name in stream}
