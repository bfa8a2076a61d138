"""The tree of an expression. Frozen and comparable; names are plain (`tile_m`) or facts (`hw.smem_per_sm`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spak.kg.model.base import Scalar


@dataclass(frozen=True)
class Const:
    """A literal."""

    value: Scalar


@dataclass(frozen=True)
class Name:
    """A tunable parameter, problem parameter, compiled feature, or `hw.<fact>`."""

    id: str


@dataclass(frozen=True)
class Unary:
    """`-x`, `+x`, `not x`."""

    op: str
    operand: Node


@dataclass(frozen=True)
class Binary:
    """`+ - * / // % **`."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Compare:
    """One comparison; a chain is an `And` of them. `in` and `not in` have a `Members` on the right."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Members:
    """The list or tuple to the right of `in`."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Junction:
    """`and` or `or` of two or more operands."""

    op: str
    operands: tuple[Node, ...]


@dataclass(frozen=True)
class FunctionCall:
    """One of FUNCTIONS."""

    function: str
    arguments: tuple[Node, ...]


Node = Const | Name | Unary | Binary | Compare | Members | Junction | FunctionCall

FUNCTIONS: dict[str, tuple[int, int]] = {
    "min": (2, 8),
    "max": (2, 8),
    "abs": (1, 1),
    "ceil_div": (2, 2),
    "log2": (1, 1),
}
"""Function -> fewest and most arguments."""

PRECEDENCE = {
    "or": 1,
    "and": 2,
    "not": 3,
    "compare": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "//": 6,
    "%": 6,
    "unary": 7,
    "**": 8,
}


def children(node: Node) -> tuple[Node, ...]:
    """Direct parts of `node`."""
    match node:
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right) | Compare(_, left, right):
            return (left, right)
        case Members(items):
            return items
        case Junction(_, operands):
            return operands
        case FunctionCall(_, arguments):
            return arguments
        case _:
            return ()


def rebuilt(node: Node, parts: Sequence[Node]) -> Node:
    """`node` with other direct parts, as `children` gives them."""
    match node:
        case Unary(op, _):
            return Unary(op, parts[0])
        case Binary(op, _, _):
            return Binary(op, parts[0], parts[1])
        case Compare(op, _, _):
            return Compare(op, parts[0], parts[1])
        case Members(_):
            return Members(tuple(parts))
        case Junction(op, _):
            return Junction(op, tuple(parts))
        case FunctionCall(function, _):
            return FunctionCall(function, tuple(parts))
        case _:
            return node


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def text(node: Node, above: int = 0) -> str:
    """Canonical text: one space around operators, only the parentheses that are needed."""
    match node:
        case Const(value):
            negative = not isinstance(value, str) and value < 0
            return _wrap(repr(value), PRECEDENCE["unary"] if negative else PRECEDENCE["**"], above if negative else 0)
        case Name(identifier):
            return identifier
        case Members(items):
            return "[" + ", ".join(text(item) for item in items) + "]"
        case FunctionCall(function, arguments):
            return f"{function}({', '.join(text(argument) for argument in arguments)})"
        case Junction(op, operands):
            own = PRECEDENCE[op]
            return _wrap(f" {op} ".join(text(operand, own + 1) for operand in operands), own, above)
        case Unary("not", operand):
            return _wrap(f"not {text(operand, PRECEDENCE['not'])}", PRECEDENCE["not"], above)
        case Unary(op, operand):
            return _wrap(f"{op}{text(operand, PRECEDENCE['unary'])}", PRECEDENCE["unary"], above)
        case Compare(op, left, right):
            own = PRECEDENCE["compare"]
            return _wrap(f"{text(left, own + 1)} {op} {text(right, own + 1)}", own, above)
        case Binary("**", left, right):
            return _wrap(f"{text(left, 9)} ** {text(right, PRECEDENCE['unary'])}", PRECEDENCE["**"], above)
        case Binary(op, left, right):
            own = PRECEDENCE[op]
            return _wrap(f"{text(left, own)} {op} {text(right, own + 1)}", own, above)


def _wrap(inner: str, own: int, above: int) -> str:
    return f"({inner})" if own < above else inner
