"""The model in plain torch with torch's own gradients: in float64 what every other implementation is held to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from spak.kernels.add_norm.reference import NORM_EPSILON
from spak.kernels.nanogpt.operators import Tensor
from spak.kernels.nanogpt.parameters import GptConfig


def gpt_logits(config: GptConfig, parameters: Mapping[str, Tensor], tokens: Tensor) -> Tensor:
    """(B, T, vocab) of tokens (B, T), in the type of `parameters`, which are by name; differentiable, no dropout."""
    tokens = tokens.long()
    x = parameters["wte.weight"][tokens] + parameters["wpe.weight"][: tokens.shape[1]]
    for layer in range(config.layers):
        own = {name.removeprefix(f"h.{layer}."): p for name, p in parameters.items() if name.startswith(f"h.{layer}.")}
        x = x + _layer(own, "attn.c_proj", _attention(config, _layer(own, "attn.c_attn", _norm(own, "ln_1", x))))
        x = x + _layer(own, "mlp.c_proj", _gelu(_layer(own, "mlp.c_fc", _norm(own, "ln_2", x))))
    return _norm(parameters, "ln_f", x) @ parameters["wte.weight"][: config.vocab].T


def gpt_loss(config: GptConfig, parameters: Mapping[str, Tensor], tokens: Tensor, targets: Tensor) -> Tensor:
    """Mean over all positions of the negative log likelihood of targets (B, T), in nats; a scalar."""
    logarithms = gpt_logits(config, parameters, tokens).log_softmax(-1)
    return -logarithms.gather(-1, targets.long().unsqueeze(-1)).mean()


def _layer(own: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    y = x @ own[f"{name}.weight"].T
    return y + own[f"{name}.bias"] if f"{name}.bias" in own else y


def _norm(own: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    normed = centred * (centred.square().mean(-1, keepdim=True) + NORM_EPSILON).rsqrt() * own[f"{name}.weight"]
    return normed + own[f"{name}.bias"] if f"{name}.bias" in own else normed


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)).tanh())


def _attention(config: GptConfig, qkv: Tensor) -> Tensor:
    heads = (*qkv.shape[:2], config.heads, config.head_dim)
    q, k, v = (part.reshape(heads).transpose(1, 2) for part in qkv.split(config.width, -1))
    scores = q @ k.transpose(2, 3) / math.sqrt(config.head_dim)
    future = scores.new_ones(scores.shape[2:]).triu(1).bool()
    return (scores.masked_fill(future, -math.inf).softmax(-1) @ v).transpose(1, 2).flatten(2)
