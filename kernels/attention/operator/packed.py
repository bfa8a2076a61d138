"""Causal attention as a training step calls it: queries, keys and values side by side, and so their gradients."""

from __future__ import annotations

from typing import Any

import torch

from spak.kernels.attention.operator.plan import BACKWARDS, WITH_LSE, Choose, KernelPlan
from spak.kernels.attention.operator.request import checked
from spak.kernels.launch_device import LaunchDevice


class PackedAttention:
    """`AttentionForward` and `AttentionBackward` of NanoGPT's operators, without dropout: nothing is copied or transposed."""

    def __init__(self, choose: Choose, device: LaunchDevice) -> None:
        """Begin; a shape is planned when it first comes."""
        self._choose, self._device = choose, device
        self._plans: dict[tuple[Any, ...], KernelPlan] = {}

    def forward(self, qkv: Any, heads: int, dropout: float = 0.0) -> tuple[Any, Any]:
        """(B, T, width), and what `backward` wants; qkv (B, T, 3 width), contiguous, fp16 or bf16.

        Raises:
            ValueError: If weights are to be dropped: no kernel here does.
        """
        if dropout:
            raise ValueError(f"dropout: 0, no kernel here drops weights (got {dropout})")
        q, k, v = _heads_apart(qkv, heads)
        plan = self._plan(q, k, v)
        out, lse = plan.forward(q, k, v)
        return out.transpose(1, 2).flatten(2), (plan, heads, qkv, out, lse)

    @staticmethod
    def backward(dout: Any, saved: Any) -> Any:
        """(B, T, 3 width), as qkv lies; dout (B, T, width)."""
        plan, heads, qkv, out, lse = saved
        dqkv = torch.empty_like(qkv)
        do = dout.unflatten(2, (heads, -1)).transpose(1, 2)
        plan.backward_into(_heads_apart(dqkv, heads), do, (*_heads_apart(qkv, heads), out, lse))
        return dqkv

    def _plan(self, q: Any, k: Any, v: Any) -> KernelPlan:
        key = (q.shape, q.dtype)
        if key not in self._plans:
            request = checked(q, k, v, causal=True, scale=None, q_offset=0)
            self._plans[key] = KernelPlan(request, self._device, self._choose, (WITH_LSE, BACKWARDS))
        return self._plans[key]


def _heads_apart(packed: Any, heads: int) -> tuple[Any, Any, Any]:
    """Views (B, H, T, D) of the three parts."""
    q, k, v = packed.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v
