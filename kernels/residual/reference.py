"""The definition."""

from __future__ import annotations

from typing import Any


def residual(x: Any, y: Any) -> Any:
    """Their sum, in their type."""
    return x + y
