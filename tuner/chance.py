"""Chance: named random streams of one seed, and permutations and ties among millions.

Every generator of the tuner comes from `stream`: two purposes never draw alike, whatever else a search drew before.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

WHOLE = 1 << 20
"""Configurations up to which an order is drawn as a whole: a search of any recorded sweep is repeated as it was made."""

Indices = npt.NDArray[np.integer[Any]]
"""(n,) places of configurations in a space."""


class Purpose(StrEnum):
    """What chance is for; the values are the streams' names, and part of what a seed means."""

    LAW_ORDER = "order that laws leave open"
    AUDIT = "ties between audits"
    LEAD = "ties between leads"
    STRATEGY = "strategy"
    PART = "part of a space"
    CHALLENGERS = "pool of challengers"
    TESTS = "tests of candidates"
    REPETITION = "configurations of an experiment made again"
    CORRELATIONS = "trials that correlations are learnt from"
    COMPLETION = "trials that sources are completed from"
    SUGGESTING = "recorded runs that suggest laws"


def stream(seed: int, purpose: Purpose, again: int = 0) -> np.random.Generator:
    """The generator of one purpose: the same for the same arguments, independent of every other.

    Args:
        seed: Of the search; not negative.
        purpose: What is drawn.
        again: How many streams of this purpose were drawn before, where one search begins several.
    """
    name = crc32(purpose.value.encode())
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(name, again)))


def permutation(rng: np.random.Generator, count: int) -> npt.NDArray[np.int32]:
    """(count,) what `rng.permutation(count)` is, in half the memory and time; `count` is below 2 to the 31st."""
    found = np.arange(count, dtype=np.int32)
    rng.shuffle(found)
    return found


def shuffled(rng: np.random.Generator, count: int) -> Iterator[int]:
    """The numbers below `count`, each once, in random order.

    Up to `WHOLE` of them they are drawn at once, as `permutation` does; beyond, each is drawn when it is asked for.
    """
    if count <= WHOLE:
        return iter(permutation(rng, count).tolist())
    return _drawn(rng.spawn(1)[0], count)


def _drawn(rng: np.random.Generator, count: int) -> Iterator[int]:
    """A shuffle from the front, of which only what has changed places is kept.

    Source: Durstenfeld, "Algorithm 235: Random permutation", CACM 7 (7), 1964.
    """
    moved: dict[int, int] = {}
    for place in range(count):
        other = int(rng.integers(place, count))
        yield moved.get(other, other)
        moved[other] = moved.pop(place, place)


class Ties:
    """A random order of all indices of which only the places that are asked for are ever computed."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Draw one order."""
        self._salt = rng.integers(2**64, dtype=np.uint64)

    def places(self, indices: Indices) -> npt.NDArray[np.uint64]:
        """(n,) a place for each of `indices`, no two alike.

        Source: the finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
        OOPSLA 2014): a bijection of 64 bits, each of which depends on all.
        """
        mixed = indices.astype(np.uint64) + self._salt
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))

    def first(self, indices: Indices) -> int:
        """The one of `indices` that comes first."""
        return int(indices[np.argmin(self.places(indices))])
