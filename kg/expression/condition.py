"""What an expression says when only some of its names have a value."""

from __future__ import annotations

from collections.abc import Mapping

from spak.kg.expression import parse
from spak.kg.model.base import Scalar


def names_in(text: str) -> frozenset[str]:
    """Every name in an expression, `hw.<fact>` included.

    Raises:
        ExpressionError: If `text` is not an expression.
    """
    return parse(text).all_names


def decide(text: str, known: Mapping[str, Scalar]) -> bool | str:
    """Whether the expression `text` is true for what is known, else what is left to decide, as text.

    Args:
        text: Empty holds always.
        known: Values of some of its names.

    Raises:
        ExpressionError: If `text` is not an expression.
    """
    if not text:
        return True
    rest = parse(text).partial(known)
    return rest if isinstance(rest, bool) else rest.text
