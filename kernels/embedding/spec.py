"""Embedding bound to its space (laws/ops/embedding.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.cutile import OUTPUT, Array, Call, ceil_div
from spak.kernels.embedding.reference import embedding
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec, indices

TILE_C = 16
"""Columns of a CTA."""
TILE_V = 16
"""Entries of a table of which a CTA makes the gradient."""


class EmbeddingSpec(OperationSpec):
    """`embedding`: a token's vector plus its position's; backward one launch for each table."""

    op = "embedding"
    gradients = ("wte", "wpe")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Tokens, the two tables, and their sum."""
        tokens, vocab, context, width = (int(problem[name]) for name in ("tokens", "vocab", "context", "width"))
        shapes = {"wte": (vocab, width), "wpe": (context, width), OUTPUT: (tokens, width)}
        return {"ids": Array("int32", (tokens,)), **{name: Array("fp32", shape) for name, shape in shapes.items()}}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One forward, two backward."""
        tile_m, columns = int(configuration["tile_m"]), ceil_div(int(problem["width"]), TILE_C)
        if problem["direction"] == "forward":
            grid = (ceil_div(int(problem["tokens"]), tile_m), columns)
            return (self.call(problem, grid, "forward_kernel", "", tile_m, TILE_C),)
        return [
            self.call(
                problem,
                (ceil_div(int(problem[entries]), TILE_V), columns),
                "backward_kernel",
                f"ids dout {table}",
                table == "dwpe",
                tile_m,
                TILE_C,
                TILE_V,
            )
            for table, entries in (("dwte", "vocab"), ("dwpe", "context"))
        ]

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Even tokens, normal tables."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        return replace(drawn, ids=indices(drawn.ids, int(problem["vocab"]), seed))

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """The sum."""
        return embedding(inputs["ids"], inputs["wte"], inputs["wpe"])


SPEC = EmbeddingSpec()
