"""Compiled features in an expression: which of their values decide it for all values that hardware can have."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import ceil, floor, prod

from spak.kg.expression import Expression
from spak.kg.expression.tree import Compare, Const, Members, Name, Node, walk
from spak.kg.law.effects import FEATURE_VALUES
from spak.kg.model.base import Scalar

MAX_CASES = 4096
"""Most combinations of values that are looked at."""


def feature_cases(expression: Expression) -> list[dict[str, Scalar]] | None:
    """Values of the features that `expression` names, one setting for each way in which they can decide it.

    None if there are too many, or if a feature is in arithmetic: only a comparison with a number changes nowhere else
    than beside that number.
    """
    edges: dict[str, set[float]] = {}
    for node in walk(expression.root):
        if isinstance(node, Compare):
            for name, constant in _compared(node):
                edges.setdefault(name, set()).add(constant)
    bare = sum(1 for node in walk(expression.root) if isinstance(node, Compare) for _ in _features(node))
    named = [node for node in walk(expression.root) if isinstance(node, Name) and node.id in FEATURE_VALUES]
    values = {name: sorted(_values(name, found)) for name, found in edges.items()}
    if len(named) != bare or prod(map(len, values.values())) > MAX_CASES:
        return None
    return [dict(zip(values, case, strict=True)) for case in product(*values.values())]


def _features(node: Compare) -> Iterator[str]:
    """Features that `node` compares with a number or a list of numbers."""
    yield from dict.fromkeys(name for name, _ in _compared(node))


def _compared(node: Compare) -> Iterator[tuple[str, float]]:
    """Feature and number for each number that `node` compares a feature with."""
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(one, Name) and one.id in FEATURE_VALUES:
            numbers = _numbers(other)
            if numbers is not None:
                yield from ((one.id, number) for number in numbers)


def _numbers(node: Node) -> list[float] | None:
    items = node.items if isinstance(node, Members) else (node,)
    found = [item.value for item in items if isinstance(item, Const) and isinstance(item.value, int | float)]
    return found if len(found) == len(items) else None


def _values(name: str, edges: set[float]) -> set[int]:
    """The least and the greatest value, and those at and beside each edge; features are whole numbers."""
    ends = FEATURE_VALUES[name]
    near = {place for edge in edges for place in (floor(edge) - 1, floor(edge), ceil(edge), ceil(edge) + 1)}
    return {int(ends.least), int(ends.most), *(place for place in near if ends.holds(place))}
