"""The definition."""

from __future__ import annotations

from typing import Any

RMS_EPSILON = 1e-5
"""Added to the mean square. Source: microgpt.py, `rmsnorm`."""


def rmsnorm(x: Any) -> Any:
    """(rows, width) over the root of the mean square of its row, in the type of x."""
    return x * (x.square().mean(dim=1, keepdim=True) + RMS_EPSILON) ** -0.5
