"""A YAML file as a tree that keeps what its values alone would lose: comments, blank lines, quotes, braces.

Everything that writes YAML writes a tree, and a tree has one text: two spaces a level, list items two spaces inside
their key, nothing wrapped, numbers and words as every loader reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from spak.kg.files.yaml_scalars import AmbiguousError, written
from spak.kg.model.base import Scalar

MAX_KEY = 1000
"""Characters of the longest key; libyaml looks 1024 characters ahead for the colon."""


@dataclass
class Leaf:
    """A scalar.

    Attributes:
        text: How it is written: one line, or the header of a block scalar.
        body: The lines of a block scalar without their indentation.
    """

    value: Scalar | None
    text: str
    body: tuple[str, ...] = ()


@dataclass
class Entry:
    """One value in a mapping or list.

    Attributes:
        key: Its key; None in a list.
        before: Comments and blank lines in front of it.
        note: Comment behind it, with the space in front of that.
    """

    value: Leaf | Branch
    key: Leaf | None = None
    before: list[str] = field(default_factory=list)
    note: str = ""


@dataclass
class Branch:
    """A mapping or a list.

    Attributes:
        in_braces: Whether it stands on one line, unless there are comments in it.
        before: Comments above the whole file; elsewhere none.
        after: Comments behind the last entry.
    """

    is_mapping: bool
    in_braces: bool
    entries: list[Entry] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    def __getitem__(self, key: str | int) -> Branch:
        """The mapping or list at a key or place.

        Raises:
            KeyError: If there is none.
        """
        entry = self.entries[key] if isinstance(key, int) else self.entry(key)
        if entry is None or not isinstance(entry.value, Branch):
            raise KeyError(key)
        return entry.value

    def entry(self, key: str) -> Entry | None:
        """The entry of `key`; None if there is none."""
        return next((entry for entry in self.entries if entry.key and entry.key.value == key), None)

    def put(self, key: str, value: Any, *, levels: int = 0) -> None:
        """Set `key` to plain values; comments around it stay, and so does its text if it holds `value` already.

        What is new is spread over lines to a depth of `levels`.

        Raises:
            AmbiguousError: If a value cannot be written.
        """
        entry = self.entry(key)
        if entry is None:
            key_text = key_leaf(key, in_braces=self.in_braces)
            self.entries.append(Entry(node(value, levels, in_braces=self.in_braces), key_text))
            return
        new = node(value, levels, in_braces=self.in_braces)
        if not same(values(entry.value), values(new)):
            entry.value = new

    def append(self, entry: Entry) -> None:
        """Add an entry at the end; it, and so this branch, is spread over lines."""
        self.in_braces = False
        self.entries.append(entry)

    def drop(self, key: str) -> None:
        """Remove a key with the comments around it; none is no error."""
        self.entries = [entry for entry in self.entries if entry.key is None or entry.key.value != key]

    def arrange(self, order: Sequence[str]) -> None:
        """Put the entries of a mapping into the order of keys, which names them all."""
        self.entries.sort(key=lambda entry: order.index(str(entry.key.value if entry.key else "")))


def values(part: Leaf | Branch) -> Any:
    """What a tree means, as scalars, lists and dicts."""
    if isinstance(part, Leaf):
        return part.value
    if part.is_mapping:
        return {entry.key.value: values(entry.value) for entry in part.entries if entry.key}
    return [values(entry.value) for entry in part.entries]


def same(one: Any, other: Any) -> bool:
    """Whether two values mean the same in a file: 1, 1.0 and true are three things, the order of keys is none."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")


def comments(part: Leaf | Branch) -> Iterator[str]:
    """Every comment of a tree."""
    if isinstance(part, Branch):
        for entry in part.entries:
            yield from (line for line in (*entry.before, entry.note.strip()) if line)
            yield from comments(entry.value)
        yield from (line for line in (*part.before, *part.after) if line)


def tree_text(root: Branch) -> str:
    """The text of a file."""
    if not root.entries:
        lines = [*root.before, "{}" if root.is_mapping else "[]", *root.after]
    else:
        lines = [*root.before, *_block(root, 0)]
    return "\n".join(lines).strip("\n") + "\n"


def node(value: Any, levels: int, *, in_braces: bool = False) -> Leaf | Branch:
    """Plain values as a tree, spread over lines to a depth of `levels`; lists of scalars stay on a line.

    Raises:
        AmbiguousError: If a value cannot be written.
    """
    if isinstance(value, Mapping):
        flat = in_braces or levels < 1
        named = [Entry(node(v, levels - 1, in_braces=flat), key_leaf(key, in_braces=flat)) for key, v in value.items()]
        return Branch(is_mapping=True, in_braces=flat, entries=named)
    if isinstance(value, list | tuple):
        flat = in_braces or levels < 1 or not any(isinstance(item, Mapping | list | tuple) for item in value)
        items = [Entry(node(item, levels - 1, in_braces=flat)) for item in value]
        return Branch(is_mapping=False, in_braces=flat, entries=items)
    return Leaf(value, written(value, in_braces=in_braces))


def key_leaf(key: str, *, in_braces: bool) -> Leaf:
    """A key as it is written.

    Raises:
        AmbiguousError: If it is longer than `MAX_KEY`, or cannot be written.
    """
    if len(key) > MAX_KEY:
        raise AmbiguousError(f"a key has at most {MAX_KEY} characters (got {len(key)})")
    return Leaf(key, written(key, in_braces=in_braces))


def _is_spread(part: Leaf | Branch) -> bool:
    """Whether a branch takes several lines: an empty one never, one with a comment or a spread branch in it always."""
    if isinstance(part, Leaf) or not part.entries:
        return False
    is_open = not part.in_braces or next(comments(part), None) is not None
    return is_open or any(_is_spread(entry.value) for entry in part.entries)


def _block(part: Branch, indent: int) -> list[str]:
    """The lines of a branch that is spread, at a column."""
    lines: list[str] = []
    for entry in part.entries:
        lines += _indented(entry.before, indent)
        head = " " * indent + (f"{entry.key.text}:" if entry.key else "-")
        if isinstance(entry.value, Leaf):
            lines.append(" ".join(filter(None, (head, entry.value.text))) + entry.note)
            lines += _indented(entry.value.body, indent + 2)
        elif not _is_spread(entry.value):
            lines.append(f"{head} {_line(entry.value)}{entry.note}")
        elif entry.key:
            lines += [head + entry.note, *_block(entry.value, indent + 2)]
        else:
            lines += _item(entry, _block(entry.value, indent + 2), indent)
    return lines + _indented(part.after, indent)


def _item(entry: Entry, lines: Sequence[str], indent: int) -> list[str]:
    """The lines of a list item that is spread: the first one behind the dash, comments above that in front of it."""
    first = next(place for place, line in enumerate(lines) if line.lstrip() and not line.lstrip().startswith("#"))
    above = [entry.note.strip()] * bool(entry.note) + [line.strip() for line in lines[:first]]
    return [*_indented(above, indent), " " * indent + "- " + lines[first].lstrip(), *lines[first + 1 :]]


def _line(part: Leaf | Branch) -> str:
    """A branch on one line."""
    if isinstance(part, Leaf):
        return part.text or "null"
    if part.is_mapping:
        return "{" + ", ".join(f"{e.key.text}: {_line(e.value)}" for e in part.entries if e.key) + "}"
    return "[" + ", ".join(_line(entry.value) for entry in part.entries) + "]"


def _indented(lines: Sequence[str], indent: int) -> list[str]:
    return [" " * indent + line if line else "" for line in lines]
