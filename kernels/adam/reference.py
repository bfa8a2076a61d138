"""The definition."""

from __future__ import annotations

from typing import Any, NamedTuple


class Decay(NamedTuple):
    """Of the first and the second moment, and what is added to the root."""

    beta1: float
    beta2: float
    epsilon: float


def adam(p: Any, g: Any, m: Any, v: Any, rates: Any, decay: Decay) -> tuple[Any, Any, Any]:
    """New parameters and moments, in their type; `rates` (2,): lr / (1 - beta1^t) and (1 - beta2^t)^-1/2."""
    m = decay.beta1 * m + (1 - decay.beta1) * g
    v = decay.beta2 * v + (1 - decay.beta2) * g * g
    return p - rates[0] * m / (v.sqrt() * rates[1] + decay.epsilon), m, v
