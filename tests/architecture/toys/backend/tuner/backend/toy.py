"""A toy backend: the time is the sum of the numbers of a configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from spak.kg.model.base import ProblemSize
from spak.kg.model.run import Measurement, Trial
from spak.tuner.backend.base import Patience, Provenance, Request
from spak.tuner.backend.registry import Task


class Toy:
    """Answers at once, without a machine."""

    name = "toy"
    batch_size = 4
    num_compilers = 0

    def provenance(self) -> Provenance:
        """Compiled by nothing that a law knows."""
        return Provenance("compiled", {"toy": "1.0"}, None, None, "predicted_time")

    def features(self, requests: Sequence[Request]) -> Sequence[dict[str, float] | None]:
        """Unknown."""
        return [None] * len(requests)

    def late(self, requests: Sequence[Request], patience: Patience) -> Collection[int]:
        """None of them."""
        del requests, patience
        return ()

    def evaluate(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Trial]]:
        """A trial each."""
        for request in requests:
            total = sum(value for value in request.configuration.values() if not isinstance(value, str))
            measurement = Measurement(name="predicted_time", value=float(total) + 1.0, unit="us")
            yield (
                request,
                Trial(
                    configuration=dict(request.configuration),
                    problem=dict(request.problem),
                    measurements=(measurement,),
                    origin=request.origin,
                ),
            )

    def references(self, problem: ProblemSize) -> dict[str, Measurement]:
        """No libraries."""
        del problem
        return {}

    def close(self) -> None:
        """Nothing to release."""


def open_task(task: Task) -> Toy:
    """The backend; it needs nothing of the task."""
    del task
    return Toy()
