"""The fleet of one machine: a process for each member, a thread that gives it one piece after the other, and no network."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

import msgspec

from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import CPU, Executor, FleetMember, Piece, PieceOutcome
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
        self._queues: dict[str, _Waiting] = {name: queue.SimpleQueue() for one in members for name in one.resources}
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
        if piece.wants not in self._queues:
            raise TunerError(f"no member of the fleet offers {piece.wants}; there is {', '.join(sorted(self._queues))}")
        future: Future[PieceOutcome] = Future()
        with self._closing:
            if self._closed:
                raise TunerError("the fleet is closed")
            self._queues[piece.wants].put((piece, future))
        return future

    def close(self) -> None:
        """End the processes; what waits is lost. Safe to call twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        for hand in self._hands:
            hand.stop()
        for waiting in self._queues.values():
            with contextlib.suppress(queue.Empty):
                while True:
                    taken = waiting.get_nowait()
                    if taken is not None and taken[1].set_running_or_notify_cancel():
                        taken[1].set_result(PieceOutcome(lost="the fleet was closed before anybody had it"))


def local_members(compilers: int, devices: Sequence[str] = ()) -> list[FleetMember]:
    """The members of this machine: so many that compile, and one for each device id."""
    host = socket.gethostname()
    cores = [FleetMember(name=f"{host}-cpu-{number}", host=host, resources=(CPU,)) for number in range(compilers)]
    return cores + [FleetMember(name=f"{host}-{device}", host=host, resources=(device,)) for device in devices]


class _Hand:
    """Gives pieces to one member: a thread for each of its resources, a process for each thread."""

    def __init__(
        self, member: FleetMember, cache: Path, works: Mapping[str, str], queues: Mapping[str, _Waiting]
    ) -> None:
        self._queues = {name: queues[name] for name in member.resources}
        self._name = member.name
        self._processes = {}
        self._threads = []
        for resource in member.resources:
            device = "" if resource == CPU else resource
            setup = ServingSetup(member=member.name, cache=str(cache), device=device, works=dict(works))
            self._processes[resource] = _Process(setup)
            self._threads.append(threading.Thread(target=self._serve, args=(resource,), daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for resource, process in self._processes.items():
            self._queues[resource].put(None)
            process.stop()
        for thread in self._threads:
            thread.join()

    def _serve(self, resource: str) -> None:
        waiting, process = self._queues[resource], self._processes[resource]
        while (taken := waiting.get()) is not None and not process.stopped:
            piece, future = taken
            if future.set_running_or_notify_cancel():
                future.set_result(process.perform(piece))
        if taken is not None:
            waiting.put(taken)  # `close` says of it that it is lost


class _Process:
    """A serving process, started when needed, and again after it has ended."""

    def __init__(self, setup: ServingSetup) -> None:
        self._setup = setup
        self._changing = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def perform(self, piece: Piece) -> PieceOutcome:
        """Do a piece; what is no outcome is a process that is lost."""
        process = self._running()
        if process is None:
            return PieceOutcome(member=self._setup.member, lost="the fleet was closed")
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
