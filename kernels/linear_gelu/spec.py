"""Linear layer with GELU bound to its space (laws/ops/linear-gelu.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from spak.kernels.cutile import TOLERANCES, Array, Call, ceil_div, resident
from spak.kernels.interface import Configuration, Problem, Work
from spak.kernels.linear_gelu.reference import linear_gelu, projected_gelu
from spak.kernels.matmul import kernel as matmul_kernel
from spak.kernels.matmul.spec import SPEC as MATMUL
from spak.kernels.operation import OperationSpec, tensors_by_name

PRODUCT = ("tile_m", "tile_n", "tile_k", "group", "latency", "persistent")
"""Parameters that are constants of the product's kernels, in their order; those of the epilogue follow."""

SUMS_TILE = (32, 64)
"""Rows and columns of a tile of partial sums: as many blocks as half the SMs of a large GPU have at 3,072 columns."""

FP32_BYTES, BYTES = 4, 2
"""Of an element of the partial sums, and of any other array."""

OPERATIONS = 10
"""Multiplications and additions of GELU or its gradient, an element."""


class LinearGeluSpec(OperationSpec):
    """`linear-gelu`: see kernel.py; backward is the gradient of another layer's output, so the arrays are others."""

    op = "linear-gelu"

    @property
    def source_files(self) -> Sequence[str]:
        """With the order of tiles, which is the matrix product's."""
        return (*super().source_files, str(Path(matmul_kernel.__file__)))

    def written(self, problem: Problem) -> Sequence[str]:
        """Of the direction."""
        return ("dpre", "db") if problem["direction"] == "backward" else ("pre", "act")

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """Inputs and results of the direction."""
        rows, fan_in, fan_out = extents(problem)
        large = (rows, fan_out)
        shapes: dict[str, tuple[int, ...]] = {"x": (rows, fan_in), "w": (fan_out, fan_in), "b": (fan_out,)}
        shapes |= {"pre": large, "act": large}
        if problem["direction"] == "backward":
            shapes = {"dy": (rows, fan_in), "w2": (fan_in, fan_out), "pre": large, "dpre": large, "db": (fan_out,)}
        return {name: Array(str(problem["dtype"]), shape) for name, shape in shapes.items()}

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Standard normal, but weights such that a product of them is, too: GELU is most curved there."""
        inputs = super().make_inputs(problem, seed=seed, device=device)
        scale = int(problem["in_features"]) ** -0.5
        drawn = {name: x * scale if name in ("w", "w2") else x for name, x in vars(inputs).items()}
        return tensors_by_name(**drawn)

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:
        """Of products; what goes element by element has none."""
        return super().hints(function, configuration) if function in ("forward_kernel", "backward_kernel") else {}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """The product or what follows the library's, and backward the sum of partial sums."""
        launches = _Launches(self.arrays(problem), problem, configuration)
        calls = [launches.product(num_sms) if configuration["plan"] == "epilogue" else launches.elements()]
        if problem["direction"] == "backward":
            calls.append(launches.sums(calls[0].arrays["sums"]))
        return tuple(calls)

    def launch(self, inputs: Any, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """On the current stream; element by element behind the library's product."""
        import torch

        if configuration["plan"] == "elementwise":
            if problem["direction"] == "backward":
                torch.mm(inputs.dy, inputs.w2, out=outputs.dpre)
            else:
                torch.addmm(inputs.b, inputs.x, inputs.w.t(), out=outputs.pre)
        super().launch(inputs, outputs, problem, configuration)

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Of each launch; the library's product counts with the one behind it."""
        first, *others = self.calls(problem, configuration)
        rows, fan_in, fan_out = extents(problem)
        if configuration["plan"] == "epilogue":
            product = {"batch": 1, "m": rows, "n": fan_out, "k": fan_in, "dtype": problem["dtype"]}
            (work,) = MATMUL.work(product, configuration)
            moved = 0
        else:
            ctas = first.grid[0] * first.grid[1]
            work = _uniform_work(first, 2.0 * rows * fan_in * fan_out, 0.0, ctas)
            moved = BYTES * (rows * fan_in + fan_in * fan_out + rows * fan_out)
        each = rows * fan_out / work.passes
        work = replace(
            work,
            exp2_per_iteration=each,
            fp32_per_iteration=OPERATIONS * each,
            global_bytes=float(moved + sum(_bytes(array) for array in first.arrays.values())),
            function=first.function,
        )
        return (work, *(_uniform_work(call, 0.0, prod(call.arrays["sums"].shape), call.grid[0]) for call in others))

    def definition(self, problem: Problem, **inputs: Any) -> Any:
        """Pre and Act."""
        del problem
        return linear_gelu(**inputs)

    def _evaluated(self, inputs: Mapping[str, Any], problem: Problem) -> Any:
        import torch

        if problem["direction"] == "forward":
            return super()._evaluated(inputs, problem)
        pre = inputs["pre"].detach().requires_grad_()
        (dpre,) = torch.autograd.grad(projected_gelu(pre, inputs["w2"]), [pre], inputs["dy"])
        return tensors_by_name(dpre=dpre, db=dpre.sum(dim=0))

    def tolerance(self, problem: Problem) -> float:
        """That of a product of the dtype."""
        return TOLERANCES[str(problem["dtype"])]


def extents(problem: Problem) -> tuple[int, int, int]:
    """Rows, and columns of both sides."""
    return int(problem["num_rows"]), int(problem["in_features"]), int(problem["out_features"])


def _bytes(array: Array) -> int:
    return prod(array.shape) * (FP32_BYTES if array.dtype == "fp32" else BYTES)


def _uniform_work(call: Call, tensor_flops: float, fp32: float, ctas: int) -> Work:
    """Counts that CTAs share evenly, each in one pass."""
    return Work(
        iterations=((ctas, 1),),
        tensor_flops_per_iteration=tensor_flops / ctas,
        exp2_per_iteration=0.0,
        fp32_per_iteration=fp32 / ctas,
        smem_bytes_per_iteration=0.0,
        global_bytes=float(sum(_bytes(array) for array in call.arrays.values())),
        function=call.function,
    )


@dataclass(frozen=True)
class _Launches:
    """Makes the launches of one problem and configuration."""

    arrays: Mapping[str, Array]
    problem: Problem
    configuration: Configuration

    @property
    def backward(self) -> bool:
        return self.problem["direction"] == "backward"

    @property
    def sigmoid(self) -> int:
        """The constant of kernel.py."""
        from spak.kernels.linear_gelu import kernel

        return int(getattr(kernel, str(self.configuration["sigmoid"]).upper()))

    def partial_sums(self, blocks: int) -> Array:
        """A row for each block of rows."""
        return Array("fp32", (blocks, *self.arrays["db"].shape))

    def product(self, num_sms: int) -> Call:
        c = self.configuration
        rows, _, columns = extents(self.problem)
        rows_of_tiles = ceil_div(rows, int(c["tile_m"]))
        tiles = rows_of_tiles * ceil_div(columns, int(c["tile_n"]))
        blocks = min(tiles, resident(c, num_sms)) if c["persistent"] else tiles
        constants = (*(c[name] for name in PRODUCT), self.sigmoid, c["epilogue_subtiles"], c["tma_stores"])
        if not self.backward:
            return Call("forward_kernel", (blocks, 1, 1), self.arrays, (), constants)
        arrays = {**self.arrays, "sums": self.partial_sums(rows_of_tiles)}
        del arrays["db"]
        return Call("backward_kernel", (blocks, 1, 1), arrays, (), constants)

    def elements(self) -> Call:
        rows, _, columns = extents(self.problem)
        tile = (int(self.configuration["tile_rows"]), int(self.configuration["tile_columns"]))
        steps = int(self.configuration["tiles_per_cta"])
        across = ceil_div(columns, tile[1])
        if not self.backward:
            arrays = {name: self.arrays[name] for name in ("pre", "act")}
            return Call("gelu_kernel", (ceil_div(rows, tile[0]), across, 1), arrays, (), (*tile, self.sigmoid))
        blocks = ceil_div(rows, tile[0] * steps)
        arrays = {name: self.arrays[name] for name in ("pre", "dpre")} | {"sums": self.partial_sums(blocks)}
        return Call("slope_kernel", (blocks, across, 1), arrays, (), (*tile, steps, self.sigmoid))

    def sums(self, partial: Array) -> Call:
        grid = (ceil_div(partial.shape[1], SUMS_TILE[1]), 1, 1)
        arrays = {"sums": partial, "db": self.arrays["db"]}
        return Call("sums_kernel", grid, arrays, (), SUMS_TILE, hot=False)


SPEC = LinearGeluSpec()
