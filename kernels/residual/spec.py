"""Residual addition bound to its space (laws/ops/residual.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec
from spak.kernels.residual.reference import residual


class ResidualSpec(OperationSpec):
    """`residual`: element by element."""

    op = "residual"

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Of any shape, here flat."""
        flat = Array("fp32", (int(problem["num_elements"]),))
        return {"x": flat, "y": flat, OUTPUT: flat}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One."""
        tile = int(configuration["tile_size"])
        return (self.call(problem, (ceil_div(int(problem["num_elements"]), tile),), "forward_kernel", "", tile),)

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """The result."""
        return residual(inputs["x"], inputs["y"])


SPEC = ResidualSpec()
