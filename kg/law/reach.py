"""Where a law speaks, and of how much of a space: one that speaks of all of it or of nothing tells nothing apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spak.kg.expression import parse
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import inside
from spak.kg.model.base import Scalar
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.space.shared import Spaces
from spak.kg.space.space import Space


class Grounds:
    """The spaces that a law is compared on; thousands of laws share their scope and what they name of a problem size."""

    def __init__(self) -> None:
        """Know none yet."""
        self._spaces = Spaces()
        self._found: dict[tuple[object, ...], Sequence[tuple[dict[str, Scalar], Space]]] = {}

    def of(self, law: Law, op: Op, facts: Mapping[str, Scalar]) -> Sequence[tuple[dict[str, Scalar], Space]]:
        """`covered_problems`, each with the feasible space of `op` there.

        Raises:
            KgError: If nothing is feasible there.
        """
        named = frozenset(meaning(law).names & op.problem.keys())
        key = (self._spaces.content(op), law.scope.when, law.scope.dtype, named, tuple(facts.items()))
        if key not in self._found:
            sizes = covered_problems(law, op, facts)
            self._found[key] = [(problem, self._spaces.at(op, problem, facts)) for problem in sizes]
        return self._found[key]


def covered_problems(law: Law, op: Op, facts: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
    """The op's named problem sizes that the law's scope covers, one of those that make no difference to it.

    The default one if the op names none.
    """
    defaults = {name: parameter.default for name, parameter in op.problem.items()}
    named = [{**defaults, **problem} for problem in op.problems.values()] or [defaults]
    covered = [problem for problem in named if is_about(law, problem, facts)]
    relevant = meaning(law).names | {name for condition in op.conditions for name in parse(condition.require).all_names}
    differing = {tuple((name, problem[name]) for name in problem if name in relevant): problem for problem in covered}
    return list(differing.values())


def is_about(law: Law, problem: Mapping[str, Scalar], facts: Mapping[str, Scalar]) -> bool:
    """Whether a problem size is within a law's scope; one that leaves it open is: a reviewer must see it."""
    return inside(law.scope, {**problem, **{f"hw.{name}": value for name, value in facts.items()}}).possibly
