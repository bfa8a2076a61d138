"""Evaluation: the walk over a tree, and what its operations are for one configuration, without NumPy; rewriting of trees.

Numbers are double precision throughout, so that one configuration and a whole column give the same result.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from spak.kg.expression import tree
from spak.kg.model.base import Scalar

UNDEFINED = math.nan

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": math.pow,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""Python's own operators, which NumPy's numbers and arrays take too."""

_TURNED = {"==": "!=", "!=": "==", "in": "not in", "not in": "in"}
"""Comparisons whose negation is exact even for undefined numbers; `not (a < b)` is not `a >= b` there."""


def truth(value: Scalar) -> bool:
    """Truth of a value: an undefined number is false."""
    return bool(value) and value == value  # noqa: PLR0124 - NaN differs from itself


def plain(value: Scalar) -> Scalar:
    """A whole number that fits a double exactly as int, anything else as it is."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _number(value: Scalar) -> float:
    if isinstance(value, str):
        return UNDEFINED
    try:
        return float(value)
    except OverflowError:
        return UNDEFINED


def arithmetic(op: str, left: Scalar, right: Scalar) -> float:
    """`left op right`, UNDEFINED where mathematics has no finite answer."""
    try:
        result: float = ARITHMETIC[op](_number(left), _number(right))
    except (ZeroDivisionError, OverflowError, ValueError):
        return UNDEFINED
    return result if math.isfinite(result) else UNDEFINED


def compare(op: str, left: Scalar, right: Scalar) -> bool:
    """`left op right`; text and number are unequal and unordered."""
    if isinstance(left, str) != isinstance(right, str):
        return op == "!="
    return bool(COMPARISONS[op](left, right))


def call(function: str, arguments: list[Scalar]) -> float:
    """One of tree.FUNCTIONS; UNDEFINED if any argument is."""
    numbers = [_number(argument) for argument in arguments]
    if any(math.isnan(number) for number in numbers):
        return UNDEFINED
    return _FUNCTIONS[function](*numbers)


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "log2": lambda value: math.log2(value) if value > 0 else UNDEFINED,
    "ceil_div": lambda left, right: -arithmetic("//", -left, right),
}


class Operations(NamedTuple):
    """What the parts of a tree do to values of some form."""

    truth: Callable[[Any], Any]
    number: Callable[[Any], Any]
    arithmetic: Callable[[str, Any, Any], Any]
    compare: Callable[[str, Any, Any], Any]
    call: Callable[[str, list[Any]], Any]
    opposite: Callable[[Any], Any] = operator.not_
    all: Callable[[Iterable[Any]], Any] = all
    any: Callable[[Iterable[Any]], Any] = any


_SINGLE = Operations(truth, _number, arithmetic, compare, call)


def evaluate_scalar(node: tree.Node, values: Mapping[str, Any], do: Operations = _SINGLE) -> Any:
    """The value of `node`; every name has a value."""
    match node:
        case tree.Const(value):
            return value
        case tree.Name(name):
            return values[name]
        case tree.Unary("not", operand):
            return do.opposite(do.truth(evaluate_scalar(operand, values, do)))
        case tree.Unary(op, operand):
            number = do.number(evaluate_scalar(operand, values, do))
            return -number if op == "-" else number
        case tree.Binary(op, left, right):
            return do.arithmetic(op, evaluate_scalar(left, values, do), evaluate_scalar(right, values, do))
        case tree.Compare("in" | "not in" as op, left, tree.Members(items)):
            wanted = evaluate_scalar(left, values, do)
            return do.any(do.compare("==", wanted, evaluate_scalar(item, values, do)) for item in items) == (op == "in")
        case tree.Compare(op, left, right):
            return do.compare(op, evaluate_scalar(left, values, do), evaluate_scalar(right, values, do))
        case tree.Junction(op, operands):
            joined = do.all if op == "and" else do.any
            return joined(do.truth(evaluate_scalar(operand, values, do)) for operand in operands)
        case tree.FunctionCall(function, arguments):
            return do.call(function, [evaluate_scalar(argument, values, do) for argument in arguments])
    raise AssertionError(node)  # pragma: no cover - a list outside `in` is refused by the parser


def reduce(node: tree.Node, values: Mapping[str, Scalar]) -> tree.Node:
    """`node` with known names put in and everything decidable decided; a Const if nothing is left open."""
    match node:
        case tree.Name(name):
            return tree.Const(values[name]) if name in values else node
        case tree.Junction(op, operands):
            return _reduce_junction(op, operands, values)
        case tree.Const():
            return node
    rebuilt = tree.rebuilt(node, [reduce(child, values) for child in tree.children(node)])
    if all(isinstance(child, tree.Const) or _constant_list(child) for child in tree.children(rebuilt)):
        return rebuilt if isinstance(rebuilt, tree.Members) else tree.Const(plain(evaluate_scalar(rebuilt, {})))
    return rebuilt


def _constant_list(node: tree.Node) -> bool:
    return isinstance(node, tree.Members) and all(isinstance(item, tree.Const) for item in node.items)


def _reduce_junction(op: str, operands: tuple[tree.Node, ...], values: Mapping[str, Scalar]) -> tree.Node:
    decides = op == "or"  # the truth value that settles the whole
    rest: list[tree.Node] = []
    for operand in operands:
        reduced = reduce(operand, values)
        if not isinstance(reduced, tree.Const):
            rest.append(reduced)
        elif truth(reduced.value) == decides:
            return tree.Const(decides)
    if not rest:
        return tree.Const(not decides)
    return rest[0] if len(rest) == 1 else tree.Junction(op, tuple(rest))


def negation(node: tree.Node) -> tree.Node:
    """A tree that is true exactly where `node` is not."""
    match node:
        case tree.Unary("not", operand):
            return operand
        case tree.Compare(op, left, right) if op in _TURNED:
            return tree.Compare(_TURNED[op], left, right)
        case tree.Junction(op, operands):
            return tree.Junction("or" if op == "and" else "and", tuple(negation(operand) for operand in operands))
        case tree.Const(value):
            return tree.Const(not truth(value))
        case _:
            return tree.Unary("not", node)
