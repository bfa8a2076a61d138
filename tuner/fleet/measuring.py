"""One GPU of a fleet, seen from the search: batches go out with names of machine code, and whose fault a loss is, is found out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.run import Failure
from spak.tuner.backend.gpu.cubins import CubinStore
from spak.tuner.backend.gpu.protocol import Batch, Contestant, SeenDevice
from spak.tuner.backend.gpu.supervisor import ContestantOutcome
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import Executor, Piece, PieceOutcome, answered
from spak.tuner.fleet.orders import (
    CompiledCubins,
    CubinReference,
    KernelIdentity,
    MeasuredBatch,
    MeasureOrder,
    decoded,
    digest_of,
    encoded,
)
from spak.tuner.fleet.works import keep_code


class GpuLeftError(TunerError):
    """No member has this GPU any more; one may have it again."""


class CubinLedger:
    """Which machine code each configuration was compiled to, and that code, in a folder of this machine.

    Attributes:
        kernel: What was compiled.
        toolchain: What compiled it: component -> version.
        compiler: The same as the compiler says it.
    """

    def __init__(self, kernel: KernelIdentity, toolchain: Mapping[str, str], compiler: str, folder: Path) -> None:
        """Keep code in `folder`, which may be kept from one search to the next."""
        self.kernel, self.toolchain, self.compiler = kernel, dict(toolchain), compiler
        self._store = CubinStore(folder)
        self._known: dict[tuple[object, ...], tuple[CubinReference, ...]] = {}
        self._lock = threading.Lock()

    def note(self, problem: ProblemSize, configuration: Configuration, found: CompiledCubins) -> None:
        """Keep what a worker compiled.

        Raises:
            TunerError: If its bytes are not what their digests say.
        """
        with self._lock:
            missing = keep_code(self._store, found.cubins, found.blobs)
            if missing:
                raise TunerError(f"fleet: a compiled kernel arrived damaged ({missing[0][:12]}); go on with --resume")
            self._known[_identity(problem, configuration)] = found.cubins

    def of(self, problem: ProblemSize, contestants: Sequence[Contestant]) -> tuple[CubinReference, ...]:
        """The machine code of all that takes part, each once."""
        asked = [self._known.get(_identity(problem, one.configuration), ()) for one in contestants if not one.baseline]
        return tuple(dict.fromkeys(reference for references in asked for reference in references))

    def blobs(self, cubins: Sequence[CubinReference]) -> dict[str, bytes]:
        """Digest -> bytes, of what is here."""
        found = (self._store.get(one.key) for one in cubins)
        blobs = (cubin.packed() for cubin in found if cubin is not None)
        return {digest_of(blob): blob for blob in blobs}


class FleetDevice:
    """Runs batches on one GPU of a fleet, as a supervisor does on this machine's.

    Attributes:
        device: Its id.
        machine: The device as last reported; None before the first batch.
    """

    def __init__(self, executor: Executor, device: str, ledger: CubinLedger) -> None:
        """Measure on `device` what `ledger` knows the machine code of."""
        self._executor, self.device, self._ledger = executor, device, ledger
        self.machine: SeenDevice | None = None

    def beside(self, device: str) -> FleetDevice:
        """Another GPU of the fleet, for the same."""
        return FleetDevice(self._executor, device, self._ledger)

    def begin(self) -> None:
        """Nothing: a worker opens its device with the first batch that it gets."""

    def run(self, batch: Batch) -> Iterator[ContestantOutcome]:
        """One outcome for each contestant, failures included.

        A worker that is lost with several may be lost to any: halves of them run again, and who is lost alone is at fault.

        Raises:
            GpuLeftError: If nobody has this GPU any more.
            TunerError: If the worker refuses, or its GPU can do nothing more.
        """
        outcome, measured = self._measured(batch)
        if measured is None:
            yield from self._halved(batch, outcome)
            return
        self.machine = measured.machine or self.machine
        yield from measured.outcomes
        if measured.unusable:
            raise TunerError(f"fleet: {outcome.member}: {measured.unusable}")

    def renew(self) -> None:
        """Open the GPU in a new process: a launch may have poisoned the context of the one there is."""
        order = MeasureOrder(kernel=self._ledger.kernel, compiler=self._ledger.compiler, afresh=True)
        answered(self._executor.submit(Piece(work="measure", data=encoded(order), wants=self.device)).result())

    def close(self) -> None:
        """Nothing is its own: the fleet stays."""

    def _measured(self, batch: Batch) -> tuple[PieceOutcome, MeasuredBatch | None]:
        """What came of a batch, None if its worker is lost; machine code goes along only if the worker's host lacks it."""
        cubins = self._ledger.of(batch.problem, batch.contestants)
        blobs: dict[str, bytes] = {}
        while True:
            outcome = self._ask(batch, cubins, blobs)
            if outcome.lost and not outcome.member:
                raise GpuLeftError(f"fleet: {outcome.lost}")
            data = answered(outcome)
            if data is None:
                return outcome, None
            measured = decoded(data, MeasuredBatch)
            if not measured.missing:
                return outcome, measured
            if blobs:
                said = f"cannot keep compiled code ({measured.missing[0][:12]}); is its disk full?"
                raise TunerError(f"fleet: {outcome.member}: {said}")
            blobs = self._ledger.blobs([one for one in cubins if one.digest in measured.missing])

    def _halved(self, batch: Batch, outcome: PieceOutcome) -> Iterator[ContestantOutcome]:
        """Find out who it was."""
        several = batch.contestants
        if len(several) == 1:
            yield ContestantOutcome(several[0], invalidity="runtime", failure=worker_lost(outcome))
            return
        middle = len(several) // 2
        yield from self.run(replace(batch, contestants=several[:middle]))
        yield from self.run(replace(batch, contestants=several[middle:], with_baselines=False))

    def _ask(self, batch: Batch, cubins: tuple[CubinReference, ...], blobs: dict[str, bytes]) -> PieceOutcome:
        ledger = self._ledger
        order = MeasureOrder(kernel=ledger.kernel, batch=batch, cubins=cubins, blobs=blobs, compiler=ledger.compiler)
        return self._executor.submit(Piece(work="measure", data=encoded(order), wants=self.device)).result()


def worker_lost(outcome: PieceOutcome) -> Failure:
    """What a trial records of a worker that was lost with it."""
    return Failure(type="WorkerLost", message=f"{outcome.member or 'nobody'}: {outcome.lost}")


def _identity(problem: ProblemSize, configuration: Configuration) -> tuple[object, ...]:
    return (*sorted(problem.items()), None, *sorted(configuration.items()))
