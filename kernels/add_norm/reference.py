"""The definition."""

from __future__ import annotations

from typing import Any

NORM_EPSILON = 1e-5
"""Added to the variance, or the mean square. Source: torch.nn.LayerNorm; Brown et al. 2020 (GPT-2's code) has the same."""


def norm_statistics(x: Any, norm: str) -> Any:
    """Reciprocal deviation and mean of each row of x (rows, width), (2, rows); an RMS norm has no mean: (1, rows)."""
    import torch

    mean = x.mean(dim=1)
    centred = x - mean[:, None] if norm == "layer" else x
    rstd = (centred.square().mean(dim=1) + NORM_EPSILON).rsqrt()
    return torch.stack([rstd, mean] if norm == "layer" else [rstd])


def scaled_norm(x: Any, gain: Any, bias: Any | None, norm: str) -> Any:
    """The `layer` or `rms` norm of each row of x (rows, width), times `gain`, plus `bias` (width,) if there is one."""
    from torch.nn.functional import layer_norm, rms_norm

    width = (x.shape[1],)
    if norm == "layer":
        return layer_norm(x, width, gain, bias, NORM_EPSILON)
    scaled = rms_norm(x, width, gain, NORM_EPSILON)
    return scaled if bias is None else scaled + bias
