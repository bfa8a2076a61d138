"""The `Backend` that measures: compile ahead, check, time in interleaved batches, and turn it all into trials."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.run import Measurement, Noise, Times, Trial
from spak.tuner.backend.base import Backend, Patience, Provenance, Request
from spak.tuner.backend.compile.features import unit_of
from spak.tuner.backend.cores import usable_cores
from spak.tuner.backend.gpu.ahead import CompiledFunctions, awaited
from spak.tuner.backend.gpu.protocol import Batch, Contestant, SeenDevice
from spak.tuner.backend.gpu.steady import ReferenceTimes, SteadyWatch, measured_time
from spak.tuner.backend.gpu.supervisor import ContestantOutcome
from spak.tuner.backend.gpu.timing import Plan

Inspect = Callable[[CompiledFunctions], Mapping[str, float]]
"""Features of what was compiled (`registers`, `spill_bytes`, ...); empty where they cannot be read."""

MOST = 0.75
"""Share of a batch that is worth timing before the rest has compiled: preparing a batch takes seconds as well."""

LOOK_S = 1.0
"""How often a search that waits for compilations says how many there are."""


class CompilesAhead(Protocol):
    """Compiles while others measure: on this machine (`AheadCompiler`), or on those of a fleet."""

    @property
    def toolchain(self) -> Mapping[str, str]:
        """Component -> version."""
        ...

    def start(self, problem: ProblemSize, configuration: Configuration) -> Future[CompiledFunctions]:
        """Compile, or join the same request under way; does not wait."""
        ...

    def close(self) -> None:
        """Drop what has not compiled; safe to call twice."""
        ...


class MeasuresBatches(Protocol):
    """Checks and times batches on one device: of this machine (`Supervisor`), or of a fleet."""

    @property
    def machine(self) -> SeenDevice | None:
        """The device as last reported; None before the first batch."""
        ...

    def begin(self) -> None:
        """Get ready for the first batch while its configurations compile; does not wait, and may be called again."""
        ...

    def run(self, batch: Batch) -> Iterator[ContestantOutcome]:
        """One outcome for each contestant, failures included."""
        ...

    def close(self) -> None:
        """Release the device; safe to call twice."""
        ...


@dataclass(frozen=True)
class TimingMethod:
    """How a search measures.

    Attributes:
        patience_s: How long a search waits for all of a batch to compile before it goes on with most of it.
            Source: `times.compilation` of laws/evidence/measured-h200-*: in each, nine in ten took less than 6.4 s;
            single ones took 60 s.
        seed: Draws inputs and orders; each batch its own.
        keep_samples: Whether trials carry every sample, not only median and interval.
    """

    plan: Plan = field(default_factory=Plan)
    batch_size: int = 32
    patience_s: float = 10.0
    seed: int = 0
    skip_baselines: tuple[str, ...] = ()
    keep_samples: bool = True


class GpuBackend(Backend):
    """Measures on the GPU of this machine.

    Attributes:
        plan: See `TimingMethod`; a caller may change it between batches.
        failed_baselines: Baseline -> why it has no time.
    """

    name = "gpu"

    def __init__(
        self,
        supervisor: MeasuresBatches,
        compiler: CompilesAhead,
        inspect: Inspect,
        method: TimingMethod,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Measure through `supervisor` what `compiler` compiled ahead; `clock` counts the seconds of a wait."""
        self._supervisor, self._compiler, self._inspect, self._method = supervisor, compiler, inspect, method
        self._clock = clock
        self.batch_size, self.plan = method.batch_size, method.plan
        self.failed_baselines: dict[str, str] = {}
        self._best_us: dict[tuple[object, ...], float] = {}
        self._references: dict[tuple[object, ...], dict[str, list[float]]] = {}
        self._num_batches = 0
        self._watch = SteadyWatch()

    def provenance(self) -> Provenance:
        """Machine and method; the machine is known once the first batch has run."""
        plan, machine = self.plan, self._supervisor.machine
        noise = Noise(rounds=plan.rounds, repeats=1, interleaved=True)
        toolchain = dict(self._compiler.toolchain)
        if machine is None:
            return Provenance("measured", toolchain, None, noise, "time")
        few = f"{plan.slow_rounds} rounds where the median is then above {plan.slow_ratio:g}x the best"
        noise = msgspec.structs.replace(noise, l2=machine.l2, timer=f"{machine.timer}; {few}")
        return Provenance("measured", toolchain | dict(machine.toolchain), machine.device, noise, "time")

    @property
    def gpu(self) -> str:
        """Which GPU of its name (`Trial.machine`); empty where that is not known."""
        seen = self._supervisor.machine
        return "" if seen is None else seen.device.machine

    @property
    def first_reading(self) -> ReferenceTimes:
        """The first of the device's reference kernels; empty before it."""
        return self._watch.first

    @property
    def compiled_here(self) -> int:
        """Kernels that the measuring worker had to compile itself: a spec's jobs differ from its launches."""
        machine = self._supervisor.machine
        return machine.compiled_here if machine is not None else 0

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """What the compiler did with each request; None where it did not compile."""
        pending = [self._compiler.start(request.problem, request.configuration) for request in requests]
        return self._all_features([awaited(future) for future in pending])

    def late(self, requests: Sequence[Request], patience: Patience) -> Collection[int]:
        """What still compiles once most of the others have, and have been waited for; or when the time is over."""
        self._supervisor.begin()
        pending = [self._compiler.start(request.problem, request.configuration) for request in requests]
        begun = self._clock()
        while True:
            waited_s = self._clock() - begun
            late = [place for place, future in enumerate(pending) if not future.done()]
            num_done = len(pending) - len(late)
            if self._is_enough(num_done, len(pending), waited_s, patience) and not {*late} & {*patience.needed}:
                patience.told("reading, checking and timing what compiled")
                return late
            patience.told(f"compiling: {num_done} of {len(pending)} configurations done")
            wait([pending[place] for place in late], min(LOOK_S, self._method.patience_s), FIRST_COMPLETED)

    def _is_enough(self, num_done: int, count: int, waited_s: float, patience: Patience) -> bool:
        """Whether a batch of `count` need not be waited for any longer."""
        is_most = num_done >= MOST * count and waited_s >= self._method.patience_s and not patience.whole
        return num_done == count or is_most or (num_done > 0 and waited_s >= patience.seconds)

    def start(self, requests: Sequence[Request]) -> None:
        """Begin to compile what will be asked for later; the measuring process opens the GPU meanwhile."""
        self._supervisor.begin()
        for request in requests:
            self._compiler.start(request.problem, request.configuration)

    def compiled(self, requests: Sequence[Request]) -> Iterator[CompiledFunctions]:
        """What each request compiled to, in order, as soon as it has."""
        for request in requests:
            yield awaited(self._compiler.start(request.problem, request.configuration))

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """Check and time in batches of one problem size; all of them compile at once, ahead.

        Raises:
            DeviceUnusableError: If the GPU fails outside any configuration.
        """
        self.start(requests)
        groups: dict[tuple[object, ...], list[Request]] = {}
        for request in requests:
            groups.setdefault(_key(request.problem), []).append(request)
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                yield from self._batch(group[start : start + self.batch_size])

    def references(self, problem: ProblemSize) -> dict[str, Measurement]:
        """Times of the library baselines at `problem`, from the same rounds as the trials so far."""
        return {name: measured_time(samples)[0] for name, samples in self._references.get(_key(problem), {}).items()}

    def close(self) -> None:
        """End the worker and the compiling processes; safe to call twice."""
        self._supervisor.close()
        self._compiler.close()

    def _batch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        compiled = list(self.compiled(requests))
        contestants = []
        for index, (request, code) in enumerate(zip(requests, compiled, strict=True)):
            if code.failure is None:
                contestants.append(Contestant(index, request.configuration))
            else:
                yield request, request.trial(invalidity="compile", failure=code.failure)
        if not contestants:
            return
        problem, features = requests[0].problem, self._all_features(compiled)
        for outcome in self._supervisor.run(self._next(problem, contestants)):
            if outcome.contestant.baseline:
                self._note_baseline(problem, outcome)
            else:
                index = outcome.contestant.index
                found = features[index] or {}
                yield requests[index], self._trial(requests[index], compiled[index], outcome, found)

    def _next(self, problem: ProblemSize, contestants: Sequence[Contestant]) -> Batch:
        self._num_batches += 1
        return Batch(
            problem=problem,
            contestants=tuple(contestants),
            seed=self._method.seed + self._num_batches,
            plan=self.plan,
            best_us=self._best_us.get(_key(problem), math.inf),
            with_baselines=True,
            skip=frozenset((*self._method.skip_baselines, *self.failed_baselines)),
        )

    def _note_baseline(self, problem: ProblemSize, outcome: ContestantOutcome) -> None:
        name = outcome.contestant.baseline
        if outcome.failure is not None:
            self.failed_baselines[name] = f"{outcome.failure.type}: {outcome.failure.message}"
            return
        if self._watch.judge(outcome.readings) is None:
            self._references.setdefault(_key(problem), {}).setdefault(name, []).extend(outcome.samples)

    def _trial(
        self, request: Request, code: CompiledFunctions, outcome: ContestantOutcome, features: Mapping[str, float]
    ) -> Trial:
        measurements = [Measurement(name=n, value=v, unit=unit_of(n)) for n, v in sorted(features.items())]
        if outcome.error is not None:
            measurements.append(Measurement(name="relative_error", value=outcome.error))
        runtimes: tuple[float, ...] = ()
        if outcome.samples:
            drifted = self._watch.judge(outcome.readings)
            times = measured_time(outcome.samples, drifted)
            measurements[:0] = times
            if drifted is None:
                key = _key(request.problem)
                self._best_us[key] = min(self._best_us.get(key, math.inf), times[0].value)
            runtimes = tuple(us / 1e3 for us in outcome.samples) if self._method.keep_samples else ()
        return request.trial(
            invalidity=outcome.invalidity,
            failure=outcome.failure,
            measurements=tuple(measurements),
            machine=self.gpu,
            times=Times(compilation=code.milliseconds, validation=outcome.check_ms, runtimes=runtimes),
        )

    def _all_features(self, compiled: Sequence[CompiledFunctions]) -> list[dict[str, float] | None]:
        return all_features(compiled, self._inspect)


def all_features(compiled: Sequence[CompiledFunctions], inspect: Inspect) -> list[dict[str, float] | None]:
    """Of each, None where it did not compile; at once, because a disassembler takes most of a second a function."""

    def features(code: CompiledFunctions) -> dict[str, float] | None:
        return None if code.failure is not None else dict(inspect(code))

    with ThreadPoolExecutor(usable_cores()) as pool:
        return list(pool.map(features, compiled))


def _key(problem: ProblemSize) -> tuple[object, ...]:
    return tuple(sorted(problem.items()))
