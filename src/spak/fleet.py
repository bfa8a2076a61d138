"""A fleet from Python: start one on this machine, join one, and search over one as over this machine alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from spak.kg.model.hardware import device_node
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.backend.base import Backend
from spak.tuner.backend.cores import usable_cores
from spak.tuner.backend.registry import BackendEntry, Task
from spak.tuner.engine.naming import names_several
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import FleetAccess, check_bind, find_fleet, is_there, keep_address, make_keys
from spak.tuner.fleet.addresses import bracketed, check_reached, listening
from spak.tuner.fleet.devices import visible_gpus
from spak.tuner.fleet.executor import CPU, Executor, FleetMember
from spak.tuner.fleet.host import FleetHost, HostSetup
from spak.tuner.fleet.local import local_members
from spak.tuner.fleet.open import DescribedMember, describe, open_on_fleet, seen
from spak.tuner.fleet.orders import MemberDescription

ASK_EVERY_S = 0.5
"""How often it is looked whether a fleet, or its workers, are there."""


@dataclass(frozen=True)
class FleetRequest:
    """What this machine is to give a fleet.

    Attributes:
        keys: Folder of the fleet's certificate, key and address; made if it starts a fleet and they are not there.
        compilers: Processes that compile; 0: it only measures; None: one for each core that this process may use.
        gpus: Whether its GPUs measure.
        cache: Folder that keeps what is compiled; safe to delete.
        listen: What the others reach of this machine, alone or with a port: an address (`10.0.0.1:8786`), an interface
            (`ib0`) or a name. A machine that joins over TLS takes the address that reaches the scheduler unless it has one.
        tls: Whether TLS is spoken; without it nobody but this machine is spoken to.
        say: Told in a sentence what a person should know.
    """

    keys: Path
    cache: Path
    compilers: int | None = None
    gpus: bool = True
    listen: str = "127.0.0.1"
    tls: bool = True
    say: Callable[[str], None] = field(default_factory=lambda: lambda _: None)


class FleetProcesses:
    """A fleet's processes on this machine; they end with it.

    Attributes:
        address: Of the scheduler.
        keys: Folder of the fleet's keys; None without TLS.
        members: The workers that were started.
    """

    def __init__(self, host: FleetHost, access: FleetAccess, members: Sequence[FleetMember]) -> None:
        """Look after what `host` started."""
        self._host, self.address, self.keys, self.members = host, access.address, access.keys, tuple(members)

    def wait(self) -> None:
        """Until the scheduler ends that was started here, for ever if none was."""
        self._host.wait()

    def close(self) -> None:
        """End them; safe to call twice."""
        self._host.close()


def start_fleet(request: FleetRequest) -> FleetProcesses:
    """A scheduler and the workers of this machine, or the scheduler alone, without compilers and GPUs.

    Raises:
        TunerError: If it has no certificate and cannot make one, has one that cannot be used, or cannot listen.
    """
    _check_installed()
    members = _members(request)
    host, port = listening(request.listen)
    check_bind(host, "tls://" if request.tls else "tcp://")
    if request.tls:
        make_keys(request.keys)
    protocol, keys = ("tls", request.keys) if request.tls else ("tcp", None)
    wanted = FleetAccess(f"{protocol}://{bracketed(host)}:{port}", keys)
    wanted.connection()
    processes = FleetHost(HostSetup(request.cache, bracketed(host), say=request.say))
    try:
        access = processes.start_scheduler(wanted)
        check_reached(access.address, request.listen)
        keep_address(request.keys, access.address, request.say)
        processes.start_workers(access, members)
    except BaseException:
        processes.close()
        raise
    return FleetProcesses(processes, access, members)


def join_fleet(named: str, request: FleetRequest) -> FleetProcesses:
    """The workers of this machine, for the fleet `named` by its address or folder.

    Raises:
        TunerError: If it can neither compile nor measure, or its keys are not there or not the fleet's.
    """
    _check_installed()
    members = _members(request)
    if not members:
        raise TunerError("this machine would neither compile nor measure: it has no GPU and --compilers is 0")
    access = find_fleet(named, request.keys)
    if not is_there(access):
        request.say(f"nobody answers at {access.address} yet; the workers join when somebody does")
    found = request.listen == FleetRequest.listen and access.keys is not None
    listen = "" if found else bracketed(listening(request.listen)[0])
    processes = FleetHost(HostSetup(request.cache, listen, say=request.say))
    processes.start_workers(access, members)
    return FleetProcesses(processes, access, members)


@dataclass(frozen=True)
class SeenWorker:
    """A worker of a fleet as `Fleet.seen` finds it.

    Attributes:
        name: Its own, unlike any other's of the fleet.
        host: Address of its machine.
        compiles: Whether it compiles.
        busy: Whether it has a piece to do and did not say more; then the rest is empty.
        gpu: Name of its GPU; empty if it has none.
        version: Of this package there.
    """

    name: str
    host: str
    compiles: bool
    busy: bool
    gpu: str = ""
    version: str = ""


def _seen(member: FleetMember, said: MemberDescription | None) -> SeenWorker:
    worker = SeenWorker(member.name, member.host, CPU in member.resources, busy=said is None)
    return worker if said is None else replace(worker, gpu=said.gpu, version=said.version)


class Fleet:
    """A fleet to search over. Use it in a `with` statement, or `close` it; it goes on without its user."""

    def __init__(self, executor: Executor, named: str = "") -> None:
        """Search over the members of `executor`; journals keep how the fleet is `named`."""
        self._executor, self._named = executor, named

    def members(self) -> tuple[DescribedMember, ...]:
        """Who is there, and what each says of itself."""
        return describe(self._executor)

    def seen(self, within_s: float = 2.0) -> tuple[SeenWorker, ...]:
        """Who is there; who does not answer in so many seconds is busy."""
        return tuple(_seen(member, said) for member, said in seen(self._executor, within_s))

    def gather(self, workers: int, within_s: float) -> bool:
        """Wait until so many workers are there; whether they came in time."""
        until = time.monotonic() + within_s
        while len(self._executor.members()) < workers:
            if time.monotonic() >= until:
                return False
            time.sleep(ASK_EVERY_S)
        return True

    def surroundings(self, around: Surroundings, hw: str = "") -> Surroundings:
        """`around` with the fleet's processors and GPUs in place of this machine's.

        Args:
            around: As `here` gives it.
            hw: Hardware that will be searched for; empty, or of several, that of the fleet's first GPU.
        """
        members = self.members()
        named = [one.said.gpu for one in members if one.said.gpu]
        fitting = [gpu for gpu in named if not hw or names_several(hw) or _is(around, hw, gpu)]
        compilers = sum(CPU in one.member.resources for one in members)

        def open_(entry: BackendEntry, task: Task) -> Backend:
            return open_on_fleet(self._executor, entry, task, fits=lambda gpu: _is(around, task.hw, gpu))

        device = next(iter(fitting), "")
        there = tuple(named)
        return replace(
            around,
            device=lambda: device,
            devices=lambda: there,
            is_fleet=True,
            workers=max(1, compilers),
            open=open_,
            fleet=self._named,
        )

    def close(self) -> None:
        """Leave it; safe to call twice."""
        self._executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_fleet(named: str, keys: Path, *, within_s: float = 0.0) -> Fleet:
    """The fleet that a person names.

    Args:
        named: Address of its scheduler, or the folder that `start_fleet` wrote.
        keys: Folder of its keys, where `named` is an address.
        within_s: Seconds to wait for a fleet that is only being started.

    Raises:
        TunerError: If it cannot be reached, or does not let us in.
    """
    _check_installed()
    from spak.tuner.fleet.dask_executor import DaskExecutor  # noqa: PLC0415 - Dask is optional, and slow to load

    until = time.monotonic() + within_s
    while True:
        try:
            return Fleet(DaskExecutor(find_fleet(named, keys)), named)
        except TunerError:
            if time.monotonic() >= until:
                raise
            time.sleep(ASK_EVERY_S)


def _is(around: Surroundings, hw: str, gpu: str) -> bool:
    return device_node(around.laws.hardware, gpu) == Taxonomy("hardware", around.laws.hardware).resolve(hw)


def _members(request: FleetRequest) -> list[FleetMember]:
    devices = [gpu.device for gpu in visible_gpus()] if request.gpus else []
    compilers = usable_cores() if request.compilers is None else request.compilers
    return local_members(compilers, devices)


def _check_installed() -> None:
    from importlib.util import find_spec  # noqa: PLC0415 - looked for only where a fleet is asked for

    if find_spec("distributed") is None:
        raise TunerError("a fleet needs Dask; install it with: pip install 'spak[fleet]'")
