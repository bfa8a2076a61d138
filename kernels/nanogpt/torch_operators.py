"""The operators in plain torch; `spak.kernels.nanogpt.operators` says what each must do."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from spak.kernels.add_norm.by_torch import add_norm_by_torch, add_norm_gradients_by_torch
from spak.kernels.add_norm.operator import NormGradients
from spak.kernels.nanogpt.operators import (
    OPERATOR_NAMES,
    AdamwConstants,
    AdamwState,
    Operators,
    Tensor,
)

LOGITS_AT_ONCE = 1 << 27
"""Elements of float32 logits that cross-entropy holds at a time: 512 MB."""
CLIP_EPSILON = 1e-6
"""Added to the norm that gradients are divided by. Source: torch.nn.utils.clip_grad_norm_."""
GELU_SCALE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715
"""tanh(GELU_SCALE (x + GELU_CUBIC x^3)) stands for erf. Source: Hendrycks and Gimpel, arXiv:1606.08415, section 2."""


def _wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype == torch.float64 else x.float()


def plain_embedding(tokens: Tensor, wte: Tensor, wpe: Tensor, dtype: Any) -> Tensor:
    """See `EmbeddingForward`."""
    x = functional.embedding(tokens, wte) + wpe[: tokens.shape[1]]
    return x.view(-1, wte.shape[1]).to(dtype)


def plain_embedding_backward(dx: Tensor, tokens: Tensor, dwte: Tensor, dwpe: Tensor) -> None:
    """See `EmbeddingBackward`."""
    length = tokens.shape[1]
    wide = _wide(dx)
    dwte += torch.ops.aten.embedding_dense_backward(wide, tokens.flatten(), len(dwte), -1, False)
    dwpe[:length] = wide.view(-1, length, dx.shape[1]).sum(0)
    dwpe[length:] = 0


def plain_add_norm(
    residual: Tensor, branch: Tensor | None, gain: Tensor, bias: Tensor | None, dtype: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """See `AddNorm`."""
    return add_norm_by_torch(residual, branch, gain, bias, dtype, "layer")


def plain_add_norm_backward(
    dnormed: Tensor,
    dresidual: Tensor | None,
    saved: tuple[Tensor, Tensor, Tensor],
    gradients: NormGradients,
    dtype: Any,
) -> tuple[Tensor, Tensor]:
    """See `AddNormBackward`."""
    has_bias = gradients.bias is not None
    total, dgain, dbias = add_norm_gradients_by_torch(dnormed, dresidual, saved, "layer", has_bias=has_bias)
    gradients.gain.copy_(dgain)
    if gradients.bias is not None:
        gradients.bias.copy_(dbias)
    if gradients.branch_bias is not None:
        gradients.branch_bias.copy_(_wide(total).sum(0))
    return total, total.to(dtype)


def plain_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """See `Linear`."""
    return functional.linear(x, weight, bias)


def plain_linear_input_gradient(dy: Tensor, weight: Tensor) -> Tensor:
    """See `LinearInputGradient`."""
    return dy @ weight


def plain_linear_weight_gradient(dy: Tensor, x: Tensor, dweight: Tensor, dbias: Tensor | None) -> None:
    """See `LinearWeightGradient`."""
    torch.mm(dy.T, x, out=dweight)
    if dbias is not None:
        dbias.copy_(_column_sums(dy))


def _column_sums(x: Tensor) -> Tensor:
    return x.sum(0, dtype=torch.float64 if x.dtype == torch.float64 else torch.float32)


def plain_linear_gelu(x: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """See `LinearGelu`."""
    before = plain_linear(x, weight, bias)
    return before, functional.gelu(before, approximate="tanh")


def plain_linear_gelu_backward(dy: Tensor, next_weight: Tensor, before: Tensor, dbias: Tensor | None) -> Tensor:
    """See `LinearGeluBackward`."""
    dbefore = torch.ops.aten.gelu_backward(dy @ next_weight, before, approximate="tanh")
    if dbias is not None:
        dbias.copy_(_column_sums(dbefore))
    return dbefore


def plain_attention(qkv: Tensor, heads: int, dropout: float) -> tuple[Tensor, Any]:
    """See `AttentionForward`."""
    batch, length, triple = qkv.shape
    with torch.enable_grad():
        leaf = qkv.detach().requires_grad_()
        q, k, v = leaf.view(batch, length, 3, heads, triple // (3 * heads)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
        out = mixed.transpose(1, 2).reshape(batch, length, triple // 3)
    return out.detach(), (leaf, out)


def plain_attention_backward(dout: Tensor, saved: Any) -> Tensor:
    """See `AttentionBackward`."""
    leaf, out = saved
    (dqkv,) = torch.autograd.grad(out, leaf, dout)
    return dqkv


def plain_cross_entropy(logits: Tensor, targets: Tensor, scale: float) -> Tensor:
    """See `CrossEntropy`."""
    rows, vocab = logits.shape
    step = max(1, LOGITS_AT_ONCE // vocab)
    return torch.cat([_some_rows(logits[i : i + step], targets[i : i + step], scale) for i in range(0, rows, step)])


def _some_rows(logits: Tensor, targets: Tensor, scale: float) -> Tensor:
    index = targets.long()[:, None]
    logarithms = functional.log_softmax(_wide(logits), 1)
    losses = -logarithms.gather(1, index)
    gradient = logarithms.exp_()
    gradient.scatter_(1, index, gradient.gather(1, index) - 1)
    logits.copy_(gradient.mul_(scale))
    return losses[:, 0]


def plain_gradient_norm(gradients: Tensor) -> Tensor:
    """See `GradientNorm`."""
    return torch.linalg.vector_norm(_wide(gradients)).view(1)


def plain_adamw(state: AdamwState, gradients: Tensor, norm: Tensor, factors: Tensor, constants: AdamwConstants) -> None:
    """See `Adamw`; a norm that is not finite multiplies each change by 0, so no branch is taken by the host."""
    parameters, copy, first, second, decayed = state
    finite = norm.isfinite()
    rate, correction1, correction2 = factors.to(parameters.dtype).unbind()
    scale = (constants.clip / (norm + CLIP_EPSILON)).clamp(max=1.0) if constants.clip > 0 else torch.ones_like(norm)
    gradient = torch.where(finite, gradients.to(parameters.dtype) * scale.to(parameters.dtype), 0)
    kept = finite.to(parameters.dtype)
    first.lerp_(gradient, kept * (1 - constants.beta1))
    second.mul_(1 - kept * (1 - constants.beta2))
    second.addcmul_(gradient, gradient, value=1 - constants.beta2)
    parameters[:decayed] *= 1 - kept * rate * constants.weight_decay
    root = (second / correction2).sqrt_().add_(constants.epsilon)
    parameters -= first / root * (kept * rate / correction1)
    if copy is not None:
        copy.copy_(parameters)


def torch_operators() -> Operators:
    """All of them in plain torch: the reference, in any dtype, and what runs on a CPU."""
    return Operators(
        plain_embedding,
        plain_embedding_backward,
        plain_add_norm,
        plain_add_norm_backward,
        plain_linear,
        plain_linear_input_gradient,
        plain_linear_weight_gradient,
        plain_linear_gelu,
        plain_linear_gelu_backward,
        plain_attention,
        plain_attention_backward,
        plain_cross_entropy,
        plain_gradient_norm,
        plain_adamw,
        dict.fromkeys(OPERATOR_NAMES, "PyTorch: the plain operators"),
    )
