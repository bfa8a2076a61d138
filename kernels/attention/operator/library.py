"""The operators as PyTorch's dispatcher knows them: schemas, shapes without data, gradients, autocast.

`spak::attention_forward` and `spak::attention_backward`; `laws` names the `AttentionOperator` that computes.
"""

from __future__ import annotations

from typing import Any

import torch

from spak.kernels.attention.operator.dispatch import LEARNING, differentiated_once, operator_named
from spak.kernels.attention.operator.plan import WITH_LSE, result_like
from spak.kernels.attention.operator.request import checked
from spak.kernels.torch_operator import autocast

_REST = "bool causal, float scale, SymInt q_offset, bool deterministic, str laws"

_LIBRARY = torch.library.Library("spak", "DEF")
_LIBRARY.define(f"attention_forward(Tensor q, Tensor k, Tensor v, {_REST}) -> (Tensor out, Tensor lse)")
_LIBRARY.define(
    f"attention_backward(Tensor do, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, {_REST})"
    " -> (Tensor dq, Tensor dk, Tensor dv)"
)

_AUTOCAST = ("AutocastCUDA", "AutocastCPU")
_AUTOCAST_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA) | torch._C.DispatchKeySet(  # noqa: SLF001
    torch._C.DispatchKey.AutocastCPU  # noqa: SLF001
)


def _forward(q: Any, k: Any, v: Any, *rest: Any) -> tuple[Any, Any]:
    *settings, laws = rest
    return operator_named(laws).plan(q, k, v, tuple(settings), (WITH_LSE,)).forward(q, k, v)


def _backward(do: Any, q: Any, k: Any, v: Any, out: Any, lse: Any, *rest: Any) -> tuple[Any, Any, Any]:
    """By kernels only if the forward pass was: PyTorch's leaves no log-sum-exp."""
    *settings, laws = rest
    return operator_named(laws).plan(q, k, v, tuple(settings), LEARNING).backward(do, q, k, v, out, lse)


def _forward_shapes(q: Any, k: Any, v: Any, *rest: Any) -> tuple[Any, Any]:
    causal, scale, q_offset, *_ = rest
    checked(q, k, v, causal=causal, scale=scale, q_offset=q_offset)
    return result_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)


def _backward_shapes(do: Any, q: Any, k: Any, v: Any, out: Any, lse: Any, *rest: Any) -> tuple[Any, Any, Any]:
    del do, out, lse, rest
    return result_like(q), result_like(k), result_like(v)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, Any]) -> None:
    q, k, v, *ctx.rest = inputs
    out, lse = output
    ctx.mark_non_differentiable(lse)
    ctx.save_for_backward(q, k, v, out, lse)


def _differentiate(ctx: Any, do: Any, _: Any) -> tuple[Any, ...]:
    def gradients(*tensors: Any) -> Any:
        return torch.ops.spak.attention_backward.default(*tensors, *ctx.rest)

    found = differentiated_once(gradients, do, *ctx.saved_tensors)
    return (*found, *[None] * len(ctx.rest))


def _under_autocast(keys: Any, q: Any, k: Any, v: Any, *rest: Any) -> tuple[Any, Any]:
    del keys
    q, k, v = autocast(q, k, v)
    with torch._C._ExcludeDispatchKeyGuard(_AUTOCAST_KEYS):  # noqa: SLF001  # as torch.library does
        return torch.ops.spak.attention_forward.default(q, k, v, *rest)  # type: ignore[no-any-return]


for _key in ("CPU", "CUDA"):
    _LIBRARY.impl("attention_forward", _forward, _key)
    _LIBRARY.impl("attention_backward", _backward, _key)
for _key in _AUTOCAST:
    _LIBRARY.impl("attention_forward", _under_autocast, _key, with_keyset=True)
torch.library.register_fake("spak::attention_forward", _forward_shapes, lib=_LIBRARY)
torch.library.register_fake("spak::attention_backward", _backward_shapes, lib=_LIBRARY)
torch.library.register_autograd("spak::attention_forward", _differentiate, setup_context=_keep, lib=_LIBRARY)
