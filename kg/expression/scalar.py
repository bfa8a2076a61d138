"""Evaluation of one configuration, without NumPy; and rewriting of trees.

Numbers are double precision throughout, so that one configuration and a whole column give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from spak.kg.expression import tree
from spak.kg.model.base import Scalar

UNDEFINED = math.nan

_TURNED = {"==": "!=", "!=": "==", "in": "not in", "not in": "in"}
"""Comparisons whose negation is exact even for undefined numbers; `not (a < b)` is not `a >= b` there."""


def evaluate(node: tree.Node, values: Mapping[str, Scalar]) -> Scalar:
    """The value of `node`; every name has a value."""
    match node:
        case tree.Const(value):
            return value
        case tree.Name(name):
            return values[name]
        case tree.Unary("not", operand):
            return not truth(evaluate(operand, values))
        case tree.Unary(op, operand):
            number = _number(evaluate(operand, values))
            return -number if op == "-" else number
        case tree.Binary(op, left, right):
            return arithmetic(op, evaluate(left, values), evaluate(right, values))
        case tree.Compare("in" | "not in" as op, left, tree.Members(items)):
            wanted = evaluate(left, values)
            return any(compare("==", wanted, evaluate(item, values)) for item in items) == (op == "in")
        case tree.Compare(op, left, right):
            return compare(op, evaluate(left, values), evaluate(right, values))
        case tree.Junction("and", operands):
            return all(truth(evaluate(operand, values)) for operand in operands)
        case tree.Junction(_, operands):
            return any(truth(evaluate(operand, values)) for operand in operands)
        case tree.Call(function, arguments):
            return call(function, [evaluate(argument, values) for argument in arguments])
    raise AssertionError(node)  # pragma: no cover - a list outside `in` is refused by the parser


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
    a, b = _number(left), _number(right)
    try:
        match op:
            case "+":
                result = a + b
            case "-":
                result = a - b
            case "*":
                result = a * b
            case "/":
                result = a / b
            case "//":
                result = a // b
            case "%":
                result = a % b
            case _:
                result = math.pow(a, b)
    except (ZeroDivisionError, OverflowError, ValueError):
        return UNDEFINED
    return result if math.isfinite(result) else UNDEFINED


def compare(op: str, left: Scalar, right: Scalar) -> bool:
    """`left op right`; text and number are unequal and unordered."""
    if isinstance(left, str) != isinstance(right, str):
        return op == "!="
    match op:
        case "==":
            return left == right
        case "!=":
            return left != right
        case "<":
            return left < right  # type: ignore[operator]
        case "<=":
            return left <= right  # type: ignore[operator]
        case ">":
            return left > right  # type: ignore[operator]
        case _:
            return left >= right  # type: ignore[operator]


def call(function: str, arguments: list[Scalar]) -> float:
    """One of tree.FUNCTIONS; UNDEFINED if any argument is."""
    numbers = [_number(argument) for argument in arguments]
    if any(math.isnan(number) for number in numbers):
        return UNDEFINED
    match function:
        case "min":
            return min(numbers)
        case "max":
            return max(numbers)
        case "abs":
            return abs(numbers[0])
        case "log2":
            return math.log2(numbers[0]) if numbers[0] > 0 else UNDEFINED
        case _:
            return -arithmetic("//", -numbers[0], numbers[1])


def reduce(node: tree.Node, values: Mapping[str, Scalar]) -> tree.Node:
    """`node` with known names put in and everything decidable decided; a Const if nothing is left open."""
    match node:
        case tree.Name(name):
            return tree.Const(values[name]) if name in values else node
        case tree.Junction(op, operands):
            return _reduce_junction(op, operands, values)
        case tree.Const():
            return node
    rebuilt = _rebuild(node, [reduce(child, values) for child in tree.children(node)])
    if all(isinstance(child, tree.Const) or _constant_list(child) for child in tree.children(rebuilt)):
        return rebuilt if isinstance(rebuilt, tree.Members) else tree.Const(plain(evaluate(rebuilt, {})))
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


def _rebuild(node: tree.Node, parts: list[tree.Node]) -> tree.Node:
    match node:
        case tree.Unary(op, _):
            return tree.Unary(op, parts[0])
        case tree.Binary(op, _, _):
            return tree.Binary(op, parts[0], parts[1])
        case tree.Compare(op, _, _):
            return tree.Compare(op, parts[0], parts[1])
        case tree.Members(_):
            return tree.Members(tuple(parts))
        case tree.Junction(op, _):
            return tree.Junction(op, tuple(parts))
        case tree.Call(function, _):
            return tree.Call(function, tuple(parts))
        case _:
            return node


def negated(node: tree.Node) -> tree.Node:
    """A tree that is true exactly where `node` is not."""
    match node:
        case tree.Unary("not", operand):
            return operand
        case tree.Compare(op, left, right) if op in _TURNED:
            return tree.Compare(_TURNED[op], left, right)
        case tree.Junction(op, operands):
            return tree.Junction("or" if op == "and" else "and", tuple(negated(operand) for operand in operands))
        case tree.Const(value):
            return tree.Const(not truth(value))
        case _:
            return tree.Unary("not", node)


def renamed(node: tree.Node, names: Mapping[str, str]) -> tree.Node:
    """`node` with names replaced."""
    if isinstance(node, tree.Name):
        return tree.Name(names.get(node.id, node.id))
    return _rebuild(node, [renamed(child, names) for child in tree.children(node)])
