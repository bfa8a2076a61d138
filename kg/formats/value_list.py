"""Lists of values written as small Python expressions, computed without running Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from spak.kg.model.base import Scalar

_MAX_LENGTH = 10_000
"""Most characters of one expression."""
MAX_VALUES = 100_000
"""Most values one parameter may have; no public space has more than a few dozen."""
MAX_MAGNITUDE = 1 << 63


class ValueListError(ValueError):
    """The text is no list this module computes."""


def value_list(text: str) -> list[Scalar]:
    """The values that `text` lists: literals, `range`, `list(...)`, `+`, arithmetic, and one-loop comprehensions.

    Raises:
        ValueListError: For anything else, and for lists beyond `MAX_VALUES`.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueListError(f"more than {_MAX_LENGTH} characters")
    try:
        found = _evaluate(ast.parse(text.strip(), mode="eval").body, {})
    except (SyntaxError, TypeError, ArithmeticError, RecursionError, MemoryError, ValueError) as error:
        if isinstance(error, ValueListError):
            raise
        raise ValueListError(f"cannot compute the values {_shortened(text)} ({error})") from None
    if not isinstance(found, list):
        raise ValueListError(f"not a list of values: {_shortened(text)}")
    for value in found:
        if not isinstance(value, bool | int | float | str):
            raise ValueListError(f"a value is neither number nor text: {value!r}")
    return found


def _shortened(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else text[:most] + "...")


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_evaluate(element, names) for element in elements]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluate(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(op, _evaluate(left, names), _evaluate(right, names))
        case ast.Call(func=ast.Name(id="range"), args=args, keywords=[]):
            return _counted(range(*(_evaluate(arg, names) for arg in args)))
        case ast.Call(func=ast.Name(id="list" | "tuple"), args=[arg], keywords=[]):
            return list(_evaluate(arg, names))
        case ast.ListComp(elt=element, generators=[ast.comprehension(ast.Name(id=name), values, [], 0)]):
            return [_evaluate(element, {**names, name: value}) for value in _evaluate(values, names)]
    raise ValueListError(f"cannot compute {_shortened(ast.unparse(node))}; list the values instead")


def _combine(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(op, ast.Add) and isinstance(left, list) and isinstance(right, list):
        return _counted([*left, *right])
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise ValueListError("arithmetic on something that is no number")
    if type(op) not in _ARITHMETIC:
        raise ValueListError("an operator other than + - * / // % **")
    result = _ARITHMETIC[type(op)](left, right)
    if abs(result) > MAX_MAGNITUDE:
        raise ValueListError("a value beyond 64 bits")
    return result


def _power(base: float, exponent: float) -> Any:
    if not 0 <= exponent < MAX_MAGNITUDE.bit_length() or abs(base) > MAX_MAGNITUDE:
        raise ValueListError(f"an exponent out of range ({exponent})")
    return base**exponent


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}


def _counted(values: Any) -> list[Any]:
    if len(values) > MAX_VALUES:
        raise ValueListError(f"more than {MAX_VALUES} values")
    return list(values)
