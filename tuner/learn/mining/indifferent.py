"""Axes not worth searching: fixing the axis to any one of some values costs at most a margin, at every problem size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spak.kg.evidence.table import TrialTable
from spak.kg.model.base import Scalar

WITHIN = 0.01
"""Margin of a tie, and of a preferred setting: 1 %."""

NEAR = 1.5
"""Contexts this near to the best count: how an axis behaves among hopeless configurations steers no search."""

MIN_MATCHED = 8
"""Matched contexts (all other parameters equal) needed at each problem size."""

SHARE_WITHIN = 0.9
"""Share of matched contexts that must change by no more than the margin; the best of each value always must."""


@dataclass(frozen=True)
class Tie:
    """Values of one parameter, in canonical order, between which nothing is to be gained.

    Attributes:
        change: Median over matched contexts of the largest time over the least, minus 1, worst problem size.
        cost: What fixing the worst of the values costs against the best, minus 1, worst problem size.
    """

    parameter: str
    values: tuple[Scalar, ...]
    change: float
    cost: float


def ties(table: TrialTable) -> list[Tie]:
    """The largest sets of values of each parameter that tie within `WITHIN`."""
    found: list[Tie] = []
    for name, values in table.parameters.items():
        kept: list[set[int]] = []
        for size in range(len(values), 1, -1):
            for codes in combinations(range(len(values)), size):
                if any(set(codes) <= earlier for earlier in kept):
                    continue
                if (tie := _tie(table, name, codes)) is not None:
                    kept.append(set(codes))
                    found.append(tie)
            if len(values) > 8:  # noqa: PLR2004 - the whole axis only: subsets of a long axis are not looked at
                break
    return found


def _tie(table: TrialTable, name: str, codes: Sequence[int]) -> Tie | None:
    contexts = table.matched(name, codes)
    if len(contexts) < MIN_MATCHED:
        return None
    changes: list[float] = []
    costs: list[float] = []
    for row in range(len(table.problems)):
        times = table.time[row][contexts]  # (C, values)
        times = times[np.isfinite(times).all(axis=1)]
        if len(times) == 0:
            return None
        best = float(np.nanmin(table.time[row]))
        near = times[times.min(axis=1) <= NEAR * best]
        if len(near) < MIN_MATCHED:
            return None
        change = near.max(axis=1) / near.min(axis=1) - 1
        cost = float(times.min(axis=0).max() / times.min() - 1)
        if cost > WITHIN or float(np.mean(change <= WITHIN)) < SHARE_WITHIN:
            return None
        changes.append(float(np.median(change)))
        costs.append(cost)
    values = tuple(table.parameters[name][code] for code in codes)
    return Tie(name, values, max(changes), max(costs))
