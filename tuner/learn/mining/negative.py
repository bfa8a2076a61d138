"""Regions of the space whose every configuration is far from the best, spills or does not compile, at every size seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable
from spak.kg.space.factors import Floats
from spak.tuner.learn.mining.predicates import Literal, literals
from spak.tuner.learn.mining.significance import FAMILY_ERROR, log_chance_of_avoiding

MIN_SLOWDOWN = 1.2
"""Least slowdown against the best of the problem size, unless another is asked for."""

MIN_CONFIGURATIONS = 8
"""Distinct configurations a region needs."""

MAX_LAWS = 12
"""Most laws one run may suggest of one kind."""

WORTH_SAYING = 0.02
"""A law must cover at least this share of what was timed and not yet covered by a more general law."""

MAX_LITERALS = 3
"""Longest conjunction; each length has an equal share of the allowed error, so that many long statements tried do not
drown the few short ones."""

SAFETY = 1.05
"""A region's least slowdown must exceed the stated one by this factor, so that the next run's noise does not refute it."""


@dataclass(frozen=True)
class FarRegion:
    """A negative statement found in a table.

    Attributes:
        literals: Its conjunction, minimal: without any of them it is not true.
        mask: (S, N) tried cells it covers.
    """

    literals: tuple[Literal, ...]
    mask: Bools


def slow_regions(table: TrialTable, found: Sequence[Literal], slowdown: float = MIN_SLOWDOWN) -> list[FarRegion]:
    """Regions whose every cell is slower than the best by `slowdown` and a little more, or did not run."""
    low, _ = table.slowdown_bounds()
    return regions(found, table.observed | table.failed, np.where(table.observed, low, np.inf), slowdown * SAFETY)


@dataclass(frozen=True)
class Fault:
    """One thing that can be wrong with a region.

    Attributes:
        effect: Effect name; a compiled feature, `failure_rate` or `slowdown`.
        at_least: The bound the law states.
        because: Glossary term.
    """

    effect: str
    at_least: float
    because: str

    def shows(self, table: TrialTable) -> tuple[Bools, Bools]:
        """(S, N) cells that say something about it, and those that show it."""
        if self.effect == "failure_rate":
            return table.observed | table.failed | table.compiled, table.failed
        values = table.features.get(self.effect, np.full_like(table.time, np.nan))
        return np.isfinite(values), values >= self.at_least

    def least(self, table: TrialTable, mask: Bools) -> float:
        """The smallest effect inside `mask`."""
        if self.effect == "failure_rate":
            return 1.0
        values = table.slowdown_bounds()[0] if self.effect == "slowdown" else table.features[self.effect]
        return float(np.nanmin(values[mask]))  # of cells that failed no slowdown is known


FAILS = Fault("failure_rate", 1.0, "")
COMPILED_FAULTS = (Fault("spill_bytes", 1.0, "register-spill"), Fault("failure_rate", 1.0, "launch-failure"))


def compiled_regions(table: TrialTable, fault: Fault, tiles: tuple[str, ...] | None = None) -> list[FarRegion]:
    """The most general regions whose every configuration shows `fault`; predicates speak of parameters only."""
    relevant, shown = fault.shows(table)
    if not shown.any():
        return []
    return regions(literals(table, tiles=tiles, relevant=relevant), relevant, shown.astype(float), 1.0)


def regions(given: Sequence[Literal], relevant: Bools, value: Floats, least: float) -> list[FarRegion]:
    """The most general minimal conjunctions that hold no good cell, most general first, each adding something new.

    Args:
        given: Comparisons to combine.
        relevant: (S, N) cells that were tried.
        value: (S, N) how bad: a slowdown, or 0 and 1 where a thing is or is not so; infinite where it did not run.
        least: A region must hold no tried cell less bad than this.
    """
    good = relevant & ~(value >= least)
    if not good.any() or not given:
        return []
    conjunctions, tried = _conjunctions(given, relevant, good)
    # among statements of equal reach the shorter, then the one that names a mechanism (a compiled feature)
    found = sorted(conjunctions, key=lambda c: (-conjunctions[c], len(c), [given[i].kind != "feature" for i in c], c))
    covered = np.zeros_like(relevant)
    kept: list[FarRegion] = []
    for conjunction in found:
        if len(kept) >= MAX_LAWS:
            break
        chosen = tuple(given[i] for i in conjunction)
        mask = np.logical_and.reduce([literal.mask for literal in chosen]) & relevant
        if (mask & ~covered).sum() < WORTH_SAYING * relevant.sum() or mask.any(axis=0).sum() < MIN_CONFIGURATIONS:
            continue
        if _chance(mask, relevant, value, tried[len(chosen)]) <= FAMILY_ERROR:
            kept.append(FarRegion(chosen, mask))
            covered |= mask
    return kept


def _conjunctions(
    given: Sequence[Literal], relevant: Bools, good: Bools
) -> tuple[dict[tuple[int, ...], int], dict[int, int]]:
    """True minimal conjunctions of up to three literals that cover enough.

    Returns:
        Places of the literals -> cells covered; and how many conjunctions were looked at, by length.
    """
    cells = np.array([literal.mask[relevant] for literal in given], dtype=bool)
    patterns, counts = np.unique(np.packbits(cells, axis=0), axis=1, return_counts=True)
    weight = counts.astype(np.float32)  # (patterns,) cells on which all literals agree are one pattern
    everywhere = np.unpackbits(patterns, axis=0, count=len(given)).astype(np.float32)  # (L, patterns)
    on_good = np.array([literal.mask[good] for literal in given], dtype=np.float32)  # (L, good cells)
    worth = max(1.0, WORTH_SAYING * float(relevant.sum()))
    weighted = everywhere * weight
    alone = weighted.sum(axis=1)
    free = on_good.sum(axis=1) == 0
    found: dict[tuple[int, ...], int] = {(int(i),): int(alone[i]) for i in np.flatnonzero(free & (alone >= worth))}
    tried = {1: len(alone), 2: 0, 3: 0}
    open_ones = np.flatnonzero(~free & (alone >= worth))
    everywhere, weighted, on_good = everywhere[open_ones], weighted[open_ones], on_good[open_ones]
    sizes = weighted @ everywhere.T
    own = np.diag(sizes)
    # a pair says something new if both literals cut the other down; implied or disjoint pairs do not
    proper = (sizes >= worth) & (sizes < own[:, None]) & (sizes < own[None, :])
    clean = (on_good @ on_good.T) == 0
    upper = np.triu(np.ones_like(proper), 1)
    tried[2] = int((proper & upper).sum())
    for i, j in np.argwhere(proper & clean & upper):
        found[int(open_ones[i]), int(open_ones[j])] = int(sizes[i, j])
    for i in range(len(open_ones)):
        partners = np.flatnonzero(proper[i] & ~clean[i] & (np.arange(len(open_ones)) > i))
        if len(partners) < 2:  # noqa: PLR2004 - a triple needs two partners
            continue
        joint = everywhere[partners] * everywhere[i]
        three = (joint * weight) @ everywhere[partners].T
        pair = sizes[i, partners]
        useful = (three >= worth) & (three < pair[:, None]) & (three < pair[None, :])
        useful &= (three < sizes[np.ix_(partners, partners)]) & ~clean[np.ix_(partners, partners)]
        useful &= np.triu(np.ones_like(useful), 1)
        tried[3] += int(useful.sum())
        no_good = ((on_good[partners] * on_good[i]) @ on_good[partners].T) == 0
        for j, k in np.argwhere(useful & no_good):
            found[int(open_ones[i]), int(open_ones[partners[j]]), int(open_ones[partners[k]])] = int(three[j, k])
    return found, tried


def _chance(mask: Bools, relevant: Bools, value: Floats, tried: int) -> float:
    """Bonferroni-corrected chance of the region `mask` in exchangeable noise.

    Configurations are the unit, since problem sizes repeat each other. What is asked is how likely a region of this
    size lies as low in the order as it does: all of it below the configurations outside that are better than its least
    bad one. A region that is slower by far beats more of them than one that is barely slow enough, and says so with
    fewer trials.
    """
    rows = mask.any(axis=1)
    covered = mask.any(axis=0)
    tried_here = relevant[rows].any(axis=0)
    nearest = np.where(relevant[rows], value[rows], np.inf).min(axis=0)
    better = int((tried_here & ~covered & (nearest < value[mask].min())).sum())
    chance = log_chance_of_avoiding(int(tried_here.sum()), better, int(covered.sum()))
    return exp(min(0.0, chance + log(max(tried, 1) * MAX_LITERALS)))
