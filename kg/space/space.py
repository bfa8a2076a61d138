"""The feasible configurations of an op at one problem size on one piece of hardware."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import accumulate
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from spak.kg.errors import KgError
from spak.kg.expression import Expression, parse
from spak.kg.expression.assignment import show_assignments
from spak.kg.expression.columns import Column
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.op import Op
from spak.kg.space.completion import complete
from spak.kg.space.factors import Codes, Conditions, Mask, factors, holds
from spak.kg.space.masks import FactoredMask, union
from spak.kg.space.truths import Truths

Extent = Literal["everything", "something", "nothing"]
"""Of how much of a space something is true."""

MAX_PRODUCT = 1 << 30
"""Rows of the full product; beyond it enumerating takes minutes and an op should be split or conditioned."""

_GLANCED = 509
"""Configurations that a glance takes in; a prime, so that evenly spaced ones do not agree in parameters."""

_Entry = TypeVar("_Entry", bound=np.generic)

_MOST = (1 << 63) - 1
"""The largest integer that NumPy's own hold."""


@dataclass(frozen=True)
class Setting:
    """Where a space is asked for: everything besides the parameters that an expression may name.

    Attributes:
        problem: Every problem parameter of the op.
        facts: Hardware facts without `hw.`.
    """

    problem: ProblemSize
    facts: Mapping[str, Scalar] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[str, Scalar]:
        """Name in an expression -> value."""
        return {**{f"hw.{name}": value for name, value in self.facts.items()}, **self.problem}


@dataclass(frozen=True)
class _Factor:
    """One factor of a space.

    Attributes:
        span: Which parameters it is about.
        codes: (n, p) its rows.
        ranks: (n,) each row's place in the product of the parameters' values; ascending.
        product: Rows of that product.
    """

    span: slice
    codes: Codes
    ranks: npt.NDArray[Any]
    product: int

    @property
    def is_full(self) -> bool:
        """Whether every combination of the values is a row."""
        return len(self.ranks) == self.product


