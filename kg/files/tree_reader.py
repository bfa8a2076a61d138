"""Growing a tree: the events of the reader's parser, and the comments in the text between them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from spak.kg.files.tree import MAX_KEY, Branch, Entry, Leaf
from spak.kg.files.yaml_reader import MAX_DEPTH, PARSER
from spak.kg.files.yaml_scalars import plain_value, quoted

_BREAKS = "\r\n\x85\u2028\u2029"
"""What ends a line in YAML 1.1; `\r\n` together ends one."""

_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_BLOCK_STYLES = {"|", ">"}


def parse_tree(source: str) -> Branch:
    """The tree of a text that the reader reads as a mapping or list.

    Raises:
        yaml.YAMLError: If it is no YAML.
        ValueError: If it holds what the reader refuses.
    """
    parsing = _Parsing(source)
    parser = PARSER(source)
    try:
        parsing.take(parser)
    finally:
        parser.dispose()
    if parsing.root is None:
        raise ValueError("neither a mapping nor a list")
    return parsing.root


@dataclass
class _Open:
    """A branch that is being filled: where it begins, and the entry whose value comes next."""

    branch: Branch
    column: int
    in_braces: bool
    waiting: Entry | None = None


@dataclass
class _Parsing:
    """One pass over the events of a file.

    Attributes:
        done: Index behind the last token.
        held: Column and text of the comments and blank lines read since; a blank line has an empty text.
        last: The entry that a comment on this line belongs to.
    """

    source: str
    done: int = 0
    root: Branch | None = None
    stack: list[_Open] = field(default_factory=list)
    held: list[tuple[int, str]] = field(default_factory=list)
    last: Entry | None = None

    def take(self, parser: Any) -> None:
        """Take all events of a parser."""
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is yaml.StreamEndEvent:
                self._between(len(self.source))
                if self.root is not None:
                    self.root.after += self._held()
                return
            if kind in {yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent}:
                continue
            self._between(event.start_mark.index)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind in {yaml.MappingStartEvent, yaml.SequenceStartEvent}:
                self._open(event, is_mapping=kind is yaml.MappingStartEvent)
            else:
                self._close(event)

    def _between(self, until: int) -> None:
        """Keep the comments and blank lines between the last token and the next."""
        between = self.source[self.done : until]
        lines = _BREAK.split(between)
        if len(lines) == 1 and "#" not in between:
            return
        if not self.done or self.source[self.done - 1] in _BREAKS:
            lines.insert(0, "")
        self.done = until
        self._note(lines[0])
        for place, line in enumerate(lines[1:], start=1):
            column = line.find("#")
            if column >= 0:
                self.held.append((column, line[column:].rstrip()))
            elif not line.strip() and place < len(lines) - 1:
                self.held.append((0, ""))

    def _note(self, line: str) -> None:
        """Keep the comment on the line of the last token, if there is one."""
        before, mark, words = line.partition("#")
        if not mark:
            return
        if self.last is None:
            self.held.append((len(self.source), (mark + words).rstrip()))
            return
        if self.last.note:
            self.last.before.append(self.last.note.strip())
        self.last.note = " " * (len(before) - len(before.rstrip()) or 2) + (mark + words).rstrip()

    def _held(self, *, blanks: bool = True) -> list[str]:
        held, self.held = self.held, []
        return [line for _, line in held if line or blanks]

    def _scalar(self, event: Any) -> None:
        raw = self.source[event.start_mark.index : event.end_mark.index]
        top = self.stack[-1] if self.stack else None
        leaf = _leaf(event, raw)
        if event.implicit[0] and ("\t" in raw or (top is not None and top.in_braces and "?" in raw)):
            leaf.text = quoted(event.value)  # PyYAML without libyaml ends a bare text there
        self.done = max(self.done, event.end_mark.index)
        if top is not None and top.branch.is_mapping and top.waiting is None:
            if event.style in _BLOCK_STYLES or len(leaf.text) > MAX_KEY:
                raise ValueError("a key that takes more than a line")
            top.waiting = self.last = Entry(leaf, leaf, self._held())
            top.branch.entries.append(top.waiting)
            return
        self._add(leaf)
        if event.style in _BLOCK_STYLES:
            self._note(_BREAK.split(raw)[0])

    def _add(self, node: Leaf | Branch) -> None:
        """Put a value where the innermost open branch expects one."""
        if not self.stack:
            if isinstance(node, Branch):
                self.root, node.in_braces = node, False
                node.before = self._held()
            return
        top = self.stack[-1]
        if top.waiting is None:
            self.last = Entry(node, before=self._held())
            top.branch.entries.append(self.last)
            return
        self.last, top.waiting = top.waiting, None
        self.last.value = node
        if isinstance(node, Leaf) or node.in_braces:
            self.last.before += self._held(blanks=False)

    def _open(self, event: Any, *, is_mapping: bool) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise ValueError("nested too deeply")
        in_braces = bool(event.flow_style)
        node = Branch(is_mapping, in_braces)
        self._add(node)
        self.stack.append(_Open(node, event.start_mark.column, in_braces))
        if in_braces and self.source[event.start_mark.index] in "[{":  # not so the mapping in `[a: b]`
            self.done, self.last = event.start_mark.index + 1, None

    def _close(self, event: Any) -> None:
        closed = self.stack.pop()
        outer = self.stack[-1] if self.stack else None
        entry = outer.branch.entries[-1] if outer else None
        if not closed.in_braces:
            self._close_block(closed, outer)
            return
        self.done, self.last = max(self.done, event.end_mark.index), entry
        if closed.branch.entries or entry is None:
            closed.branch.after = self._held(blanks=False)
        else:
            entry.before += self._held(blanks=False)

    def _close_block(self, closed: _Open, outer: _Open | None) -> None:
        """Comments that stand as far right as the branch, or further, are its own; others wait for what comes."""
        least = closed.column
        if outer is not None and outer.branch.is_mapping and outer.column == least:
            least += 1  # a list whose dashes stand below its key
        own = 0
        for place, (column, line) in enumerate(self.held, start=1):
            if line and column < least:
                break
            own = place if line else own
        closed.branch.after, self.held = [line for _, line in self.held[:own]], self.held[own:]


def _leaf(event: Any, raw: str) -> Leaf:
    """A scalar as it is written, on one line; a block scalar keeps its lines unless its header has more than a dash."""
    value = plain_value(event.value) if event.implicit[0] else event.value
    if event.style in _BLOCK_STYLES:
        return _block_leaf(event.style, event.value, raw)
    if event.start_mark.line == event.end_mark.line:
        return Leaf(value, raw)
    bare = event.implicit[0] and "\n" not in event.value
    return Leaf(value, event.value if bare else quoted(event.value))


def _block_leaf(style: str, value: str, raw: str) -> Leaf:
    header, *lines = _BREAK.split(raw)
    while lines and not lines[-1].strip():
        lines.pop()
    if header.partition("#")[0].strip() not in {style, f"{style}-"} or not lines:
        return Leaf(value, quoted(value))
    indent = next(len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" "))
    return Leaf(value, style if value.endswith("\n") else f"{style}-", tuple(line[indent:] for line in lines))
