"""The definition."""

from __future__ import annotations

from typing import Any


def column_sum(x: Any) -> Any:
    """(columns,): the sum over the rows of x (rows, columns), in fp32 of types that are narrower, else in its own."""
    import torch

    return x.sum(dim=0, dtype=torch.promote_types(x.dtype, torch.float32))
