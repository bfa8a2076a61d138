"""What ran correctly elsewhere, fastest first, and how far its problem size is from the one in question."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from spak.kg.files.loader import Laws
from spak.kg.model.base import ProblemSize, Scalar
from spak.kg.model.op import Op
from spak.kg.space.space import Space
from spak.tuner.knowledge.gather import nearest_common

SPECIALISED = 4.0
"""How many doublings one counts for, of a number that code is compiled for (`specialises`).

Source: the recorded sweeps, each size chosen for from the others; docs/decisions/0112.
"""


_CLOSE = {"device", "compute-capability"}
"""Kinds of the nearest node that hardware shares whose times say something of each other."""


@dataclass(frozen=True)
class FastestFirst:
    """What ran correctly on one piece of hardware at one problem size, fastest first."""

    hw: str
    problem: ProblemSize
    configurations: Sequence[dict[str, Scalar]]


def fastest_first(laws: Laws, op: Op, hw: str) -> list[FastestFirst]:
    """Of this hardware and of others of its compute capability, from every recorded run of the op that was not only reported."""
    groups: dict[tuple[str, tuple[tuple[str, Scalar], ...]], dict[tuple[Scalar, ...], float]] = {}
    for where, problem, configuration, time in _times(laws, op, hw):
        times = groups.setdefault((where, tuple(problem.items())), {})
        times[configuration] = min(time, times.get(configuration, math.inf))
    names = tuple(op.parameters)
    return [
        FastestFirst(
            where, dict(problem), [dict(zip(names, one, strict=True)) for one in sorted(times, key=times.__getitem__)]
        )
        for (where, problem), times in groups.items()
    ]


def _times(laws: Laws, op: Op, hw: str) -> Iterator[tuple[str, ProblemSize, tuple[Scalar, ...], float]]:
    defaults = {name: parameter.default for name, parameter in op.problem.items()}
    values = {name: frozenset(parameter.values) for name, parameter in op.parameters.items()}
    for run in map(laws.run, laws.run_ids):
        if run.op != op.id or run.tier == "reported" or nearest_common(laws, hw, run.hw) not in _CLOSE:
            continue
        for trial in run.trials:
            time, given = trial.value("time"), trial.configuration
            if trial.invalidity != "correct" or time is None or any(given.get(n) not in values[n] for n in values):
                continue
            size = {**defaults, **(trial.problem or run.problem)}
            yield run.hw, size, tuple(given[name] for name in values), time


def remoteness(op: Op, hw: str, problem: ProblemSize, source: FastestFirst) -> tuple[bool, float, str]:
    """What orders sources for a question about `hw` and `problem`, the nearest first: its own hardware before others."""
    return source.hw != hw, problem_distance(op, problem, source.problem), source.hw


def unsaid(op: Op, problem: ProblemSize, source: FastestFirst) -> set[tuple[str, Scalar]]:
    """Parameters that fare by something in which the sizes differ, at their defaults: the record says nothing of them."""
    differing = {name for name, value in source.problem.items() if problem.get(name) != value}
    parameters = op.parameters.items()
    return {
        (name, parameter.default) for name, parameter in parameters if not differing.isdisjoint(parameter.depends_on)
    }


def incumbent(laws: Laws, space: Space, hw: str, problem: ProblemSize) -> int | None:
    """Index in `space` of what runs there where nothing is searched: the fastest recorded at the nearest size that the space has.

    A search that does not try it may end with a worse one, which by being recorded at this very size takes its place.
    """
    op = laws.ops[space.op]
    for source in sorted(fastest_first(laws, op, hw), key=partial(remoteness, op, hw, problem)):
        fixed = unsaid(op, problem, source)
        for one in source.configurations:
            index = space.index(one) if fixed <= one.items() else None
            if index is not None:
                return index
    return None


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
