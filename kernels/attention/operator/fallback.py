"""Attention where no kernel here serves: PyTorch's own, with the same meaning; and where there is nothing to compute."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from spak.kernels.attention.operator.plan import result_like
from spak.kernels.attention.operator.request import AttentionRequest

VECTOR_LANES = 16
"""Keys below which PyTorch's fused attention on a CPU gives 0 for a row whose scores are NaN, as this package must not.

Source: PyTorch 2.13, tried with 1 to 1,000 keys in each dtype; a vector of 512 bits has as many lanes of float32.
"""
INSTEAD = "scaled_dot_product_attention"
"""What runs then."""


def attend_by_torch(q: Any, k: Any, v: Any, request: AttentionRequest, *, deterministic: bool) -> Any:
    """(B, H, Sq, D) by `scaled_dot_product_attention`, with its gradients."""
    mask = None
    if request.causal and request.q_offset:
        mask = torch.ones(request.seq_q, request.seq_kv, dtype=torch.bool, device=q.device).tril(request.q_offset)
    plain = deterministic or (request.device.type == "cpu" and request.seq_kv < VECTOR_LANES)
    with sdpa_kernel(SDPBackend.MATH) if plain else nullcontext():
        return torch.nn.functional.scaled_dot_product_attention(
            *(q, k, v, mask),
            is_causal=request.causal and mask is None,
            scale=request.scale,
            enable_gqa=bool(request.heads != request.kv_heads),
        )


class TorchPlan:
    """Forward and backward pass of what no kernel serves. The backward pass repeats the forward one: nothing of it is kept."""

    def __init__(self, request: AttentionRequest, *, deterministic: bool) -> None:
        """Begin."""
        self._request, self._deterministic = request, deterministic

    def answer(self, q: Any, k: Any, v: Any) -> Any:
        """Output alone; PyTorch keeps what its own backward pass needs."""
        return attend_by_torch(q, k, v, self._request, deterministic=self._deterministic)

    def forward(self, q: Any, k: Any, v: Any) -> tuple[Any, Any]:
        """Output, and zeros where a kernel leaves the log-sum-exp."""
        out = self.answer(q, k, v)
        return result_like(q).copy_(out), q.new_zeros(q.shape[:3], dtype=torch.float32)

    def backward(self, do: Any, q: Any, k: Any, v: Any, out: Any, lse: Any) -> tuple[Any, Any, Any]:
        """dQ, dK and dV, laid out as Q, K and V."""
        del out, lse
        with torch.enable_grad():
            own = q, k, v = [tensor.detach().requires_grad_() for tensor in (q, k, v)]
            found = torch.autograd.grad(self.answer(q, k, v), own, do)
        dq, dk, dv = (result_like(tensor).copy_(grad) for tensor, grad in zip(own, found, strict=True))
        return dq, dk, dv


class EmptyPlan:
    """No row, or no key: every row sees nothing, which is 0, and nothing changes it."""

    def answer(self, q: Any, k: Any, v: Any) -> Any:
        """Zeros."""
        return self.forward(q, k, v)[0]

    def forward(self, q: Any, k: Any, v: Any) -> tuple[Any, Any]:
        """Zeros, and the logarithm of an empty sum."""
        del k, v
        return result_like(q).zero_(), q.new_full(q.shape[:3], float("-inf"), dtype=torch.float32)

    def backward(self, do: Any, q: Any, k: Any, v: Any, out: Any, lse: Any) -> tuple[Any, Any, Any]:
        """Zeros."""
        del do, out, lse
        dq, dk, dv = (result_like(tensor).zero_() for tensor in (q, k, v))
        return dq, dk, dv
