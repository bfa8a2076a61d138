"""Which of several ways to propose a configuration goes next: the one that has lately led to good ones, as far as that is known.

Thompson sampling over Bernoulli arms whose past fades, because what leads to good configurations early does not later.

Source: Chapelle and Li 2011, An Empirical Evaluation of Thompson Sampling; Raj and Kalyani 2017, Taming Non-stationary Bandits.
"""

from __future__ import annotations

import numpy as np

FADING = 0.97
"""What a proposal counts for when the same arm has been used once more: the last 33 decide."""


class Credit:
    """How often each arm has led to a good configuration of late."""

    def __init__(self, num_arms: int, rng: np.random.Generator) -> None:
        """Nothing is known of any arm, so all are equal."""
        self._good = np.zeros(num_arms)
        self._poor = np.zeros(num_arms)
        self._rng = rng

    def choose(self) -> int:
        """An arm, with the probability that it is the best."""
        return int(np.argmax(self._rng.beta(1 + self._good, 1 + self._poor)))

    def settle(self, arm: int, *, good: bool) -> None:
        """Note what a proposal of `arm` came to."""
        self._good[arm] = FADING * self._good[arm] + good
        self._poor[arm] = FADING * self._poor[arm] + (not good)
