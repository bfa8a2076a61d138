"""Gradients of attention in float64, head by head, from the definition: nothing is taken from a forward pass."""

from __future__ import annotations

from typing import Any


def attention_gradients(
    q: Any, k: Any, v: Any, do: Any, *, causal: bool, q_offset: int, scale: float | None = None
) -> tuple[Any, Any, Any]:
    """Exact gradients of attention.

    Args:
        q: (B, H, Sq, D), any float dtype, torch.
        k: (B, KV, Skv, D); KV divides H.
        v: (B, KV, Skv, D).
        do: (B, H, Sq, D), the gradient of the output.
        causal: Query row i sees keys up to i + q_offset.
        q_offset: May be negative; a row that sees no key has no gradient and gives none.
        scale: Of the scores; D ** -0.5 if None.

    Returns:
        dQ (B, H, Sq, D), dK and dV (B, KV, Skv, D), float64.
    """
    import torch

    group = q.shape[1] // k.shape[1]
    scale = q.shape[3] ** -0.5 if scale is None else scale
    dq, dk, dv = (torch.zeros(x.shape, dtype=torch.float64, device=q.device) for x in (q, k, v))
    keys = torch.arange(k.shape[2], device=q.device)
    rows = torch.arange(q.shape[2], device=q.device) + q_offset
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            mine, at_keys, at_values, above = (
                x.double() for x in (q[b, h], k[b, h // group], v[b, h // group], do[b, h])
            )
            s = mine @ at_keys.T * scale  # (Sq, Skv)
            if causal:
                s = s.masked_fill(keys[None, :] > rows[:, None], float("-inf"))
            p = torch.softmax(s, dim=1).nan_to_num(0.0)
            dp = above @ at_values.T
            ds = p * (dp - (p * dp).sum(dim=1, keepdim=True)) * scale
            dq[b, h] = ds @ at_keys
            dk[b, h // group] += ds.T @ mine
            dv[b, h // group] += p.T @ above
    return dq, dk, dv
