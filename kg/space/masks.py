"""Masks over a space that take the room of the factors that decide them, not of its configurations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Mask


@dataclass(frozen=True)
class FactoredMask:
    """One truth for each configuration of a space.

    Attributes:
        truth: An axis for each factor of the space, of length 1 where the factor makes no difference.
        shape: Rows of each factor.
    """

    truth: Mask
    shape: tuple[int, ...]

    @property
    def flat(self) -> Mask:
        """(N,) in canonical order: a copy of its own."""
        return np.broadcast_to(self.truth, self.shape).reshape(-1).copy()

    def sum(self) -> int:
        """Of how many configurations it is true."""
        return int(np.count_nonzero(self.truth)) * (math.prod(self.shape) // self.truth.size)

    def any(self) -> bool:
        """Whether it is true of some configuration."""
        return bool(self.truth.any())

    def at(self, indices: npt.ArrayLike) -> Mask:
        """(k,) whether it is true of configurations `indices` (k,)."""
        places = np.unravel_index(np.asarray(indices, np.int64), self.shape)
        return self.truth[tuple(map(np.minimum, places, (size - 1 for size in self.truth.shape)))]

    def __getitem__(self, index: int) -> bool:
        return bool(self.at([index])[0])

    def __invert__(self) -> FactoredMask:
        return FactoredMask(~self.truth, self.shape)

    def __or__(self, other: FactoredMask) -> FactoredMask:
        return FactoredMask(self.truth | other.truth, self.shape)

    def __and__(self, other: FactoredMask) -> FactoredMask:
        return FactoredMask(self.truth & other.truth, self.shape)


def weighted(masks: Iterable[tuple[FactoredMask, int]], shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """(N,) the sum of the weights of those `masks` over a space of `shape` that are true; first within the same factors."""
    groups: dict[tuple[int, ...], npt.NDArray[np.int32]] = {}
    for mask, weight in masks:
        group = groups.setdefault(mask.truth.shape, np.zeros(mask.truth.shape, np.int32))
        group += mask.truth * np.int32(weight)
    total = np.zeros(shape, np.int32)
    for group in groups.values():
        total += group
    return total.reshape(-1)


def union(masks: Iterable[FactoredMask], shape: tuple[int, ...]) -> FactoredMask:
    """What one of `masks` over a space of `shape` is true of: those about the same factors first, then the smallest."""
    groups: dict[tuple[int, ...], FactoredMask] = {}
    for mask in masks:
        known = groups.get(mask.truth.shape)
        groups[mask.truth.shape] = mask if known is None else known | mask
    nothing = FactoredMask(np.zeros((1,) * len(shape), np.bool_), shape)
    return reduce(or_, sorted(groups.values(), key=lambda mask: mask.truth.size), nothing)
