"""What the workers of a fleet can do: say what they are, compile for features, compile for launches, measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import msgspec

from spak.kernels.interface import KernelSpec
from spak.kernels.registry import SPECS, resolve_spec
from spak.kg.model.base import Scalar
from spak.kg.model.run import Failure, Invalidity
from spak.tuner.backend.compile.backend import MEMORY_LIMIT_BYTES, TIME_LIMIT_S
from spak.tuner.backend.compile.languages import language_of, toolchain_of
from spak.tuner.backend.compile.protocol import Order, Setup
from spak.tuner.backend.compile.toolchain import Toolchain
from spak.tuner.backend.gpu.ahead import CompiledFunctions, CubinTarget
from spak.tuner.backend.gpu.cubins import Cubin, CubinStore
from spak.tuner.backend.gpu.open import Inspector
from spak.tuner.backend.gpu.program import CudaDevice
from spak.tuner.backend.gpu.protocol import Opener
from spak.tuner.backend.gpu.supervisor import ContestantOutcome, DeviceUnusableError, Supervisor
from spak.tuner.backend.source import source_of, spec_path
from spak.tuner.errors import TunerError
from spak.tuner.fleet.compiling import COMPILE_LIMIT_S, DIED
from spak.tuner.fleet.devices import gpu_of
from spak.tuner.fleet.executor import RefusedError
from spak.tuner.fleet.orders import (
    CompiledCubins,
    CompileOrder,
    CubinReference,
    DescribeOrder,
    FeaturesOrder,
    KernelIdentity,
    MeasuredBatch,
    MeasureOrder,
    MemberDescription,
    decoded,
    digest_of,
    encoded,
    own_version,
    said_versions,
)
from spak.tuner.fleet.workbench import Work, Workplace


class DescribeWork(Work):
    """Says what this worker is."""

    def __init__(self, place: Workplace) -> None:
        """Know where."""
        self._place = place

    def perform(self, data: bytes) -> bytes:
        """Describe: a compiler that is not installed is no failure."""
        order = decoded(data, DescribeOrder)
        gpu = gpu_of(self._place.device) if self._place.device else None
        said = MemberDescription(
            version=own_version(),
            distributed=own_version("distributed"),
            gpu=gpu.name if gpu is not None else "",
            arch=gpu.arch if gpu is not None else "",
        )
        return encoded(self._with_kernel(said, order.op) if order.op else said)

    def close(self) -> None:
        """Nothing was kept."""

    def _with_kernel(self, said: MemberDescription, op: str) -> MemberDescription:
        """The same with what there is of the kernel for `op`, and of its compiler on a worker that compiles."""
        kernel = _spec_of(op)
        said = msgspec.structs.replace(said, source_sha256=source_of(op), spec_sha256=source_of(op, with_spec=True))
        if not self._place.compiles:
            return said
        own = self._place.compiling.versions(language_of(kernel))
        return msgspec.structs.replace(
            said, features_toolchain=_features_toolchain(kernel), toolchain=own.toolchain, compiler=own.compiler
        )


def _features_toolchain(kernel: KernelSpec) -> dict[str, str]:
    try:
        return dict(toolchain_of(kernel).versions)
    except TunerError:  # it is not installed
        return {}


class FeaturesWork(Work):
    """Compiles for features, in a process which may crash, hang or run out of memory."""

    def __init__(self, place: Workplace) -> None:
        """Start nothing yet."""
        self._compiling = place.compiling
        self._toolchains: dict[KernelIdentity, Toolchain] = {}

    def perform(self, data: bytes) -> bytes:
        """Compile one configuration; the answer says too if nothing can be compiled here."""
        order = decoded(data, FeaturesOrder)
        wanted = Order(problem=order.problem, configuration=order.configuration)
        return encoded(self._compiling.features(self._setup(order.kernel), wanted))

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._compiling.close()

    def _setup(self, kernel: KernelIdentity) -> Setup:
        if kernel not in self._toolchains:
            self._toolchains[kernel] = toolchain_of(_own_copy(kernel, with_spec=True))
        toolchain = self._toolchains[kernel]
        return Setup(
            spec=spec_path(kernel.op),
            arch=kernel.arch,
            tileiras=toolchain.tileiras,
            nvdisasm=toolchain.nvdisasm,
            time_limit_s=TIME_LIMIT_S,
            memory_limit_bytes=MEMORY_LIMIT_BYTES,
        )


class CompileWork(Work):
    """Compiles into the cache of this host, and sends what it compiled."""

    def __init__(self, place: Workplace) -> None:
        """Start nothing yet."""
        self._cubins, self._compiling, self._compiles = place.cache / "cubins", place.compiling, place.compiles
        self._targets: dict[KernelIdentity, CubinTarget] = {}
        self._inspectors: dict[tuple[tuple[str, Scalar], ...], Inspector] = {}

    def prepare(self) -> None:
        """Have the compiler imported, which takes seconds."""
        if self._compiles:
            self._compiling.import_early()

    def perform(self, data: bytes) -> bytes:
        """Compile one configuration, or take what this host compiled before."""
        order = decoded(data, CompileOrder)
        target = self._target(order)
        try:
            code = self._compiling.functions(target, order.problem, order.configuration)
        except TimeoutError:
            return _ended("timeout", "TimeLimit", f"compiling took more than {COMPILE_LIMIT_S:g} s")
        except BrokenProcessPool:
            return _ended("compile", "WorkerDied", DIED)
        return encoded(self._answer(code, order))

    def close(self) -> None:
        """End the process; safe to call twice."""
        self._inspectors.clear()
        self._compiling.close()

    def _target(self, order: CompileOrder) -> CubinTarget:
        """What the kernel is compiled for, by the compiler that the search's other members have.

        Raises:
            RefusedError: If the kernel or the compiler here is another one.
        """
        kernel = order.kernel
        if kernel not in self._targets:
            target = _target(kernel, _own_copy(kernel), self._cubins)
            own = self._compiling.versions(target.language).toolchain
            if order.toolchain and own != order.toolchain:
                theirs = said_versions(order.toolchain)
                raise RefusedError(f"it compiles with {said_versions(own) or 'nothing'}, the search with {theirs}")
            self._targets[kernel] = target
        return self._targets[kernel]

    def _answer(self, code: CompiledFunctions, order: CompileOrder) -> CompiledCubins:
        if code.failure is not None:
            return CompiledCubins(invalidity="compile", failure=code.failure)
        store = CubinStore(self._cubins)
        blobs = {key: cubin.packed() for key in code.keys if (cubin := store.get(key)) is not None}
        if len(blobs) < len(set(code.keys)):
            raise TunerError(f"{self._cubins}: compiled code cannot be kept; is the disk full?")
        facts = tuple(sorted(order.facts.items()))
        if facts not in self._inspectors:
            self._inspectors[facts] = Inspector(self._cubins, order.facts)
        return CompiledCubins(
            cubins=tuple(CubinReference(key=key, digest=digest_of(blob)) for key, blob in blobs.items()),
            features=dict(self._inspectors[facts](code)),
            milliseconds=code.milliseconds,
            blobs={digest_of(blob): blob for blob in blobs.values()},
        )


def _ended(invalidity: Invalidity, kind: str, message: str) -> bytes:
    return encoded(CompiledCubins(invalidity=invalidity, failure=Failure(type=kind, message=message)))


class MeasureWork(Work):
    """Checks and times batches on this worker's GPU, through a process that may be lost to a launch."""

    def __init__(
        self, place: Workplace, opener: Callable[[CubinTarget], Opener] = lambda target: partial(CudaDevice, target)
    ) -> None:
        """Open nothing yet; `opener` opens the device for a kernel."""
        self._cubins, self._opener = place.cache / "cubins", opener
        self._supervisors: dict[tuple[KernelIdentity, str], Supervisor] = {}

    def perform(self, data: bytes) -> bytes:
        """Keep what came along, then measure; or name what is missing; or only open the GPU."""
        order = decoded(data, MeasureOrder)
        if order.afresh:
            self.close()
        supervisor = self._supervisor(order.kernel, order.compiler)
        if order.batch is None:
            supervisor.warm()
            return encoded(MeasuredBatch(machine=supervisor.machine))
        missing = keep_code(CubinStore(self._cubins), order.cubins, order.blobs)
        if missing:
            return encoded(MeasuredBatch(missing=missing))
        outcomes: list[ContestantOutcome] = []
        unusable = ""
        try:
            outcomes.extend(supervisor.run(order.batch))
        except DeviceUnusableError as error:
            unusable = str(error)
        return encoded(MeasuredBatch(outcomes=tuple(outcomes), machine=supervisor.machine, unusable=unusable))

    def close(self) -> None:
        """End the measuring process; safe to call twice."""
        while self._supervisors:
            self._supervisors.popitem()[1].close()

    def _supervisor(self, kernel: KernelIdentity, compiler: str) -> Supervisor:
        if (kernel, compiler) not in self._supervisors:
            spec = _own_copy(kernel)
            self.close()  # one process at a time has the device
            target = _target(kernel, spec, self._cubins, compiler)
            self._supervisors[kernel, compiler] = Supervisor(self._opener(target))
        return self._supervisors[kernel, compiler]


