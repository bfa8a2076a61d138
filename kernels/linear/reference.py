"""The definition."""

from __future__ import annotations

from typing import Any


def linear_layer(x: Any, w: Any) -> Any:
    """(tokens, out_features): x (tokens, in_features) times the transpose of w (out_features, in_features)."""
    return x @ w.T
