"""Linear layer bound to its space (laws/ops/linear.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.linear.reference import linear_layer
from spak.kernels.operation import OperationSpec
from spak.kernels.rmsnorm.reference import RMS_EPSILON, rmsnorm

PRODUCTS = {
    "forward": {"x w out": (False, True)},
    "backward": {"dout w dx": (False, False), "dout x dw": (True, False)},
}
"""Direction -> the arrays of each product, and whether its operands are stored transposed."""


class LinearSpec(OperationSpec):
    """`linear`: Y = X W^T, on request of RMSNorm's X; backward one launch for dX and one for dW."""

    op = "linear"
    gradients = ("x", "w")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """X, W and Y."""
        tokens, fan_in, fan_out = (int(problem[name]) for name in ("tokens", "in_features", "out_features"))
        shapes = {"x": (tokens, fan_in), "w": (fan_out, fan_in), OUTPUT: (tokens, fan_out)}
        return {name: Array("fp32", shape) for name, shape in shapes.items()}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """A launch for each product of the direction, a CTA for each tile of it."""
        tiles = [int(configuration[name]) for name in ("tile_m", "tile_n", "tile_k")]
        arrays = self.arrays(problem)
        if problem["normalised"]:
            grid = [ceil_div(size, tile) for size, tile in zip(arrays[OUTPUT].shape, tiles, strict=False)]
            return (self.call(problem, grid, "normalised_kernel", "", RMS_EPSILON, *tiles),)
        return [
            self.call(
                problem,
                [ceil_div(size, tile) for size, tile in zip(arrays[names.split()[2]].shape, tiles, strict=False)],
                "product_kernel",
                names,
                *transposed,
                *tiles,
            )
            for names, transposed in PRODUCTS[str(problem["direction"])].items()
        ]

    def products(self, problem: Problem) -> Sequence[float]:
        """Each the same number."""
        flops = 2.0 * int(problem["tokens"]) * int(problem["in_features"]) * int(problem["out_features"])
        return [flops] * len(PRODUCTS[str(problem["direction"])])

    def definition(self, problem: Problem, **inputs: Any) -> Any:
        """Y."""
        return linear_layer(rmsnorm(inputs["x"]) if problem["normalised"] else inputs["x"], inputs["w"])


SPEC = LinearSpec()
