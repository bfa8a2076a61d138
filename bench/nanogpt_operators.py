"""Time of each operator in our step: events around its calls, in a step that is not captured but queued behind a pause.

While the GPU pauses the host enqueues the whole step, so that no launch is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from bench.nanogpt_cases import Batches, Case, Run
from bench.nanogpt_ours import OperatorsOf, OurTrainer
from bench.nanogpt_timing import run_step
from spak.kernels.nanogpt.operators import OPERATOR_NAMES, Operators

PAUSE_CYCLES = 400_000_000
"""A fifth of a second."""
STEPS = 3
"""The last is told; the others compile and take memory."""


class Stopwatch:
    """Marks before and after every call of an operator; `mark` makes one, such as a recorded CUDA event."""

    def __init__(self, mark: Callable[[], Any]) -> None:
        """Nothing is marked yet."""
        self._mark = mark
        self.calls: list[tuple[str, Any, Any]] = []

    def around(self, operators: Operators) -> Operators:
        """The same operators, watched."""
        return replace(operators, **{name: self._watched(name, getattr(operators, name)) for name in OPERATOR_NAMES})

    def _watched(self, name: str, operator: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            before = self._mark()
            result = operator(*arguments)
            self.calls.append((name, before, self._mark()))
            return result

        return called

    def summed(self, elapsed_us: Callable[[Any, Any], float]) -> dict[str, dict[str, float]]:
        """Operator -> calls and their microseconds."""
        found: dict[str, dict[str, float]] = {}
        for name, before, after in self.calls:
            row = found.setdefault(name, {"calls": 0, "us": 0.0})
            row["calls"] += 1
            row["us"] += elapsed_us(before, after)
        return found


def operator_times(
    case: Case, operators_of: OperatorsOf, flat: Any, batches: Batches
) -> dict[str, Any]:  # pragma: no cover
    """Calls, microseconds and reason of each operator in one step; needs a GPU."""

    def mark() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    watch = Stopwatch(mark)
    run = Run(case.warming_rates(STEPS), graph=False)
    trainer = OurTrainer(case, lambda *given: watch.around(operators_of(*given)), flat, run)
    for number in range(STEPS):
        torch.cuda.synchronize()
        watch.calls.clear()
        torch.cuda._sleep(PAUSE_CYCLES)  # noqa: SLF001  # the only way
        run_step(trainer, batches, number)
    torch.cuda.synchronize()
    found = watch.summed(lambda before, after: before.elapsed_time(after) * 1e3)
    return {name: {**row, "by": trainer.operators.reasons.get(name, "")} for name, row in found.items()}
