"""A law's examples are executed: it avoids what it says it avoids and admits what it says it admits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spak.kg.checks import CheckFinding, OneLaw
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import inside
from spak.kg.model.base import Scalar
from spak.kg.model.law import Law


def check_law(one: OneLaw) -> Iterator[CheckFinding]:
    """A finding for each example that the law decides otherwise, or not at all."""
    examples = (("avoided", one.law.examples.avoided), ("admitted", one.law.examples.admitted))
    if not any(cases for _, cases in examples):
        return
    known = _defaults(one)
    for name, cases in examples:
        for index, case in enumerate(cases):
            message = _wrong(one.law, known | case, avoided=name == "avoided")
            if message:
                yield CheckFinding(check="examples", field=f"examples.{name}[{index}]", message=message)


def _defaults(one: OneLaw) -> dict[str, Scalar]:
    """Facts of the law's hardware, and defaults of its op's parameters and problem parameters."""
    op = one.nodes.ops[one.law.scope.op]
    facts = one.nodes.facts(one.law.scope.hw)
    values: dict[str, Scalar] = {f"hw.{name}": value for name, value in facts.items()}
    values |= {name: size.default for name, size in op.problem.items()}
    return values | {name: parameter.default for name, parameter in op.parameters.items()}


def _wrong(law: Law, values: Mapping[str, Scalar], *, avoided: bool) -> str:
    """What is wrong with an example; empty if nothing is."""
    means = meaning(law)
    if means.removal is None and not means.preferred:
        return f"a law of this kind neither avoids nor admits; drop the examples of {law.id}"
    found = inside(law.scope, values)
    if not found.possibly:
        reason = "outside scope.when or scope.dtype, so the law does not avoid it; add a problem size inside"
        return reason if avoided else ""
    if not found.surely:
        return f"scope is not decided: no value for {', '.join(found.missing)}; add it to the example"
    verdict = means.verdict(values)
    if verdict.stance == "undecided":
        return f"not decided: no value for {', '.join(verdict.needs)}; add it to the example"
    if (verdict.stance == "against") == avoided:
        return ""
    return "the claim admits it; mend the claim or the example" if avoided else "the claim avoids it; mend one of them"
