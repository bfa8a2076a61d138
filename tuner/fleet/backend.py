"""The backends of a search over a fleet: the same two as on one machine, with others' processors and GPUs in their places."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace

from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.run import Measurement, Trial
from spak.tuner.backend.base import ApartDevice, Backend, Patience, Provenance, Request, exception_failure
from spak.tuner.backend.compile.pool import CompilesOrders
from spak.tuner.backend.compile.protocol import Compiled, Order, failed
from spak.tuner.backend.gpu.ahead import CompiledFunctions
from spak.tuner.backend.gpu.backend import GpuBackend, TimingMethod
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import Executor, Piece, PieceOutcome, answered
from spak.tuner.fleet.measuring import CubinLedger, FleetDevice, GpuLeftError, worker_lost
from spak.tuner.fleet.newcomers import Newcomers
from spak.tuner.fleet.orders import CompiledCubins, CompileOrder, FeaturesOrder, KernelIdentity, decoded, encoded
from spak.tuner.fleet.trust import FleetTrust, LaneBatch

_Finished = queue.SimpleQueue["tuple[Request, Trial] | None"]
"""Trials of all GPUs, and None from each that does no more."""

UNDER_WAY = 3
"""Requests for each member that compiles, beside those of a batch: one that it has, and some for while that is measured."""

MOST_READY = 2
"""Batches of each GPU that may have compiled and wait, while those who compile get more to do."""


class FleetPool(CompilesOrders):
    """Compiles for features on the fleet's processors."""

    def __init__(self, executor: Executor, kernel: KernelIdentity) -> None:
        """Compile `kernel`; start nothing yet."""
        self._executor, self._kernel = executor, kernel

    def compile(self, orders: Iterable[Order]) -> Iterator[tuple[int, Compiled]]:
        """(place in `orders`, result) as they finish; a worker that is lost costs the order it had.

        Raises:
            TunerError: If a worker refuses, or nothing can be compiled on it now, as where its disk is full.
        """
        pending = {self._submit(order): place for place, order in enumerate(orders)}
        try:
            for future in as_completed(pending):
                outcome = future.result()
                data = answered(outcome)
                if data is None:
                    yield pending[future], failed("compile", "WorkerLost", outcome.lost, lasting=False)
                    continue
                compiled = decoded(data, Compiled)
                if compiled.broken:
                    raise TunerError(f"fleet: {outcome.member}: nothing can be compiled there: {compiled.broken}")
                yield pending[future], compiled
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """Nothing is its own: the fleet stays."""

    def _submit(self, order: Order) -> Future[PieceOutcome]:
        wanted = FeaturesOrder(kernel=self._kernel, problem=order.problem, configuration=order.configuration)
        return self._executor.submit(Piece(work="features", data=encoded(wanted)))


class FleetCompiler:
    """Compiles ahead for launches on the fleet's processors; what they compiled is kept here until a GPU asks for it.

    Attributes:
        toolchain: Component -> version, on the workers that compile.
    """

    def __init__(self, executor: Executor, ledger: CubinLedger, facts: Mapping[str, bool | float | str]) -> None:
        """Compile the kernel of `ledger`, whose features are counted with the hardware `facts`; start nothing yet."""
        self._executor, self._ledger, self._facts = executor, ledger, dict(facts)
        self.toolchain: Mapping[str, str] = ledger.toolchain
        self._asked: dict[tuple[object, ...], Future[CompiledFunctions]] = {}
        self._features: dict[tuple[str, ...], Mapping[str, float]] = {}

    def start(self, problem: ProblemSize, configuration: Configuration) -> Future[CompiledFunctions]:
        """Compile, or join the same request under way; does not wait."""
        identity = (*sorted(problem.items()), None, *sorted(configuration.items()))
        if identity not in self._asked:
            order = CompileOrder(
                kernel=self._ledger.kernel,
                problem=dict(problem),
                configuration=dict(configuration),
                facts=self._facts,
                toolchain=dict(self.toolchain),
            )
            made: Future[CompiledFunctions] = Future()
            self._asked[identity] = made
            piece = self._executor.submit(Piece(work="compile", data=encoded(order)))
            piece.add_done_callback(lambda done: self._finish(made, done.result(), order))
        return self._asked[identity]

    def inspect(self, code: CompiledFunctions) -> Mapping[str, float]:
        """The features of what was compiled, as the worker read them."""
        return self._features.get(code.keys, {})

    def close(self) -> None:
        """Wait for nothing any more; the fleet stays."""

    def _finish(self, made: Future[CompiledFunctions], outcome: PieceOutcome, order: CompileOrder) -> None:
        try:
            made.set_result(self._taken(outcome, order))
        except TunerError as error:  # whoever waits for it is told
            made.set_exception(error)

    def _taken(self, outcome: PieceOutcome, order: CompileOrder) -> CompiledFunctions:
        data = answered(outcome)
        if data is None:
            return CompiledFunctions(failure=worker_lost(outcome))
        found = decoded(data, CompiledCubins)
        if found.failure is not None:
            return CompiledFunctions(failure=found.failure)
        self._ledger.note(order.problem, order.configuration, found)
        keys = tuple(one.key for one in found.cubins)
        self._features[keys] = found.features
        return CompiledFunctions(keys, None, found.milliseconds)


