"""The definition."""

from __future__ import annotations

from typing import Any, NamedTuple


class Decay(NamedTuple):
    """Of the first and the second moment, and what is added to the root."""

    beta1: float
    beta2: float
    epsilon: float


def adam(p: Any, g: Any, m: Any, v: Any, rates: Any, decay: Decay) -> tuple[Any, Any, Any]:
    """New parameters and moments, in their type; `rates` (3,): learning rate and both corrections of the start."""
    m = decay.beta1 * m + (1 - decay.beta1) * g
    v = decay.beta2 * v + (1 - decay.beta2) * g * g
    return p - rates[0] * (m * rates[1]) / ((v * rates[2]).sqrt() + decay.epsilon), m, v
