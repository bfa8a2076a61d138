"""The definitions."""

from __future__ import annotations

from typing import Any, NamedTuple

ADDED_TO_NORM = 1e-6
"""Added to the norm before it divides. Source: torch.nn.utils.clip_grad_norm_."""


class Decay(NamedTuple):
    """Of the first and the second moment, and what is added to the root."""

    beta1: float
    beta2: float
    epsilon: float


class AdamwStep(NamedTuple):
    """What is the same in every step.

    Attributes:
        decayed: Elements from the first on that weight decay shrinks.
        max_norm: Of the gradient; 0: it is not clipped.
    """

    decayed: int
    max_norm: float
    weight_decay: float
    decay: Decay


def adam(p: Any, g: Any, m: Any, v: Any, rates: Any, decay: Decay) -> tuple[Any, Any, Any]:
    """New parameters and moments, in their type; `rates` (2,): lr / (1 - beta1^t) and (1 - beta2^t)^-1/2."""
    m = decay.beta1 * m + (1 - decay.beta1) * g
    v = decay.beta2 * v + (1 - decay.beta2) * g * g
    return p - rates[0] * m / (v.sqrt() * rates[1] + decay.epsilon), m, v


def adamw(p: Any, g: Any, m: Any, v: Any, factors: Any, step: AdamwStep) -> tuple[Any, Any, Any, Any]:
    """New parameters and moments, and the norm (1,) of `g`, which is finite.

    Factors (3,) are learning rate, 1 - beta1^t and 1 - beta2^t.
    """
    import torch

    learning_rate, first, second = factors
    norm = g.norm()
    if step.max_norm:
        g = g * (step.max_norm / (norm + ADDED_TO_NORM)).clamp(max=1)
    p = torch.cat([p[: step.decayed] * (1 - learning_rate * step.weight_decay), p[step.decayed :]])
    rates = torch.stack([learning_rate / first, second.rsqrt()])
    return *adam(p, g, m, v, rates, step.decay), norm.view(1)


def adamw_factors(step: int, learning_rate: float, decay: Decay) -> tuple[float, float, float]:
    """`factors` of the step of this number, the first being 1."""
    return learning_rate, 1 - decay.beta1**step, 1 - decay.beta2**step