class FleetLane(GpuBackend):
    """One GPU of a fleet, and the processors that compile for it.

    Attributes:
        device: Its id.
        at_once: So many configurations of a batch, compiled, are enough to begin with, if it is not 0.
        left: Why nobody has it, while that is so.
    """

    def __init__(self, device: FleetDevice, compiler: FleetCompiler, method: TimingMethod, at_once: int = 0) -> None:
        """Measure on `device` what `compiler` compiles."""
        super().__init__(device, compiler, compiler.inspect, method)
        self.device, self._device, self._ahead, self.at_once = device.device, device, compiler, at_once
        self.left = ""

    def beside(self, device: str) -> FleetLane:
        """The same for another GPU."""
        return FleetLane(self._device.beside(device), self._ahead, self._method)

    @property
    def gpu(self) -> str:
        """Its id, of which trials say that they ran on it, also where its worker was lost with the first."""
        return self.device

    def batch(self, requests: Sequence[Request], *, alone: bool) -> tuple[LaneBatch, str]:
        """What it makes of a batch, and why it failed meanwhile, if it did; `alone`: no other GPU could take over."""
        pairs: list[tuple[Request, Trial]] = []
        failed = ""
        try:
            pairs.extend(self.evaluate(requests))
        except GpuLeftError as error:
            self.left = str(error)
        except TunerError as error:
            failed = str(error)
        return LaneBatch(self.device, pairs, self.first_reading, self._again, alone), failed

    def _again(self, request: Request, afresh: bool) -> Trial:
        try:
            if afresh:
                self._device.renew()
            return next(trial for _, trial in self.evaluate([request]))
        except TunerError as error:
            return request.trial(invalidity="runtime", failure=exception_failure(error))

    def _is_enough(self, num_done: int, count: int, waited_s: float, patience: Patience) -> bool:
        full = self.at_once and num_done >= self.at_once  # the last requests too: the others compile while these run
        return bool(full) or super()._is_enough(num_done, count, waited_s, patience)


