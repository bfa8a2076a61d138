"""Worker processes that compile in parallel; one that crashes, hangs or is killed costs the configuration it had."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

import msgspec

from spak.tuner.backend.compile.protocol import Compiled, Order, Setup, failed
from spak.tuner.errors import TunerError

GRACE_S = 30.0
"""Seconds beyond the tools' own limit: importing cuTile, its front end, and a tool's end."""

_START = "import sys; sys.path[:] = {path!r}; from spak.tuner.backend.compile.worker import main; main()"


@dataclass
class _Worker:
    """One process with at most one order under way."""

    process: subprocess.Popen[bytes]
    ticket: int | None = None
    deadline: float = 0.0

    @property
    def answers(self) -> IO[bytes]:
        assert self.process.stdout is not None  # noqa: S101 - it is a pipe
        return self.process.stdout

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Kill it with everything it started; its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent has no reader any more
                    pipe.close()
        return code


class CompilesOrders(Protocol):
    """Compiles in parallel: in processes of this machine (`Pool`), or on those of a fleet."""

    def compile(self, orders: Iterable[Order]) -> Iterator[tuple[int, Compiled]]:
        """(place in `orders`, result) as they finish; every order gets exactly one result."""
        ...

    def close(self) -> None:
        """End what was started; safe to call twice."""
        ...


class Pool:
    """Compiles orders on a fixed number of processes, which start when first needed and live until `close`."""

    def __init__(self, setup: Setup, *, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start nothing yet."""
        self._setup = setup
        self._size = max(1, workers)
        self._clock = clock
        self._limit_s = setup.time_limit_s + GRACE_S
        self._workers: list[_Worker] = []

    def compile(self, orders: Iterable[Order]) -> Iterator[tuple[int, Compiled]]:
        """(place in `orders`, result) as they finish; every order gets exactly one result.

        Raises:
            TunerError: If nothing can be compiled on this machine now, as where its disk is full.
        """
        waiting = deque(enumerate(orders))
        try:
            while waiting or any(worker.ticket is not None for worker in self._workers):
                self._hand_out(waiting)
                yield from self._collect()
        finally:
            self._abandon()

    def close(self) -> None:
        """End the processes; safe to call twice."""
        while self._workers:
            self._workers.pop().end()

    def _hand_out(self, waiting: deque[tuple[int, Order]]) -> None:
        for worker in [w for w in self._workers if w.ticket is None]:
            if waiting:
                self._give(worker, waiting)
        while waiting and len(self._workers) < self._size:
            worker = self._start()
            self._workers.append(worker)
            self._give(worker, waiting)

    def _start(self) -> _Worker:
        process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the search's to handle, and the group dies as one
        )
        worker = _Worker(process)
        self._try_send(worker, msgspec.json.encode(self._setup))
        return worker

    def _give(self, worker: _Worker, waiting: deque[tuple[int, Order]]) -> None:
        ticket, order = waiting.popleft()
        worker.ticket, worker.deadline = ticket, self._clock() + self._limit_s
        self._try_send(worker, msgspec.json.encode(order))

    @staticmethod
    def _try_send(worker: _Worker, line: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it is dead; reading its answer says so
            worker.send(line)

    def _collect(self) -> Iterator[tuple[int, Compiled]]:
        """Wait for the next answer, death or deadline."""
        busy = [worker for worker in self._workers if worker.ticket is not None]
        with selectors.DefaultSelector() as selector:
            for worker in busy:
                selector.register(worker.answers, selectors.EVENT_READ, worker)
            wait = max(0.0, min(worker.deadline for worker in busy) - self._clock())
            ready = [key.data for key, _ in selector.select(wait)]
        for worker in ready:
            yield self._answer(worker)
        for worker in busy:
            if worker not in ready and self._clock() >= worker.deadline:
                yield self._lost(worker, "timeout")

    def _answer(self, worker: _Worker) -> tuple[int, Compiled]:
        line = worker.answers.readline()
        try:
            result = msgspec.json.decode(line, type=Compiled)
        except msgspec.DecodeError:
            return self._lost(worker, "died")
        ticket, worker.ticket = worker.ticket, None
        if result.broken:
            raise TunerError(f"nothing can be compiled here: {result.broken}; see to it and go on with --resume")
        assert ticket is not None  # noqa: S101 - only busy workers are read
        return ticket, result

    def _lost(self, worker: _Worker, how: str) -> tuple[int, Compiled]:
        self._workers.remove(worker)
        code = worker.process.poll()
        ended = worker.end()
        assert worker.ticket is not None  # noqa: S101
        if how == "timeout":
            message = f"the compiling process did not answer within {self._limit_s:g} s and was ended"
            return worker.ticket, failed("timeout", "TimeLimit", message, lasting=False)
        code = ended if code is None else code
        said = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return worker.ticket, failed("compile", "WorkerDied", f"the compiling process died ({said})", lasting=False)

    def _abandon(self) -> None:
        """End processes whose answer nobody waits for any more (the caller stopped early)."""
        for worker in [w for w in self._workers if w.ticket is not None]:
            self._workers.remove(worker)
            worker.end()
