"""The expression language of laws: a subset of Python expressions, parsed into a tree of our own and never `eval`ed."""

from spak.kg.expression.parse import Expression, ExpressionError, parse
from spak.kg.expression.tree import FUNCTIONS, Node

__all__ = ["FUNCTIONS", "Expression", "ExpressionError", "Node", "parse"]
