"""Column sums bound to their space (laws/ops/column-sum.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spak.kernels.column_sum.reference import column_sum
from spak.kernels.cutile import OUTPUT, TOLERANCES, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import FP32_TOLERANCE, OperationSpec

FINISH_TILE = (128, 32)
"""Strips and columns that a CTA of the second launch adds at a time: 32 fp32 columns are a line of 128 bytes."""


def finish_grid(columns: int) -> int:
    """CTAs along the columns of the second launch."""
    return ceil_div(columns, FINISH_TILE[1])


class ColumnSumSpec(OperationSpec):
    """`column-sum`: strips of rows, then the sums of strips."""

    op = "column-sum"

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """X and its sums."""
        columns = int(problem["width"])
        x = Array(str(problem["dtype"]), (int(problem["num_rows"]), columns))
        return {"x": x, OUTPUT: Array(str(problem["out_dtype"]), (columns,))}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """Two, the second small."""
        rows, columns = self.arrays(problem)["x"].shape
        tile_m, tile_n = (int(configuration[name]) for name in ("tile_m", "tile_n"))
        strip = ceil_div(ceil_div(rows, tile_m), int(configuration["strips"]))
        strips = ceil_div(ceil_div(rows, tile_m), strip)
        partials = Array("fp32", (1, strips, columns))
        arrays = {"x": self.arrays(problem)["x"], "partials": partials}
        constants = (strip, tile_m, tile_n, bool(configuration["use_tma"]))
        finish = {"partials": partials, OUTPUT: self.arrays(problem)[OUTPUT]}
        return (
            Call("strips_kernel", (ceil_div(columns, tile_n), strips, 1), arrays, (), constants),
            Call("finish_kernel", (finish_grid(columns), 1, 1), finish, (), FINISH_TILE, hot=False),
        )

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:
        """Those of the pass over strips."""
        return super().hints(function, configuration) if function == "strips_kernel" else {}

    def tolerance(self, problem: Problem) -> float:
        """That of the type of the sums."""
        return TOLERANCES.get(str(problem["out_dtype"]), FP32_TOLERANCE)

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """The sums."""
        return column_sum(inputs["x"])


SPEC = ColumnSumSpec()
