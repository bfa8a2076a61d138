"""The fleet of one machine: a process for each member, a thread that gives it one piece after the other, and no network."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import IO

import msgspec

from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, Executor, FleetMember, Piece, PieceOutcome, check_offered
from spak.tuner.fleet.serving import ServingSetup, read_frame, write_frame
from spak.tuner.fleet.workbench import WORKS

_START = "import sys; sys.path[:] = {path!r}; from spak.tuner.fleet.serving import main; main()"

_Waiting = queue.SimpleQueue["tuple[Piece, Future[PieceOutcome]] | None"]


class LocalExecutor(Executor):
    """Pieces go to processes of this machine; one that ends costs the piece it had and is replaced for the next."""

    def __init__(self, members: Sequence[FleetMember], cache: Path, works: Mapping[str, str] = WORKS) -> None:
        """Start no process before a piece needs it.

        Args:
            members: Who is to be there; what is not `CPU` among the resources of one is its device.
            cache: Folder that keeps what is compiled.
            works: See `Workbench`.
        """
        self._members = sorted(members, key=lambda member: member.name)
        self._queues: dict[str, _Waiting] = {name: queue.SimpleQueue() for one in members for name in one.offers}
        self._closing = threading.Lock()
        self._closed = False
        self._hands = [_Hand(member, cache, works, self._queues) for member in self._members]

    def members(self) -> Sequence[FleetMember]:
        """All of them: what ends is replaced."""
        return tuple(self._members)

    def submit(self, piece: Piece) -> Future[PieceOutcome]:
        """Have a piece done; does not wait.

        Raises:
            TunerError: If the executor is closed, or no member offers what the piece wants.
        """
        check_offered(piece, self._members)
        future: Future[PieceOutcome] = Future()
        with self._closing:
            if self._closed:
                raise TunerError("the fleet is closed")
            self._queues[piece.wants].put((piece, future))
        return future

    def recall(self, since: datetime) -> None:
        """Nothing: its processes ended with who searched, and nobody saw with what."""

    def close(self) -> None:
        """End the processes; what waits is lost. Safe to call twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for hand in self._hands:
            hand.stop()
        for hand in self._hands:
            hand.join()
        for waiting in self._queues.values():
            with contextlib.suppress(queue.Empty):
                while True:
                    taken = waiting.get_nowait()
                    if taken is not None and taken[1].set_running_or_notify_cancel():
                        taken[1].set_result(PieceOutcome(lost="the fleet was closed before anybody had it"))


def local_members(compilers: int, devices: Sequence[str] = ()) -> list[FleetMember]:
    """The members of this machine: so many that compile, and one for each device id."""
    host = socket.gethostname()
    own = f"{host}-{secrets.token_hex(3)}"  # containers share numbers of processes, and cloned machines names
    cores = [FleetMember(name=f"{own}-cpu-{number}", host=host, resources=(CPU,)) for number in range(compilers)]
    return cores + [FleetMember(name=f"{own}-gpu-{device}", host=host, resources=(device,)) for device in devices]


class _Hand:
    """Gives pieces to one member: a process, and a thread for each thing that a piece may want of it."""

    def __init__(
        self, member: FleetMember, cache: Path, works: Mapping[str, str], queues: Mapping[str, _Waiting]
    ) -> None:
        device = next((name for name in member.resources if name != CPU), "")
        setup = ServingSetup(
            member=member.name, cache=str(cache), device=device, compiles=CPU in member.resources, works=dict(works)
        )
        self._process = _Process(setup)
        self._queues = [queues[name] for name in member.offers]
        self._threads = [threading.Thread(target=self._serve, args=(line,), daemon=True) for line in self._queues]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End its process, and one thread at each queue, which may be another hand's: all are stopped before one is joined."""
        self._process.stop()
        for waiting in self._queues:
            waiting.put(None)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _serve(self, waiting: _Waiting) -> None:
        while (taken := waiting.get()) is not None and not self._process.stopped:
            piece, future = taken
            if future.set_running_or_notify_cancel():
                future.set_result(self._process.perform(piece))
        if taken is not None:
            waiting.put(taken)  # `close` says of it that it is lost


class _Process:
    """A serving process, started when needed, and again after it has ended."""

    def __init__(self, setup: ServingSetup) -> None:
        self._setup = setup
        self._changing, self._busy = threading.Lock(), threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def perform(self, piece: Piece) -> PieceOutcome:
        """Do a piece after those that came before; what is no outcome is a process that is lost."""
        with self._busy:
            return self._perform(piece)

    def _perform(self, piece: Piece) -> PieceOutcome:
        process = self._running()
        if process is None:
            return PieceOutcome(lost="the fleet was closed before anybody had it")
        with contextlib.suppress(OSError, msgspec.DecodeError):
            write_frame(_pipe(process.stdin), msgspec.msgpack.encode(piece))
            data = read_frame(_pipe(process.stdout))
            if data is not None:
                return msgspec.msgpack.decode(data, type=PieceOutcome)
        return PieceOutcome(member=self._setup.member, lost=self._end(process))

    def stop(self) -> None:
        """End the process, whatever it does, and start none again."""
        with self._changing:
            self.stopped = True
            process = self._process
        if process is not None:
            self._end(process)

    def _running(self) -> subprocess.Popen[bytes] | None:
        with self._changing:
            if self.stopped:
                return None
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-c", _START.format(path=sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is the search's to handle, and the group dies as one
                )
                with contextlib.suppress(OSError):  # it is dead; reading its answer says so
                    write_frame(_pipe(self._process.stdin), msgspec.msgpack.encode(self._setup))
            return self._process

    def _end(self, process: subprocess.Popen[bytes]) -> str:
        """End a process with everything it started; how it ended."""
        with self._changing:
            own = process.poll()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait() if own is None else own
            self._process = None
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()
        ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return "the fleet was closed" if self.stopped else f"its process died ({ended})"


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - every process is started with pipes
    return stream
