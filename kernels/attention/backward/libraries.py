"""The backward passes of PyTorch's SDPA as calls of their own, without autograd: they run on the current stream.

Autograd runs a backward pass on the stream of its forward pass, which a CUDA graph that captures another stream refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def backward_passes(inputs: Any, *, causal: bool) -> Mapping[str, Callable[[], tuple[Any, Any, Any]]]:
    """(dQ, dK, dV) of cuDNN and of FlashAttention-2, by name; the forward pass of each runs at its first call.

    Args:
        inputs: `BackwardInputs`; o and lse are not read, each library has its own.
        causal: Query row i sees keys up to i.
    """
    return {"sdpa-cudnn": _once(_cudnn, inputs, causal), "sdpa-fa2": _once(_fa2, inputs, causal)}


def both_passes(inputs: Any, *, causal: bool) -> Mapping[str, Callable[[], tuple[Any, Any, Any]]]:
    """(dQ, dK, dV) as of `backward_passes`, with the forward pass in every call."""
    return {"sdpa-cudnn": _again(_cudnn, inputs, causal), "sdpa-fa2": _again(_fa2, inputs, causal)}


def _again(passes: Callable[[Any, bool], Callable[[], Any]], inputs: Any, causal: bool) -> Callable[[], Any]:
    def run() -> Any:
        backward = passes(inputs, causal)
        return backward()

    return run


def _once(passes: Callable[[Any, bool], Callable[[], Any]], inputs: Any, causal: bool) -> Callable[[], Any]:
    ready: list[Callable[[], Any]] = []

    def run() -> Any:
        if not ready:
            ready.append(passes(inputs, causal))
        return ready[0]()  # pragma: no cover  # needs a GPU: tests/gpu

    return run


def _cudnn(inputs: Any, causal: bool) -> Callable[[], Any]:  # pragma: no cover  # needs a GPU: tests/gpu
    import torch

    aten, x = torch.ops.aten, inputs
    out, lse, cum_q, cum_k, max_q, max_k, seed, offset, _ = aten._scaled_dot_product_cudnn_attention(  # noqa: SLF001
        x.q, x.k, x.v, None, True, 0.0, causal, False
    )
    kept = (out, lse, seed, offset, None, cum_q, cum_k, max_q, max_k, 0.0, causal)
    return lambda: aten._scaled_dot_product_cudnn_attention_backward(x.do, x.q, x.k, x.v, *kept)  # noqa: SLF001


def _fa2(inputs: Any, causal: bool) -> Callable[[], Any]:  # pragma: no cover  # needs a GPU: tests/gpu
    import torch

    aten, x = torch.ops.aten, inputs
    out, lse, cum_q, cum_k, max_q, max_k, seed, offset, _ = aten._scaled_dot_product_flash_attention(  # noqa: SLF001
        x.q, x.k, x.v, 0.0, causal, False
    )
    kept = (out, lse, cum_q, cum_k, max_q, max_k, 0.0, causal, seed, offset)
    return lambda: aten._scaled_dot_product_flash_attention_backward(x.do, x.q, x.k, x.v, *kept)  # noqa: SLF001
