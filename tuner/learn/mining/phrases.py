"""Comparisons as a person says them: `tile_m == 32` as "32 query rows" in a title and `32-query-rows` in an id.

What a parameter is called is the op's to say (`Op.phrases`); of what it does not call anything, the name is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spak.kg.expression import Node, parse
from spak.kg.expression.tree import Binary, Compare, Const, Junction, Members, Name, Unary, text
from spak.kg.model.base import Scalar
from spak.kg.model.features import FEATURE_PHRASES
from spak.kg.model.figures import number_text

_LONG = {
    "==": "",
    "in": "",
    ">=": "at least ",
    "<=": "at most ",
    ">": "more than ",
    "<": "less than ",
    "!=": "other than ",
}
_SHORT = {"==": "", "in": "", ">=": "min-", "<=": "max-", ">": "over-", "<": "under-", "!=": "not-"}

_UNSAID = {"a", "an", "the", "of", "in", "per", "for", "tiles", "elements", "bytes", "memory", "thread"}
"""Words of a phrase that an id does without; `A` is a matrix and stays."""

_KIBI = 1024


@dataclass(frozen=True)
class Phrase:
    """One comparison in words.

    Attributes:
        text: For a title, after "with" or "without".
        short: For an id.
        is_absence: Whether what `text` names is not there.
        is_choice: Whether it leaves several values open.
    """

    text: str
    short: str
    is_absence: bool = False
    is_choice: bool = False


def conjuncts(expression: str) -> tuple[Node, ...]:
    """The parts of an `and`; the whole where there is none, nothing of an empty text or of `True`."""
    root = parse(expression or "True").root
    if isinstance(root, Junction) and root.op == "and":
        return root.operands
    return () if root == Const(True) else (root,)


def phrase(node: Node, called: Mapping[str, str]) -> Phrase:
    """One comparison in the words of `called`: name, or product of two names -> template with `{}` for the value."""
    match node:
        case Name(flag):
            return _compared(_template(flag, called, True), "==", (True,))
        case Unary("not", Name(flag)):
            return _compared(_template(flag, called, True), "==", (False,))
        case Compare(op, left, right) if op in _LONG and (key := _key(left)) and (values := _constants(right)):
            return _compared(_template(key, called, values[0]), op, values)
    raw = text(node)
    return Phrase(raw, _plain(raw))


def with_and_without(said: Sequence[Phrase]) -> str:
    """`with A, B and C, without D`."""
    parts = [
        f"{word} {_listed(texts)}"
        for word, absent in (("with", False), ("without", True))
        if (texts := [one.text for one in said if one.is_absence is absent])
    ]
    return ", ".join(parts)


def alternatives(values: Iterable[str]) -> str:
    """`4`, `4 or 5`, `3, 4 or 5`."""
    return _listed(list(values), "or")


def _listed(texts: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def _key(node: Node) -> str:
    """What is compared: a name, or two whose product is, in the order of the alphabet."""
    match node:
        case Name(name):
            return name
        case Binary("*", Name(first), Name(second)):
            return " * ".join(sorted((first, second)))
    return ""


def _constants(node: Node) -> tuple[Scalar, ...]:
    """The values compared with; none if any of them is no constant."""
    items = node.items if isinstance(node, Members) else (node,)
    values = tuple(item.value for item in items if isinstance(item, Const))
    return values if len(values) == len(items) else ()


def _template(key: str, called: Mapping[str, str], value: Scalar) -> str:
    spelled = {" * ".join(sorted(name.split(" * "))): words for name, words in called.items()}
    plain = key.replace("_", " ").replace(" * ", " x ")
    return spelled.get(key) or FEATURE_PHRASES.get(key) or (plain if isinstance(value, bool) else f"{plain} {{}}")


def _compared(template: str, op: str, values: Sequence[Scalar]) -> Phrase:
    first = values[0]
    if "{}" not in template:
        if isinstance(first, bool) and len(values) == 1:
            absent = first is (op == "!=")
            return Phrase(template, _plain(f"no {template}" if absent else template), absent)
        template += " {}"
    if op == ">" and first == 0 and len(values) == 1:  # more than none: it is there
        bare = template.replace("{}", "").strip()
        return Phrase(re.sub(r"\s+", " ", bare), _plain(bare))
    said = template.format(_LONG[op] + alternatives(map(_value, values)))
    short = template.format(_SHORT[op] + "-".join(_short(value) for value in values))
    return Phrase(said, _plain(short), is_choice=len(values) > 1)


def _value(value: Scalar) -> str:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return number_text(float(value)) if numeric else str(value).lower() if isinstance(value, bool) else str(value)


def _short(value: Scalar) -> str:
    numeric = isinstance(value, int) and not isinstance(value, bool)
    if numeric and int(value) > _KIBI and int(value) % _KIBI == 0:
        return f"{int(value) // _KIBI}k"
    return _value(value)


def _plain(said: str) -> str:
    """`said` as a part of an id."""
    words = (word for word in said.split() if word not in _UNSAID)
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
