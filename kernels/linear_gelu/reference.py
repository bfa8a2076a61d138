"""The definitions."""

from __future__ import annotations

from typing import Any


def linear_gelu(x: Any, w: Any, b: Any) -> tuple[Any, Any]:
    """(pre, act), (rows, out_features) each: x (rows, in_features) times the transpose of w, plus b, and GPT-2's GELU of it."""
    from torch.nn.functional import gelu, linear

    pre = linear(x, w, b)
    return pre, gelu(pre, approximate="tanh")


def projected_gelu(pre: Any, w2: Any) -> Any:
    """(rows, in_features): the GELU of pre (rows, out_features) times the transpose of w2 (in_features, out_features)."""
    from torch.nn.functional import gelu, linear

    return linear(gelu(pre, approximate="tanh"), w2)
