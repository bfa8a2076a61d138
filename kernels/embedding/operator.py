"""Embedding as a training step calls it: `EmbeddingForward` and `EmbeddingBackward` of `spak.kernels.nanogpt.operators`."""

from __future__ import annotations

from typing import Any

from spak.kernels.cutile import OUTPUT, name_of_dtype
from spak.kernels.embedding.spec import SPEC
from spak.kernels.interface import Configuration, Problem


def embed(tokens: Any, wte: Any, wpe: Any, dtype: Any, *, configuration: Configuration) -> Any:
    """(B T, width), `dtype`: the row of each token plus that of its position. One launch on the current stream.

    Args:
        tokens: (B, T) int32, below the rows of wte.
        wte: (vocab, width) fp32.
        wpe: (context, width) fp32, context >= T.
        dtype: torch's fp32, bf16 or fp16.
        configuration: Complete, of the op `embedding`.

    Raises:
        ValueError: If T is more than the context.
        TypeError: For another dtype.
    """
    import torch

    length, width = tokens.shape[1], wte.shape[1]
    if length > len(wpe):
        raise ValueError(f"tokens: sequences of at most {len(wpe)} (got {length})")
    out = torch.empty(tokens.numel(), width, dtype=dtype, device=tokens.device)
    problem = _problem(tokens, wte, out, direction="forward")
    arrays = {"ids": tokens.view(-1), "wte": wte, "wpe": wpe[:length], OUTPUT: out}
    SPEC.issue(SPEC.calls(problem, configuration), arrays, configuration)
    return out


def add_embedding_gradients(dx: Any, tokens: Any, dwte: Any, dwpe: Any, *, configuration: Configuration) -> None:
    """Add to dwte, write dwpe: sums in fp32, of equal inputs the same bits every time. Three launches on the current stream.

    Args:
        dx: (B T, width) fp32, bf16 or fp16.
        tokens: (B, T) int32, below the rows of dwte.
        dwte: (vocab, width), of the dtypes of dx; only rows that a token chose are touched.
        dwpe: (context, width), dtype of dwte; rows from T on are written with 0.
        configuration: Complete, of the op `embedding`.

    Raises:
        TypeError: For another dtype.
    """
    length = tokens.shape[1]
    problem = {**_problem(tokens, dwte, dx, direction="backward"), "gradient_dtype": name_of_dtype(dwte, "dwte")}
    arrays = {"ids": tokens.view(-1), "dout": dx, "dwte": dwte, "dwpe": dwpe[:length]}
    SPEC.issue(SPEC.added(problem, configuration), arrays, configuration)
    if length < len(dwpe):
        dwpe[length:].zero_()


def _problem(tokens: Any, table: Any, rows: Any, *, direction: str) -> Problem:
    return {
        "tokens": tokens.numel(),
        "vocab": table.shape[0],
        "context": tokens.shape[1],
        "width": table.shape[1],
        "direction": direction,
        "dtype": name_of_dtype(rows, "dtype" if direction == "forward" else "dx"),
    }
