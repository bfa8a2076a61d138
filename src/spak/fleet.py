"""A fleet from Python: start one on this machine, join one, and search over one as over this machine alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from spak.kg.model.hardware import device_node
from spak.kg.model.taxonomy import Taxonomy
from spak.tuner.backend.base import Backend
from spak.tuner.backend.registry import BackendEntry, Task
from spak.tuner.engine.naming import names_several
from spak.tuner.engine.surroundings import Surroundings
from spak.tuner.errors import TunerError
from spak.tuner.fleet.access import ADDRESS, FleetAccess, check_bind, find_fleet, make_keys
from spak.tuner.fleet.devices import visible_gpus
from spak.tuner.fleet.executor import CPU, Executor, FleetMember
from spak.tuner.fleet.host import FleetHost, HostSetup
from spak.tuner.fleet.local import local_members
from spak.tuner.fleet.open import DescribedMember, describe, open_on_fleet


@dataclass(frozen=True)
class FleetRequest:
    """What this machine is to give a fleet.

    Attributes:
        keys: Folder of the fleet's certificate, key and address; made if it starts a fleet and they are not there.
        compilers: Processes that compile; 0: it only measures.
        gpus: Whether its GPUs measure.
        cache: Folder that keeps what is compiled; safe to delete.
        listen: Address of this machine that the others reach, alone or with a port: `10.0.0.1:8786`.
        tls: Whether TLS is spoken; without it nobody but this machine is spoken to.
        say: Told in a sentence what a person should know.
    """

    keys: Path
    compilers: int
    cache: Path
    gpus: bool = True
    listen: str = "127.0.0.1"
    tls: bool = True
    say: Callable[[str], None] = field(default_factory=lambda: lambda _: None)


class FleetProcesses:
    """A fleet's processes on this machine; they end with it.

    Attributes:
        address: Of the scheduler.
        members: The workers that were started.
    """

    def __init__(self, host: FleetHost, access: FleetAccess, members: Sequence[FleetMember]) -> None:
        """Look after what `host` started."""
        self._host, self.address, self.members = host, access.address, tuple(members)

    def wait(self) -> None:
        """Until the scheduler ends that was started here, for ever if none was."""
        self._host.wait()

    def close(self) -> None:
        """End them; safe to call twice."""
        self._host.close()


def start_fleet(request: FleetRequest) -> FleetProcesses:
    """A scheduler and the workers of this machine.

    Raises:
        TunerError: If it can neither compile nor measure, has no certificate and cannot make one, or cannot listen.
    """
    _check_installed()
    members = _members(request)
    host, _, port = request.listen.rpartition(":") if _has_port(request.listen) else (request.listen, "", "0")
    check_bind(host, "tls://" if request.tls else "tcp://")
    if request.tls:
        make_keys(request.keys)
    wanted = FleetAccess(f"{'tls' if request.tls else 'tcp'}://{host}:{port}", request.keys if request.tls else None)
    processes = FleetHost(HostSetup(request.cache, host, say=request.say))
    try:
        access = processes.start_scheduler(wanted)
        request.keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        (request.keys / ADDRESS).write_text(access.address + "\n", encoding="utf-8")
        processes.start_workers(access, members)
    except BaseException:
        processes.close()
        raise
    return FleetProcesses(processes, access, members)


def join_fleet(named: str, request: FleetRequest) -> FleetProcesses:
    """The workers of this machine, for the fleet `named` by its address or folder.

    Raises:
        TunerError: If it can neither compile nor measure, or the fleet's keys are not there.
    """
    _check_installed()
    members = _members(request)
    access = find_fleet(named, request.keys)
    access.connection()
    listen = "" if request.listen == FleetRequest.listen and access.keys is not None else request.listen
    processes = FleetHost(HostSetup(request.cache, listen, say=request.say))
    processes.start_workers(access, members)
    return FleetProcesses(processes, access, members)


class Fleet:
    """A fleet to search over. Use it in a `with` statement, or `close` it; it goes on without its user."""

    def __init__(self, executor: Executor) -> None:
        """Search over the members of `executor`."""
        self._executor = executor

    def members(self) -> tuple[DescribedMember, ...]:
        """Who is there, and what each says of itself."""
        return describe(self._executor)

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
        return replace(around, device=lambda: device, devices=lambda: there, workers=max(1, compilers), open=open_)

    def close(self) -> None:
        """Leave it; safe to call twice."""
        self._executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_fleet(named: str, keys: Path) -> Fleet:
    """The fleet that a person names.

    Args:
        named: Address of its scheduler, or the folder that `start_fleet` wrote.
        keys: Folder of its keys, where `named` is an address.

    Raises:
        TunerError: If it cannot be reached, or does not let us in.
    """
    _check_installed()
    from spak.tuner.fleet.dask_executor import DaskExecutor  # noqa: PLC0415 - Dask is optional, and slow to load

    return Fleet(DaskExecutor(find_fleet(named, keys)))


def _is(around: Surroundings, hw: str, gpu: str) -> bool:
    return device_node(around.laws.hardware, gpu) == Taxonomy("hardware", around.laws.hardware).resolve(hw)


def _members(request: FleetRequest) -> list[FleetMember]:
    devices = [gpu.device for gpu in visible_gpus()] if request.gpus else []
    if not devices and not request.compilers:
        raise TunerError("this machine would neither compile nor measure: it has no GPU and --compilers is 0")
    return local_members(request.compilers, devices)


def _has_port(listen: str) -> bool:
    return listen.rpartition(":")[2].isdigit() and (listen.count(":") == 1 or "]:" in listen)


def _check_installed() -> None:
    from importlib.util import find_spec  # noqa: PLC0415 - looked for only where a fleet is asked for

    if find_spec("distributed") is None:
        raise TunerError("a fleet needs Dask; install it with: pip install 'spak[fleet]'")
