"""A process of a fleet on Dask: the scheduler, or one worker. It ends with who started it, and with everything it started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

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
    """Be a server until stdin ends; say its address in the first line of stdout."""
    setup = msgspec.json.decode(sys.stdin.buffer.readline(), type=ServerSetup)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    asyncio.run(_serve(setup))


async def _serve(setup: ServerSetup) -> None:
    from distributed.security import Security

    access = FleetAccess(setup.address, Path(setup.keys) if setup.keys else None)
    security = Security(**access.connection(), require_encryption=access.keys is not None)
    server = await _server(setup, security)
    print(server.address, flush=True)  # noqa: T201 - what the process that started this one waits for
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


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)  # this process leads a group of its own
