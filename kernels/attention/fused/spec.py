"""Fused attention bound to its space (laws/ops/fused-attention.yaml)."""

from __future__ import annotations

from collections.abc import Sequence

from spak.kernels.attention.problem import AttentionSpec, Shape, online_work
from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem, Work


class FusedSpec(AttentionSpec):
    """`fused-attention`: one launch, one head a CTA, neither mask nor GQA."""

    op = "fused-attention"

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One; the heads of all sequences are one dimension."""
        shape = Shape.of(problem)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        queries = Array(shape.dtype, (shape.pairs, shape.seq_q, shape.head_dim))
        keys = Array(shape.dtype, (shape.pairs, shape.seq_kv, shape.head_dim))
        arrays = {"q": queries, "k": keys, "v": keys, OUTPUT: queries}
        grid = (ceil_div(shape.seq_q, tile_m), shape.pairs, 1)
        return (Call("fused_kernel", grid, arrays, (shape.head_dim**-0.5,), (tile_m, tile_n, shape.tile_d)),)

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of the launch."""
        return (online_work(Shape.of(problem), configuration, fp32_per_score=5),)


SPEC = FusedSpec()
