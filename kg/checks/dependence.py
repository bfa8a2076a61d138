"""What depends on the inputs, or on another part of the problem, is claimed only where the law says which."""

from __future__ import annotations

from collections.abc import Iterator

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.expression import parse
from spak.kg.law.kinds import meaning


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for each parameter of the claim that fares by a problem parameter of which `scope.when` says nothing."""
    said = parse(one.law.scope.when).all_names if one.law.scope.when else frozenset()
    ops = one.nodes.ops_below(one.law.scope.op)
    for name in sorted(meaning(one.law).names):
        decided_by = {on for op in ops if name in op.parameters for on in op.parameters[name].depends_on}
        for unsaid in sorted(decided_by - said):
            message = (
                f"how {name} fares depends on {unsaid}, of which scope.when says nothing; add the values it holds for"
            )
            yield CheckFinding(check="dependence", field="scope", message=message)
