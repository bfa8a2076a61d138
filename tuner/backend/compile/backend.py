"""The `Backend` that needs no GPU: compiles for any architecture, reports features, and predicts times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from spak.kernels.interface import KernelSpec
from spak.kernels.registry import resolve_spec
from spak.kg.model.base import Scalar
from spak.kg.model.run import Failure, Measurement, Times, Trial
from spak.tuner.backend.base import Backend, Provenance, Request
from spak.tuner.backend.compile.cache import CompileCache, Identity
from spak.tuner.backend.compile.features import resident_features, unit_of
from spak.tuner.backend.compile.languages import toolchain_of
from spak.tuner.backend.compile.occupancy import OccupancyLimits
from spak.tuner.backend.compile.pool import CompilesOrders, Pool
from spak.tuner.backend.compile.protocol import Compiled, Order, Setup
from spak.tuner.backend.compile.toolchain import Toolchain
from spak.tuner.backend.registry import Task
from spak.tuner.backend.source import source_of, spec_path
from spak.tuner.errors import TunerError
from spak.tuner.knowledge.predict import PredictedMachine, predict_us

MEMORY_LIMIT_BYTES = 6 << 30
"""Address space of a worker and of each tool it runs; the largest of this repository's kernels needs under 2 GiB."""

TIME_LIMIT_S = 60.0
"""One run of the compiler; ten times the slowest that compiled in this repository's spaces on one busy core."""


@dataclass(frozen=True)
class CompileTarget:
    """What is compiled, and for what.

    Attributes:
        spec_path: `module:attribute` of it, for the workers.
        facts: Hardware facts without `hw.`.
    """

    spec: KernelSpec
    spec_path: str
    identity: Identity
    facts: Mapping[str, Scalar]


class CompileBackend(Backend):
    """Compiles in parallel worker processes, through a cache, and predicts times from what was compiled.

    Attributes:
        compiled: How many configurations were compiled, not found in the cache.
    """

    name = "compile"

    def __init__(
        self,
        target: CompileTarget,
        toolchain: Toolchain,
        cache: CompileCache,
        *,
        workers: int,
        pool: CompilesOrders | None = None,
    ) -> None:
        """Start no process yet; compile through `pool` if it is given, else in `workers` processes of this machine.

        Raises:
            TunerError: If the hardware facts are not enough to say what fits on an SM, or how fast it is.
        """
        self._target, self._cache = target, cache
        self._limits, self._machine = OccupancyLimits.of(target.facts), PredictedMachine.of(target.facts)
        self._versions = dict(toolchain.versions)
        setup = Setup(
            spec=target.spec_path,
            arch=target.identity.arch,
            tileiras=toolchain.tileiras,
            nvdisasm=toolchain.nvdisasm,
            time_limit_s=TIME_LIMIT_S,
            memory_limit_bytes=MEMORY_LIMIT_BYTES,
        )
        self._pool: CompilesOrders = pool or Pool(setup, workers=workers)
        self._known: dict[str, Compiled] = {}
        self.batch_size = 2 * workers  # so that none waits while a batch ends
        self.compiled = 0

    def provenance(self) -> Provenance:
        """The toolchain; nothing ran, so there is neither device nor noise."""
        return Provenance("compiled", dict(self._versions), None, None, "predicted_time")

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """Compiled features of each request, None where it did not compile."""
        found: dict[int, Compiled] = dict(self._compile(requests))
        return [self._features(found[i]) for i in range(len(requests))]

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """A trial for each request as its compilation finishes; its `predicted_time` is no `time`."""
        for index, compiled in self._compile(requests):
            yield requests[index], self._trial(requests[index], compiled)

    def close(self) -> None:
        """End the workers; safe to call twice."""
        self._pool.close()

    def _compile(self, requests: Sequence[Request]) -> Iterator[tuple[int, Compiled]]:
        keys = [self._target.identity.key(request.problem, request.configuration) for request in requests]
        missing: dict[str, int] = {}
        for index, key in enumerate(keys):
            found = self._known.get(key) or self._cache.get(key)
            if found is not None:
                self._known[key] = found
            elif key not in missing:
                missing[key] = index
        yield from ((index, self._known[key]) for index, key in enumerate(keys) if key in self._known)
        orders = [
            Order(problem=dict(requests[i].problem), configuration=dict(requests[i].configuration))
            for i in missing.values()
        ]
        names = list(missing)
        for place, compiled in self._pool.compile(orders) if orders else ():
            key = names[place]
            self._known[key] = compiled
            self._cache.put(key, compiled)
            self.compiled += 1
            yield from ((index, compiled) for index, other in enumerate(keys) if other == key)

    def _features(self, compiled: Compiled) -> dict[str, float] | None:
        if compiled.failure is not None:
            return None
        return {**compiled.features, **resident_features(compiled.features, self._limits)}

    def _trial(self, request: Request, compiled: Compiled) -> Trial:
        measurements: list[Measurement] = []
        features, invalidity, failure = self._features(compiled), compiled.invalidity, compiled.failure
        if features is not None and not all_fit(features):
            invalidity, failure = "runtime", Failure(type="DoesNotFit", message=_too_large(features))
        elif features is not None:
            measurements += self._predicted(request, features)
        for name, value in (features or {}).items():
            measurements.append(Measurement(name=name, value=value, unit=unit_of(name)))
        return request.trial(
            invalidity=invalidity,
            failure=failure,
            measurements=tuple(measurements),
            times=Times(compilation=compiled.seconds * 1e3),
        )

    def _predicted(self, request: Request, features: Mapping[str, float]) -> list[Measurement]:
        """The predicted time; none of a kernel that declares no counts."""
        works = self._target.spec.work(request.problem, request.configuration)
        predicted = [predict_us(works, features, self._machine)] if works else []
        return [Measurement(name="predicted_time", value=value, unit="us") for value in predicted]


