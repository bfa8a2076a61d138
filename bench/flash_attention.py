"""FlashAttention's current kernels (flash-attn-4, CuTe DSL) as contestants, where the package is installed.

What PyTorch calls FlashAttention is the second version, FA2. The package reads (B, S, H, D): that layout is made when a
contestant is, outside of what is timed, and what a call returns is viewed as (B, H, S, D).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spak.kernels.attention.problem import Shape
from spak.kernels.interface import Problem

PACKAGE = "flash-attn-4"


def version() -> str | None:
    """Of the package, such as `4.0.0b36`; None where it is missing."""
    try:
        return importlib.metadata.version(PACKAGE) if importlib.util.find_spec("flash_attn.cute") else None
    except (ModuleNotFoundError, importlib.metadata.PackageNotFoundError):
        return None


def keep_compiled() -> None:
    """Let the package keep what it compiles on disk, also for processes started later; call before it is imported."""
    folder = Path(tempfile.gettempdir()) / "flash-attention-compiled"
    os.environ["FLASH_ATTENTION_CUTE_DSL_CACHE_ENABLED"] = "1"
    os.environ.setdefault("FLASH_ATTENTION_CUTE_DSL_CACHE_DIR", str(folder))


def kind(problem: Problem) -> str:
    """Problems of one kind run the same compiled code, whatever their lengths."""
    shape = Shape.of(problem)
    return f"d{shape.head_dim}-group{shape.group}-{'causal' if shape.causal else 'full'}-{shape.dtype}"


def forward(inputs: Any, problem: Problem) -> Callable[[], Any]:
    """A call that gives O (B, H, S, D); inputs have q (B, H, S, D), k and v (B, KV, S, D)."""
    from flash_attn.cute import flash_attn_func

    q, k, v = (_rows_first(x) for x in (inputs.q, inputs.k, inputs.v))
    causal = Shape.of(problem).causal
    return lambda: _heads_first(flash_attn_func(q, k, v, causal=causal)[0])


def backward(inputs: Any, problem: Problem, *, deterministic: bool = False) -> Callable[[], tuple[Any, ...]]:
    """A call that gives dQ, dK and dV as Q, K and V lie in inputs, which have do (B, H, S, D) too; O is its own.

    The package's public way is autograd, which runs on the stream of the forward pass; this calls what that calls.
    """
    from flash_attn.cute.interface import _flash_attn_bwd, _flash_attn_fwd

    q, k, v, do = (_rows_first(x) for x in (inputs.q, inputs.k, inputs.v, inputs.do))
    causal = Shape.of(problem).causal
    out, lse = _flash_attn_fwd(q, k, v, causal=causal, return_lse=True)[:2]

    def launch() -> tuple[Any, ...]:
        gradients = _flash_attn_bwd(q, k, v, out, do, lse, causal=causal, deterministic=deterministic)
        return tuple(_heads_first(x) for x in gradients[:3])

    return launch


def both(inputs: Any, problem: Problem) -> Callable[[], tuple[Any, ...]]:
    """A call that gives dQ, dK and dV after a forward pass of its own."""
    from flash_attn.cute.interface import _flash_attn_bwd, _flash_attn_fwd

    q, k, v, do = (_rows_first(x) for x in (inputs.q, inputs.k, inputs.v, inputs.do))
    causal = Shape.of(problem).causal

    def launch() -> tuple[Any, ...]:
        out, lse = _flash_attn_fwd(q, k, v, causal=causal, return_lse=True)[:2]
        return tuple(_heads_first(x) for x in _flash_attn_bwd(q, k, v, out, do, lse, causal=causal)[:3])

    return launch


def _rows_first(x: Any) -> Any:
    return x.detach().transpose(1, 2).contiguous()


def _heads_first(x: Any) -> Any:
    return x.transpose(1, 2)
