"""Fused attention bound to its space (laws/ops/fused-attention.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from spak.kernels.attention.problem import AttentionSpec, Inputs, Shape
from spak.kernels.interface import CompileJob, Configuration, Problem, Scalar, Work
from spak.kernels.signature import contiguous, convention


@lru_cache
def _hinted(occupancy: int) -> Any:
    """One kernel object for each set of hints: cuTile keeps compiled code with the object."""
    from spak.kernels.attention.fused.kernel import fused_kernel

    return fused_kernel.replace_hints(occupancy=occupancy)


class FusedSpec(AttentionSpec):
    """`fused-attention`: one launch, one head a CTA, neither mask nor GQA."""

    op = "fused-attention"
    parameters: Mapping[str, Sequence[Scalar]] = {
        "tile_m": (32, 64, 128),
        "tile_n": (32, 64, 128),
        "occupancy": (1, 2, 4),
    }
    problem_parameters = ("batch", "heads", "seq_q", "seq_kv", "head_dim", "dtype")
    invariants = ("online-softmax recurrence", "mask floor is finite")
    source_files = (str(Path(__file__).parent / "kernel.py"),)

    def compile_jobs(self, problem: Problem, configuration: Configuration) -> Sequence[CompileJob]:
        """One job: what `launch` would compile."""
        import cuda.tile as ct
        from cuda.tile.compilation import KernelSignature, ScalarConstraint

        shape = Shape.of(problem)
        dtype = {"fp16": ct.float16, "bf16": ct.bfloat16}[shape.dtype]
        pairs = shape.batch * shape.heads
        queries = contiguous(dtype, (pairs, shape.seq_q, shape.head_dim))
        keys = contiguous(dtype, (pairs, shape.seq_kv, shape.head_dim))
        arrays = [queries, keys, keys, queries]
        constants = (configuration["tile_m"], configuration["tile_n"], shape.tile_d)
        signature = KernelSignature(
            [*arrays, ScalarConstraint(ct.float32), *constants],
            calling_convention=convention(arrays),
            symbol="fused_kernel",
        )
        return (CompileJob(_hinted(int(configuration["occupancy"])), signature, "fused_kernel"),)

    def work(self, problem: Problem, configuration: Configuration) -> Work:
        """Counts of one launch."""
        shape = Shape.of(problem)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        ctas = -(-shape.seq_q // tile_m) * shape.batch * shape.heads
        area = tile_m * tile_n
        return Work(
            ctas=ctas,
            iterations=((ctas, -(-shape.seq_kv // tile_n)),),
            tensor_flops_per_iteration=4.0 * area * shape.tile_d,
            exp2_per_iteration=float(area + tile_m),
            fp32_per_iteration=float(area * 5 + tile_m * shape.tile_d),
            smem_bytes_per_iteration=4.0 * tile_n * shape.tile_d,
            global_bytes=shape.min_bytes,
            outside_bytes=2.0 * tile_m * shape.tile_d,
        )

    def launch(self, inputs: Inputs, outputs: Any, problem: Problem, configuration: Configuration) -> None:
        """One launch on the current stream."""
        import cuda.tile as ct
        import torch

        shape = Shape.of(problem)
        grid = (-(-shape.seq_q // int(configuration["tile_m"])), shape.batch * shape.heads, 1)
        heads = [tensor.flatten(0, 1) for tensor in (inputs.q, inputs.k, inputs.v, outputs)]
        constants = (configuration["tile_m"], configuration["tile_n"], shape.tile_d)
        kernel = _hinted(int(configuration["occupancy"]))
        ct.launch(torch.cuda.current_stream(), grid, kernel, (*heads, shape.head_dim**-0.5, *constants))


SPEC = FusedSpec()
