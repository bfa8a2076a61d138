"""Laws that leave a search too little, or contradict each other: which have no effect, and why."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from spak.kg.law.kinds.base import Power
from spak.kg.space.masks import FactoredMask, union
from spak.tuner.knowledge.restriction import Restriction, Rule

MIN_LEFT = 8
"""Configurations that laws must leave, of a smaller space all: the best of fewer says nothing of a law (decision 0064)."""


def too_narrow(restriction: Restriction) -> dict[str, str]:
    """Laws to suspend so that `MIN_LEFT` is left, as few as suffice, and why each: id -> words.

    First those that leave too little alone; then pairs that contradict each other, of which nobody knows which is wrong;
    then those that hide most. Safety is never suspended, and what it removes is not counted as hidden.
    """
    safe = ~restriction.unsafe
    rules = [(rule, rule.named) for rule in restriction.live if rule.power is Power.REMOVE and not rule.is_safety]
    hiding = [(rule, named & safe) for rule, named in rules if named is not None]
    total = safe.sum()
    found: dict[str, str] = {}
    while hiding and (left := total - _num_hidden([named for _, named in hiding])) < min(MIN_LEFT, total):
        chosen = _alone(hiding, total) or _pair(hiding, total) or _most(hiding, left, total)
        found |= chosen
        hiding = [(rule, named) for rule, named in hiding if rule.id not in chosen]
    return found


_Hiding = Sequence[tuple[Rule, FactoredMask]]
"""Laws, each with what it hides of what is safe."""


def _alone(hiding: _Hiding, total: int) -> dict[str, str]:
    left = [(rule, total - named.sum()) for rule, named in hiding]
    return {rule.id: f"it leaves {num} of {total} configurations" for rule, num in left if num < min(MIN_LEFT, total)}


def _pair(hiding: _Hiding, total: int) -> dict[str, str]:
    """The two that hide most of those that together leave too little."""
    pairs = [
        (_num_hidden([first[1], second[1]]), first[0].id, second[0].id) for first, second in combinations(hiding, 2)
    ]
    num, one, other = max(pairs, default=(0, "", ""))
    if total - num >= min(MIN_LEFT, total):
        return {}
    words = f"together they leave {total - num} of {total} configurations"
    return {one: f"it contradicts {other}: {words}", other: f"it contradicts {one}: {words}"}


def _most(hiding: _Hiding, left: int, total: int) -> dict[str, str]:
    """The one without which the rest leaves most."""
    rest = [_num_hidden([named for other, named in hiding if other is not rule]) for rule, _ in hiding]
    rule, _ = hiding[rest.index(min(rest))]
    return {rule.id: f"with the other laws it leaves {left} of {total} configurations"}


def _num_hidden(masks: Sequence[FactoredMask]) -> int:
    return union(masks, masks[0].shape).sum() if masks else 0
