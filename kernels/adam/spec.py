"""Adam bound to its space (laws/ops/adam.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.adam.reference import Decay, adam
from spak.kernels.cutile import Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec

STATE = ("p", "g", "m", "v")
"""Parameters, their gradient, and its moments."""


class AdamSpec(OperationSpec):
    """`adam`: element by element."""

    op = "adam"
    results = ("new_p", "new_m", "new_v")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """State, rates, and the new state."""
        flat = Array("fp32", (int(problem["num_elements"]),))
        return {**dict.fromkeys(STATE, flat), "rates": Array("fp32", (2,)), **dict.fromkeys(self.results, flat)}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One."""
        tile = int(configuration["tile_size"])
        return (
            self.call(
                problem, (ceil_div(int(problem["num_elements"]), tile),), "update_kernel", "", *_decay(problem), tile
            ),
        )

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Normal, but for second moments and rates, which are not negative."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        return replace(drawn, v=drawn.v.square(), rates=drawn.rates.abs() + 0.5)

    def definition(self, problem: Problem, **inputs: Any) -> Any:
        """Parameters and moments after the step."""
        return adam(**inputs, decay=_decay(problem))


def _decay(problem: Problem) -> Decay:
    return Decay(*(float(problem[name]) for name in Decay._fields))


SPEC = AdamSpec()
