"""A law's examples are executed: it avoids what it says it avoids and admits what it says it admits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spak.kg.checks import finding
from spak.kg.errors import Problem
from spak.kg.expression import Expression, parse
from spak.kg.files.loader import Laws
from spak.kg.law.conflict import removal
from spak.kg.law.match import hardware_facts
from spak.kg.model.base import Scalar
from spak.kg.model.law import Law, PositiveLaw


def check(laws: Laws) -> Iterator[Problem]:
    """A finding for each example that the law decides otherwise, or not at all."""
    for law in laws.laws.values():
        examples = (("avoided", law.examples.avoided), ("admitted", law.examples.admitted))
        if not any(cases for _, cases in examples):
            continue
        known = _defaults(laws, law)
        for name, cases in examples:
            for index, case in enumerate(cases):
                message = _wrong(law, known | case, avoided=name == "avoided")
                if message:
                    yield finding(laws, "examples", law.id, f"examples.{name}[{index}]", message)


def _defaults(laws: Laws, law: Law) -> dict[str, Scalar]:
    """Facts of the law's hardware, and defaults of its op's parameters and problem parameters."""
    op = laws.ops[law.scope.op]
    facts = hardware_facts(laws, law.scope.hw)
    values: dict[str, Scalar] = {f"hw.{name}": value for name, value in facts.items()}
    values |= {name: size.default for name, size in op.problem.items()}
    return values | {name: parameter.default for name, parameter in op.parameters.items()}


def _wrong(law: Law, values: Mapping[str, Scalar], *, avoided: bool) -> str:
    """What is wrong with an example; empty if nothing is."""
    if law.scope.when:
        inside = parse(law.scope.when).partial(values)
        if inside is not True:
            return _outside(inside, avoided=avoided)
    verdict = _avoids(law, values)
    if verdict is None:
        return f"a law of this kind neither avoids nor admits; drop the examples of {law.id}"
    if not isinstance(verdict, bool):
        missing = ", ".join(sorted(verdict.all_names))
        return f"not decided: no value for {missing}; add it to the example"
    if verdict == avoided:
        return ""
    return "the claim admits it; mend the claim or the example" if avoided else "the claim avoids it; mend one of them"


def _outside(inside: Expression | bool, *, avoided: bool) -> str:
    if isinstance(inside, Expression):
        return f"scope.when is not decided: no value for {', '.join(sorted(inside.all_names))}; add it to the example"
    return "outside scope.when, so the law does not avoid it; add a problem size inside" if avoided else ""


def _avoids(law: Law, values: Mapping[str, Scalar]) -> Expression | bool | None:
    """Whether the law avoids a configuration; for a preferring law, whether it differs from the setting."""
    if isinstance(law, PositiveLaw):
        return any(values.get(name) != value for name, value in law.claim.prefer.items())
    expression = removal(law)
    return None if expression is None else expression.partial(values)
