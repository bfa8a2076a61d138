"""Embedding bound to its space (laws/ops/embedding.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.cutile import OUTPUT, TOLERANCES, Array, Call, ceil_div
from spak.kernels.embedding.reference import embedding
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import FP32_TOLERANCE, OperationSpec, indices, tensors_by_name

TILE_V = 16
"""Entries of a table of which a CTA makes the gradient by a product."""
CLEARED = 64
"""Entries of a table that a CTA clears."""
SORTED, COMPARED = 16, 512
"""Tokens that a CTA finds the places of, and others with which it compares them at once."""
MOST_RUN, RUN_ELEMENTS = 128, 8192
"""Equal tokens that are summed at once where more follow than a CTA has, and elements of their rows."""
BATCH, ELEMENTS = 8, 512
"""Sequences over which a CTA sums at once, and elements that it makes."""


class EmbeddingSpec(OperationSpec):
    """`embedding`: a token's vector plus its position's; backward the gradients of both tables."""

    op = "embedding"
    gradients = ("wte", "wpe")

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """Tokens, the two tables, and their sum."""
        tokens, vocab, context, width = (int(problem[name]) for name in ("tokens", "vocab", "context", "width"))
        tables = {"wte": Array("fp32", (vocab, width)), "wpe": Array("fp32", (context, width))}
        out = Array(str(problem.get("dtype", "fp32")), (tokens, width))
        return {"ids": Array("int32", (tokens,)), **tables, OUTPUT: out}

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """The gradients of the tables are of a type of their own."""
        dtype = str(problem.get("gradient_dtype", "fp32"))
        arrays = dict(super().arrays(problem))
        return arrays | {name: replace(arrays[name], dtype=dtype) for name in ("dwte", "dwpe") if name in arrays}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """One forward; backward one for each table, or, where tokens are sorted, those of `added` after one that clears."""
        c = configuration
        tile_m, tile_c = int(c["tile_m"]), int(c["tile_c"])
        columns, in_order = ceil_div(int(problem["width"]), tile_c), c["row_sums"] == "sorted"
        if problem["direction"] == "forward":
            grid = (ceil_div(int(problem["tokens"]), tile_m), columns)
            return (self.call(problem, grid, "forward_kernel", "", tile_m, tile_c),)
        if in_order:
            clear = (ceil_div(int(problem["vocab"]), CLEARED), columns)
            return (self.call(problem, clear, "clear_kernel", "dwte", CLEARED, tile_c), *self.added(problem, c))
        return [
            self.call(
                problem,
                (ceil_div(int(problem[entries]), TILE_V), columns),
                "backward_kernel",
                f"ids dout {table}",
                table == "dwpe",
                tile_m,
                tile_c,
                TILE_V,
            )
            for table, entries in (("dwte", "vocab"), ("dwpe", "context"))
        ]

    def added(self, problem: Problem, configuration: Configuration) -> Sequence[Call]:
        """Sort the tokens, add the sums of equal ones to `dwte`, write `dwpe`; whole sequences only.

        Raises:
            ValueError: If the tokens are no whole sequences of `context`.
        """
        tokens, context, width = (int(problem[name]) for name in ("tokens", "context", "width"))
        if tokens % context:
            raise ValueError(f"tokens: a multiple of context, {context} (got {tokens})")
        tile_m, tile_c = int(configuration["tile_m"]), int(configuration["tile_c"])
        columns, arrays = ceil_div(width, tile_c), self.arrays(problem)
        row = arrays["ids"]
        scratch = {"order": row, "sorted": row}
        sort = self.call(problem, (ceil_div(tokens, SORTED),), "sort_kernel", "ids", SORTED, COMPARED)
        grid, run = (ceil_div(tokens, tile_m), columns), min(MOST_RUN, RUN_ELEMENTS // tile_c)
        rows = self.call(problem, grid, "token_rows_kernel", "dout dwte", tile_m, tile_c, run)
        positions_at_once = max(1, ELEMENTS // tile_c)
        grid = (ceil_div(context, positions_at_once), columns)
        tile = (BATCH, positions_at_once, tile_c)
        positions = self.call(problem, grid, "position_rows_kernel", "dout dwpe", *tile)
        sequences = replace(arrays["dout"], shape=(tokens // context, context, width))
        return (
            replace(sort, arrays={**sort.arrays, **scratch}, hot=False),
            replace(rows, arrays={**scratch, **rows.arrays}),
            replace(positions, arrays={**positions.arrays, "dout": sequences}, hot=False),
        )

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Tokens of which small ids are common, as in text, and normal tables."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        vocab = int(problem["vocab"])
        even = indices(drawn.ids, vocab, seed)
        return replace(drawn, ids=(even.double() ** 2 / vocab).to(even.dtype))

    def definition(self, problem: Problem, **inputs: Any) -> Any:  # noqa: ARG002
        """The sum."""
        return embedding(inputs["ids"], inputs["wte"], inputs["wpe"])

    def tolerance(self, problem: Problem) -> float:
        """That of what is written."""
        written = "dtype" if problem["direction"] == "forward" else "gradient_dtype"
        return TOLERANCES.get(str(problem.get(written)), FP32_TOLERANCE)

    def baselines(self, inputs: Any, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's operators, in fp32 as autocast has them."""
        if problem["direction"] == "forward":
            return super().baselines(inputs, problem)
        return {"torch": lambda: tensors_by_name(**dense_gradients(inputs))}


def dense_gradients(inputs: Any) -> Mapping[str, Any]:
    """The gradients of both tables in fp32, by PyTorch's own scatter."""
    import torch

    dout, context = inputs.dout.float(), len(inputs.wpe)
    position = torch.arange(len(inputs.ids), device=dout.device) % context
    dense = torch.ops.aten.embedding_dense_backward
    return {
        "dwte": dense(dout, inputs.ids.long(), len(inputs.wte), -1, False),
        "dwpe": dense(dout, position, context, -1, False),
    }


SPEC = EmbeddingSpec()
