"""T1 search spaces: parameters with values given as Python expressions, and conditions.

Source: Kernel Tuner, `schema/T1/1.0.0/input-schema.json`, and the `kernels/*.json` of the benchmark hub, whose values
are written as `[1, 2] + list(range(32, 1025, 32))` or `[2**i for i in range(0, 6)]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from spak.kg.formats.content import decode, read_bytes, refuse
from spak.kg.formats.recording import Parameters
from spak.kg.formats.value_list import ValueListError, value_list
from spak.kg.model.base import Scalar, canonical


class T1Parameter(msgspec.Struct):
    """One parameter; `default` is sometimes a list of one, and need not be among the values."""

    name: str = msgspec.field(name="Name")
    values: str | list[Scalar] = msgspec.field(name="Values")
    default: Scalar | list[Scalar] | None = msgspec.field(name="Default", default=None)


class T1Condition(msgspec.Struct):
    """An expression every configuration satisfies."""

    expression: str = msgspec.field(name="Expression")


class T1ConfigurationSpace(msgspec.Struct):
    """Parameters and conditions."""

    parameters: list[T1Parameter] = msgspec.field(name="TuningParameters")
    conditions: list[T1Condition] = msgspec.field(name="Conditions", default=[])


class T1KernelSpecification(msgspec.Struct):
    """The part that says how large the problem is: numbers, or names of parameters."""

    problem_size: Scalar | list[Scalar] = msgspec.field(name="ProblemSize", default=[])


class T1File(msgspec.Struct):
    """The part of a T1 file that describes the space."""

    space: T1ConfigurationSpace = msgspec.field(name="ConfigurationSpace")
    kernel: T1KernelSpecification = msgspec.field(name="KernelSpecification", default_factory=T1KernelSpecification)


@dataclass(frozen=True)
class SearchSpace:
    """A declared search space; defaults only where the file gives one that is among the values.

    Attributes:
        problem_parameters: Parameters that the file's problem size names: another value is another problem size.
    """

    parameters: Parameters
    defaults: dict[str, Scalar]
    conditions: tuple[str, ...]
    problem_parameters: tuple[str, ...] = ()

    def without(self, names: Sequence[str]) -> SearchSpace:
        """The space of the other parameters; conditions still speak of all."""
        return replace(
            self,
            parameters={name: values for name, values in self.parameters.items() if name not in names},
            defaults={name: value for name, value in self.defaults.items() if name not in names},
        )


def read_t1(path: Path) -> SearchSpace:
    """The search space in a T1 file, plain or gzipped.

    Raises:
        InvalidFilesError: If it is malformed, or values are not a list this reader can compute.
    """
    file = decode(path, read_bytes(path), T1File)
    if not file.space.parameters:
        refuse(path, "no parameters", field="ConfigurationSpace.TuningParameters")
    parameters = {parameter.name: _values(path, parameter) for parameter in file.space.parameters}
    if len(parameters) < len(file.space.parameters):
        refuse(path, "a parameter is declared twice", field="ConfigurationSpace.TuningParameters")
    defaults = {
        parameter.name: default
        for parameter in file.space.parameters
        if (default := _default(parameter)) is not None and default in parameters[parameter.name]
    }
    conditions = tuple(condition.expression for condition in file.space.conditions)
    size = file.kernel.problem_size
    named = tuple(name for name in (size if isinstance(size, list) else [size]) if name in parameters)
    return SearchSpace(parameters, defaults, conditions, tuple(map(str, named)))


def _values(path: Path, parameter: T1Parameter) -> tuple[Scalar, ...]:
    field = f"ConfigurationSpace.TuningParameters.{parameter.name}.Values"
    try:
        values = parameter.values if isinstance(parameter.values, list) else value_list(parameter.values)
    except ValueListError as error:
        refuse(path, str(error), field=field)
    if not values:
        refuse(path, "no values", field=field)
    return canonical(values)


def _default(parameter: T1Parameter) -> Scalar | None:
    default = parameter.default
    return default[0] if isinstance(default, list) and default else default if not isinstance(default, list) else None
