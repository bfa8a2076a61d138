"""Damage that knows the structure of what it damages: JSON documents with parts dropped, doubled, retyped or made absurd.

What no JSON library writes is written as well: duplicate keys, NaN, lone surrogates, numbers beyond any type, nesting
beyond any stack, bytes that are no UTF-8.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True)
class Raw:
    """Bytes that stand for a value."""

    content: bytes


@dataclass
class Members:
    """An object as its members in order, so that a key may come twice."""

    pairs: list[tuple[str, Any]]


_ABSURD = [
    *(b"null", b"true", b"0", b"-0.0", b"-1", b"0.1", b'""', b"[]", b"{}", b"[[]]", b'{"a":[]}', b'{"":{}}'),
    *(b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b'"-inf"', b"1e308", b"1e309", b"-1e400", b"5e-324"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"1" * 400, b"1" * 5000),
    *(rb'"\ud800"', rb'"\udfff\ud800"', rb'"\u0000"', rb'"\u001b[31m\n\u202e"', b'"\xff\xfe"', b'"\xc3"'),
    *(b'"../../etc/passwd"', b'"' + b"x" * 70_000 + b'"', b'"tile_m=1,tile_n"', b'"2999-99-99T00:00:00Z"'),
    *(b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b"[" * 200_000, b"{", b"]", b"tru"),
]
_KEYS = ["", "a", "x" * 70_000, "\x00", "\x1b[2J", "\u202e", "id", "trials", "__proto__"]


def opened(value: Any) -> Any:
    """`value` with objects as members."""
    if isinstance(value, dict):
        return Members([(key, opened(part)) for key, part in value.items()])
    return [opened(part) for part in value] if isinstance(value, list) else value


def text(value: Any) -> bytes:
    """The JSON, or what is left of it."""
    if isinstance(value, Raw):
        return value.content
    if isinstance(value, Members):
        return b"{" + b",".join(json.dumps(key).encode() + b":" + text(part) for key, part in value.pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(text, value)) + b"]"
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn, document: Any, *, most: int = 3) -> bytes:
    """The text of `document` (as `json.loads` gives it) after one to `most` changes."""
    whole = opened(document)
    for _ in range(draw(st.integers(1, most))):
        _change(draw, whole)
    written = text(whole)
    return draw(torn(written)) if draw(st.integers(0, 7)) == 0 else written


@st.composite
def torn(draw: st.DrawFn, content: bytes) -> bytes:
    """`content` cut off, with bytes overwritten, cut out or put in."""
    if draw(st.booleans()):
        return content[: draw(st.integers(0, len(content)))]
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 9)))
    return content[:start] + draw(st.binary(max_size=9)) + content[end:]


def _change(draw: st.DrawFn, whole: Any) -> None:
    """Change one part of an object or a list, chosen on a walk from the top."""
    node = whole
    while True:
        parts = _parts(node)
        if not parts:
            return
        place = draw(st.integers(0, len(parts) - 1))
        inner = _parts(parts[place])
        if not inner or draw(st.integers(0, 3)) == 0:
            break
        node = parts[place]
    how = draw(st.sampled_from(["retype", "retype", "drop", "double", "swap", "rename"]))
    items: list[Any] = node.pairs if isinstance(node, Members) else node
    if how == "drop":
        del items[place]
    elif how == "double":
        items.insert(place, items[place])
    elif how == "swap":
        other = draw(st.integers(0, len(items) - 1))
        _put(node, place, parts[other])
    elif how == "rename" and isinstance(node, Members):
        items[place] = (draw(st.sampled_from(_KEYS)), parts[place])
    else:
        _put(node, place, Raw(draw(st.sampled_from(_ABSURD))))


def _parts(node: Any) -> list[Any]:
    return [part for _, part in node.pairs] if isinstance(node, Members) else node if isinstance(node, list) else []


def _put(node: Any, place: int, value: Any) -> None:
    if isinstance(node, Members):
        node.pairs[place] = (node.pairs[place][0], value)
    else:
        node[place] = value
