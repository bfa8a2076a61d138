"""Opens the backends of a search over a fleet, once every member has said that it is of the same make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from spak.kernels.registry import resolve_spec
from spak.tuner.backend.base import Backend
from spak.tuner.backend.compile.backend import open_task
from spak.tuner.backend.compile.languages import language_of
from spak.tuner.backend.compile.toolchain import Toolchain
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.registry import BackendEntry, Task
from spak.tuner.backend.source import source_of, spec_path
from spak.tuner.errors import TunerError
from spak.tuner.fleet.backend import FleetBackend, FleetCompiler, FleetLane, FleetPool
from spak.tuner.fleet.executor import CPU, Executor, FleetMember, Piece, PieceOutcome, answered
from spak.tuner.fleet.measuring import CubinLedger, FleetDevice
from spak.tuner.fleet.newcomers import Newcomers
from spak.tuner.fleet.orders import (
    DescribeOrder,
    KernelIdentity,
    MeasureOrder,
    MemberDescription,
    decoded,
    encoded,
    own_version,
    said_versions,
)


@dataclass(frozen=True)
class DescribedMember:
    """A member, and what it says of itself."""

    member: FleetMember
    said: MemberDescription

    @property
    def device(self) -> str:
        """Id of its GPU; empty if it has none."""
        return next((name for name in self.member.resources if name != CPU), "")


def describe(executor: Executor, op: str = "") -> tuple[DescribedMember, ...]:
    """What every member says of itself, and of its copy of the kernel for `op` unless that is empty.

    Raises:
        TunerError: If one refuses; names it.
    """
    asked: list[tuple[FleetMember, Future[PieceOutcome]]] = []
    for member in executor.members():
        piece = Piece(work="describe", data=encoded(DescribeOrder(op=op)), wants=member.name)
        asked.append((member, executor.submit(piece)))
    answers = [(member, answered(future.result())) for member, future in asked]
    return tuple(
        DescribedMember(member, decoded(data, MemberDescription)) for member, data in answers if data is not None
    )


def seen(executor: Executor, within_s: float) -> tuple[tuple[FleetMember, MemberDescription | None], ...]:
    """Who is there, and what each says of itself; None of one that says nothing in time, because it has a piece to do."""
    members = executor.members()
    asked = [executor.submit(Piece(work="describe", data=encoded(DescribeOrder()), wants=one.name)) for one in members]
    wait(asked, timeout=within_s)
    return tuple((one, _said_by(future)) for one, future in zip(members, asked, strict=True))


def _said_by(future: Future[PieceOutcome]) -> MemberDescription | None:
    outcome = future.result() if future.done() else PieceOutcome(lost="busy")
    return None if outcome.lost or outcome.error else decoded(outcome.data, MemberDescription)


def open_on_fleet(
    executor: Executor,
    entry: BackendEntry,
    task: Task,
    *,
    fits: Callable[[str], bool],
    method: TimingMethod | None = None,
) -> Backend:
    """The backend of `entry` over a fleet.

    Args:
        executor: The fleet.
        entry: That which measures, or that which compiles.
        task: What for.
        fits: Whether a GPU of that name may measure for it.
        method: How to measure; None: as on one machine.

    Raises:
        TunerError: If a member is of another make, or none can do what is needed.
    """
    if task.own:
        raise TunerError(f"{task.op.id}: a fleet takes no kernel from a file; search it where the file is")
    members = describe(executor, task.op.id)
    for one in members:
        _check_make(one, task.op.id)
    if task.resumed is not None:
        executor.recall(task.resumed)
    compilers = [one for one in members if CPU in one.member.resources]
    if not compilers:
        raise TunerError("no member of the fleet compiles; start one on a machine with the compiler")
    if entry.tier != "measured":
        return _compiling(executor, task, compilers)
    devices = [one.device for one in members if one.device and fits(one.said.gpu)]
    if not devices:
        raise TunerError(f"no GPU of the fleet is a {task.hw}; --backend compile needs none")
    return _measuring(executor, task, compilers, (devices, fits), method or TimingMethod(seed=task.seed))


def _compiling(executor: Executor, task: Task, compilers: Sequence[DescribedMember]) -> Backend:
    versions = _one_toolchain(compilers, lambda said: said.features_toolchain)
    kernel = KernelIdentity(op=task.op.id, arch=task.arch, source_sha256=source_of(task.op.id, with_spec=True))
    return open_task(task, Toolchain("", "", versions), FleetPool(executor, kernel))


def _measuring(
    executor: Executor,
    task: Task,
    compilers: Sequence[DescribedMember],
    measuring: tuple[Sequence[str], Callable[[str], bool]],
    method: TimingMethod,
) -> FleetBackend:
    devices, fits = measuring
    versions = _one_toolchain(compilers, lambda said: said.toolchain)
    kernel = KernelIdentity(op=task.op.id, arch=task.arch, source_sha256=source_of(task.op.id))
    ours = language_of(resolve_spec(spec_path(task.op.id))) == "cutile"
    compiler = compilers[0].said.compiler if ours else ""
    ledger = CubinLedger(kernel, versions, compiler, task.cache / "cubins")
    ahead, enough = FleetCompiler(executor, ledger, task.facts), method.batch_size * len(devices)
    lanes = [FleetLane(FleetDevice(executor, device, ledger), ahead, method, enough) for device in devices]
    backend = FleetBackend(lanes, len(compilers))
    opening = encoded(MeasureOrder(kernel=kernel, compiler=compiler))  # which takes seconds
    backend.warming = [executor.submit(Piece(work="measure", data=opening, wants=device)) for device in devices]

    def fits_too(member: FleetMember, said: MemberDescription) -> bool:
        _check_make(DescribedMember(member, said), task.op.id)
        return fits(said.gpu)

    backend.newcomers = Newcomers(executor, task.op.id, fits_too, opening)
    return backend


def _check_make(one: DescribedMember, op: str) -> None:
    """Refuse a member that has not this package and this kernel as they are here.

    Raises:
        TunerError: Names it.
    """
    said, source, distributed = one.said, f"source of {op}", own_version("distributed")
    for what, theirs, own in (
        ("version of spak", said.version, own_version()),
        ("version of distributed", said.distributed or distributed, distributed),
        (source, said.source_sha256, source_of(op)),
        (source, said.spec_sha256, source_of(op, with_spec=True)),
    ):
        if theirs != own:
            raise TunerError(
                f"fleet: {one.member.name} has another {what} ({theirs[:12]}, here {own[:12]}); install the same one there"
            )


def _one_toolchain(
    compilers: Sequence[DescribedMember], of: Callable[[MemberDescription], Mapping[str, str]]
) -> dict[str, str]:
    """The compiler of all of them.

    Raises:
        TunerError: If one has none, or another than the first; names it.
    """
    first = dict(of(compilers[0].said))
    for one in compilers:
        if not of(one.said):
            raise TunerError(
                f"fleet: {one.member.name} is to compile and has no compiler for this kernel; pip install 'spak[compile]'"
            )
        if dict(of(one.said)) != first:
            raise TunerError(
                f"fleet: {one.member.name} compiles with {said_versions(of(one.said))}, {compilers[0].member.name} with {said_versions(first)}"
            )
    return first
