"""Linear layer with GELU bound to its space (laws/ops/linear-gelu.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from spak.kernels.column_sum import kernel as column_sum_kernel
from spak.kernels.column_sum.spec import FINISH_TILE, finish_grid
from spak.kernels.cutile import Array, Call, ceil_div, resident
from spak.kernels.interface import Configuration, Problem, Work
from spak.kernels.linear_gelu.reference import linear_gelu, projected_gelu
from spak.kernels.matmul import kernel as matmul_kernel
from spak.kernels.matmul.spec import SPEC as MATMUL
from spak.kernels.operation import BYTES, OperationSpec, tensors_by_name

PRODUCT = ("tile_m", "tile_n", "tile_k", "group", "latency", "persistent")
"""Parameters that are constants of the product's kernels, in their order; those of the epilogue follow."""

STRIPS, STRIP_TILE = 32, (32, 128)
"""Strips of rows, and a tile of them, of columns that are summed apart."""

PRODUCT_KERNELS = ("forward_kernel", "backward_kernel")
"""Functions of kernel.py."""

OPERATIONS = 10
"""Multiplications and additions of GELU or its gradient, an element."""


class LinearGeluSpec(OperationSpec):
    """`linear-gelu`: see kernel.py; backward starts from the gradient of another layer's output, so the arrays are others."""

    op = "linear-gelu"

    @property
    def source_files(self) -> Sequence[str]:
        """With the order of tiles, which is the matrix product's, and sums of columns."""
        return (
            *super().source_files,
            *(str(Path(str(other.__file__))) for other in (matmul_kernel, column_sum_kernel)),
        )

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
        """Of products; what only sums columns has none."""
        return super().hints(function, configuration) if function in PRODUCT_KERNELS else {}

    def module(self, function: str) -> str:
        """Sums of columns are another op's."""
        return super().module(function) if function in PRODUCT_KERNELS else column_sum_kernel.__name__

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """The product, and backward what is left to sum."""
        launches = _Launches(self.arrays(problem), problem, configuration)
        product = launches.product(num_sms)
        return (
            (product, *launches.sums(product.arrays["partials"])) if problem["direction"] == "backward" else (product,)
        )

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Of each launch."""
        product, *others = self.calls(problem, configuration)
        rows, fan_in, fan_out = extents(problem)
        sizes = {"batch": 1, "m": rows, "n": fan_out, "k": fan_in, "dtype": problem["dtype"]}
        (work,) = MATMUL.work(sizes, configuration)
        each = rows * fan_out / work.passes
        work = replace(
            work,
            exp2_per_iteration=each,
            fp32_per_iteration=OPERATIONS * each,
            global_bytes=_bytes(product),
            function=product.function,
        )
        return (work, *(_summing(call) for call in others))

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's operators; backward a product, GELU's gradient and a sum, for which nothing is computed again."""
        if problem["direction"] == "forward":
            return super().baselines(inputs, problem)
        return {"torch": lambda: _gradients_by_torch(inputs)}

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


def extents(problem: Problem) -> tuple[int, int, int]:
    """Rows, and columns of both sides."""
    return int(problem["num_rows"]), int(problem["in_features"]), int(problem["out_features"])


def _gradients_by_torch(inputs: Any) -> Any:
    import torch

    dpre = torch.ops.aten.gelu_backward(inputs.dy @ inputs.w2, inputs.pre, approximate="tanh")
    return tensors_by_name(dpre=dpre, db=dpre.sum(0, dtype=torch.float32).to(dpre.dtype))


def _bytes(call: Call) -> float:
    return float(sum(prod(array.shape) * BYTES[array.dtype] for array in call.arrays.values()))


def _summing(call: Call) -> Work:
    """An addition for each element of the first array."""
    ctas = prod(call.grid)
    return Work(
        iterations=((ctas, 1),),
        tensor_flops_per_iteration=0.0,
        exp2_per_iteration=0.0,
        fp32_per_iteration=prod(next(iter(call.arrays.values())).shape) / ctas,
        smem_bytes_per_iteration=0.0,
        global_bytes=_bytes(call),
        function=call.function,
    )


@dataclass(frozen=True)
class _Launches:
    """Makes the launches of one problem and configuration."""

    arrays: Mapping[str, Array]
    problem: Problem
    configuration: Configuration

    def constant(self, name: str) -> int:
        """That of kernel.py which the configuration's value of a parameter means."""
        from spak.kernels.linear_gelu import kernel

        return int(getattr(kernel, str(self.configuration[name]).upper().replace("-", "_")))

    @property
    def apart(self) -> bool:
        return self.configuration["column_sums"] == "apart"

    def product(self, num_sms: int) -> Call:
        c = self.configuration
        rows, _, columns = extents(self.problem)
        rows_of_tiles = ceil_div(rows, int(c["tile_m"]))
        tiles = rows_of_tiles * ceil_div(columns, int(c["tile_n"]))
        grid = (min(tiles, resident(c, num_sms)) if c["persistent"] else tiles, 1, 1)
        constants = (*(c[name] for name in PRODUCT), self.constant("sigmoid"), c["epilogue_subtiles"], c["tma_stores"])
        if self.problem["direction"] == "forward":
            return Call("forward_kernel", grid, self.arrays, (), constants)
        arrays = {name: self.arrays[name] for name in ("dy", "w2", "pre", "dpre")}
        arrays["partials"] = Array("fp32", (1, STRIPS if self.apart else rows_of_tiles, columns))
        return Call("backward_kernel", grid, arrays, (), (*constants, self.constant("column_sums")))

    def sums(self, partials: Array) -> Sequence[Call]:
        """Of dPre in strips, unless the product left partial sums; then of these."""
        rows, _, columns = extents(self.problem)
        calls = []
        if self.apart:
            strip = ceil_div(ceil_div(rows, STRIP_TILE[0]), STRIPS)
            grid = (ceil_div(columns, STRIP_TILE[1]), STRIPS, 1)
            arrays = {"dpre": self.arrays["dpre"], "partials": partials}
            calls.append(Call("strips_kernel", grid, arrays, (), (strip, *STRIP_TILE, False), hot=False))
        arrays = {"partials": partials, "db": self.arrays["db"]}
        calls.append(Call("finish_kernel", (finish_grid(columns), 1, 1), arrays, (), FINISH_TILE, hot=False))
        return calls


SPEC = LinearGeluSpec()
