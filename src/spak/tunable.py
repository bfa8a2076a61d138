"""What is tuned: an op of the law root, or one of the caller's own; and configurations of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np

from spak.kg.errors import KgError
from spak.kg.expression import parse
from spak.kg.expression.assignment import check_names
from spak.kg.files.loader import Laws
from spak.kg.formats.nodes import HardwareName, identifier
from spak.kg.formats.recording import Recording, seen_parameters
from spak.kg.model.base import Configuration, ProblemSize, Scalar, canonical
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.op import Condition, Op, Parameter, ProblemParameter
from spak.kg.model.run import Trial
from spak.kg.model.taxonomy import Taxonomy
from spak.kg.space.completion import check_configuration, complete, completed, stated
from spak.kg.space.space import Space, build
from spak.tuner.replay import recorded_space, with_hardware

Size = ProblemSize | str
"""A problem size: values by name, or the name of one of the op's sizes (`d64-s1024-causal`)."""


def op(
    name: str,
    tune_params: Mapping[str, Sequence[Scalar]],
    *,
    restrictions: Sequence[str] = (),
    defaults: Configuration | None = None,
    problem: ProblemSize | None = None,
    is_a: Sequence[str] = (),
) -> Op:
    """An op of one's own, for a kernel that is not in the law root.

    Args:
        name: What it is called; not the name of an op of the law root.
        tune_params: Parameter -> every value that a search may try.
        restrictions: Expressions that every configuration satisfies, in the language of laws (`a * b <= 1024`).
        defaults: The configuration of the untuned kernel, in part; else the first value of each parameter.
        problem: Problem parameters and their values; restrictions and laws may name them.
        is_a: Ops of the law root that it is a kind of, whose laws it inherits (`attention`, `fmha`).

    Raises:
        KgError: If a value is missing, a default is none of them, or a restriction cannot be read.
    """
    defaults = dict(defaults or {})
    check_names(defaults, tune_params, kind="parameter")
    for parameter, values in tune_params.items():
        if not values or defaults.get(parameter, values[0]) not in values:
            raise KgError(f"{parameter}: has the values {list(values)}; name at least one, the default among them")
    known = {*tune_params, *(problem or {})}
    for text in restrictions:
        check_names((n for n in parse(text).all_names if not n.startswith("hw.")), known, kind="parameter")
    return Op(
        id=identifier(name),
        title=name,
        is_a=tuple(is_a),
        parameters={
            parameter: Parameter(
                values=canonical(values), default=defaults.get(parameter, values[0]), role="variant", description=""
            )
            for parameter, values in tune_params.items()
        },
        problem={
            parameter: ProblemParameter(type=_type(value), default=value, description="")
            for parameter, value in (problem or {}).items()
        },
        conditions=tuple(Condition(require=text, because="a restriction of the kernel") for text in restrictions),
    )


def _type(value: Scalar) -> Literal["int", "float", "bool", "str"]:
    if isinstance(value, bool):
        return "bool"
    return "int" if isinstance(value, int) else "float" if isinstance(value, float) else "str"


@dataclass(frozen=True)
class Candidates:
    """Configurations of an op that somebody else came up with, as the space that another tuner made.

    Attributes:
        op: An id or an alias, or an op of one's own.
        configurations: Each complete, or in part: the rest has the op's defaults.
    """

    op: str | Op
    configurations: Sequence[Configuration]


@dataclass(frozen=True)
class Tunable:
    """An op at one problem size on one piece of hardware, with the laws that know both.

    Attributes:
        laws: The law root, with hardware and op added where it lacked them.
        hw: Id.
        op: The op.
        size: Every problem parameter.
    """

    laws: Laws
    hw: str
    op: Op
    size: ProblemSize

    @property
    def space(self) -> Space:
        """Every feasible configuration; of an op made from imports nobody chose a default."""
        found = build(self.op, self.size, hardware_facts(self.laws, self.hw))
        return replace(found, default={}) if self.op.open else found

    def among(self, configurations: Sequence[Configuration]) -> Space:
        """The space of `configurations` as far as they are feasible.

        Raises:
            KgError: If none is, or one has a name or a value that the op has not.
        """
        space, _ = self.listed(configurations)
        required = [space.holds(parse(condition.require)) for condition in self.op.conditions]
        feasible = np.flatnonzero(np.logical_and.reduce(required, axis=0)) if required else np.arange(len(space))
        if not len(feasible):
            conditions = " and ".join(condition.require for condition in self.op.conditions)
            raise KgError(f"none of the {len(space)} configurations satisfies {conditions}")
        return space.part(feasible)

    def listed(self, configurations: Sequence[Configuration]) -> tuple[Space, tuple[dict[str, Scalar], ...]]:
        """The space of `configurations` alone, feasible or not; and these, completed with the op's defaults.

        Raises:
            KgError: If there are none, or one has a name or a value that the op has not.
        """
        if not configurations:
            raise KgError("no configurations; name at least one")
        whole = tuple(self._whole(configuration) for configuration in configurations)
        distinct = {tuple(one.items()): one for one in whole}.values()
        trials = tuple(Trial(configuration=one) for one in distinct)
        recording = Recording("run", seen_parameters(trials), False, trials, problem=self.size)
        return recorded_space(recording, self.op, self.op.id, hardware_facts(self.laws, self.hw)), whole

    def _whole(self, configuration: Configuration) -> dict[str, Scalar]:
        check_names(configuration, self.op.parameters, kind="parameter")
        check_configuration([self.op], configuration)
        return completed(self.op, configuration)


def tunable(laws: Laws, op: str | Op, hw: str | HardwareName, problem: Size | None) -> Tunable:
    """What is meant by an op, hardware that need not be known, and a problem size.

    Raises:
        UnknownNameError: If the op or the problem's name is unknown; carries the nearest.
        KgError: If the op has no parameters, or a problem parameter is not the op's.
    """
    known, node = with_hardware(laws, HardwareName(hw) if isinstance(hw, str) else hw)
    if isinstance(op, Op):
        known = _with_op(known, op)
    else:
        op = known.ops[Taxonomy("op", known.ops).resolve(op)]
    return Tunable(known, node, op, complete(op, stated([op], problem) if isinstance(problem, str) else problem or {}))


def _with_op(laws: Laws, op: Op) -> Laws:
    """`laws` with an op of the caller's own among them."""
    check_names(op.is_a, laws.ops, kind="op")
    if laws.ops.get(op.id, op) != op:
        raise KgError(f"op {op.id!r} is one of {laws.root}; call yours something else, or name that one")
    return replace(laws, contents=msgspec.structs.replace(laws.contents, ops={**laws.ops, op.id: op}))
