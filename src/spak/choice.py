"""Which configuration to run where nothing may be tried first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from typing import Literal

from spak.candidates import Gate
from spak.kg.errors import KgError
from spak.kg.expression import Expression, parse
from spak.kg.expression.assignment import check_names
from spak.kg.files.loader import Laws
from spak.kg.formats.nodes import HardwareName
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.op import Op
from spak.kg.space.completion import complete, completed
from spak.tunable import Size, Tunable, tunable
from spak.tuner.first import First, ranked
from spak.tuner.knowledge.fastest import FastestFirst, fastest_first, remoteness, unsaid
from spak.tuner.knowledge.restriction import Context

Origin = Literal["recorded", "nearby", "related", "ranked", "default"]
"""The fastest recorded there at this problem size, at the nearest one, on the nearest of the same compute capability;
the first of what laws and all other runs say; or the op's default, because nothing is known."""

RANKED = 4096
"""Configurations of an order that are looked through for one that the caller can use."""


@dataclass(frozen=True)
class Choice:
    """A configuration to run untried.

    Attributes:
        op: Id.
        hw: Id; it may be new.
        problem: Problem size, complete.
        configuration: Complete, feasible, and not removed by any law.
        origin: Which of the five steps it comes from.
        because: The same in words, with the hardware and problem size of the runs, or the laws that order.
    """

    op: str
    hw: str
    problem: ProblemSize
    configuration: Configuration
    origin: Origin
    because: str


class Chooser:
    """Chooses for one op on one piece of hardware; recorded runs are read once, at the first choice."""

    def __init__(self, laws: Laws, op: str | Op, hw: str | HardwareName, toolchain: str = "") -> None:
        """Begin; arguments as for `Library.choose`."""
        asked = tunable(laws, op, hw, None)
        self._laws, self._op, self._hw, self._toolchain = asked.laws, asked.op, asked.hw, toolchain
        self._orders: dict[tuple[tuple[str, Scalar], ...], First] = {}

    def choose(self, problem: Size | None, where: str = "") -> Choice:
        """The configuration to run at a problem size; see `Library.choose`."""
        asked = tunable(self._laws, self._op, self._hw, problem)
        wanted = parse(where) if where else None
        if wanted is not None:
            check_names(wanted.all_names, [*self._op.parameters, *self._op.problem], kind="parameter")
        for configuration, origin, because in self._offers(asked, wanted):
            return Choice(self._op.id, self._hw, asked.size, configuration, origin, because)
        raise KgError(f"op {self._op.id!r}: no configuration is feasible at this problem size and satisfies {where!r}")

    def _offers(self, asked: Tunable, wanted: Expression | None) -> Iterator[tuple[Configuration, Origin, str]]:
        """What may run, best first."""
        gate = Gate(asked, self._toolchain)
        for source in sorted(self._recorded, key=partial(remoteness, self._op, self._hw, asked.size)):
            fixed = unsaid(self._op, asked.size, source)
            for one in source.configurations:
                if fixed <= one.items() and _holds(wanted, asked, one) and gate.admits(one):
                    yield one, *self._reason(asked, source)
        yield from self._ranked(asked, wanted, gate)
        for near in self._near_default():
            if _holds(wanted, asked, near) and gate.admits(near):
                yield near, "default", "nothing is known; the op's default, or what differs from it in one parameter"

    def _near_default(self) -> Iterator[Configuration]:
        default = completed(self._op, {})
        yield default
        for name, parameter in self._op.parameters.items():
            yield from ({**default, name: value} for value in parameter.values if value != default[name])

    def _ranked(
        self, asked: Tunable, wanted: Expression | None, gate: Gate
    ) -> Iterator[tuple[Configuration, Origin, str]]:
        found = self._order(asked)
        sources = [label for label, weight in found.sources if weight]
        if not sources:
            return
        because = f"first of what is known elsewhere: {', '.join(sources[:3])}"
        for row in islice(found.order, RANKED):
            one = found.space.config(int(row))
            if _holds(wanted, asked, one) and gate.admits(one):
                yield one, "ranked", because

    def _order(self, asked: Tunable) -> First:
        """Everything in the order in which to try it. That takes seconds, so all sizes of one kind have the same."""
        kind = {name: asked.size[name] for name, parameter in self._op.problem.items() if parameter.specialises}
        key = tuple(kind.items())
        if key not in self._orders:
            space = replace(asked, size={**complete(self._op, {}), **kind}).space
            self._orders[key] = ranked(self._laws, space, Context(self._hw, self._toolchain))
        return self._orders[key]

    def _reason(self, asked: Tunable, source: FastestFirst) -> tuple[Origin, str]:
        differing = {n: v for n, v in source.problem.items() if asked.size.get(n) != v}
        where = f"the fastest recorded on {source.hw}"
        if differing:
            where += " at " + ", ".join(f"{name}={value}" for name, value in differing.items())
        if source.hw != self._hw:
            return "related", where
        return ("nearby" if differing else "recorded"), where

    @cached_property
    def _recorded(self) -> list[FastestFirst]:
        return fastest_first(self._laws, self._op, self._hw)


def _holds(wanted: Expression | None, asked: Tunable, configuration: Configuration) -> bool:
    return wanted is None or bool(wanted.holds({**asked.size, **configuration}))
