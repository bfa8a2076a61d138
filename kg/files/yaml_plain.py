"""YAML in the form that this package writes, read line by line: what `yaml_reader` reads, or nothing at all.

Of 100,000 laws nearly all are in it. It has block mappings two columns inside their key, lists of mappings, whose dashes
stand there too, and on one line words, numbers, texts in double quotes without a backslash, and braces and brackets of
those. No comments, no character beyond ASCII, no line that goes on. Where a text leaves this form by one character, or says
one key twice, the answer is None, and the reader decides what it means and what is wrong with it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

from spak.kg.files.yaml_scalars import AmbiguousError, plain_value

MAX_OPEN = 8
"""Mappings and lists inside each other; beyond that the reader counts."""

_FOREIGN = re.compile(r"[^ -~\n]|#")
_LINE = re.compile(r"( *)(- )?(?:([A-Za-z_][\w.-]{0,99}):(?: (\S.*))?|(\{.*\}))")
_WORD = re.compile(r"(?!.*(?:: |:\Z| \Z))(?:[\w(/]|[-+.][0-9])")
"""The start of a word, number or text without quotes, of which nothing further on is a mark of YAML."""

_TEXT = re.compile(r'"([^"\\]*)"')
_PIECE = re.compile(r'[{}\[\]]|, |: |"[^"\\]*"|(?:\w|[-+.](?=[0-9]))(?:[\w()/+.*<>=-]| (?=[\w()/+.*<>=-]))*')
"""What stands between braces: marks, texts, and words, which are cut short by no mark."""


class _NoneError(Exception):
    """A text is not in the form."""


class _Line(NamedTuple):
    """One line.

    Attributes:
        column: Of its key, or of the braces.
        is_item: Whether a dash stands two columns before that.
        key: Empty where braces stand behind the dash.
        text: What is behind the key, if it takes more than a word; a mapping or list is made anew each time.
        value: What the word means; None if nothing is behind the key, or `text` says it.
    """

    column: int
    is_item: bool
    key: str
    text: str
    value: Any


def plain_mapping(text: str) -> dict[str, Any] | None:
    """What `text` holds, if it is a mapping in this form; else None."""
    if not text.endswith("\n") or _FOREIGN.search(text):
        return None
    try:
        return _mapping(text)
    except (_NoneError, AmbiguousError):
        return None


def _mapping(text: str) -> dict[str, Any]:
    root: dict[str, Any] = {}
    columns: list[int] = [0]
    parts: list[Any] = [root]
    waiting: str | None = None
    for number, raw in enumerate(text.split("\n")[:-1]):
        line = _line(raw)
        start = line.column - 2 if line.is_item else line.column
        if waiting is not None:
            if start != columns[-1] + 2 or len(columns) >= MAX_OPEN:
                raise _NoneError
            new: Any = [] if line.is_item else {}
            parts[-1][waiting] = new
            columns.append(start)
            parts.append(new)
        else:
            while columns[-1] > start:
                columns.pop()
                parts.pop()
        part = parts[-1]
        if columns[-1] != start or (number == 0 and start) or isinstance(part, list) is not line.is_item:
            raise _NoneError
        if line.is_item:
            if not line.key:
                part.append(_Flow(line.text).value())
                waiting = None
                continue
            columns.append(line.column)
            parts.append({})
            part.append(parts[-1])
            part = parts[-1]
        if line.key in part:
            raise _NoneError
        part[line.key] = _Flow(line.text).value() if line.text else line.value
        waiting = line.key if line.value is None and not line.text else None
    if waiting is not None or not root:
        raise _NoneError
    return root


@lru_cache(maxsize=1 << 14)
def _line(raw: str) -> _Line:
    """A line of a text in this form; thousands of files have most of theirs in common.

    Raises:
        _NoneError: If it is none, or leaves open what its value is.
        AmbiguousError: If loaders read a word in it differently.
    """
    found = _LINE.fullmatch(raw)
    if found is None:
        raise _NoneError
    indent, dash, key, rest, braces = found.groups()
    column = len(indent) + (2 if dash else 0)
    if braces:
        if not dash:
            raise _NoneError
        return _Line(column, True, "", braces, None)
    _check_key(key)
    if rest is None:
        return _Line(column, bool(dash), key, "", None)
    if rest[0] in "{[":
        return _Line(column, bool(dash), key, rest, None)
    value = _scalar(rest) if rest[0] == '"' or _WORD.match(rest) else None
    if value is None:
        raise _NoneError
    return _Line(column, bool(dash), key, "", value)


def _check_key(key: str) -> None:
    if plain_value(key) != key:
        raise _NoneError


def _scalar(text: str) -> Any:
    """What a word means, or a text in quotes."""
    if text[0] != '"':
        return plain_value(text)
    found = _TEXT.fullmatch(text)
    if found is None:
        raise _NoneError
    return found[1]


class _Flow:
    """A mapping or list on one line."""

    def __init__(self, text: str) -> None:
        self.pieces = _PIECE.findall(text)
        if sum(map(len, self.pieces)) != len(text):
            raise _NoneError
        self.pieces.reverse()

    def value(self) -> Any:
        """What the line means."""
        found = self._next(0)
        if self.pieces:
            raise _NoneError
        return found

    def _take(self) -> str:
        if not self.pieces:
            raise _NoneError
        piece: str = self.pieces.pop()
        return piece

    def _next(self, depth: int) -> Any:
        piece = self._take()
        if piece not in "{[" or depth >= MAX_OPEN:
            return _atom(piece)
        found: Any = {} if piece == "{" else []
        end = "}" if piece == "{" else "]"
        if self.pieces and self.pieces[-1] == end:
            self.pieces.pop()
            return found
        while True:
            if end == "]":
                found.append(self._next(depth + 1))
            else:
                key = _atom(self._take())
                if not isinstance(key, str) or key in found or self._take() != ": ":
                    raise _NoneError
                found[key] = self._next(depth + 1)
            mark = self._take()
            if mark == end:
                return found
            if mark != ", ":
                raise _NoneError


@lru_cache(maxsize=1 << 14)
def _atom(piece: str) -> Any:
    """What a word or a text between braces means; a mark alone means nothing."""
    if piece[0] in "{}[],:":
        raise _NoneError
    value = _scalar(piece)
    if value is None:
        raise _NoneError
    return value
