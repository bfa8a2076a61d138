"""A law tells some configurations from others; one that names all of them, or none, claims nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.power import DEAD
from spak.kg.law.reach import Grounds
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.kg.space.space import Extent


@cache
def _grounds() -> Grounds:
    """What thousands of laws are held against; what fixes it is its key, so it serves any law root."""
    return Grounds()


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for a law that names every configuration of an op at some problem size, or none of any."""
    if one.law.status in DEAD:
        return
    found = [
        (op.id, problem, extent)
        for op in one.nodes.ops_below(one.law.scope.op)
        for problem, extent in _extents(one, op)
    ]
    for op, problem, extent in found:
        if extent == "everything":
            size = show_assignments(problem)
            message = f"names every configuration of {op}, the best among them ({size}); narrow it to a part"
            yield CheckFinding(check="region", field="claim", message=message)
            return
    if found and all(extent == "nothing" for _, _, extent in found):
        names = ", ".join(sorted({op for op, _, _ in found}))
        message = f"names no configuration of {names} at any named problem size in scope; mend names and values"
        yield CheckFinding(check="region", field="claim", message=message)


def _extents(one: OneLaw, op: Op) -> Iterator[tuple[Mapping[str, Scalar], Extent | None]]:
    """Of how much of one op's space the law speaks, at each problem size that makes a difference."""
    if op.parameters:
        yield from _grounds().of(one.law, op, one.nodes.facts(one.law.scope.hw)).reaches(one.law)
