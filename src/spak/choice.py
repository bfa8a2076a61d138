"""Which configuration to run where nothing may be tried first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
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
from spak.tuner.knowledge.gather import nearest_common
from spak.tuner.knowledge.restriction import Context

Origin = Literal["recorded", "nearby", "related", "ranked", "default"]
"""The fastest recorded there at this problem size, at the nearest one, on the nearest of the same compute capability;
the first of what laws and all other runs say; or the op's default, because nothing is known."""

SPECIALISED = 4.0
"""How many doublings one counts for, of a number that code is compiled for (`specialises`).

Source: the recorded sweeps, each size chosen for from the others; docs/decisions/0112.
"""

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


@dataclass(frozen=True)
class _Recorded:
    """What ran correctly on one piece of hardware at one problem size, fastest first."""

    hw: str
    problem: ProblemSize
    configurations: Sequence[dict[str, Scalar]]


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
        for source in sorted(self._recorded, key=lambda source: self._remoteness(asked, source)):
            fixed = _unsaid(asked, source)
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

    def _remoteness(self, asked: Tunable, source: _Recorded) -> tuple[bool, float, str]:
        apart = problem_distance(self._op, asked.size, source.problem)
        return source.hw != self._hw, apart, source.hw

    def _reason(self, asked: Tunable, source: _Recorded) -> tuple[Origin, str]:
        differing = {n: v for n, v in source.problem.items() if asked.size.get(n) != v}
        where = f"the fastest recorded on {source.hw}"
        if differing:
            where += " at " + ", ".join(f"{name}={value}" for name, value in differing.items())
        if source.hw != self._hw:
            return "related", where
        return ("nearby" if differing else "recorded"), where

    @cached_property
    def _recorded(self) -> list[_Recorded]:
        """Of this hardware and of others of its compute capability."""
        groups: dict[tuple[str, tuple[tuple[str, Scalar], ...]], dict[tuple[Scalar, ...], float]] = {}
        for hw, problem, configuration, time in self._times():
            times = groups.setdefault((hw, tuple(problem.items())), {})
            times[configuration] = min(time, times.get(configuration, math.inf))
        names = tuple(self._op.parameters)
        return [
            _Recorded(
                hw, dict(problem), [dict(zip(names, one, strict=True)) for one in sorted(times, key=times.__getitem__)]
            )
            for (hw, problem), times in groups.items()
        ]

    def _times(self) -> Iterator[tuple[str, ProblemSize, tuple[Scalar, ...], float]]:
        defaults = {name: parameter.default for name, parameter in self._op.problem.items()}
        values = {name: frozenset(parameter.values) for name, parameter in self._op.parameters.items()}
        for run in map(self._laws.run, self._laws.run_ids):
            if run.op != self._op.id or run.tier == "reported" or not self._is_close(run.hw):
                continue
            for trial in run.trials:
                time, given = trial.value("time"), trial.configuration
                if trial.invalidity != "correct" or time is None or any(given.get(n) not in values[n] for n in values):
                    continue
                size = {**defaults, **(trial.problem or run.problem)}
                yield run.hw, size, tuple(given[name] for name in values), time

    def _is_close(self, hw: str) -> bool:
        return nearest_common(self._laws, self._hw, hw) in {"device", "compute-capability"}


def problem_distance(op: Op, one: ProblemSize, other: ProblemSize) -> float:
    """How far two problem sizes are apart: doublings of each number, and 1 for whatever else differs."""
    total = 0.0
    for name, parameter in op.problem.items():
        a, b = one[name], other[name]
        if parameter.type == "int" and a and b:
            total += abs(math.log2(float(a) / float(b))) * (SPECIALISED if parameter.specialises else 1.0)
        else:
            total += a != b
    return total


def _unsaid(asked: Tunable, source: _Recorded) -> set[tuple[str, Scalar]]:
    """Parameters that fare by something in which the sizes differ, at their defaults: the record says nothing of them."""
    differing = {name for name, value in source.problem.items() if asked.size.get(name) != value}
    parameters = asked.op.parameters.items()
    return {
        (name, parameter.default) for name, parameter in parameters if not differing.isdisjoint(parameter.depends_on)
    }


def _holds(wanted: Expression | None, asked: Tunable, configuration: Configuration) -> bool:
    return wanted is None or bool(wanted.holds({**asked.size, **configuration}))
