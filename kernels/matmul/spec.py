"""Matrix product bound to its space (laws/ops/matmul.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, CutileSpec, ceil_div, resident
from spak.kernels.interface import Configuration, Operand, Problem, Work
from spak.kernels.matmul.reference import matmul

CONSTANTS = ("tile_m", "tile_n", "tile_k", "group", "latency", "use_tma", "persistent")
"""Parameters that are the kernel's constants, in its order."""


def sizes(problem: Problem) -> list[int]:
    """B, M, N and K of (b, m, k) times (b, k, n)."""
    return [int(problem[name]) for name in ("batch", "m", "n", "k")]


@dataclass(frozen=True)
class _Inputs:
    """A (B, M, K) and B (B, K, N), contiguous."""

    a: Any
    b: Any


class MatmulSpec(CutileSpec):
    """`matmul`: batched, fp32 accumulation."""

    op = "matmul"
    inputs = _Inputs

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """A, B and their product."""
        batch, m, n, k = sizes(problem)
        shapes = {"a": (batch, m, k), "b": (batch, k, n), OUTPUT: (batch, m, n)}
        return {name: Array(str(problem["dtype"]), shape) for name, shape in shapes.items()}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """One: a block for each output tile, or as many as the hints keep resident if persistent."""
        tiles = self.tiles(problem, configuration)
        blocks = min(tiles, resident(configuration, num_sms)) if configuration["persistent"] else tiles
        constants = tuple(configuration[name] for name in CONSTANTS)
        return (Call("matmul_kernel", (blocks, 1, 1), self.arrays(problem), (), constants),)

    def tiles(self, problem: Problem, configuration: Configuration) -> int:
        """Output tiles of all batches."""
        batch, m, n, _ = sizes(problem)
        return batch * ceil_div(m, int(configuration["tile_m"])) * ceil_div(n, int(configuration["tile_n"]))

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of the launch."""
        batch, m, n, k = sizes(problem)
        tile_m, tile_n, tile_k = (int(configuration[name]) for name in ("tile_m", "tile_n", "tile_k"))
        rows, columns = ceil_div(m, tile_m), ceil_div(n, tile_n)
        group = min(int(configuration["group"]), rows)
        work = Work(
            iterations=((self.tiles(problem, configuration), ceil_div(k, tile_k)),),
            tensor_flops_per_iteration=2.0 * tile_m * tile_n * tile_k,
            exp2_per_iteration=0.0,
            fp32_per_iteration=0.0,
            smem_bytes_per_iteration=2.0 * (tile_m + tile_n) * tile_k,
            global_bytes=2.0 * batch * (m * k + k * n + m * n),
            outside_bytes=2.0 * tile_m * tile_n,
            cluster=int(configuration["num_ctas"]),
            walkers_per_sm=float(configuration["occupancy"]) if configuration["persistent"] else 0.0,
            operands=(
                Operand(  # A: down the rows of a group, again for each column
                    bytes_per_iteration=2.0 * tile_m * tile_k,
                    bytes=2.0 * batch * m * k,
                    part_bytes=2.0 * tile_m * k,
                    run=1 if group else columns,
                    cycle=group or batch * rows,
                ),
                Operand(  # B: a column for each row of a group
                    bytes_per_iteration=2.0 * tile_k * tile_n,
                    bytes=2.0 * batch * k * n,
                    part_bytes=2.0 * k * tile_n,
                    run=max(group, 1),
                    cycle=columns,
                ),
            ),
        )
        return (work,)

    def reference(self, inputs: _Inputs, problem: Problem) -> Any:  # noqa: ARG002  # the interface's arguments
        """(B, M, N), float64."""
        return matmul(inputs.a, inputs.b)

    def baselines(self, inputs: _Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's product, which is cuBLAS; a batch of one as a plain product, which is faster there."""
        import torch

        if problem["batch"] == 1:
            return {"cublas": lambda: torch.mm(inputs.a[0], inputs.b[0]).unsqueeze(0)}
        return {"cublas": lambda: torch.bmm(inputs.a, inputs.b)}


SPEC = MatmulSpec()
