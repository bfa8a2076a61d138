"""RMS normalisation bound to its space (laws/ops/rmsnorm.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec, power_of_two
from spak.kernels.rmsnorm.reference import RMS_EPSILON, rmsnorm


class RmsNormSpec(OperationSpec):
    """`rmsnorm`: whole rows in a CTA."""

    op = "rmsnorm"
    gradients = ("x",)

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """X and what it becomes."""
        rows = Array("fp32", (int(problem["num_rows"]), int(problem["width"])))
        return {"x": rows, OUTPUT: rows}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One."""
        tile_m = int(configuration["tile_m"])
        tiles = ceil_div(int(problem["num_rows"]), tile_m)
        tile_c = power_of_two(int(problem["width"]))
        return (self.call(problem, (tiles,), f"{problem['direction']}_kernel", "", RMS_EPSILON, tile_m, tile_c),)

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """Y."""
        return rmsnorm(inputs["x"])


SPEC = RmsNormSpec()
