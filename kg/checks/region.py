"""A law tells some configurations from others; one that names all of them, or none, claims nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.expression.assignment import show_assignments
from spak.kg.law.kinds import meaning
from spak.kg.law.power import DEAD
from spak.kg.law.reach import covered_problems
from spak.kg.model.base import Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.shared import Spaces
from spak.kg.space.space import Extent


@cache
def _spaces() -> Spaces:
    """Spaces that thousands of laws are held against; what fixes one is its key, so they serve any law root."""
    return Spaces()


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for a law that names every configuration of an op at some problem size, or none of any."""
    if one.law.status in DEAD:
        return
    ops = [name for name in Taxonomy("op", one.ops).descendants(one.law.scope.op) if name in one.ops]
    found = [(op, problem, extent) for op in ops for problem, extent in _extents(one, op)]
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


def _extents(one: OneLaw, name: str) -> Iterator[tuple[dict[str, Scalar], Extent | None]]:
    """Of how much of one op's space the law speaks, at each problem size that makes a difference."""
    op = one.ops[name]
    if not op.parameters:
        return
    facts = hardware_facts(one, one.law.scope.hw)
    for problem in covered_problems(one.law, op, facts):
        yield problem, meaning(one.law).reach(_spaces().at(op, problem, facts))
