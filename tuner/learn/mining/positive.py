"""Settings that hold over problem sizes: with them fixed the best is still reached, without them it is not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import exp, log

import numpy as np

from spak.kg.evidence.table import Bools, TrialTable
from spak.kg.model.base import Scalar
from spak.tuner.learn.mining.indifferent import WITHIN
from spak.tuner.learn.mining.significance import FAMILY_ERROR, log_chance_of_avoiding

LOSS = 0.02
"""Least share that is lost without a setting that is worth a law."""

MAX_SETTINGS = 4
"""Most settings one run may suggest, of two parameters at most: more is a winner, and winners transfer poorly."""

MIN_SIZES = 2
"""Problem sizes a setting must hold over: one size gives a winner, not a law."""


@dataclass(frozen=True)
class PreferredSetting:
    """A preferred setting.

    Attributes:
        prefer: Parameter -> value.
        cost: What fixing it costs against the best, minus 1, worst problem size, as the intervals allow.
        loss: What leaving it costs: best outside over best, minus 1, least over problem sizes, as the intervals allow.
    """

    prefer: dict[str, Scalar]
    cost: float
    loss: float


def settings(table: TrialTable) -> list[PreferredSetting]:
    """Settings that cost at most `WITHIN`, and without which at least `LOSS` is lost, fewest names first."""
    if len(table.problems) < MIN_SIZES:
        return []
    candidates = _candidates(table)
    kept: list[PreferredSetting] = []
    for prefer, mask in candidates:
        found = _setting(table, prefer, mask, tried=len(candidates))
        if found is None or found.cost > WITHIN or found.loss < LOSS:
            continue
        if not any(earlier.prefer.items() <= found.prefer.items() for earlier in kept):  # a shorter one says it
            kept.append(found)
    return sorted(kept, key=lambda s: (len(s.prefer), -s.loss))[:MAX_SETTINGS]


def _candidates(table: TrialTable) -> list[tuple[dict[str, Scalar], Bools]]:
    varied = {name: values for name, values in table.parameters.items() if len(values) > 1}
    single = [
        ({n: value}, table.column(n) == code) for n, values in varied.items() for code, value in enumerate(values)
    ]
    pairs = ((a | b, first & second) for (a, first), (b, second) in combinations(single, 2) if a.keys() != b.keys())
    return [*single, *((prefer, mask) for prefer, mask in pairs if mask.any())]


def _setting(table: TrialTable, prefer: dict[str, Scalar], mask: Bools, *, tried: int) -> PreferredSetting | None:
    cost, loss, chance = 0.0, np.inf, 0.0
    for row in range(len(table.problems)):
        seen = table.observed[row]
        inside, outside = seen & mask, seen & ~mask
        if not inside.any() or not outside.any():
            return None
        time, low, high = table.time[row], table.low[row], table.high[row]
        best = int(np.flatnonzero(seen)[time[seen].argmin()])
        best_inside = int(np.flatnonzero(inside)[time[inside].argmin()])
        cost = max(cost, 0.0 if mask[best] else float(high[best_inside] / low[best]) - 1)
        row_loss = float(low[outside].min() / high[best_inside]) - 1
        loss = min(loss, row_loss)
        # everything at least `row_loss` better than the rest lies inside: the chance that noise would put it there
        winners = int((time[seen] < low[outside].min()).sum())
        chance += log_chance_of_avoiding(int(seen.sum()), max(winners, 1), int(outside.sum()))
    if exp(min(0.0, chance + log(tried))) > FAMILY_ERROR:  # Bonferroni-corrected
        return None
    return PreferredSetting(prefer, cost, float(loss))
