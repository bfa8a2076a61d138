"""Keys of JSON objects: one that stands twice means one thing to one reader and another to the next, so it is refused."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from spak.kg.errors import InvalidFilesError, Problem

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?|[{}]')
_UNPAIRED = re.compile(rb"\\u[dD][89a-fA-F]")


class _TwiceError(Exception):
    """An object has a key twice."""


def check_keys(text: bytes, path: Path) -> None:
    """Check that no object of the JSON `text` has a key twice, and that its text can be written; 13 ms for a megabyte.

    What is no JSON passes: who decodes it says so.

    Raises:
        InvalidFilesError: With the place of the key that repeats another.
    """
    checked_values(text, path)


def checked_values(text: bytes, path: Path) -> Any:
    """What the JSON `text` holds as plain values, None if it is no JSON; its keys are checked as by `check_keys`.

    Values keep one of two equal keys, so what is as long when it is written again has none. That is so of most files and
    takes half a millisecond; of another, every object is looked at.

    Raises:
        InvalidFilesError: With the place of the key that repeats another.
    """
    values = None
    with contextlib.suppress(msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        values = msgspec.json.decode(text)
        written = msgspec.json.encode(values)
        if written == text or written == msgspec.json.format(text, indent=-1):
            return values
    _look_at_keys(text, path)
    return values


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
