"""Matrix product bound to its space (laws/ops/matmul.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, CutileSpec, ceil_div, resident
from spak.kernels.interface import Configuration, Problem, Work
from spak.kernels.matmul.reference import matmul

CONSTANTS = ("tile_m", "tile_n", "tile_k", "group", "latency", "use_tma", "persistent")
"""Parameters that are the kernel's constants, in its order."""


@dataclass(frozen=True)
class Sizes:
    """A problem size: (b, m, k) times (b, k, n), inputs and output of `dtype`."""

    batch: int
    m: int
    n: int
    k: int
    dtype: str

    @classmethod
    def of(cls, problem: Problem) -> Sizes:
        """Read a problem."""
        counts = {name: int(problem[name]) for name in ("batch", "m", "n", "k")}
        return cls(**counts, dtype=str(problem["dtype"]))


@dataclass(frozen=True)
class Inputs:
    """A (B, M, K) and B (B, K, N), contiguous."""

    a: Any
    b: Any


class MatmulSpec(CutileSpec):
    """`matmul`: batched, fp32 accumulation."""

    op = "matmul"
    inputs = Inputs

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """A, B and their product."""
        sizes = Sizes.of(problem)
        shapes = {"a": (sizes.m, sizes.k), "b": (sizes.k, sizes.n), OUTPUT: (sizes.m, sizes.n)}
        return {name: Array(sizes.dtype, (sizes.batch, *shape)) for name, shape in shapes.items()}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """One: a block for each output tile, or as many as the hints keep resident if persistent."""
        tiles = self.tiles(Sizes.of(problem), configuration)
        blocks = min(tiles, resident(configuration, num_sms)) if configuration["persistent"] else tiles
        constants = tuple(configuration[name] for name in CONSTANTS)
        return (Call("matmul_kernel", (blocks, 1, 1), self.arrays(problem), (), constants),)

    def tiles(self, sizes: Sizes, configuration: Configuration) -> int:
        """Output tiles of all batches."""
        rows = ceil_div(sizes.m, int(configuration["tile_m"]))
        return rows * ceil_div(sizes.n, int(configuration["tile_n"])) * sizes.batch

    def work(self, problem: Problem, configuration: Configuration) -> Work:
        """Counts of one launch, one output tile a CTA; a persistent grid does the same work in fewer CTAs."""
        sizes = Sizes.of(problem)
        tile_m, tile_n, tile_k = (int(configuration[name]) for name in ("tile_m", "tile_n", "tile_k"))
        ctas = self.tiles(sizes, configuration)
        return Work(
            ctas=ctas,
            iterations=((ctas, ceil_div(sizes.k, tile_k)),),
            tensor_flops_per_iteration=2.0 * tile_m * tile_n * tile_k,
            exp2_per_iteration=0.0,
            fp32_per_iteration=0.0,
            smem_bytes_per_iteration=2.0 * (tile_m + tile_n) * tile_k,
            global_bytes=2.0 * sizes.batch * (sizes.m * sizes.k + sizes.k * sizes.n + sizes.m * sizes.n),
            outside_bytes=2.0 * tile_m * tile_n,
            cluster=int(configuration["num_ctas"]),
        )

    def reference(self, inputs: Inputs, problem: Problem) -> Any:  # noqa: ARG002  # the interface's arguments
        """(B, M, N), float64."""
        return matmul(inputs.a, inputs.b)

    def baselines(self, inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's product, which is cuBLAS; a batch of one as a plain product, which is faster there."""
        import torch

        if Sizes.of(problem).batch == 1:
            return {"cublas": lambda: torch.mm(inputs.a[0], inputs.b[0]).unsqueeze(0)}
        return {"cublas": lambda: torch.bmm(inputs.a, inputs.b)}


SPEC = MatmulSpec()
