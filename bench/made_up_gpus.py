"""Made-up kernels on several GPUs whose fastest configurations are nearly equal: few failures, flat tops, one sharp optimum.

What limits a kernel, such as memory, is alike for many configurations, so above a floor of each GPU's own a time follows
the parameters, and on the floor it follows little things: details of one or two parameters, noise, and on some GPUs a
combination of three values that gains a little more. GPUs of a family share most of that; one GPU takes after nobody.

`DESIGN` is what strategies are made with. `HELD_OUT` is of other sizes and shares and not to be looked at before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spak.kg.space.factors import Codes
from spak.tuner.knowledge.known import Knowledge, knowledge
from spak.tuner.knowledge.source import WORST, Source

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

UNLIKE_OTHERS = 0.15
"""Share of its times that the GPU that takes after nobody has in common with the others."""

TOGETHER = 3
"""Parameters whose values make the sharp optimum together."""


@dataclass(frozen=True)
class Shape:
    """What the kernels of one set are drawn from; intervals are (least, most).

    Attributes:
        seed: Of the set; a kernel adds its number.
        sizes: Values that a parameter may have.
        parameters: Number of them.
        configurations: Number that restrictions leave, about.
        families: Family of each GPU.
        num_easy: GPUs with `flat` of their configurations on the floor; the others have `steep`.
        flat: Share of the configurations.
        steep: Share of the configurations.
        alike: Share of the times that all GPUs have in common; families share half of the rest.
        spread: Standard deviation of log time above the floor.
        detail: The same on the floor, of what parameters decide.
        noise: The same, of what nothing decides.
        dip: Log time that the sharp optimum gains.
        failing: Share that fails.
    """

    seed: int
    sizes: tuple[int, ...]
    parameters: tuple[int, int]
    configurations: int
    families: tuple[int, ...]
    num_easy: int
    flat: Interval
    steep: Interval
    alike: Interval
    spread: Interval
    detail: Interval
    noise: Interval
    dip: Interval
    failing: Interval


DESIGN = Shape(
    seed=100,
    sizes=(2, 3, 4, 4, 5, 6, 8),
    parameters=(8, 8),
    configurations=11_000,
    families=(0, 0, 0, 1, 2, 2),
    num_easy=3,
    flat=(0.08, 0.2),
    steep=(0.0005, 0.01),
    alike=(0.3, 0.8),
    spread=(0.4, 1.0),
    detail=(0.004, 0.015),
    noise=(0.002, 0.01),
    dip=(0.01, 0.06),
    failing=(0.0, 0.04),
)


HELD_OUT = Shape(
    seed=200,
    sizes=(2, 2, 3, 3, 5, 7, 9, 10),
    parameters=(6, 9),
    configurations=9_000,
    families=(0, 0, 1, 1, 2, 3),
    num_easy=3,
    flat=(0.05, 0.25),
    steep=(0.0003, 0.02),
    alike=(0.2, 0.9),
    spread=(0.3, 1.2),
    detail=(0.003, 0.02),
    noise=(0.001, 0.008),
    dip=(0.0, 0.08),
    failing=(0.0, 0.08),
)
"""Drawn and searched only after the strategy's constants were chosen on `DESIGN` and the convolution, and committed."""


