"""Text to tree. Python's own parser reads the text; everything outside the grammar is refused with its column."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite
from typing import TYPE_CHECKING

from spak.kg.errors import KgError
from spak.kg.expression import scalar, tree
from spak.kg.model.base import Scalar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from spak.kg.expression.columns import Column

_MAX_LENGTH = 1000
"""Characters; the same cap as the schema's."""

_MAX_DEPTH = 40
"""Nested operations; laws have three or four."""

MAX_EXPONENT = 64
"""A power's exponent is a constant of at most this size: nothing in a law needs more, and results stay finite."""

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**"}
_UNARY = {ast.UAdd: "+", ast.USub: "-", ast.Not: "not"}
_COMPARE = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


class ExpressionError(KgError):
    """An expression outside the grammar, or one that lacks a value; at a 1-based column of its text, 0 if at no place."""

    def __init__(self, message: str, column: int = 0) -> None:
        """Keep `message` and where in the expression it is about."""
        self.message, self.column = message, column
        super().__init__(f"column {column}: {message}" if column else message)


@dataclass(frozen=True)
class Expression:
    """A parsed expression."""

    root: tree.Node

    @cached_property
    def names(self) -> frozenset[str]:
        """Free names without hardware facts: parameters, problem parameters, features."""
        return frozenset(name for name in self.all_names if not name.startswith("hw."))

    @cached_property
    def all_names(self) -> frozenset[str]:
        """Every free name, facts as `hw.<fact>`."""
        return frozenset(node.id for node in tree.walk(self.root) if isinstance(node, tree.Name))

    @cached_property
    def text(self) -> str:
        """Canonical text; parsing it gives this expression again."""
        return tree.text(self.root)

    def evaluate(self, values: Mapping[str, Scalar]) -> Scalar:
        """Its value where every name has one (facts as `hw.<fact>`).

        Division by zero, log2 of a number that is not positive and arithmetic on text are undefined: an
        undefined number compares false with everything (`!=` true) and counts as false.

        Raises:
            ExpressionError: If a name has no value.
        """
        missing = sorted(self.all_names - values.keys())
        if missing:
            raise ExpressionError(f"no value for {', '.join(missing)}")
        return scalar.plain(scalar.evaluate_scalar(self.root, values))

    def holds(self, values: Mapping[str, Scalar]) -> bool:
        """Whether it is true where every name has a value.

        Raises:
            ExpressionError: If a name has no value.
        """
        return scalar.truth(self.evaluate(values))

    def evaluate_columns(
        self, columns: Mapping[str, npt.NDArray[np.generic] | Column | Scalar], count: int
    ) -> npt.NDArray[np.generic]:
        """(count,): the values of `evaluate` for each row; a scalar stands for a constant column.

        Raises:
            ExpressionError: If a name has no column.
        """
        from spak.kg.expression import columns as vectorised  # noqa: PLC0415 - NumPy only when whole spaces are evaluated

        missing = sorted(self.all_names - columns.keys())
        if missing:
            raise ExpressionError(f"no column for {', '.join(missing)}")
        return vectorised.evaluate(self.root, columns, count)

    def partial(self, values: Mapping[str, Scalar]) -> Expression | bool:
        """What is left when some names have values: true, false, or an expression over the rest."""
        if self.all_names <= values.keys():
            return scalar.truth(scalar.plain(scalar.evaluate_scalar(self.root, values)))
        rest = scalar.reduce(self.root, values)
        if isinstance(rest, tree.Const):
            return scalar.truth(rest.value)
        return Expression(rest)

    def negate(self) -> Expression:
        """An expression that is true exactly where this one is not, comparisons turned round where that is exact."""
        return Expression(scalar.negation(self.root))


