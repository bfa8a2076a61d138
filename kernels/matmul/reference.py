"""The definition, in float64."""

from __future__ import annotations

from typing import Any


def matmul(a: Any, b: Any) -> Any:
    """bik,bkj->bij in float64, one batch at a time.

    Args:
        a: A: (B, M, K), a torch tensor.
        b: B: (B, K, N).
    """
    import torch

    out = torch.empty((a.shape[0], a.shape[1], b.shape[2]), dtype=torch.float64, device=a.device)
    for batch in range(a.shape[0]):
        torch.matmul(a[batch].double(), b[batch].double(), out=out[batch])
    return out
