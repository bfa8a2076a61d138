"""Keys of JSON objects: one that stands twice means one thing to one reader and another to the next, so it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spak.kg.errors import InvalidFilesError, Problem

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?|[{}]')
_UNPAIRED = re.compile(rb"\\u[dD][89a-fA-F]")


class _TwiceError(Exception):
    """An object has a key twice."""


def check_keys(text: bytes, path: Path, written: Sequence[bytes] = ()) -> None:
    r"""Check that no object of the JSON `text` has a key twice, and that its text can be written; 13 ms for a megabyte.

    What is no JSON passes: who decodes it says so.

    Args:
        text: What the file holds.
        path: For errors.
        written: The parts of what `text` was decoded to, written again, if somebody has them: of two equal keys one is
            left, and so there are fewer colons, unless one was written `\u003a`. Then not every object is looked at.

    Raises:
        InvalidFilesError: With the place of the key that repeats another.
    """
    if not written or b"\\u" in text or text.count(b":") != sum(part.count(b":") for part in written):
        _look_at_keys(text, path)


def _look_at_keys(text: bytes, path: Path) -> None:
    try:
        _DECODER.decode(text.decode())
    except _TwiceError:
        _refuse_second(text, path)
    except RecursionError:
        raise InvalidFilesError([Problem(str(path), 0, 0, "", "nested too deeply")]) from None
    except ValueError:
        return
    if _UNPAIRED.search(text):
        _refuse_halves(text, path)


def _once(pairs: list[tuple[str, Any]]) -> None:
    """Nothing is kept of an object but that its keys differ."""
    if len(dict(pairs)) != len(pairs):
        raise _TwiceError


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str)  # numbers are not asked for


def _refuse_second(text: bytes, path: Path) -> None:
    open_objects: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0] == b"{":
            open_objects.append(set())
        elif token[0] == b"}":
            open_objects.pop()
        elif token[1]:
            key = json.loads(token[0][: -len(token[1])])
            if key in open_objects[-1]:
                _refuse(text, path, token.start(), f"the key {key!r} stands twice in one object; keep one")
            open_objects[-1].add(key)


def _refuse_halves(text: bytes, path: Path) -> None:
    for token in _TOKEN.finditer(text):
        if token[0] not in b"{}":
            held = json.loads(token[0].removesuffix(token[1] or b""))
            if any("\ud800" <= sign <= "\udfff" for sign in held):
                _refuse(text, path, token.start(), "text with half of a surrogate pair; remove it")


def _refuse(text: bytes, path: Path, place: int, message: str) -> None:
    start = text.rfind(b"\n", 0, place) + 1
    column = len(text[start:place].decode(errors="replace")) + 1
    raise InvalidFilesError([Problem(str(path), text.count(b"\n", 0, place) + 1, column, "", message)])
