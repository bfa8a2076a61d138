"""The feasible configurations of an op at one problem size on one piece of hardware, as a matrix of codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kg.assignment import show_assignments
from kg.errors import KgError
from kg.expression import Expression, parse
from kg.expression.columns import Column
from kg.model.base import Configuration, Problem, Scalar
from kg.model.op import Op

CHUNK = 1 << 20
"""Rows of the full product looked at together: bounds the memory of a space whose conditions leave little of it."""

MAX_PRODUCT = 1 << 30
"""Rows of the full product; beyond it enumerating takes minutes and an op should be split or conditioned."""

Mask = npt.NDArray[np.bool_]
"""(N,) one truth for each configuration."""


@dataclass(frozen=True)
class Setting:
    """Where a space is asked for: everything besides the parameters that an expression may name.

    Attributes:
        problem: Every problem parameter of the op.
        facts: Hardware facts without `hw.`.
    """

    problem: Problem
    facts: Mapping[str, Scalar] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[str, Scalar]:
        """Name in an expression -> value."""
        return {**{f"hw.{name}": value for name, value in self.facts.items()}, **self.problem}


@dataclass(frozen=True)
class Space:
    """Feasible configurations in canonical order (the last parameter varies fastest).

    Attributes:
        op: The op's id.
        setting: Problem size and hardware facts.
        names: (P,) parameter names in the op's order.
        values: (P,) the values of each.
        default: The op's default assignment; it may be infeasible.
        codes: (N, P) int16; row i is configuration i, column p an index into `values[p]`.
    """

    op: str
    setting: Setting
    names: tuple[str, ...]
    values: tuple[tuple[Scalar, ...], ...]
    default: Configuration
    codes: npt.NDArray[np.int16]

    def __len__(self) -> int:
        """Number of feasible configurations."""
        return len(self.codes)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """(P,) number of values of each parameter, feasible or not."""
        return tuple(len(values) for values in self.values)

    def config(self, index: int) -> dict[str, Scalar]:
        """Configuration `index` in the op's parameter order."""
        row = self.codes[index]
        return {name: self.values[p][row[p]] for p, name in enumerate(self.names)}

    def index(self, configuration: Configuration) -> int | None:
        """Where `configuration` is, or None if it is not feasible or not of this space."""
        if configuration.keys() != set(self.names):
            return None
        row = 0
        for values, lookup, name in zip(self.values, self._lookups, self.names, strict=True):
            code = lookup.get(_key(configuration[name]))
            if code is None:
                return None
            row = row * len(values) + code
        found = int(np.searchsorted(self._ranks, row))
        return found if found < len(self._ranks) and self._ranks[found] == row else None

    @cached_property
    def default_index(self) -> int | None:
        """Where the op's default is, or None if it is infeasible here."""
        return self.index(self.default)

    @cached_property
    def default_codes(self) -> npt.NDArray[np.int16] | None:
        """(P,) the op's default as a row of `codes`, feasible or not; None where nobody chose one."""
        if not self.default:
            return None
        codes = [values.index(self.default[name]) for name, values in zip(self.names, self.values, strict=True)]
        return np.array(codes, np.int16)

    def columns(self) -> dict[str, Column]:
        """Each parameter as a dictionary-encoded column of N rows."""
        return {name: Column(self.values[p], self.codes[:, p]) for p, name in enumerate(self.names)}

    def holds(self, expression: Expression) -> Mask:
        """(N,) where `expression` is true.

        Raises:
            ExpressionError: If it names what is neither a parameter, a problem parameter nor a known fact.
        """
        return _holds(expression, {**self.setting.names, **self.columns()}, len(self))

    def speaks_of(self, expression: Expression) -> bool:
        """Whether every name of `expression` has a value here; compiled features have none before compiling."""
        return expression.all_names <= self.setting.names.keys() | set(self.names)

    @cached_property
    def _ranks(self) -> npt.NDArray[np.int64]:
        """(N,) each row's place in the full product; ascending."""
        rank = np.zeros(len(self), np.int64)
        for p, values in enumerate(self.values):
            rank = rank * len(values) + self.codes[:, p]
        return rank

    @cached_property
    def _lookups(self) -> tuple[dict[tuple[bool, Scalar], int], ...]:
        return tuple({_key(value): code for code, value in enumerate(values)} for values in self.values)


def _key(value: Scalar) -> tuple[bool, Scalar]:
    """Python takes True for 1; a parameter's values do not."""
    return isinstance(value, bool), value


def build(op: Op, problem: Problem, facts: Mapping[str, Scalar] | None = None) -> Space:
    """The feasible space of `op`.

    Args:
        op: An op with parameters.
        problem: Some or all of its problem parameters; the rest take their defaults.
        facts: Hardware facts without `hw.`, as far as conditions name them.

    Raises:
        KgError: If the op has no parameters, a problem parameter is not the op's, or nothing is feasible.
    """
    if not op.parameters:
        raise KgError(f"op {op.id!r} has no tunable parameters; it only groups others")
    setting = Setting(complete(op, problem), dict(facts or {}))
    names = tuple(op.parameters)
    values = tuple(parameter.values for parameter in op.parameters.values())
    size = 1
    for column in values:
        size *= len(column)
    if size > MAX_PRODUCT:
        raise KgError(f"op {op.id!r} spans {size} combinations, more than {MAX_PRODUCT}; narrow its values")
    conditions = [parse(condition.require) for condition in op.conditions]
    chunks = list(_feasible(names, values, conditions, setting))
    codes = np.concatenate(chunks)
    if not len(codes):
        raise KgError(f"no configuration of {op.id!r} satisfies its conditions at {show_assignments(setting.problem)}")
    default = {name: parameter.default for name, parameter in op.parameters.items()}
    return Space(op.id, setting, names, values, default, codes)


def _feasible(
    names: tuple[str, ...], values: tuple[tuple[Scalar, ...], ...], conditions: list[Expression], setting: Setting
) -> Iterator[npt.NDArray[np.int16]]:
    """Codes of the feasible rows, a chunk of the full product at a time."""
    shape = tuple(len(column) for column in values)
    size = int(np.prod(shape, dtype=np.int64))
    for start in range(0, size, CHUNK):
        rows = np.arange(start, min(start + CHUNK, size))
        codes = np.stack(np.unravel_index(rows, shape), axis=1).astype(np.int16)
        for condition in conditions:
            columns = {name: Column(values[p], codes[:, p]) for p, name in enumerate(names)}
            codes = codes[_holds(condition, {**setting.names, **columns}, len(codes))]
        yield codes


def _holds(expression: Expression, columns: Mapping[str, Column | Scalar], count: int) -> Mask:
    found = expression.evaluate_columns(columns, count)
    if found.dtype == np.bool_:
        return found.astype(np.bool_, copy=False)
    return np.asarray(np.nan_to_num(found.astype(np.float64)) != 0)


def complete(op: Op, problem: Problem) -> dict[str, Scalar]:
    """Every problem parameter of `op`, in its order: given, else its default.

    Raises:
        KgError: If `problem` has a name the op does not know.
    """
    unknown = sorted(problem.keys() - op.problem.keys())
    if unknown:
        raise KgError(
            f"op {op.id!r} has no problem parameter {', '.join(map(repr, unknown))}; it has {', '.join(op.problem)}"
        )
    return {name: problem.get(name, parameter.default) for name, parameter in op.problem.items()}