def can_predict(facts: Mapping[str, Scalar]) -> bool:
    """Whether hardware facts are enough to compile for a device, and to predict its times."""
    try:
        OccupancyLimits.of(facts)
        PredictedMachine.of(facts)
    except TunerError:
        return False
    return "gpu_code" in facts


def all_fit(features: Mapping[str, float]) -> bool:
    """Whether an SM holds at least one CTA of every function."""
    return all(value >= 1 for name, value in features.items() if name.split(".")[-1] == "ctas_per_sm")


def _too_large(features: Mapping[str, float]) -> str:
    return (
        f"not one CTA fits on an SM: {features['threads']:.0f} threads of {features['registers']:.0f} registers, "
        f"{features['smem_bytes']:.0f} bytes of shared memory"
    )


def open_task(task: Task, toolchain: Toolchain | None = None, pool: CompilesOrders | None = None) -> CompileBackend:
    """A backend that compiles for the task's hardware, with the toolchain of this environment unless another is given.

    Args:
        task: What for.
        toolchain: What `pool` compiles with.
        pool: What compiles; None: processes of this machine.

    Raises:
        TunerError: If a part of the toolchain is missing, no compiler here knows the kernel, the hardware facts do not say what to compile for, or are
            not enough to predict a time.
    """
    place = spec_path(task.op.id, task.own)
    kernel = resolve_spec(place)
    arch, toolchain = task.arch, toolchain or toolchain_of(kernel)
    specialises = [name for name, parameter in task.op.problem.items() if parameter.specialises]
    source = source_of(task.op.id, task.own, with_spec=True)
    identity = Identity(task.op.id, source, arch, toolchain.versions, specialises or None)
    target = CompileTarget(kernel, place, identity, task.facts)
    return CompileBackend(target, toolchain, CompileCache(task.cache / "compile"), workers=task.workers, pool=pool)
