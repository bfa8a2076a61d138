"""Whether one law says what another says, or more: then the other needs no file of its own.

Decided on the op itself: every combination of the parameters that the two regions name, at every named problem size,
and at compiled features just below, at and just above every number in either region. Hardware conditions on
combinations are left out, so two laws may be called different that no feasible configuration tells apart; never
the reverse, as far as features are whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from spak.kg.expression import Expression, parse
from spak.kg.expression.tree import Const, walk
from spak.kg.law.conflict import CommonGround
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import inside
from spak.kg.law.status import UNBOUNDED, bounds
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.law import Bound, Law
from spak.kg.model.store import Store
from spak.kg.model.taxonomy import Taxonomy

MAX_ROWS = 1 << 20
"""Combinations compared; two laws that need more are called different."""

UNSETTLED = frozenset({"contested", "refuted"})
"""Statuses of laws whose narrower versions are news: the part that holds, of a claim that does not."""


def covers(old: Law, new: Law, store: Store) -> bool:
    """Whether `old` says the same as `new` or more, and is a law to add evidence to."""
    if old.withdrawn is not None or not implies(old, new, store):
        return False
    return old.status not in UNSETTLED or implies(new, old, store)


def implies(general: Law, special: Law, store: Store) -> bool:
    """Whether `general` being true makes `special` true: its scope, its region and its bounds take in the other's."""
    return (
        type(general) is type(special)
        and _wider(general, special, store)
        and _stronger(bounds(general), bounds(special))
        and meaning(general).covers(special)
        and _contains(general, special, store)
    )


def _wider(general: Law, special: Law, store: Store) -> bool:
    """Hardware, op, dtype and toolchain; `when` is compared with the regions."""
    mine, its = general.scope, special.scope
    return (
        mine.hw in Taxonomy("hardware", store.hardware).ancestors(its.hw)
        and mine.op in Taxonomy("op", store.ops).ancestors(its.op)
        and (not mine.dtype or bool(its.dtype and set(its.dtype) <= set(mine.dtype)))
        and mine.toolchain in {"", its.toolchain}
    )


def _stronger(general: Mapping[str, Bound], special: Mapping[str, Bound]) -> bool:
    """Whether every effect that `special` bounds is bounded at least as closely by `general`."""
    return all(
        name == UNBOUNDED or (name in general and _inside(general[name], bound)) for name, bound in special.items()
    )


def _inside(inner: Bound, outer: Bound) -> bool:
    low = outer.at_least is None or (inner.at_least is not None and inner.at_least >= outer.at_least)
    return low and (outer.at_most is None or (inner.at_most is not None and inner.at_most <= outer.at_most))


def _contains(general: Law, special: Law, store: Store) -> bool:
    """Whether `special` names nothing, at no problem size, that `general` does not name."""
    op = store.ops[special.scope.op]
    facts = {f"hw.{name}": value for name, value in hardware_facts(store, special.scope.hw).items()}
    regions = (_region(general), _region(special))
    for problem in CommonGround(op, facts=facts).problems.values():
        if not _speaks(special, problem):
            continue
        if not _speaks(general, problem):
            return False
        outer, inner = _truths(regions, {name: p.values for name, p in op.parameters.items()}, problem)
        if (inner & ~outer).any():
            return False
    return True


def _region(law: Law) -> Expression:
    """What it forbids; everything, of a law that forbids nothing."""
    return meaning(law).removal or parse("True")


def _speaks(law: Law, problem: Mapping[str, Scalar]) -> bool:
    """Whether a problem size is in scope; a law whose condition is open there is not compared."""
    return inside(law.scope, problem).surely


def _truths(
    regions: tuple[Expression, Expression], parameters: Mapping[str, tuple[Scalar, ...]], problem: Mapping[str, Scalar]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Both regions over everything they can tell apart; as if nothing held the second where that is too much."""
    named = sorted(regions[0].all_names.union(regions[1].all_names) - problem.keys())
    steps = _steps(regions)
    axes = [parameters.get(name, steps) for name in named]
    count = prod(map(len, axes))
    if count > MAX_ROWS:
        return np.array([regions[0].text == regions[1].text]), np.array([True])
    rows = list(product(*axes))
    columns: dict[str, npt.NDArray[np.generic] | Scalar] = dict(problem)
    columns |= {name: np.array([row[place] for row in rows]) for place, name in enumerate(named)}
    first, second = (np.asarray(region.evaluate_columns(columns, count), dtype=bool) for region in regions)
    return first, second


def _steps(regions: tuple[Expression, ...]) -> tuple[Scalar, ...]:
    """Values of a compiled feature between which no comparison with a constant changes."""
    numbers = {0.0}
    for region in regions:
        for node in walk(region.root):
            if isinstance(node, Const) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
                numbers |= {node.value - 1.0, float(node.value), node.value + 1.0}
    return tuple(sorted(numbers))
