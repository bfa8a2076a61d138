"""The replay backend: recorded trials instead of a machine. It looks up, it never guesses: a miss is a miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from spak.kg.formats.recording import Recording
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.run import Failure, Trial
from spak.tuner.backend.base import Backend, Provenance, Request

FEATURES = frozenset({"spill_bytes", "registers", "smem_bytes", "threads", "ctas_per_sm"})
"""Compiled features a record may hold; anything else in it (GFLOP/s) is known only after timing."""

MISS = "NotRecorded"
"""`Failure.type` of a trial whose configuration the record does not hold."""


class ReplayBackend(Backend):
    """Answers from one recording. Durations are those of the record, so costs are counted as if it were live."""

    name = "replay"
    batch_size = 1

    def __init__(self, recording: Recording, provenance: Provenance | None = None) -> None:
        """Answer from `recording`; `provenance` is that of what it replays, if known."""
        self._names = tuple(recording.parameters)
        self._trials: Mapping[tuple[Scalar, ...], Trial] = {
            self._key(trial.configuration): trial for trial in recording.trials
        }
        self._provenance = provenance or Provenance(
            tier="measured", toolchain={}, device=None, noise=None, objective="time"
        )

    def provenance(self) -> Provenance:
        """What is known of the machine the record comes from."""
        return self._provenance

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """The compiled features that the record holds of each request, None where it holds none."""
        return [self._features(request) for request in requests]

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """The recorded trials, in the order asked for."""
        for request in requests:
            trial = self._find(request)
            if trial is None:
                failure = Failure(type=MISS, message="the record does not hold this configuration")
                yield request, request.trial(invalidity="constraints", failure=failure)
            else:
                yield request, msgspec.structs.replace(trial, origin=request.origin, problem=dict(request.problem))

    def _features(self, request: Request) -> dict[str, float] | None:
        trial = self._find(request)
        known = {m.name: m.value for m in trial.measurements if m.name in FEATURES} if trial else {}
        return known or None

    def _find(self, request: Request) -> Trial | None:
        if request.configuration.keys() != set(self._names):
            return None
        return self._trials.get(self._key(request.configuration))

    def _key(self, configuration: Configuration) -> tuple[Scalar, ...]:
        return tuple(configuration[name] for name in self._names)


class RecordedSizes(Backend):
    """Answers for several problem sizes, each from its own record: what was recorded of an op on one device."""

    name = "replay"
    batch_size = 1

    def __init__(self, recordings: Sequence[Recording], provenance: Provenance | None = None) -> None:
        """Answer from `recordings`, each at the problem size that it states, all of it."""
        self._sizes = {_size(one.problem): ReplayBackend(one, provenance) for one in recordings}
        self._known = next(iter(self._sizes.values())).provenance()

    def provenance(self) -> Provenance:
        """What is known of the machine the records come from."""
        return self._known

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """The compiled features that the records hold of each request, None where they hold none."""
        return [self._sizes[_size(request.problem)].features([request])[0] for request in requests]

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """The recorded trials, in the order asked for."""
        for request in requests:
            yield from self._sizes[_size(request.problem)].evaluate([request])


def _size(problem: ProblemSize) -> tuple[tuple[str, Scalar], ...]:
    return tuple(sorted(problem.items()))
