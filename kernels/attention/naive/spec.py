"""Naive attention bound to its space (laws/ops/naive-attention.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from spak.kernels.attention.problem import AttentionSpec, Inputs, Shape, torch_dtype
from spak.kernels.interface import CompileJob, Configuration, Problem, Scalar, Work
from spak.kernels.signature import contiguous, convention

SOFTMAX_PASSES = 3
"""S is read for the maximum, for the sum, and for the weights."""


@lru_cache
def _hinted(name: str, occupancy: int) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    from spak.kernels.attention.naive import kernel

    return getattr(kernel, name).replace_hints(occupancy=occupancy)


class NaiveSpec(AttentionSpec):
    """`naive-attention`: three launches, S and P in global memory."""

    op = "naive-attention"
    parameters: Mapping[str, Sequence[Scalar]] = {
        "tile_m": (32, 64, 128),
        "tile_n": (32, 64, 128),
        "occupancy": (1, 2, 4),
    }
    problem_parameters = ("batch", "heads", "kv_heads", "seq_q", "seq_kv", "head_dim", "causal", "dtype")
    invariants = ("maximum and sum of a row over all its keys", "mask floor is finite")
    source_files = (str(Path(__file__).parent / "kernel.py"),)

    def _constants(self, shape: Shape, configuration: Configuration) -> Mapping[str, tuple[Any, ...]]:
        tiles = (configuration["tile_m"], configuration["tile_n"])
        heads = (shape.heads, shape.group)
        return {
            "scores_kernel": (*heads, *tiles, shape.tile_d, shape.causal),
            "softmax_kernel": tiles,
            "product_kernel": (*heads, *tiles, shape.tile_d),
        }

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob]:
        """The three functions, the product of Q and K first."""
        import cuda.tile as ct
        from cuda.tile.compilation import KernelSignature, ScalarConstraint

        shape = Shape.of(problem)
        dtype = {"fp16": ct.float16, "bf16": ct.bfloat16}[shape.dtype]
        queries, keys = contiguous(dtype, shape.queries), contiguous(dtype, shape.keys)
        square = (shape.batch * shape.heads, shape.seq_q, shape.seq_kv)
        s, p = contiguous(ct.float32, square), contiguous(dtype, square)
        arrays = {"scores_kernel": [queries, keys, s], "softmax_kernel": [s, p], "product_kernel": [p, keys, queries]}
        scalars = {"scores_kernel": [ScalarConstraint(ct.float32)]}
        constants = self._constants(shape, configuration)
        occupancy = int(configuration["occupancy"])
        return tuple(
            CompileJob(
                _hinted(name, occupancy),
                KernelSignature(
                    [*parts, *scalars.get(name, []), *constants[name]],
                    calling_convention=convention(parts),
                    symbol=name,
                ),
                name,
            )
            for name, parts in arrays.items()
        )

    def work(self, problem: Problem, configuration: Configuration) -> Work:
        """Counts of the three launches together, as if one CTA walked the keys of a query tile; nothing is skipped."""
        shape = Shape.of(problem)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        pairs = shape.batch * shape.heads
        ctas = -(-shape.seq_q // tile_m) * pairs
        scores = float(pairs * shape.seq_q * shape.seq_kv)
        area = float(tile_m * tile_n)
        return Work(
            ctas=ctas,
            iterations=((ctas, -(-shape.seq_kv // tile_n)),),
            tensor_flops_per_iteration=4.0 * area * shape.tile_d,
            exp2_per_iteration=2.0 * area,
            fp32_per_iteration=6.0 * area,
            smem_bytes_per_iteration=2.0 * (tile_m + 2 * tile_n) * shape.tile_d + 2.0 * area,
            global_bytes=shape.min_bytes + scores * (4 + 4 * SOFTMAX_PASSES + 2 + 2),
        )

    def launch(self, inputs: Inputs, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """Three launches on the current stream; S and P are allocated here."""
        import cuda.tile as ct
        import torch

        shape = Shape.of(problem)
        pairs = shape.batch * shape.heads
        square = (pairs, shape.seq_q, shape.seq_kv)
        s = torch.empty(square, dtype=torch.float32, device=outputs.device)
        p = torch.empty(square, dtype=torch_dtype(shape), device=outputs.device)
        rows = -(-shape.seq_q // int(configuration["tile_m"]))
        columns = -(-shape.seq_kv // int(configuration["tile_n"]))
        arguments = {
            "scores_kernel": ((columns, rows, pairs), (inputs.q, inputs.k, s, shape.head_dim**-0.5)),
            "softmax_kernel": ((rows, pairs, 1), (s, p)),
            "product_kernel": ((rows, pairs, 1), (p, inputs.v, outputs)),
        }
        constants = self._constants(shape, configuration)
        for name, (grid, parts) in arguments.items():
            kernel = _hinted(name, int(configuration["occupancy"]))
            ct.launch(torch.cuda.current_stream(), grid, kernel, (*parts, *constants[name]))


SPEC = NaiveSpec()