class FleetBackend(Backend):
    """Measures on several GPUs of one kind while others compile: enough is under way at once that neither waits.

    Attributes:
        trust: Judges what GPUs measure.
        warming: Done when a member has its GPU open; nobody need wait for it.
        newcomers: Who joins later; None: nobody is looked for.
    """

    name = "gpu"

    def __init__(self, lanes: Sequence[FleetLane], num_compilers: int = 0) -> None:
        """Measure on `lanes`, one at least, what so many compile; each batch is measured whole on one of them."""
        self._lanes, self._usable = tuple(lanes), list(lanes)
        self._per_lane, self.num_compilers, self._num_ready = lanes[0].batch_size, num_compilers, 0
        self.trust = FleetTrust()
        self._refused: dict[str, list[Trial]] = {}
        self.warming: Sequence[Future[PieceOutcome]] = ()
        self.newcomers: Newcomers | None = None

    @property
    def batch_size(self) -> int:  # type: ignore[override]  # it grows with the fleet
        """A batch for each GPU, what compiles meanwhile, and in bounds what has compiled and waits for a batch of its size."""
        measured = self._per_lane * len(self._lanes)
        return measured + max(measured, UNDER_WAY * self.num_compilers) + min(self._num_ready, MOST_READY * measured)

    def provenance(self) -> Provenance:
        """Machine and method of the first GPU that measured; all that did are in the note."""
        out = self.trust.health.out
        known = [(lane, found) for lane in self._lanes if (found := lane.provenance()).device is not None]
        counted = [pair for pair in known if pair[0].device not in out] or known
        first = counted[0][1] if counted else self._lanes[0].provenance()
        measured = ", ".join(lane.device for lane, _ in counted)
        said = [f"measured on {measured}"] if len(self._lanes) > 1 and measured else []
        said += [f"{device} was taken out: {why}" for device, why in out.items()]
        said += [] if self.newcomers is None else [f"took no part: {why}" for why in self.newcomers.refused.values()]
        apart = [
            ApartDevice(lane.device, out[lane.device], found, tuple(self._refused[lane.device]))
            for lane, found in known
            if lane.device in self._refused
        ]
        return replace(first, note="; ".join(said), apart=tuple(apart))

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """What the compiler did with each request; None where it did not compile."""
        return self._lanes[0].features(requests)

    def late(self, requests: Sequence[Request], patience: Patience) -> Collection[int]:
        """What still compiles once there is enough for all GPUs, and what is more than one batch for each of them.

        New requests come when what is evaluated now has been: were that long, those who compile might wait for them. The
        problem sizes with the most to measure come first, so that batches are large and few.
        """
        late = set(self._lanes[0].late(requests, patience))
        ready = self._by_size(requests, [place for place in range(len(requests)) if place not in late])
        ready.sort(key=lambda group: group[0] not in patience.needed)  # what is needed is asked for first
        now: set[int] = set()
        for _ in range(max(1, len(self._usable)) if ready else 0):
            now.update(ready[0][: self._per_lane])
            ready[0] = ready[0][self._per_lane :]
            ready.sort(key=len, reverse=True)
        self._num_ready = sum(map(len, ready))
        return {*range(len(requests))} - now

    def references(self, problem: ProblemSize) -> dict[str, Measurement]:
        """Times of the library baselines, of the first GPU that timed them."""
        return next((found for lane in self._lanes if (found := lane.references(problem))), {})

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """Each request with its trial, as the GPUs finish batches. What a GPU leaves that fails goes to the others.

        Raises:
            TunerError: If none is left.
        """
        self._admit()
        if not self._usable:
            why = [*self.trust.health.out.values(), *(lane.left for lane in self._lanes if lane.left)]
            raise TunerError(why[-1])
        self._lanes[0].start(requests)
        self.trust.begin(lane.device for lane in self._usable)
        waiting = deque(self._batches(requests))
        finished = _Finished()
        threads = ThreadPoolExecutor(len(self._usable))
        try:
            working = [threads.submit(self._work, lane, waiting, finished) for lane in list(self._usable)]
            running = len(working)
            while running:
                item = finished.get()
                if item is None:
                    running -= 1
                else:
                    yield item
            for lane in working:
                lane.result()
        except BaseException:
            waiting.clear()
            raise
        finally:
            threads.shutdown(wait=False)  # what a GPU measures for nobody ends with its executor
        if waiting:
            yield from self.evaluate([request for batch in waiting for request in batch])

    def close(self) -> None:
        """Release the GPUs; safe to call twice."""
        for lane in self._lanes:
            lane.close()

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Each of one problem size, those as equal as they can be, no fewer than GPUs and none larger than a batch."""
        groups = self._by_size(requests, range(len(requests)))
        least = -(-len(self._usable) // max(1, len(groups)))
        for group in groups:
            count = max(-(-len(group) // self._per_lane), min(least, len(group)))
            for number in range(count):
                yield [requests[place] for place in group[number::count]]

    def _by_size(self, requests: Sequence[Request], places: Iterable[int]) -> list[list[int]]:
        """Places of each problem size, the size with the most of them first."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for place in places:
            groups.setdefault(tuple(sorted(requests[place].problem.items())), []).append(place)
        return sorted(groups.values(), key=len, reverse=True)

    def _admit(self) -> None:
        """Take in GPUs that have joined since the last batch, or are there again."""
        having = {lane.device for lane in self._usable} | self.trust.health.out.keys()
        for device in () if self.newcomers is None else self.newcomers.ready(having):
            again = next((lane for lane in self._lanes if lane.device == device), None)
            lane = again or self._lanes[0].beside(device)
            lane.left = ""
            self._usable.append(lane)
            if again is None:
                self._lanes += (lane,)
                self._lanes[0].at_once += self._per_lane if self._lanes[0].at_once else 0

    def _work(self, lane: FleetLane, waiting: deque[list[Request]], finished: _Finished) -> None:
        """Measure batches on one GPU until none waits, or the GPU is taken out."""
        try:
            while lane in self._usable:
                try:
                    asked = waiting.popleft()
                except IndexError:
                    return
                self._judge(lane, asked, waiting, finished)
        finally:
            self.trust.leave(lane.device)
            finished.put(None)

    def _judge(self, lane: FleetLane, asked: list[Request], waiting: deque[list[Request]], finished: _Finished) -> None:
        """Measure one batch; what does not count of it goes back in line."""
        batch, failed = lane.batch(asked, alone=len(self._usable) == 1)
        taken = self.trust.taken(batch)
        if failed:
            self.trust.health.unusable(lane.device, failed)
        done = {id(request) for request, _ in taken}
        if lane.left:
            self._usable.remove(lane)
        elif lane.device in self.trust.health.out:
            self._usable.remove(lane)
            refused = [trial for request, trial in batch.pairs if id(request) not in done and trial.machine]
            if refused:
                self._refused[lane.device] = refused
        left = [request for request in asked if id(request) not in done]
        if left:
            waiting.append(left)
        for pair in taken:
            finished.put(pair)
