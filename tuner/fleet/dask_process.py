"""A process of a fleet on Dask: the scheduler, or one worker. It ends with who started it, and with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from spak.kg.model.base import Model
from spak.tuner.fleet.access import FleetAccess
from spak.tuner.fleet.executor import FleetMember


class ServerSetup(Model, frozen=True, kw_only=True):
    """First line to a process.

    Attributes:
        address: Where the scheduler listens, or is to listen; port 0: any free one.
        keys: Folder of the fleet's keys; empty without TLS.
        member: The worker that it is to be; None: the scheduler.
        listen: Address of this machine at which a worker is reached; empty: the one that reaches the scheduler.
        cache: Folder that keeps what is compiled.
        works: See `Workbench`.
    """

    address: str
    keys: str = ""
    member: FleetMember | None = None
    listen: str = ""
    cache: str = ""
    works: dict[str, str] = {}  # noqa: RUF012 - msgspec copies mutable defaults


def main() -> None:
    """Be a server until SIGTERM; say its address in the first line of stdout, and in the last why it cannot be one.

    When stdin ends, who started this is gone: so is this, at once, with all that it started.
    """
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what else is printed, also by what it starts, is read by nobody
    # without a buffer, whose lock the thread below would hold at the end, which is fatal
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stdin:
        setup = msgspec.json.decode(stdin.readline(), type=ServerSetup)
        leave: list[Callable[[], None]] = []
        threading.Thread(target=_end_with, args=(stdin, leave), daemon=True).start()
        try:
            asyncio.run(_serve(setup, said, leave))
        except Exception as error:  # noqa: BLE001 - who started it is told
            print(_cause(error), file=said, flush=True)
            os._exit(1)
    os._exit(0)  # whatever a work still does: it was handed back


def _cause(error: BaseException) -> str:
    """The first reason of an error in a line; Dask's servers only say that they did not start."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


async def _serve(setup: ServerSetup, said: IO[str], leave: list[Callable[[], None]]) -> None:
    from distributed.security import Security

    access = FleetAccess(setup.address, Path(setup.keys) if setup.keys else None)
    security = Security(**access.connection(), require_encryption=access.keys is not None)
    server = await _server(setup, security)
    if setup.member is not None:
        leave.append(server.leave)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(server.close()))
    print(server.address, file=said, flush=True)
    await server.finished()


def _server(setup: ServerSetup, security: Any) -> Any:
    from spak.tuner.fleet.dask_server import FleetScheduler, FleetWorker

    protocol, _, place = setup.address.partition("://")
    if setup.member is None:
        host, _, port = place.rpartition(":")
        return FleetScheduler(host=host, port=int(port), protocol=f"{protocol}://", security=security)
    return FleetWorker(
        setup.address,
        name=setup.member.name,
        resources=dict.fromkeys(setup.member.resources, 1),
        host=setup.listen or None,
        security=security,
        memory_limit=0,  # what compiles and measures is another process
        cache=setup.cache,
        works=setup.works,
    )


def _end_with(stdin: IO[bytes], leave: list[Callable[[], None]]) -> None:
    stdin.read()
    for said in leave:
        said()
    os.killpg(0, signal.SIGKILL)  # this process leads a group of its own
