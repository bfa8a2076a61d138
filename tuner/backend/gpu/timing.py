"""Times device work: interleaved rounds, cold L2, device events, CUDA graphs where launching would show.

Every contestant is timed once in each round, in an order drawn anew, so that clocks and temperature drift over all
of them alike. Before each sample a buffer of several L2 sizes is read: what the launch finds in L2 is clean lines of
that buffer, neither its own inputs nor dirty lines that it would have to write back. Each launch is captured once
and replayed as a CUDA graph: enqueueing a replay takes the host a few microseconds, which the flush hides, while one
call through PyTorch's attention takes about as long as the flush and would show in its time (see
docs/decisions/0071-cold-l2-and-graphs.md).
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from spak.tuner.backend.gpu.statistics import MIN_SAMPLES
from spak.tuner.backend.gpu.steady import ReferenceTimes

Key = TypeVar("Key", bound=Hashable)
Launch = Callable[[], object]

FLUSH_L2_SIZES = 4
"""Bytes read before a sample, in L2 sizes: enough that nothing of the last launch is left."""
RAMP_FLUSHES = 1000
"""Reads before the first round of a short comparison: some 0.1 s in which an idle card raises its clocks."""

READING_LAUNCHES = 25
"""Launches of each reference kernel in a reading."""
REFERENCE_SIZE = 2048
"""Rows and columns of the float32 product that tells the SM clock: 17 GFLOP, some 0.3 ms on a large GPU."""


@dataclass(frozen=True)
class Plan:
    """How often each contestant is timed.

    Attributes:
        slow_rounds: Samples of a contestant that is slow by then; at least `MIN_SAMPLES`, so it has an interval too.
        slow_ratio: Slow means a median above this multiple of the best.
        warmups: Untimed launches of each contestant before the first round.
    """

    rounds: int = 25
    slow_rounds: int = 7
    slow_ratio: float = 3.0
    warmups: int = 2

    def __post_init__(self) -> None:
        if not MIN_SAMPLES <= self.slow_rounds <= self.rounds:
            raise ValueError(
                f"need {MIN_SAMPLES} <= slow_rounds <= rounds (got {self.slow_rounds}, {self.rounds}): "
                f"fewer samples have no 95 % interval"
            )


def interleave(
    contestants: Sequence[Key],
    sample: Callable[[Key], float],
    plan: Plan,
    rng: random.Random,
    *,
    best_us: float = math.inf,
) -> dict[Key, list[float]]:
    """Samples of every contestant, in microseconds, one a round, each round in a new random order.

    The exceptions of `sample` are the caller's; `best_us` is the best median known from earlier batches of the problem.
    """
    samples: dict[Key, list[float]] = {key: [] for key in contestants}
    active = list(contestants)
    for number in range(plan.rounds):
        if number == plan.slow_rounds:
            medians = {key: statistics.median(samples[key]) for key in active}
            limit = plan.slow_ratio * min([best_us, *medians.values()])
            active = [key for key in active if medians[key] <= limit]
        for key in rng.sample(active, len(active)):
            samples[key].append(sample(key))
    return samples


class CudaTimer:  # pragma: no cover  # needs a GPU: tests/gpu
    """Times single launches on torch's current CUDA stream."""

    def __init__(self) -> None:
        """Allocate the flush buffer on the current device."""
        import torch

        self._torch = torch
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        self.flush_bytes = FLUSH_L2_SIZES * int(properties.L2_cache_size)
        self._buffer = torch.ones(self.flush_bytes // 4, dtype=torch.float32, device="cuda")
        self._sum = torch.empty((), dtype=torch.float32, device="cuda")
        self._square = torch.ones(REFERENCE_SIZE, REFERENCE_SIZE, dtype=torch.float32, device="cuda")
        self._product = torch.empty_like(self._square)
        self._events = (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
        self._references: dict[str, Launch] = {}

    def describe(self) -> tuple[str, str]:
        """(L2 handling, timer) in words, for a run file's noise."""
        l2 = f"flushed before each sample by reading {self.flush_bytes} bytes ({FLUSH_L2_SIZES} L2 sizes)"
        timer = "CUDA events around one CUDA graph replay, behind the flush; 95 % interval of the median from order statistics"
        return l2, timer

    def prepare(self, launch: Launch) -> Launch:
        """What to time for `launch`: the replay of its captured graph. Launches it twice."""
        torch = self._torch
        launch()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            launch()
        replay: Launch = graph.replay
        return replay

    def sample(self, launch: Launch) -> float:
        """Microseconds of one launch of what `prepare` returned, with a cold L2; waits for it to end."""
        start, end = self._events
        self._flush()
        start.record()
        launch()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e3

    def reference(self) -> ReferenceTimes:
        """`clock`: a float32 product, on the plain units. `memory`: the read that flushes L2. After a light load each time.

        That load raises the clocks of an idle card and lets a power cap pass that the last rounds had reached.
        """
        if not self._references:
            product = self.prepare(lambda: self._torch.mm(self._square, self._square, out=self._product))
            self._references = {"clock": product, "memory": self.prepare(self._flush)}
        self.ramp()
        return {
            kernel: tuple(self.sample(launch) for _ in range(READING_LAUNCHES))
            for kernel, launch in self._references.items()
        }

    def ramp(self) -> None:
        """Keep the device busy until its clocks have left idle."""
        for _ in range(RAMP_FLUSHES):
            self._flush()
        self._torch.cuda.synchronize()

    def _flush(self) -> Any:
        return self._torch.sum(self._buffer, dim=0, out=self._sum)
