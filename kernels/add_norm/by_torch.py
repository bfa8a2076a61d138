"""Residual addition and norm by PyTorch, in float32 at least, with the kernel's statistics: what runs where no kernel serves."""

from __future__ import annotations

from typing import Any

import torch

from spak.kernels.add_norm.reference import NORM_EPSILON


def add_norm_by_torch(
    residual: Any, branch: Any | None, gain: Any, bias: Any | None, dtype: Any, norm: str
) -> tuple[Any, Any, Any]:
    """New residual (rows, width) in its type, its norm in `dtype`, and statistics: 1 / deviation, then means, if any.

    Args:
        residual: (rows, width).
        branch: (rows, width). None: the new residual is `residual` itself.
        gain: (width,), of at least float32.
        bias: The same; None: there is none.
        dtype: Of the norm.
        norm: `layer` or `rms`.
    """
    total = residual if branch is None else (residual + branch).to(residual.dtype)
    wide = _at_least_float32(total)
    if norm == "layer":
        normed, mean, inverse = torch.native_layer_norm(wide, gain.shape, gain, bias, NORM_EPSILON)
        return total, normed.to(dtype), torch.stack((inverse.flatten(), mean.flatten()))
    inverse = (wide.square().mean(1) + NORM_EPSILON).rsqrt()
    scaled = wide * inverse[:, None] * gain
    return total, (scaled if bias is None else scaled + bias).to(dtype), inverse[None]


def add_norm_gradients_by_torch(
    dnormed: Any, dresidual: Any | None, saved: tuple[Any, Any, Any], norm: str, *, has_bias: bool
) -> tuple[Any, Any, Any | None]:
    """Gradients of the new residual, in its type, of gain and of bias, in that of the gain.

    Args:
        dnormed: (rows, width): gradient of the norm.
        dresidual: Gradient that reaches the new residual past this norm; None: none does.
        saved: The new residual, gain, and statistics, as `add_norm_by_torch` gives them.
        norm: `layer` or `rms`.
        has_bias: Else that gradient is None.
    """
    residual, gain, statistics = saved
    dy, wide = _at_least_float32(dnormed), _at_least_float32(residual)
    if norm == "layer":
        inverse, mean = statistics.unsqueeze(-1)
        given = (dy, wide, gain.shape, mean, inverse, gain, gain)  # a bias like the gain
        dx, dgain, dbias = torch.ops.aten.native_layer_norm_backward(*given, [True, True, has_bias])
    else:
        inverse = statistics[0][:, None]
        normal, along = wide * inverse, dy * gain
        dx = inverse * (along - normal * (along * normal).mean(1, keepdim=True))
        dgain, dbias = (dy * normal).sum(0), dy.sum(0) if has_bias else None
    return (dx if dresidual is None else dx + dresidual).to(residual.dtype), dgain, dbias


def _at_least_float32(x: Any) -> Any:
    return x if x.dtype == torch.float64 else x.float()
