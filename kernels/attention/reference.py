"""Attention in float64, row by row of queries: the definition, with no online trick in it."""

from __future__ import annotations

from typing import Any


def attention(q: Any, k: Any, v: Any, *, causal: bool, q_offset: int) -> tuple[Any, Any]:
    """Exact attention and its log-sum-exp.

    Args:
        q: (B, H, Sq, D), any float dtype, torch.
        k: (B, KV, Skv, D); KV divides H.
        v: (B, KV, Skv, D).
        causal: Query row i sees keys up to i + q_offset.
        q_offset: At least 0.

    Returns:
        (B, H, Sq, D) and (B, H, Sq), float64. A row that sees no key is 0.
    """
    import torch

    group = q.shape[1] // k.shape[1]
    out = torch.empty(q.shape, dtype=torch.float64, device=q.device)
    lse = torch.empty(q.shape[:3], dtype=torch.float64, device=q.device)
    keys = torch.arange(k.shape[2], device=q.device)
    rows = torch.arange(q.shape[2], device=q.device) + q_offset
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            wide = k[b, h // group].double()
            s = q[b, h].double() @ wide.T / q.shape[3] ** 0.5  # (Sq, Skv)
            if causal:
                s = s.masked_fill(keys[None, :] > rows[:, None], float("-inf"))
            lse[b, h] = torch.logsumexp(s, dim=1)
            out[b, h] = torch.softmax(s, dim=1).nan_to_num(0.0) @ v[b, h // group].double()
    return out, lse
