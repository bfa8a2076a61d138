"""The fleet on Dask: Dask's scheduler says who is there; pieces go to the workers directly, one at a time to each.

Dask's own queues would put many pieces on one worker, whose end would then charge all of them. Here a worker has the
piece that it does and no other, so that what is lost with it is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess, is_there
from spak.tuner.fleet.begun import piece_name
from spak.tuner.fleet.executor import Executor, FleetMember, Piece, PieceOutcome, check_offered

MEMBERS_EVERY_S = 0.5
"""How often the scheduler is asked who is there."""

ABSENCE_S = 60.0
"""How long a piece waits for a resource that no member offers any more: a worker that is replaced comes back by then."""

GO_ON = "once that is mended go on with --resume"
"""What a person can do whose search ended so: its journal has every trial."""

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
        if not is_there(access):
            raise TunerError(f"fleet {access.address}: nobody answers there; is `spak fleet up` running?")
        self._access, self._patience_s = access, patience_s
        self._remotes: dict[str, _Remote] = {}
        self._known: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._since: float | None = None
        self._not_survived: dict[str, str] = {}
        self._given: set[str] = set()
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
        """Have a piece done; does not wait. What a member has offered may be wanted while that member is away.

        Raises:
            TunerError: If the executor is closed, or no member has ever offered what the piece wants.
        """
        if piece.wants not in self._known:
            check_offered(piece, self.members())
        future: Future[PieceOutcome] = Future()
        with self._lock:
            if self._closed:
                raise TunerError("the fleet is closed")
            self._loop.call_soon_threadsafe(self._wait_in_line, (piece, future))
        return future

    def recall(self, since: datetime) -> None:
        """Go on for a search that began then and was killed: what a member has ended with since is given to nobody."""
        self._since = since.timestamp()
        self._ask(self._recall(self._present()))

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
                _give_back(future, "the fleet was closed before anybody had it")
        if getattr(self, "_scheduler", None) is not None:
            self._scheduler.abort()

    def _wait_in_line(self, order: _Order) -> None:
        self._lines.setdefault(order[0].wants, deque()).append(order)
        self._tell()

    def _hand_on(self, order: _Order) -> None:
        """Let the next member have what one did not do."""
        self._lines[order[0].wants].appendleft(order)
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
        silent = f"the scheduler at {self._access.address} does not answer, and " if self._scheduler is None else ""
        for wants, line in self._lines.items():
            if wants in offered or not line:
                since.pop(wants, None)
            elif self._loop.time() - since.setdefault(wants, self._loop.time()) >= self._patience_s:
                while line:
                    _give_back(line.popleft()[1], f"{silent}no member of the fleet offers {wants} any more; {GO_ON}")

    async def _look(self) -> None:
        from distributed.core import send_recv

        if self._scheduler is None or self._scheduler.closed():
            self._scheduler = await self._connect(self._access.address)
        known = await send_recv(self._scheduler, op="identity")
        seen = dict(reached_alike(known["workers"], self._access.address))
        for address in [one for one in self._remotes if one not in seen]:
            self._remotes.pop(address).gone = True
        come = [_Remote(address, said) for address, said in seen.items() if address not in self._remotes]
        await self._recall(come)
        for remote in come:
            self._remotes[remote.address] = remote
            self._known.update(remote.member.offers)
            remote.hands = [asyncio.create_task(self._serve(remote, name)) for name in remote.member.offers]

    async def _recall(self, remotes: Sequence[_Remote]) -> None:
        """Hear from members what others of their hosts have ended with, before they get a piece."""
        if self._since is not None:
            heard = await asyncio.gather(*(self._hear_of(remote, self._since) for remote in remotes))
            self._not_survived |= {name: member for said in heard for name, member in said.items()}

    async def _hear_of(self, remote: _Remote, since: float) -> dict[str, str]:
        """What one of them says; nothing from one that does not answer, which then gets no piece either."""
        from distributed.core import send_recv

        try:
            comm = await self._connect(remote.address)
            try:
                said = await asyncio.wait_for(send_recv(comm, op="fleet-not-survived", since=since), _CONNECT_S)
            finally:
                comm.abort()
            return {str(name): str(member) for name, member in said.items()}
        except (OSError, ValueError, AttributeError):
            return {}

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
                if resource not in remote.member.offers:
                    return
        finally:
            if comm is not None:
                comm.abort()

    def _give_to_another(self, remote: _Remote, resource: str) -> bool:
        """Whether somebody else offers what `remote` refuses; then it gets no more of it from this search."""
        others = [one for one in self._present() if one is not remote and resource in one.member.offers]
        if others:
            left = tuple(name for name in remote.member.resources if name != resource)
            remote.member = msgspec.structs.replace(remote.member, resources=left)
        return bool(others)

    async def _do(self, remote: _Remote, comm: Any, order: _Order) -> None:
        piece, future = order
        if not future.running() and not future.set_running_or_notify_cancel():
            return
        name = piece_name(piece)
        if name in self._not_survived and name not in self._given:
            lost = "it ended with this before the search was resumed"
            future.set_result(PieceOutcome(member=self._not_survived.pop(name), lost=lost))
            return
        self._given.add(name)
        outcome: PieceOutcome | None = PieceOutcome(member=remote.member.name, lost="the fleet was closed")
        exchange = _Exchange(comm, piece, f"{id(self):x}-{next(self._tickets)}")
        try:
            outcome = await exchange.run()
            if outcome.refused and self._give_to_another(remote, piece.wants):
                outcome = None
                self._hand_on(order)
        except _LeftError:
            remote.gone, outcome = True, None
            self._hand_on(order)
        except Exception as error:  # noqa: BLE001 - whatever breaks off an exchange, the piece is lost with that member
            remote.gone = True
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            outcome = PieceOutcome(member=remote.member.name, lost=f"it did not answer ({said})")
            self._unbegun[id(future)] += not exchange.begun and isinstance(error, OSError)
            if not exchange.begun and 0 < self._unbegun[id(future)] < MOST_UNBEGUN:
                outcome = None
                self._hand_on(order)
        finally:
            if outcome is not None:
                self._unbegun.pop(id(future), None)
                future.set_result(outcome)


class _LeftError(Exception):
    """A worker was told to leave and hands the piece back: neither is to blame."""


@dataclass
class _Exchange:
    """One piece and its answer over a connection; `begun` once the worker says that it does it."""

    comm: Any
    piece: Piece
    ticket: str
    begun: bool = False

    async def run(self) -> PieceOutcome:
        """Send the piece and read its answer; answers to anything else are passed over.

        Raises:
            _LeftError: If the worker hands it back.
        """
        data = msgspec.msgpack.encode(self.piece)
        await self.comm.write({"op": "fleet-perform", "piece": data, "ticket": self.ticket, "reply": True})
        while True:
            answer = await self.comm.read()
            if not isinstance(answer, dict) or not isinstance(answer.get("outcome", b""), bytes):
                raise TypeError("garbage instead of an answer")
            if "ticket" not in answer:
                raise TypeError(f"refused: {answer.get('status', 'no ticket in its answer')}")
            if answer["ticket"] == self.ticket and answer.get("left"):
                raise _LeftError
            if answer["ticket"] == self.ticket and "outcome" in answer:
                return msgspec.msgpack.decode(answer["outcome"], type=PieceOutcome)
            self.begun |= answer["ticket"] == self.ticket


def reached_alike(workers: Mapping[str, Any], fleet: str) -> Iterator[tuple[str, FleetMember]]:
    """Those of a scheduler's workers that are reached as it is, so that nobody is spoken to without TLS because they say so.

    Args:
        workers: Address -> what its worker says of itself.
        fleet: Address of the scheduler.
    """
    for address, said in workers.items():
        with contextlib.suppress(KeyError, TypeError):
            if address.partition("://")[0] == fleet.partition("://")[0]:
                yield address, _member(said)


def _give_back(future: Future[PieceOutcome], why: str) -> None:
    """End a piece that waits; one that a member handed back counts as running."""
    if future.running() or future.set_running_or_notify_cancel():
        future.set_result(PieceOutcome(lost=why))


def _member(said: dict[str, Any]) -> FleetMember:
    return FleetMember(name=str(said["name"]), host=str(said["host"]), resources=tuple(map(str, said["resources"])))
