"""Naive attention bound to its space (laws/ops/naive-attention.yaml)."""

from __future__ import annotations

from collections.abc import Sequence

from spak.kernels.attention.problem import AttentionSpec, Shape
from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem, Work

SOFTMAX_PASSES = 3
"""S is read for the maximum, for the sum, and for the weights."""


class NaiveSpec(AttentionSpec):
    """`naive-attention`: three launches, S and P in global memory."""

    op = "naive-attention"

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """The product of Q and K, the weights, and their product with V."""
        shape = Shape.of(problem)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        rows, columns = ceil_div(shape.seq_q, tile_m), ceil_div(shape.seq_kv, tile_n)
        square = (shape.pairs, shape.seq_q, shape.seq_kv)
        s, p = Array("fp32", square), Array(shape.dtype, square)
        heads = (shape.heads, shape.group, tile_m, tile_n, shape.tile_d)
        arrays = self.arrays(problem)
        return (
            Call(
                "scores_kernel",
                (columns, rows, shape.pairs),
                {"q": arrays["q"], "k": arrays["k"], "s": s},
                (shape.head_dim**-0.5,),
                (*heads, shape.causal),
            ),
            Call("softmax_kernel", (rows, shape.pairs, 1), {"s": s, "p": p}, (), (tile_m, tile_n)),
            Call(
                "product_kernel",
                (rows, shape.pairs, 1),
                {"p": p, "v": arrays["v"], OUTPUT: arrays[OUTPUT]},
                (),
                heads,
            ),
        )

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of the three launches together, as if one CTA walked the keys of a query tile; nothing is skipped."""
        shape = Shape.of(problem)
        tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
        ctas = ceil_div(shape.seq_q, tile_m) * shape.pairs
        scores = float(shape.pairs * shape.seq_q * shape.seq_kv)
        area = float(tile_m * tile_n)
        together = Work(
            iterations=((ctas, ceil_div(shape.seq_kv, tile_n)),),
            tensor_flops_per_iteration=4.0 * area * shape.tile_d,
            exp2_per_iteration=2.0 * area,
            fp32_per_iteration=6.0 * area,
            smem_bytes_per_iteration=2.0 * (tile_m + 2 * tile_n) * shape.tile_d + 2.0 * area,
            chained_products=2,
            row_reductions=2,
            global_bytes=shape.min_bytes + scores * (4 + 4 * SOFTMAX_PASSES + 2 + 2),
        )
        return (together,)


SPEC = NaiveSpec()
