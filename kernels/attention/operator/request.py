"""What is asked of the operator: arguments checked, and why no kernel here serves them, if none does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from spak.kernels.attention.fmha.spec import LEAST_SCALE, MOST_SCALE
from spak.kernels.interface import Scalar

DTYPE_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16"}
"""What the kernels multiply -> the ops' name of it."""

ATTENDED_DTYPES = frozenset({*DTYPE_NAMES, torch.float32, torch.float64})
"""What some attention multiplies, the kernels' or PyTorch's."""

LEAST_CHANNELS, MOST_CHANNELS = 16, 256
"""head_dim that the kernels serve, inclusive, as laws/ops/fmha.yaml has it."""

MOST_STRIDE = 2**31 - 1
"""Of one array, in elements: sizes and strides reach a kernel as 32-bit integers."""

RANK = 4


@dataclass(frozen=True)
class AttentionRequest:
    """Checked arguments of one call. `causal` is false and `q_offset` 0 where every row sees every key anyway.

    Attributes:
        scale: Of the scores.
    """

    batch: int
    heads: int
    kv_heads: int
    seq_q: int
    seq_kv: int
    head_dim: int
    causal: bool
    q_offset: int
    scale: float
    dtype: Any
    device: Any

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to multiply: no output, or no key."""
        return not (self.batch and self.heads and self.seq_q and self.seq_kv)

    @property
    def problem(self) -> dict[str, Scalar]:
        """The problem size, in the ops' terms; only of what `unserved` has nothing against."""
        names = ("batch", "heads", "kv_heads", "seq_q", "seq_kv", "q_offset", "head_dim", "causal")
        return {**{name: getattr(self, name) for name in names}, "dtype": DTYPE_NAMES[self.dtype]}


def checked(q: Any, k: Any, v: Any, *, causal: bool, scale: float | None, q_offset: int) -> AttentionRequest:
    """What is asked.

    Args:
        q: (B, H, Sq, D).
        k: (B, KV, Skv, D); KV divides H.
        v: As k.
        causal: Query row i sees keys up to i + q_offset.
        scale: Of the scores; None: D ** -0.5.
        q_offset: At least 0.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If it is beyond what it may be, or does not go with the others; names it.
    """
    _check_tensors(q, k, v)
    _check_sizes(q, k, v)
    if not isinstance(causal, bool):
        raise TypeError(f"causal: true or false (got {causal!r})")
    if isinstance(q_offset, bool) or not isinstance(q_offset, int | torch.SymInt):
        raise TypeError(f"q_offset: a whole number (got {q_offset!r})")
    if q_offset < 0:
        raise ValueError(f"q_offset: at least 0 (got {q_offset})")
    batch, heads, seq_q, head_dim = q.shape
    seq_kv = k.shape[2]
    masks = causal and bool(q_offset < seq_kv - 1)  # a compiler's sizes answer with what is no bool
    return AttentionRequest(
        *(batch, heads, k.shape[1], seq_q, seq_kv, head_dim),
        causal=masks,
        q_offset=q_offset if masks else 0,
        scale=_scale(scale, head_dim),
        dtype=q.dtype,
        device=q.device,
    )


def _check_tensors(q: Any, k: Any, v: Any) -> None:
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name}: a torch.Tensor (got {type(tensor).__name__})")
        if tensor.layout != torch.strided or tensor.is_nested:
            raise TypeError(f"{name}: a dense tensor (got {'a nested one' if tensor.is_nested else tensor.layout})")
        if tensor.dtype not in ATTENDED_DTYPES:
            raise TypeError(f"{name}: of dtype float16, bfloat16, float32 or float64 (got {tensor.dtype})")
        if tensor.dtype != q.dtype:
            raise TypeError(f"{name}: of the dtype of q, {q.dtype} (got {tensor.dtype})")
        if tensor.device != q.device:
            raise ValueError(f"{name}: on the device of q, {q.device} (got {tensor.device})")
        if tensor.dim() != RANK:
            raise ValueError(f"{name}: of rank 4, batch, heads, rows and channels (got shape {tuple(tensor.shape)})")


def _check_sizes(q: Any, k: Any, v: Any) -> None:
    batch, heads, _, channels = q.shape
    if channels < 1:
        raise ValueError(f"q: at least one channel (got shape {tuple(q.shape)})")
    for name, tensor in (("k", k), ("v", v)):
        if tensor.shape[0] != batch:
            raise ValueError(f"{name}: the batch of q, {batch} (got {tensor.shape[0]})")
        if tensor.shape[3] != channels:
            raise ValueError(f"{name}: the channels of q, {channels} (got {tensor.shape[3]})")
    if v.shape[1:3] != k.shape[1:3]:
        raise ValueError(f"v: the heads and rows of k, {tuple(k.shape[1:3])} (got {tuple(v.shape[1:3])})")
    if heads and (not k.shape[1] or heads % k.shape[1]):
        raise ValueError(f"k: a number of heads that divides that of q, {heads} (got {k.shape[1]})")


def _scale(scale: float | None, head_dim: int) -> float:
    if scale is None:
        return float(head_dim**-0.5)
    if isinstance(scale, bool) or not isinstance(scale, int | float):
        raise TypeError(f"scale: a number, or None (got {scale!r})")
    if not math.isfinite(scale):
        raise ValueError(f"scale: finite (got {scale})")
    return float(scale)


def unserved(request: AttentionRequest) -> str:
    """Why no kernel here serves `request`, in words; empty if one does, as far as this machine need not be asked."""
    if request.dtype not in DTYPE_NAMES:
        return f"no kernel for {request.dtype}"
    if not LEAST_CHANNELS <= request.head_dim <= MOST_CHANNELS:
        return f"no kernel for head_dim {request.head_dim}, only from {LEAST_CHANNELS} to {MOST_CHANNELS}"
    if not LEAST_SCALE <= request.scale <= MOST_SCALE:
        return f"no kernel for scale {request.scale:g}, only from {LEAST_SCALE:g} to {MOST_SCALE:g}"
    if max(request.heads * request.seq_q, request.kv_heads * request.seq_kv) * request.head_dim > MOST_STRIDE:
        return f"no kernel for a sequence of more than {MOST_STRIDE} elements"
    return ""
