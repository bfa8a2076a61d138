"""Where a law speaks, and of how much of a space: one that speaks of all of it or of nothing tells nothing apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from spak.kg.expression import parse
from spak.kg.law.kinds import meaning
from spak.kg.law.scope import inside
from spak.kg.model.base import Scalar
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.space.glances import Glances
from spak.kg.space.shared import Spaces
from spak.kg.space.space import Extent, Space


@dataclass(frozen=True)
class Ground:
    """What a law is compared on: `covered_problems`, each with the feasible space of an op there."""

    parts: Sequence[tuple[dict[str, Scalar], Space]]

    def reaches(self, law: Law) -> Iterator[tuple[Mapping[str, Scalar], Extent | None]]:
        """Of how much of each space the law speaks."""
        means = meaning(law)
        is_parted = means.removal is not None and self._glances.parts_all(means.removal)
        return ((problem, "something" if is_parted else means.reach(space)) for problem, space in self.parts)

    @cached_property
    def _glances(self) -> Glances:
        return Glances([space for _, space in self.parts])


class Grounds:
    """The ground of each law; thousands share their scope and what they name of a problem size."""

    def __init__(self) -> None:
        """Know none yet."""
        self._spaces = Spaces()
        self._found: dict[tuple[object, ...], Ground] = {}

    def of(self, law: Law, op: Op, facts: Mapping[str, Scalar]) -> Ground:
        """What `law` is compared on of `op`, on hardware with these facts.

        Raises:
            KgError: If nothing is feasible there.
        """
        named = frozenset(meaning(law).names & op.problem.keys())
        key = (self._spaces.content(op), law.scope.when, law.scope.dtype, named, tuple(facts.items()))
        if key not in self._found:
            sizes = covered_problems(law, op, facts)
            self._found[key] = Ground([(problem, self._spaces.at(op, problem, facts)) for problem in sizes])
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
