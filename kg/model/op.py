"""Op nodes: the one owner of an op's configuration space, problem parameters, and FLOP and byte formulas."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from spak.kg.model.base import Model, Reference, Scalar
from spak.kg.model.law import ExpressionText, Id

ParameterRole = Literal["tile", "hint", "variant", "schedule"]

PhraseTemplate = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^{}]*(\{\}[^{}]*)?$")]
"""Words with at most one `{}`, where a value goes."""


PROBLEM_TYPES: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
"""Type of a problem parameter -> types its values may have."""


class Parameter(Model, frozen=True, kw_only=True):
    """A tunable parameter.

    Attributes:
        values: Every value a search may try, in canonical order (ascending for numbers).
        default: The value an untuned kernel uses; one of `values`.
        role: `tile` (a tile size), `hint` (a compiler hint), `variant` (another code path), `schedule` (work order).
        description: One line; units where it has them.
        core: Values of the declared core, swept exhaustively; empty means `default` alone.
        depends_on: Problem parameters that decide how it fares, so that a law about it must say at which of their
            values it holds (`spak.kg.checks.dependence`).
    """

    values: tuple[Scalar, ...]
    default: Scalar
    role: ParameterRole
    description: str
    core: tuple[Scalar, ...] = ()
    depends_on: tuple[str, ...] = ()


class ProblemParameter(Model, frozen=True, kw_only=True):
    """A parameter of the problem, not of the kernel: a size, a dtype, a flag.

    Attributes:
        values: All that it can be; empty for any within the bounds.
        minimum: Least value, inclusive.
        maximum: Largest value, inclusive.
        specialises: True if another value compiles to other code (head_dim, causal, dtype): it names a kind of
            problem, and a law seen at one value says nothing about the others.
    """

    type: Literal["int", "float", "bool", "str"]
    default: Scalar
    description: str
    values: tuple[Scalar, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    specialises: bool = False


class Condition(Model, frozen=True, kw_only=True):
    """An expression that always holds, and why."""

    require: ExpressionText
    because: str


class Formula(Model, frozen=True, kw_only=True):
    """A count as an expression over problem parameters, with the rule in words.

    Attributes:
        expression: Over problem parameters.
        rule: What is counted and what is not.
    """

    expression: ExpressionText
    rule: str


class Op(Model, frozen=True, kw_only=True):
    """One node. An op without parameters (attention, gpt-block) only groups others."""

    id: Id
    title: str
    is_a: tuple[Id, ...] = ()
    part_of: tuple[Id, ...] = ()
    aliases: tuple[str, ...] = ()
    default: bool = False
    """Whether to search it where no kernel is named; of one op at most."""
    einsum: str = ""
    parameters: dict[str, Parameter] = {}
    problem: dict[str, ProblemParameter] = {}
    limits: tuple[Condition, ...] = ()
    """Over problem parameters: what every problem size satisfies."""
    conditions: tuple[Condition, ...] = ()
    """Over parameters, problem parameters and facts: what every configuration of the feasible space satisfies."""
    flops: dict[str, Formula] = {}
    """`useful` (work the mathematics needs) and, where it differs, `full` (masked work counted too)."""
    bytes: Formula | None = None
    """Least traffic to device memory: each input read once, each output written once."""
    open: bool = False
    """True if the values are only those seen in imported results: another import may add to them (docs/kernel-tuner-users.md)."""
    declared_in: str = ""
    """The file, or `module:attribute`, that declares it for a kernel outside this repository and owns it: `tune` writes this node."""
    phrases: dict[str, PhraseTemplate] = {}
    """Parameter, problem parameter, or `a * b` of two -> how a title says its value: `{} query rows`; without `{}`, of a flag, `TMA`."""
    problems: dict[str, dict[str, Scalar]] = {}
    """Named problem sizes (`d64-s1024-causal`); a name is what a run id and a table show."""
    references: tuple[Reference, ...] = ()