@lru_cache(maxsize=1 << 15)
def parse(text: str) -> Expression:
    """Parse `text`.

    Raises:
        ExpressionError: If it is not an expression of the grammar; says where and what to write instead.
    """
    if not text.strip():
        raise ExpressionError("an expression is needed, got nothing", 1)
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {_MAX_LENGTH} characters (got {len(text)})", _MAX_LENGTH)
    if not text.isprintable():
        column = next(place for place, sign in enumerate(text, 1) if not sign.isprintable())
        raise ExpressionError("an expression is one line of printable characters", column)
    lead = len(text) - len(text.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", SyntaxWarning)  # `1and 2`, a stray backslash: refused, not warned about
            body = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(
            f"not an expression ({error.msg})", lead + (error.offset or len(text.strip()) + 1)
        ) from None
    except (RecursionError, MemoryError, ValueError):
        raise ExpressionError("nested too deeply", 1) from None
    return Expression(_Converter(lead).convert(body, 0))


class _Converter:
    """Turns Python's tree into ours, refusing what laws must not say."""

    def __init__(self, lead: int) -> None:
        self.lead = lead

    def fail(self, node: ast.AST, message: str) -> ExpressionError:
        return ExpressionError(message, getattr(node, "col_offset", 0) + 1 + self.lead)

    def convert(self, node: ast.expr, depth: int) -> tree.Node:
        if depth > _MAX_DEPTH:
            raise self.fail(node, f"nested too deeply (at most {_MAX_DEPTH})")
        match node:
            case ast.Constant(value=value):
                return self.constant(node, value)
            case ast.Name(id=name):
                return tree.Name(name)
            case ast.Attribute(value=ast.Name(id="hw"), attr=fact):
                return tree.Name(f"hw.{fact}")
            case ast.BoolOp(op=op, values=values):
                operands = tuple(self.convert(value, depth + 1) for value in values)
                return tree.Junction("and" if isinstance(op, ast.And) else "or", _flat(op, operands))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return self.unary(_UNARY[type(op)], self.convert(operand, depth + 1))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self.binary(
                    node, _BINARY[type(op)], self.convert(left, depth + 1), self.convert(right, depth + 1)
                )
            case ast.Compare():
                return self.comparison(node, depth)
            case ast.Call():
                return self.call(node, depth)
            case ast.List() | ast.Tuple() | ast.Set():
                raise self.fail(node, "a list stands only to the right of `in`")
            case ast.Attribute():
                raise self.fail(node, "the only attributes are hardware facts, hw.<fact>")
            case _:
                raise self.fail(node, f"{_noun(node)} is not part of the expression language")

    def constant(self, node: ast.expr, value: object) -> tree.Node:
        if isinstance(value, bool | str):
            return tree.Const(value)
        if isinstance(value, int | float):
            try:
                finite = isfinite(float(value))
            except OverflowError:
                finite = False
            if not finite:
                raise self.fail(node, "the number is too large")
            return tree.Const(value)
        raise self.fail(node, f"{value!r} is not a number, a text or a truth value"[:80])

    @staticmethod
    def unary(op: str, operand: tree.Node) -> tree.Node:
        if op == "-" and isinstance(operand, tree.Const) and type(operand.value) in {int, float}:
            return tree.Const(-operand.value)  # type: ignore[operator]
        return tree.Unary(op, operand)

    def binary(self, node: ast.expr, op: str, left: tree.Node, right: tree.Node) -> tree.Node:
        for side in (left, right):
            if isinstance(side, tree.Const) and isinstance(side.value, str):
                raise self.fail(node, f"arithmetic on the text {side.value!r}")
        if op == "**":
            exponent = right.value if isinstance(right, tree.Const) else None
            if isinstance(exponent, bool | str | None) or abs(exponent) > MAX_EXPONENT:
                raise self.fail(node, f"the exponent must be a number of at most {MAX_EXPONENT}")
        return tree.Binary(op, left, right)

    def comparison(self, node: ast.Compare, depth: int) -> tree.Node:
        parts: list[tree.Node] = []
        left = self.convert(node.left, depth + 1)
        for sign, raw in zip(node.ops, node.comparators, strict=True):
            if type(sign) not in _COMPARE:
                raise self.fail(raw, "`is` is not part of the expression language; write == or !=")
            op = _COMPARE[type(sign)]
            right = self.members(raw, depth) if op.endswith("in") else self.convert(raw, depth + 1)
            parts.append(tree.Compare(op, left, right))
            left = right
            if isinstance(right, tree.Members) and len(node.ops) > 1:
                raise self.fail(raw, "`in` does not chain; use `and`")
        return parts[0] if len(parts) == 1 else tree.Junction("and", tuple(parts))

    def members(self, node: ast.expr, depth: int) -> tree.Node:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set) or not node.elts:
            raise self.fail(node, "`in` needs a list such as [64, 128]")
        return tree.Members(tuple(self.convert(item, depth + 1) for item in node.elts))

    def call(self, node: ast.Call, depth: int) -> tree.Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in tree.FUNCTIONS:
            known = ", ".join(tree.FUNCTIONS)
            raise self.fail(node, f"{name or 'this'} is not a function of the expression language (there are {known})")
        fewest, most = tree.FUNCTIONS[name]
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.fail(node, f"{name} takes plain arguments only")
        if not fewest <= len(node.args) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self.fail(node, f"{name} takes {wanted} arguments (got {len(node.args)})")
        return tree.FunctionCall(name, tuple(self.convert(argument, depth + 1) for argument in node.args))


def _flat(op: ast.boolop, operands: Iterable[tree.Node]) -> tuple[tree.Node, ...]:
    """`a and (b and c)` is `a and b and c`: one canonical form."""
    name = "and" if isinstance(op, ast.And) else "or"
    flat: list[tree.Node] = []
    for operand in operands:
        flat.extend(operand.operands if isinstance(operand, tree.Junction) and operand.op == name else [operand])
    return tuple(flat)


def _noun(node: ast.AST) -> str:
    names = {"Subscript": "an index", "Lambda": "a lambda", "IfExp": "a conditional", "NamedExpr": "an assignment"}
    kind = type(node).__name__
    return names.get(kind, f"this ({kind})")
