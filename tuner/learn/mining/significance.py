"""How likely a statement is to hold by chance, so that looking at many statements does not find laws in noise."""

from __future__ import annotations

from math import lgamma

FAMILY_ERROR = 0.01
"""Chance, over all predicates tried on one table, that a region of pure noise passes as a candidate.

A fifth of the 5 % allowed for a *confirmed* law on noise: confirmation is a second, independent hurdle, and
exchangeability is only nearly true (neighbouring configurations behave alike), so the first is kept strict.
"""


def _log_choose(total: int, chosen: int) -> float:
    if chosen < 0 or chosen > total:
        return float("-inf")
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


def log_chance_of_avoiding(total: int, good: int, region: int) -> float:
    """Natural log of the chance that `region` configurations drawn from `total` hold none of the `good` ones.

    Hypergeometric: C(total - good, region) / C(total, region).
    """
    return _log_choose(total - good, region) - _log_choose(total, region)
