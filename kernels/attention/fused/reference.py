"""Attention in float64: the definition that all attention kernels share."""

from __future__ import annotations

from spak.kernels.attention.fmha.reference import attention

__all__ = ["attention"]