def keep_code(store: CubinStore, cubins: Sequence[CubinReference], blobs: dict[str, bytes]) -> tuple[str, ...]:
    """Digests of what `store` has not, once it has kept what came along and is what its digest says."""
    missing = []
    for one in cubins:
        kept = store.get(one.key)
        if kept is not None and digest_of(kept.packed()) == one.digest:
            continue
        blob = blobs.get(one.digest)
        if blob is None or digest_of(blob) != one.digest or not _is_cubin(blob):
            missing.append(one.digest)
        else:
            store.put(one.key, Cubin.of(blob))
    return tuple(missing)


def _is_cubin(blob: bytes) -> bool:
    try:
        return Cubin.of(blob).packed() == blob
    except ValueError:
        return False


def _target(kernel: KernelIdentity, spec: KernelSpec, cubins: Path, compiler: str = "") -> CubinTarget:
    place, language = spec_path(kernel.op), language_of(spec)
    return CubinTarget(place, kernel.arch, cubins, kernel.source_sha256, language=language, compiler=compiler)


def _own_copy(kernel: KernelIdentity, *, with_spec: bool = False) -> KernelSpec:
    """This worker's copy of a kernel.

    Raises:
        RefusedError: If it has none, or another one than the search.
        TunerError: If the kernel is declared in a file.
    """
    if kernel.own:
        raise TunerError(f"{kernel.own}: a fleet takes no kernel from a file; search it where the file is")
    spec, own = _spec_of(kernel.op), source_of(kernel.op, with_spec=with_spec)
    if own != kernel.source_sha256:
        raise RefusedError(
            f"its source of {kernel.op} is {own[:12]}, that of the search {kernel.source_sha256[:12]}; install the same spak on both"
        )
    return spec


def _spec_of(op: str) -> KernelSpec:
    if op not in SPECS:
        raise RefusedError(f"it has no kernel {op}; it has {', '.join(sorted(SPECS))}")
    return resolve_spec(spec_path(op))
