"""The fleet on Dask: Dask's scheduler says who is there; pieces go to the workers directly, one at a time to each.

Dask's own queues would put many pieces on one worker, whose end would then charge all of them. Here a worker has the
piece that it does and no other, so that what is lost with it is known.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import msgspec

from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.executor import Executor, FleetMember, Piece, PieceOutcome, check_offered

MEMBERS_EVERY_S = 0.5
"""How often the scheduler is asked who is there."""

ABSENCE_S = 60.0
"""How long a piece waits for a resource that no member offers any more: a worker that is replaced comes back by then."""

MOST_UNBEGUN = 3
"""Members that may be lost with a piece that none of them had begun, before the piece is taken for the reason."""

_CONNECT_S = 10.0

_Order = tuple[Piece, "Future[PieceOutcome]"]


@dataclass
class _Remote:
    """A worker as the scheduler describes it; `gone` once it has failed us or left."""

    address: str
    member: FleetMember
    hands: list[asyncio.Task[None]] = field(default_factory=list)
    gone: bool = False


class DaskExecutor(Executor):
    """Gives pieces to the workers of a fleet. Several may use one fleet: a worker does one piece at a time for all."""

    def __init__(self, access: FleetAccess, *, patience_s: float = ABSENCE_S) -> None:
        """Ask the scheduler who is there.

        Raises:
            TunerError: If it cannot be reached, or its certificate is not the fleet's.
        """
        self._access, self._patience_s = access, patience_s
        self._remotes: dict[str, _Remote] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)
        self._thread.start()
        try:
            self._ask(self._open())
        except BaseException:
            self.close()
            raise

    def members(self) -> Sequence[FleetMember]:
        """Who is there now, in the order of their names."""
        return tuple(sorted((remote.member for remote in self._present()), key=lambda member: member.name))

    def submit(self, piece: Piece) -> Future[PieceOutcome]:
        """Have a piece done; does not wait.

        Raises:
            TunerError: If the executor is closed, or no member offers what the piece wants.
        """
        check_offered(piece, self.members())
        future: Future[PieceOutcome] = Future()
        with self._lock:
            if self._closed:
                raise TunerError("the fleet is closed")
            self._loop.call_soon_threadsafe(self._wait_in_line, (piece, future))
        return future

    def close(self) -> None:
        """Give up what is under way; the fleet stays as it is. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _present(self) -> list[_Remote]:
        return [remote for remote in list(self._remotes.values()) if not remote.gone]

    def _ask(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _run(self) -> None:
        from spak.tuner.fleet.dask_guard import accept_pickles_here, refuse_pickles_here

        asyncio.set_event_loop(self._loop)
        refuse_pickles_here()
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._end())
        finally:
            accept_pickles_here()
            self._loop.close()

    # What follows runs in the thread of the loop.

    async def _open(self) -> None:
        from distributed.security import Security

        self._lines: dict[str, deque[_Order]] = {}
        self._news = asyncio.Condition()
        self._tickets = itertools.count(1)
        self._unbegun: Counter[int] = Counter()
        self._scheduler: Any = None
        security = Security(**self._access.connection(), require_encryption=self._access.keys is not None)
        self._arguments = security.get_connection_args("client")
        try:
            await self._look()
        except (OSError, ValueError) as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise TunerError(f"fleet {self._access.address}: {said[0]}") from None
        self._watching = asyncio.create_task(self._watch())

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in getattr(self, "_lines", {}).values():
            for _, future in line:
                if future.set_running_or_notify_cancel():
                    future.set_result(PieceOutcome(lost="the fleet was closed before anybody had it"))
        if getattr(self, "_scheduler", None) is not None:
            self._scheduler.abort()

    def _wait_in_line(self, order: _Order) -> None:
        self._lines.setdefault(order[0].wants, deque()).append(order)
        self._tell()

    def _tell(self) -> None:
        """Wake whoever waits for a piece."""

        async def tell() -> None:
            async with self._news:
                self._news.notify_all()

        self._telling = asyncio.ensure_future(tell())

    async def _watch(self) -> None:
        """Follow who comes and goes. Without a scheduler those who are there go on."""
        since: dict[str, float] = {}
        while True:
            await asyncio.sleep(MEMBERS_EVERY_S)
            try:
                await self._look()
            except (OSError, ValueError):
                self._scheduler = None
            self._give_up(since)

    def _give_up(self, since: dict[str, float]) -> None:
        """Say of pieces that nobody can take, once they have waited long enough, that they are lost."""
        offered = {name for remote in self._present() for name in remote.member.offers}
        for wants, line in self._lines.items():
            if wants in offered or not line:
                since.pop(wants, None)
            elif self._loop.time() - since.setdefault(wants, self._loop.time()) >= self._patience_s:
                while line:
                    future = line.popleft()[1]
                    if future.set_running_or_notify_cancel():
                        future.set_result(PieceOutcome(lost=f"no member of the fleet offers {wants} any more"))

    async def _look(self) -> None:
        from distributed.core import send_recv

        if self._scheduler is None or self._scheduler.closed():
            self._scheduler = await self._connect(self._access.address)
        known = await send_recv(self._scheduler, op="identity")
        seen = {str(address): _member(said) for address, said in known["workers"].items()}
        for address in [one for one in self._remotes if one not in seen]:
            self._remotes.pop(address).gone = True
        for address in [one for one in seen if one not in self._remotes]:
            remote = self._remotes[address] = _Remote(address, seen[address])
            remote.hands = [asyncio.create_task(self._serve(remote, name)) for name in remote.member.offers]

    async def _connect(self, address: str) -> Any:
        from distributed.comm import connect

        comm = await connect(address, timeout=_CONNECT_S, deserialize=True, **self._arguments)
        comm.allow_offload = False  # what is read is read in this thread, where pickles are refused
        return comm

    async def _serve(self, remote: _Remote, resource: str) -> None:
        """Give one member one piece after the other, until it fails or leaves."""
        line = self._lines.setdefault(resource, deque())
        comm = None
        try:
            while True:
                async with self._news:
                    await self._news.wait_for(lambda: line or remote.gone)
                if remote.gone:
                    return
                try:
                    comm = comm or await self._connect(remote.address)
                except OSError:  # nobody had the piece: it stays in line
                    remote.gone = True
                    return
                if line:
                    await self._do(remote, comm, line.popleft())
        finally:
            if comm is not None:
                comm.abort()

    async def _do(self, remote: _Remote, comm: Any, order: _Order) -> None:
        piece, future = order
        if not future.running() and not future.set_running_or_notify_cancel():
            return
        outcome: PieceOutcome | None = PieceOutcome(member=remote.member.name, lost="the fleet was closed")
        exchange = _Exchange(comm, piece, f"{id(self):x}-{next(self._tickets)}")
        try:
            outcome = await exchange.run()
        except Exception as error:  # noqa: BLE001 - whatever breaks off an exchange, the piece is lost with that member
            remote.gone = True
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            outcome = PieceOutcome(member=remote.member.name, lost=f"it did not answer ({said})")
            self._unbegun[id(future)] += not exchange.begun and isinstance(error, OSError)
            if not exchange.begun and 0 < self._unbegun[id(future)] < MOST_UNBEGUN:
                outcome = None
                self._lines[piece.wants].appendleft(order)
                self._tell()
        finally:
            if outcome is not None:
                self._unbegun.pop(id(future), None)
                future.set_result(outcome)


@dataclass
class _Exchange:
    """One piece and its answer over a connection; `begun` once the worker says that it does it."""

    comm: Any
    piece: Piece
    ticket: str
    begun: bool = False

    async def run(self) -> PieceOutcome:
        """Send the piece and read its answer; answers to anything else are passed over."""
        data = msgspec.msgpack.encode(self.piece)
        await self.comm.write({"op": "fleet-perform", "piece": data, "ticket": self.ticket, "reply": True})
        while True:
            answer = await self.comm.read()
            if not isinstance(answer, dict) or not isinstance(answer.get("outcome", b""), bytes):
                raise TypeError("garbage instead of an answer")
            if "ticket" not in answer:
                raise TypeError(f"refused: {answer.get('status', 'no ticket in its answer')}")
            if answer["ticket"] == self.ticket and "outcome" in answer:
                return msgspec.msgpack.decode(answer["outcome"], type=PieceOutcome)
            self.begun |= answer["ticket"] == self.ticket


def _member(said: dict[str, Any]) -> FleetMember:
    return FleetMember(name=str(said["name"]), host=str(said["host"]), resources=tuple(map(str, said["resources"])))
