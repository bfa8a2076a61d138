"""The processes of a fleet on one machine: starts them, replaces workers that end, and ends them all with itself."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec

from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.begun import forget
from spak.tuner.fleet.dask_process import ServerSetup
from spak.tuner.fleet.executor import FleetMember
from spak.tuner.fleet.workbench import WORKS

_START = "import sys; sys.path[:] = {path!r}; from spak.tuner.fleet.dask_process import main; main()"

START_S = 60.0
"""How long a scheduler may take until it listens: importing Dask from a cold disk takes several seconds."""

REPLACE_EVERY_S = 0.5
"""How often it is looked for workers that ended."""

LEAVE_S = 4.0
"""How long workers have to hand back what they do, before they are killed: less than batch systems wait."""


@dataclass(frozen=True)
class HostSetup:
    """What all workers of a machine share.

    Attributes:
        cache: Folder that keeps what is compiled.
        listen: Address of this machine at which its workers are reached; empty: the one that reaches the scheduler.
        works: See `Workbench`.
        say: Told in a sentence when a worker has ended.
    """

    cache: Path
    listen: str = ""
    works: Mapping[str, str] = field(default_factory=lambda: WORKS)
    say: Callable[[str], None] = lambda _: None


class FleetHost:
    """The processes of one machine: workers, and the scheduler where there is none yet."""

    def __init__(self, setup: HostSetup) -> None:
        """Start nothing yet."""
        self._setup = setup
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: dict[FleetMember, subprocess.Popen[bytes]] = {}
        self._access: FleetAccess | None = None
        self._closing = threading.Event()
        self._changing = threading.Lock()
        self._keeper: threading.Thread | None = None

    @property
    def processes(self) -> dict[str, int]:
        """Name of each worker -> its process id."""
        with self._changing:
            return {member.name: process.pid for member, process in self._workers.items()}

    def start_scheduler(self, access: FleetAccess) -> FleetAccess:
        """Start a scheduler at `access`; the same with the port that it got.

        Raises:
            TunerError: If it does not listen there.
        """
        setup = ServerSetup(address=access.address, keys=str(access.keys or ""))
        self._scheduler = _start(setup)
        address = _first_line(self._scheduler, START_S)
        if "://" not in address:
            said = address or f"nothing was heard of it for {START_S:g} s"
            raise TunerError(f"the scheduler of the fleet does not listen at {access.address}: {said}")
        return FleetAccess(address, access.keys)

    def start_workers(self, access: FleetAccess, members: Sequence[FleetMember]) -> None:
        """Start workers for the scheduler at `access`, and again whenever one ends."""
        self._access = access
        with self._changing:
            self._workers = {member: self._worker(member) for member in members}
        self._keeper = threading.Thread(target=self._keep, name="fleet-host", daemon=True)
        self._keeper.start()

    def wait(self) -> None:
        """Until the scheduler that was started here ends; for ever if none was."""
        if self._scheduler is None:
            self._closing.wait()
        else:
            self._scheduler.wait()

    def close(self) -> None:
        """End all processes of this machine's fleet; safe to call twice."""
        self._closing.set()
        if self._keeper is not None:
            self._keeper.join()
        with self._changing:
            names = {member.name for member in self._workers}
            workers, self._workers = list(self._workers.values()), {}
            ended = [*workers, *([] if self._scheduler is None else [self._scheduler])]
            self._scheduler = None
        _ask_to_leave(workers)
        for process in ended:
            _end(process)
        forget(self._setup.cache, names)

    def _worker(self, member: FleetMember) -> subprocess.Popen[bytes]:
        assert self._access is not None  # noqa: S101 - `start_workers` sets it
        setup = ServerSetup(
            address=self._access.address,
            keys=str(self._access.keys or ""),
            member=member,
            listen=self._setup.listen,
            cache=str(self._setup.cache),
            works=dict(self._setup.works),
        )
        return _start(setup)

    def _keep(self) -> None:
        """Replace what ended, at most so often."""
        while not self._closing.wait(REPLACE_EVERY_S):
            with self._changing:
                for member, process in list(self._workers.items()):
                    code = process.poll()
                    if code is not None:
                        how = (
                            f"killed by {signal.Signals(-code).name}"
                            if code < 0
                            else _last_line(process) or f"exit code {code}"
                        )
                        _end(process)
                        self._setup.say(f"{member.name} ended ({how}); it is started again")
                        self._workers[member] = self._worker(member)


def _start(setup: ServerSetup) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", _START.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for who started it, and the group dies as one
    )
    stdin = _open(process.stdin)
    with contextlib.suppress(OSError):  # it is dead, which is noticed
        stdin.write(msgspec.json.encode(setup) + b"\n")
        stdin.flush()
    return process


def _first_line(process: subprocess.Popen[bytes], timeout_s: float) -> str:
    """What a process says first; empty if it ends or says nothing for so long."""
    with selectors.DefaultSelector() as selector:
        selector.register(_open(process.stdout), selectors.EVENT_READ)
        return _open(process.stdout).readline().decode().strip() if selector.select(timeout_s) else ""


def _last_line(process: subprocess.Popen[bytes]) -> str:
    """What a process that has ended said last; empty if that is its address."""
    _kill(process)  # nothing that it started may hold the pipe open
    lines = _open(process.stdout).read().decode(errors="replace").splitlines()
    return lines[-1] if lines and "://" not in lines[-1] else ""


def _ask_to_leave(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Let workers hand back what they have, for a short while."""
    for process in workers:
        process.terminate()
    until = time.monotonic() + LEAVE_S
    for process in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with everything it started."""
    _kill(process)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 - it is a pipe
    return stream
