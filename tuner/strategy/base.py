"""The interface every strategy implements: ask for indices of the space, tell what was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from spak.kg.space.factors import Codes
from spak.tuner.chance import Indices

if TYPE_CHECKING:
    from spak.tuner.knowledge.known import Knowledge


@dataclass(frozen=True)
class Observation:
    """One finished trial as a strategy sees it: index into the space, objective (None: failed)."""

    index: int
    objective: float | None


@dataclass(frozen=True)
class SpaceView:
    """The feasible space as a strategy sees it.

    Attributes:
        size: N, how many configurations there are.
        cardinalities: (P,) number of values of each parameter.
        order: (N,) permutation of 0..N-1, the transferred order (best first); None if nothing is known.
        matrix: Makes `codes`, for a strategy that asks for them.
    """

    size: int
    cardinalities: tuple[int, ...]
    order: Indices | None
    matrix: Callable[[], Codes]

    @classmethod
    def of(cls, codes: Codes, cardinalities: tuple[int, ...], order: Indices | None = None) -> SpaceView:
        """The space whose matrix is there already."""
        return cls(len(codes), cardinalities, order, lambda: codes)

    @cached_property
    def codes(self) -> Codes:
        """(N, P), rows ascending; row i is configuration i, column p its value's index among parameter p's values."""
        return self.matrix()


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


@runtime_checkable
class Hearing(Protocol):
    """What a strategy that starts from what is known elsewhere can do besides: hear more of it while it runs."""

    def hear(self, known: Knowledge) -> None:
        """Go on from `known`, about the same configurations, and every trial so far."""
        ...

    def whose(self, index: int) -> tuple[str, ...]:
        """Labels of the knowledge that spoke for the configuration `index`, most first; none if chance proposed it."""
        ...
