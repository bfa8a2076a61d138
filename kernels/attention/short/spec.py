"""Attention over few keys bound to its space (laws/ops/short-attention.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec, power_of_two

LEAST_TILE = 16
"""Of a matrix product; smaller heads and shorter sequences are filled up with zeros."""


class ShortAttentionSpec(OperationSpec):
    """`short-attention`: all keys in one tile; backward a CTA for each head."""

    op = "short-attention"
    gradients = ("q", "k", "v")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Q, K, V and O, (B, S, H, D)."""
        whole = Array("fp32", tuple(int(problem[name]) for name in ("batch", "seq", "heads", "head_dim")))
        return dict.fromkeys(("q", "k", "v", OUTPUT), whole)

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One; forward a CTA for each tile of queries."""
        tile_m = int(configuration["tile_m"])
        batch, seq, heads, head_dim = (int(problem[name]) for name in ("batch", "seq", "heads", "head_dim"))
        grid = (ceil_div(seq, tile_m), heads, batch) if problem["direction"] == "forward" else (heads, batch)
        tiles = (tile_m, *(max(LEAST_TILE, power_of_two(size)) for size in (seq, head_dim)))
        return (self.call(problem, grid, f"{problem['direction']}_kernel", "", head_dim**-0.5, *tiles),)

    def products(self, problem: Problem) -> Sequence[float]:
        """Two products of all pairs of query and key, masked or not, forward; five backward."""
        batch, seq, heads, head_dim = (int(problem[name]) for name in ("batch", "seq", "heads", "head_dim"))
        return [(2.0 if problem["direction"] == "forward" else 5.0) * 2 * batch * heads * seq * seq * head_dim]

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """O."""
        from torch.nn.functional import scaled_dot_product_attention

        q, k, v = (inputs[name].transpose(1, 2) for name in ("q", "k", "v"))
        return scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)


SPEC = ShortAttentionSpec()
