"""Regions of the space whose every configuration is far from the best, at every problem size seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt

from spak.tuner.learn.mining.predicates import Literal
from spak.tuner.learn.mining.significance import FAMILY_ERROR, log_chance_of_avoiding
from spak.tuner.learn.mining.table import Bools, Floats, TrialTable

WORTH_SAYING = 0.02
"""A law must cover at least this share of what was timed and not yet covered by a more general law."""

MAX_LITERALS = 3
"""Longest conjunction; each length has an equal share of the allowed error, so that many long statements tried do not
drown the few short ones."""

SAFETY = 1.05
"""A region's least slowdown must exceed the stated one by this factor, so that the next run's noise does not refute it."""


@dataclass(frozen=True)
class Settings:
    """What counts as far, and as enough.

    Attributes:
        far: Least slowdown against the best of the problem size.
        min_configurations: Distinct configurations a region needs.
        max_laws: Most laws one run may suggest.
    """

    far: float = 1.2
    min_configurations: int = 8
    max_laws: int = 12


@dataclass(frozen=True)
class Badness:
    """What a region must be far from, cell by cell.

    Attributes:
        relevant: (S, N) cells that were tried.
        value: (S, N) how bad: a slowdown, or 0 and 1 where a thing is or is not so; infinite where it did not run.
        least: A region must hold no cell less bad than this.
    """

    relevant: Bools
    value: Floats
    least: float

    @property
    def good(self) -> Bools:
        """(S, N): tried cells that no region may hold."""
        return self.relevant & ~(self.value >= self.least)


@dataclass(frozen=True)
class FarRegion:
    """A negative statement found in a table.

    Attributes:
        literals: Its conjunction, minimal: without any of them it is not true.
        mask: (S, N) tried cells it covers.
        configurations: Distinct configurations it covers.
        chance: Bonferroni-corrected chance of such a region in exchangeable noise.
    """

    literals: tuple[Literal, ...]
    mask: Bools
    configurations: int
    chance: float

    @property
    def expression(self) -> str:
        """The conjunction in the expression language of laws."""
        return " and ".join(literal.text for literal in self.literals)


@dataclass(frozen=True)
class _Conjunction:
    """A true conjunction: indices of its literals and how many cells it covers."""

    chosen: tuple[int, ...]
    cells: int


@dataclass(frozen=True)
class _Truth:
    """Truth of each literal where something was tried, as the search multiplies it.

    Attributes:
        everywhere: (L, patterns) float32; cells on which all literals agree are one pattern.
        weight: (patterns,) cells of each pattern.
        good: (L, good cells) float32.
        worth: Fewest cells a law covers.
    """

    everywhere: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    good: npt.NDArray[np.float32]
    worth: float


def _truth(literals: Sequence[Literal], relevant: Bools, good: Bools) -> _Truth:
    cells = np.array([literal.mask[relevant] for literal in literals], dtype=bool)
    patterns, weight = np.unique(np.packbits(cells, axis=0), axis=1, return_counts=True)
    everywhere = np.unpackbits(patterns, axis=0, count=len(literals)).astype(np.float32)
    on_good = np.array([literal.mask[good] for literal in literals], dtype=np.float32)
    worth = max(1.0, WORTH_SAYING * float(relevant.sum()))
    return _Truth(everywhere, weight.astype(np.float32), on_good, worth)


def slow_regions(table: TrialTable, literals: Sequence[Literal], settings: Settings) -> list[FarRegion]:
    """Regions whose every cell is slower than the best by `settings.far` and a little more, or did not run."""
    low, _ = table.slowdown_bounds()
    tried = table.observed | table.failed
    return regions(literals, Badness(tried, np.where(table.observed, low, np.inf), settings.far * SAFETY), settings)


def regions(literals: Sequence[Literal], badness: Badness, settings: Settings) -> list[FarRegion]:
    """The most general minimal conjunctions that hold no good cell, most general first, each adding something new.

    Args:
        literals: Comparisons to combine.
        badness: How bad each cell is, and which are good.
        settings: What is enough.
    """
    relevant, good = badness.relevant, badness.good
    if not good.any() or not literals:
        return []
    found, tried = _conjunctions(_truth(literals, relevant, good))
    # among statements of equal reach the shorter, then the one that names a mechanism (a compiled feature)
    found.sort(key=lambda c: (-c.cells, len(c.chosen), [literals[i].kind != "feature" for i in c.chosen], c.chosen))
    covered = np.zeros_like(relevant)
    kept: list[FarRegion] = []
    for conjunction in found:
        if len(kept) >= settings.max_laws:
            break
        chosen = tuple(literals[i] for i in conjunction.chosen)
        mask = np.logical_and.reduce([literal.mask for literal in chosen]) & relevant
        if (mask & ~covered).sum() < WORTH_SAYING * relevant.sum():
            continue
        region = _region(chosen, mask, badness, tried[len(chosen)])
        if region.configurations < settings.min_configurations or region.chance > FAMILY_ERROR:
            continue
        kept.append(region)
        covered |= mask
    return kept


def _conjunctions(truth: _Truth) -> tuple[list[_Conjunction], dict[int, int]]:
    """True minimal conjunctions of up to three literals that cover enough, and how many were looked at by length."""
    weighted = truth.everywhere * truth.weight
    alone = weighted.sum(axis=1)
    free = truth.good.sum(axis=1) == 0
    found = [_Conjunction((int(i),), int(alone[i])) for i in np.flatnonzero(free & (alone >= truth.worth))]
    tried = {1: len(alone), 2: 0, 3: 0}
    open_ones = np.flatnonzero(~free & (alone >= truth.worth))
    everywhere, weighted, good = truth.everywhere[open_ones], weighted[open_ones], truth.good[open_ones]
    sizes = weighted @ everywhere.T
    own = np.diag(sizes)
    # a pair says something new if both literals cut the other down; implied or disjoint pairs do not
    proper = (sizes >= truth.worth) & (sizes < own[:, None]) & (sizes < own[None, :])
    clean = (good @ good.T) == 0
    upper = np.triu(np.ones_like(proper), 1)
    tried[2] = int((proper & upper).sum())
    for i, j in np.argwhere(proper & clean & upper):
        found.append(_Conjunction((int(open_ones[i]), int(open_ones[j])), int(sizes[i, j])))
    for i in range(len(open_ones)):
        partners = np.flatnonzero(proper[i] & ~clean[i] & (np.arange(len(open_ones)) > i))
        if len(partners) < 2:  # noqa: PLR2004 - a triple needs two partners
            continue
        joint = everywhere[partners] * everywhere[i]
        three = (joint * truth.weight) @ everywhere[partners].T
        pair = sizes[i, partners]
        useful = (three >= truth.worth) & (three < pair[:, None]) & (three < pair[None, :])
        useful &= (three < sizes[np.ix_(partners, partners)]) & ~clean[np.ix_(partners, partners)]
        useful &= np.triu(np.ones_like(useful), 1)
        tried[3] += int(useful.sum())
        no_good = ((good[partners] * good[i]) @ good[partners].T) == 0
        for j, k in np.argwhere(useful & no_good):
            chosen = (int(open_ones[i]), int(open_ones[partners[j]]), int(open_ones[partners[k]]))
            found.append(_Conjunction(chosen, int(three[j, k])))
    return found, tried


def _region(chosen: tuple[Literal, ...], mask: Bools, badness: Badness, tried: int) -> FarRegion:
    """The region with its chance: configurations are the unit, since problem sizes repeat each other.

    What is asked is how likely a region of this size lies as low in the order as it does: all of it below the
    configurations outside that are better than its least bad one. A region that is slower by far beats more of them
    than one that is barely slow enough, and says so with fewer trials.
    """
    rows = mask.any(axis=1)
    covered = mask.any(axis=0)
    tried_here = badness.relevant[rows].any(axis=0)
    nearest = np.where(badness.relevant[rows], badness.value[rows], np.inf).min(axis=0)
    better = int((tried_here & ~covered & (nearest < badness.value[mask].min())).sum())
    chance = log_chance_of_avoiding(int(tried_here.sum()), better, int(covered.sum()))
    return FarRegion(chosen, mask, int(covered.sum()), exp(min(0.0, chance + log(max(tried, 1) * MAX_LITERALS))))