@dataclass(frozen=True)
class Space:
    """Feasible configurations in canonical order (the last parameter varies fastest).

    Attributes:
        names: (P,) parameter names in the op's order.
        values: (P,) the values of each.
        default: The op's default assignment; it may be infeasible.
        factors: The space is their product. Each is about the parameters that follow the one before: (n, p) codes,
            rows ascending, column i an index into its parameter's values.
    """

    op: str
    setting: Setting
    names: tuple[str, ...]
    values: tuple[tuple[Scalar, ...], ...]
    default: Configuration
    factors: tuple[Codes, ...]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Rows of each factor."""
        return tuple(len(factor) for factor in self.factors)

    def __len__(self) -> int:
        """Number of feasible configurations."""
        return math.prod(self.shape)

    @cached_property
    def cardinalities(self) -> tuple[int, ...]:
        """(P,) number of values of each parameter, feasible or not."""
        return tuple(len(values) for values in self.values)

    @cached_property
    def codes(self) -> Codes:
        """(N, P) the whole space as one matrix, row i configuration i: for what has to look at all of it."""
        rows = np.empty((len(self.names), len(self)), np.int16)
        for axis, factor in enumerate(self._placed):
            for codes, row in zip(factor.codes.T, rows[factor.span], strict=True):
                row[:] = self._repeated(axis, codes)
        return rows.T

    def _repeated(self, axis: int, column: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """(N,) a column of factor `axis` over the whole space; from the inside out, so that NumPy copies long pieces."""
        column = np.repeat(column, math.prod(self.shape[axis + 1 :]))
        for size in reversed(self.shape[:axis]):
            column = np.tile(column, size)
        return column

    def at(self, indices: npt.ArrayLike) -> Codes:
        """(k, P) codes of configurations `indices` (k,)."""
        places = np.unravel_index(np.asarray(indices, np.int64), self.shape)
        rows = np.empty((len(self.names), len(places[0])), np.int16)
        for factor, place in zip(self._placed, places, strict=True):
            for codes, row in zip(factor.codes.T, rows[factor.span], strict=True):
                np.take(codes, place, out=row)
        return rows.T

    def config(self, index: int) -> dict[str, Scalar]:
        """Configuration `index` in the op's parameter order."""
        places = []
        for size in reversed(self.shape):
            index, place = divmod(index, size)
            places.append(place)
        if index:
            raise IndexError(index)
        codes = [code for factor in self.factors for code in factor[places.pop()].tolist()]
        return {name: self.values[p][codes[p]] for p, name in enumerate(self.names)}

    def index(self, configuration: Configuration) -> int | None:
        """Where `configuration` is, or None if it is not feasible or not of this space."""
        if configuration.keys() != set(self.names):
            return None
        index = 0
        for factor in self._placed:
            span, ranks, rank = factor.span, factor.ranks, 0
            for name, size, lookup in zip(self.names[span], self.cardinalities[span], self._lookups[span], strict=True):
                code = lookup.get(_key(configuration[name]))
                if code is None:
                    return None
                rank = rank * size + code
            place = rank if factor.is_full else int(np.searchsorted(ranks, rank))
            if not factor.is_full and (place == len(ranks) or ranks[place] != rank):
                return None
            index = index * len(ranks) + place
        return index

    def indices(self, configurations: Sequence[Configuration]) -> npt.NDArray[np.int64]:
        """(k,) where each configuration is; -1 where it is not feasible or not of this space."""
        known = [i for i, configuration in enumerate(configurations) if configuration.keys() == set(self.names)]
        codes = np.empty((len(known), len(self.names)), np.int64)
        for p, (name, lookup) in enumerate(zip(self.names, self._lookups, strict=True)):
            codes[:, p] = [lookup.get(_key(configurations[i][name]), -1) for i in known]
        found = np.full(len(configurations), -1, np.int64)
        found[known] = np.where((codes >= 0).all(axis=1), self.find(np.maximum(codes, 0)), -1)
        return found

    def find(self, codes: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """(k,) where each row of `codes` (k, P) is; -1 where it is not feasible."""
        index, feasible = np.zeros(len(codes), np.int64), np.ones(len(codes), np.bool_)
        for factor in self._placed:
            rank = mixed_radix(codes[:, factor.span], self.cardinalities[factor.span])
            place = np.minimum(np.searchsorted(factor.ranks, rank), len(factor.ranks) - 1)
            feasible &= factor.ranks[place] == rank
            index = index * len(factor.ranks) + place
        return np.where(feasible, index, -1)

    def part(self, indices: npt.ArrayLike) -> Space:
        """Configurations `indices` alone, as a space of one factor."""
        return replace(self, factors=(self.at(np.unique(np.asarray(indices, np.int64))),))

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

    def holds(self, expression: Expression) -> Mask:
        """(N,) where `expression` is true.

        Raises:
            ExpressionError: As `truth`.
        """
        return self.truth(expression).flat

    def extent(self, expression: Expression) -> Extent:
        """Of how much `expression` is true, without a row for each configuration.

        Raises:
            ExpressionError: As `truth`.
        """
        if self.speaks_of(expression):
            seen = self._glance.holds(expression)
            if seen.any() and not seen.all():
                return "something"
        truth = self.truth(expression).truth
        return "everything" if truth.all() else "something" if truth.any() else "nothing"

    def has(self, settings: Mapping[str, Collection[Scalar]]) -> bool:
        """Whether some configuration is among those of `having`."""
        parts = self._having(settings)
        return parts is not None and all(part.any() for part in parts)

    def truth(self, expression: Expression) -> FactoredMask:
        """Where `expression` is true: asked of the factors it speaks of, once for each of their combinations.

        Raises:
            ExpressionError: If it names what is neither a parameter, a problem parameter nor a known fact.
        """
        named = [
            [p for p in range(factor.span.start, factor.span.stop) if self.names[p] in expression.all_names]
            for factor in self._placed
        ]
        sizes = tuple(size if places else 1 for size, places in zip(self.shape, named, strict=True))
        columns: dict[str, Column | Scalar] = dict(self.setting.names)
        for axis, (factor, places) in enumerate(zip(self._placed, named, strict=True)):
            for p in places:
                codes = _along(axis, factor.codes[:, p - factor.span.start], len(sizes))
                columns[self.names[p]] = Column(self.values[p], np.broadcast_to(codes, sizes).reshape(-1))
        truth = holds(expression, columns, math.prod(sizes))
        return FactoredMask(truth.reshape(sizes), self.shape)

    def having(self, settings: Mapping[str, Collection[Scalar]]) -> FactoredMask:
        """Where each parameter of `settings` has one of its values; no other name is had by any configuration."""
        parts = self._having(settings)
        if parts is None:
            return union((), self.shape)
        axes = (_along(axis, part[:1] if part.all() else part, len(parts)) for axis, part in enumerate(parts))
        return FactoredMask(reduce(np.logical_and, axes), self.shape)

    def _having(self, settings: Mapping[str, Collection[Scalar]]) -> list[Mask] | None:
        """The rows of each factor that have such values, one where it makes no difference; None if a name is no parameter."""
        if not settings.keys() <= set(self.names):
            return None
        wanted = {
            p: np.array([value in settings[name] for value in self.values[p]])
            for p, name in enumerate(self.names)
            if name in settings
        }
        parts = []
        for factor in self._placed:
            start, codes = factor.span.start, factor.codes
            rows = [wanted[p][codes[:, p - start]] for p in range(start, factor.span.stop) if p in wanted]
            parts.append(np.logical_and.reduce(rows) if rows else np.ones(min(1, len(codes)), bool))
        return parts

    def distance(self, codes: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """(N,) in how many parameters each configuration differs from one of `codes` (P,), feasible or not."""
        parts = [(factor.codes != codes[factor.span]).sum(axis=1, dtype=np.int16) for factor in self._placed]
        return _combined(np.add, parts)

    def speaks_of(self, expression: Expression) -> bool:
        """Whether every name of `expression` has a value here; compiled features have none before compiling."""
        return expression.all_names <= self.setting.names.keys() | set(self.names)

    @cached_property
    def glanced(self) -> Codes:
        """(k, P) some configurations from all over the space: most expressions are true for one of them and not for another."""
        return self.at(np.linspace(0, len(self) - 1, min(len(self), _GLANCED), dtype=np.int64))

    @cached_property
    def _glance(self) -> Truths:
        named = zip(self.names, self.values, self.glanced.T, strict=True)
        columns = {name: Column(values, own) for name, values, own in named}
        return Truths({**self.setting.names, **columns}, len(self.glanced))

    @cached_property
    def _placed(self) -> tuple[_Factor, ...]:
        ends = list(accumulate(codes.shape[1] for codes in self.factors))
        spans = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        return tuple(
            _Factor(span, codes, mixed_radix(codes, self.cardinalities[span]), math.prod(self.cardinalities[span]))
            for span, codes in zip(spans, self.factors, strict=True)
        )

    @cached_property
    def _lookups(self) -> tuple[dict[tuple[bool, Scalar], int], ...]:
        return tuple({_key(value): code for code, value in enumerate(values)} for values in self.values)


def mixed_radix(codes: npt.NDArray[Any], cardinalities: Iterable[int]) -> npt.NDArray[Any]:
    """(n,) the place of each row of `codes` (n, p) in the product of p parameters with so many values.

    Exact: where a product is beyond 64 bits, as of a record of many parameters, the places are Python's integers.
    """
    cardinalities = tuple(cardinalities)
    rank = np.zeros(len(codes), np.int64 if math.prod(cardinalities) <= _MOST else object)
    for p, size in enumerate(cardinalities):
        rank *= size
        rank += codes[:, p]
    return rank


def _along(axis: int, column: npt.NDArray[_Entry], num_axes: int) -> npt.NDArray[_Entry]:
    return column.reshape([-1 if place == axis else 1 for place in range(num_axes)])


def _combined(function: np.ufunc, parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """(N,) `function` of one number for each factor; the long end inside, where NumPy is fast."""
    total = parts[-1]
    for part in reversed(parts[:-1]):
        total = function.outer(part, total).reshape(-1)
    return total


def _key(value: Scalar) -> tuple[bool, Scalar]:
    """Python takes True for 1; a parameter's values do not."""
    return isinstance(value, bool), value


def build(op: Op, problem: ProblemSize, facts: Mapping[str, Scalar] | None = None) -> Space:
    """The feasible space of `op`; problem parameters that are not given take their defaults, `facts` are without `hw.`.

    Raises:
        KgError: If the op has no parameters, a problem parameter is not the op's, or nothing is feasible.
    """
    if not op.parameters:
        raise KgError(f"op {op.id!r} has no tunable parameters; it only groups others")
    setting = Setting(complete(op, problem), dict(facts or {}))
    names = tuple(op.parameters)
    values = tuple(parameter.values for parameter in op.parameters.values())
    size = math.prod(len(column) for column in values)
    if size > MAX_PRODUCT:
        raise KgError(f"op {op.id!r} spans {size} combinations, more than {MAX_PRODUCT}; narrow its values")
    required = [parse(condition.require) for condition in op.conditions]
    found = factors(Conditions(dict(zip(names, values, strict=True)), required, setting.names))
    if not all(len(factor) for factor in found):
        raise KgError(f"no configuration of {op.id!r} satisfies its conditions at {show_assignments(setting.problem)}")
    default = {name: parameter.default for name, parameter in op.parameters.items()}
    return Space(op.id, setting, names, values, default, found)