class MadeUpGpus:
    """One kernel's times on every GPU.

    Attributes:
        codes: (N, P).
        cardinalities: (P,).
        log_times: (G, N); nan where it fails.
        families: (G,).
    """

    def __init__(self, shape: Shape, number: int) -> None:
        self.shape = shape
        self._rng = np.random.default_rng([shape.seed, number])
        self.cardinalities, self.codes = self._space()
        self.families = shape.families
        self.log_times = self._log_times()

    def known(self, gpu: int, *, family_out: bool = False) -> Knowledge:
        """What all other GPUs recorded, or those of other families alone."""
        others = [g for g in range(len(self.families)) if self._counts(g, gpu, family_out=family_out)]
        found = [self._source(other) for other in others]
        kinship = [3.0 if self.families[other] == self.families[gpu] else 1.0 for other in others]
        return knowledge(self.codes, self.cardinalities, found, kinship)

    def _counts(self, other: int, gpu: int, *, family_out: bool) -> bool:
        return other != gpu and not (family_out and self.families[other] == self.families[gpu])

    def _source(self, gpu: int) -> Source:
        times = self.log_times[gpu]
        slower = np.minimum(np.nan_to_num(times - np.nanmin(times), nan=WORST), WORST)
        return Source(f"gpu{gpu}", {}, np.arange(len(times)), slower)

    def _space(self) -> tuple[tuple[int, ...], Codes]:
        """Parameters, and the configurations in which the first half of them are neither all small nor all large."""
        rng, shape = self._rng, self.shape
        sizes = tuple(
            int(size) for size in rng.choice(shape.sizes, rng.integers(shape.parameters[0], shape.parameters[1] + 1))
        )
        while math.prod(sizes) < 1.5 * shape.configurations:
            sizes = (*sizes[1:], int(rng.choice(shape.sizes)) + 1)
        codes = np.array(np.unravel_index(np.arange(math.prod(sizes)), sizes)).T.astype(np.int16)
        total = (codes / np.maximum(np.array(sizes) - 1, 1) * rng.choice([1, -1, 0.5], len(sizes))).sum(axis=1)
        kept = np.sort(np.argsort(np.abs(total - np.median(total)), kind="stable")[: shape.configurations])
        return sizes, codes[kept]

    def _log_times(self) -> Floats:
        rng, shape = self._rng, self.shape
        num = len(self.families)
        easy = rng.permutation(num) < shape.num_easy
        odd = rng.integers(num)
        alike = np.where(np.arange(num) == odd, UNLIKE_OTHERS, self._drawn(shape.alike))
        steep, level = self._shared(alike), self._shared(alike)
        strain = self._shared(np.maximum(alike, 0.7))  # what fails on one fails on most
        out = np.empty((num, len(self.codes)))
        spread, failing = self._drawn(shape.spread), self._drawn(shape.failing)
        for gpu in range(num):
            share = math.exp(self._drawn(tuple(map(math.log, shape.flat if easy[gpu] else shape.steep))))
            times = _floored(spread * steep[gpu], share)
            times += self._drawn(shape.detail) * level[gpu] + rng.normal(0, self._drawn(shape.noise), len(times))
            times -= self._drawn(shape.dip) * self._together(times)
            out[gpu] = np.where(strain[gpu] > np.quantile(strain[gpu], 1 - failing), np.nan, times)
        return out

    def _shared(self, alike: Floats) -> Floats:
        """(G, N) of variance 1: a part of all GPUs, one of each family and one of each GPU."""
        common, family = self._effects(), {name: self._effects() for name in sorted(set(self.families))}
        rest = (1 - alike) / 2
        return np.array(
            [
                math.sqrt(a) * common + math.sqrt(r) * family[name] + math.sqrt(r) * self._effects()
                for a, r, name in zip(alike, rest, self.families, strict=True)
            ]
        )

    def _effects(self) -> Floats:
        """(N,) of variance 1: a best value of each parameter, or a level of each value, and of values of two and three."""
        rng, sizes = self._rng, self.cardinalities
        total = np.zeros(len(self.codes))
        for p, size in enumerate(sizes):
            place = np.arange(size) / max(size - 1, 1)
            ordered = rng.random() < 0.6
            effect = (place - rng.random()) ** 2 if ordered else rng.normal(0, 0.3, size)
            total += rng.exponential() * effect[self.codes[:, p]]
        for together in (2, 3):
            for _ in sizes:
                several = rng.choice(len(sizes), together, replace=False)
                table = rng.normal(0, 0.3, [sizes[p] for p in several])
                total += rng.exponential() * table[tuple(self.codes[:, several].T)]
        return np.asarray((total - total.mean()) / total.std())

    def _together(self, times: Floats) -> Floats:
        """(N,) 1 where some parameters have the values that make the sharp optimum, one of the fastest among them."""
        rng = self._rng
        chosen = rng.choice(len(self.cardinalities), TOGETHER, replace=False)
        one = rng.choice(np.argsort(times)[: max(10, len(times) // 100)])
        return np.asarray((self.codes[:, chosen] == self.codes[one, chosen]).all(axis=1), np.float64)

    def _drawn(self, interval: Interval) -> float:
        return float(self._rng.uniform(*interval))


def _floored(log_times: Floats, share: float) -> Floats:
    """`log_times` above the floor that `share` of them is at."""
    above = log_times - np.quantile(log_times, share)
    sharpness = 0.01
    return np.asarray(sharpness * np.logaddexp(0.0, above / sharpness))
