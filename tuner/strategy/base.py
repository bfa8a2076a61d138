"""The interface every strategy implements: ask for indices of the space, tell what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Observation:
    """One finished trial as a strategy sees it: index into the space, objective (None: failed)."""

    index: int
    objective: float | None


@dataclass(frozen=True)
class SpaceView:
    """The feasible space as a strategy sees it.

    Attributes:
        codes: (N, P) int16; row i is configuration i, column p the index of its value among parameter p's values.
        cardinalities: (P,) number of values of each parameter.
        order: (N,) permutation of 0..N-1, the transferred order (best first); None if nothing is known.
    """

    codes: npt.NDArray[np.int16]
    cardinalities: tuple[int, ...]
    order: npt.NDArray[np.int64] | None = None


class Strategy(Protocol):
    """Proposes configurations. Same space, seed and history: same proposals."""

    name: str

    def start(self, space: SpaceView, rng: np.random.Generator) -> None:
        """Begin a search of `space`; called once."""
        ...

    def ask(self, count: int) -> Sequence[int]:
        """Up to `count` indices never asked before; fewer only when the space is exhausted."""
        ...

    def tell(self, observations: Sequence[Observation]) -> None:
        """Report finished trials, also those that were not asked for (default, audit)."""
        ...
