"""YAML bytes to plain Python values, and where in the file each value stands.

A small composer of our own over PyYAML's event stream: it is iterative (PyYAML's own composer recurses in C and crashes
on deep nesting), counts depth before anything is built, and refuses what a data file does not need and what loaders
read differently: duplicate keys, anchors, aliases, tags, directives, several documents, ambiguous words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from spak.kg.errors import InvalidFilesError, Problem
from spak.kg.files.reading import MAX_YAML_BYTES
from spak.kg.files.yaml_plain import plain_mapping
from spak.kg.files.yaml_scalars import AmbiguousError, plain_value

MAX_DEPTH = 24
"""Deepest nesting of mappings and lists; the formats need six."""

MAX_PROBLEMS_SHOWN = 50
"""Problems reported of one file; the rest is noise of the first."""

PARSER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""The C parser where PyYAML was built with it; the same events from Python otherwise."""

_FLAW = "\N{REPLACEMENT CHARACTER}"
"""Stands for a value that was refused, so that reading goes on."""


@dataclass(frozen=True)
class Place:
    """Where a value stands; lines and columns are 1-based.

    Attributes:
        key_line: Line of the key in front of it; the value's own for list items and the whole file.
        key_column: Column of that key.
        text_column: Column of the first character of its text (after a quote); 0 if the text spans lines.
    """

    line: int
    column: int
    key_line: int
    key_column: int
    text_column: int


@dataclass(frozen=True)
class YamlDocument:
    """One YAML file, read.

    Attributes:
        text: Its text without a byte order mark.
        value: Dicts, lists, strings, integers, floats, booleans and None.
    """

    path: str
    text: str
    value: Any

    @cached_property
    def places(self) -> dict[str, Place]:
        """Dotted path (`evidence[0].run`, empty for the whole) -> place. Read again on demand: only messages need it."""
        reading = _Reading(self.path, places={})
        reading.compose(self.text)
        return reading.places or {}

    def place(self, field: str) -> Place:
        """Place of `field`, or of the nearest thing around it."""
        while field and field not in self.places:
            field = parent(field)
        return self.places.get(field, Place(1, 1, 1, 1, 0))

    def problem(self, field: str, message: str, *, offset: int = 0, at_key: bool = False) -> Problem:
        """A problem of `field`.

        Args:
            field: Dotted path; one that the file lacks is placed at the nearest thing around it.
            message: What is wrong (got X); what to do.
            offset: 1-based column inside the field's text (of an expression); 0 for the whole value.
            at_key: Whether it is the key that is wrong.
        """
        place = self.place(field)
        line, column = (place.key_line, place.key_column) if at_key else (place.line, place.column)
        if offset and place.text_column:
            column = place.text_column + offset - 1
        return Problem(self.path, line, column, field, message)


def parent(field: str) -> str:
    """The path of what holds `field`: `evidence[0]` of `evidence[0].run`, `evidence` of `evidence[0]`."""
    return field[: max(field.rfind("."), field.rfind("["), 0)]


def read(data: bytes, path: str) -> YamlDocument:
    """Read one file.

    Raises:
        InvalidFilesError: With every problem found; after a syntax error nothing further can be.
    """
    if len(data) > MAX_YAML_BYTES:
        message = f"the file has {len(data)} bytes; at most {MAX_YAML_BYTES} are read, split it"
        raise InvalidFilesError([Problem(path, 0, 0, "", message)])
    text = _decode(data, path)
    plain = plain_mapping(text)
    if plain is not None:
        return YamlDocument(path, text, plain)
    reading = _Reading(path)
    value = reading.compose(text)
    if reading.problems:
        raise InvalidFilesError(reading.problems)
    return YamlDocument(path, text, value)


def _decode(data: bytes, path: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig", "replace")) + 1
        message = f"not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        raise InvalidFilesError([Problem(path, line, column, "", message)]) from None
    place = text.find("\0")
    if place >= 0:
        line, column = _line_and_column(text, place)
        raise InvalidFilesError([Problem(path, line, column, "", "a NUL character; remove it")])
    return text


def _line_and_column(text: str, place: int) -> tuple[int, int]:
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


class _Stop(Exception):  # noqa: N818 - a signal inside this module, not an error
    """Reading cannot go on; the problem is already noted."""


@dataclass
class _Frame:
    """A mapping or list being filled; in a mapping, `pending` says that `key` waits for its value."""

    container: Any
    keyed: bool
    key: str = ""
    key_mark: Any = None
    pending: bool = False


class _Reading:
    """One pass over the events of one file."""

    def __init__(self, path: str, places: dict[str, Place] | None = None) -> None:
        self.path = path
        self.places = places
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.result: Any = None
        self.documents = 0

    def compose(self, text: str) -> Any:
        """The value of the only document of `text`; problems are collected."""
        try:
            parser = PARSER(text)
            try:
                self._events(parser)
            finally:
                parser.dispose()
        except _Stop:
            pass
        except yaml.YAMLError as error:
            self._syntax(error, text)
        if not self.documents and not self.problems:
            self.problems.append(
                Problem(self.path, 1, 1, "", "the file is empty; see docs/formats.md for what it holds")
            )
        return self.result

    def _events(self, parser: Any) -> None:
        next_event = parser.get_event
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._open(event, {}, keyed=True)
            elif kind is yaml.SequenceStartEvent:
                self._open(event, [], keyed=False)
            elif kind in {yaml.MappingEndEvent, yaml.SequenceEndEvent}:
                self.stack.pop()
            elif kind is yaml.AliasEvent:
                self._refuse(event, f"an alias (*{event.anchor}); write the value out")
                self._put(event, _FLAW)
            elif kind is yaml.DocumentStartEvent:
                self._document(event)
            elif kind is yaml.StreamEndEvent:
                return

    def _document(self, event: Any) -> None:
        self.documents += 1
        if event.version or event.tags:
            self._refuse(event, "a directive; remove it")
        if self.documents > 1:
            self._refuse(event, "a second document; one file holds one")
            raise _Stop

    def _scalar(self, event: Any) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse(event, "an anchor or a tag; write the plain value")
        value = event.value
        if event.implicit[0]:
            try:
                value = plain_value(value)
            except AmbiguousError as error:
                self._refuse(event, str(error))
                value = _FLAW
        elif "\0" in value:
            self._refuse(event, "a NUL character; remove it")
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.keyed and not frame.pending:
            self._key(event, frame, value)
        else:
            self._put(event, value)

    def _key(self, event: Any, frame: _Frame, key: Any) -> None:
        if not isinstance(key, str):
            self._refuse(event, f"a key is text (got {event.value}); quote it")
            key = event.value
        frame.key, frame.key_mark, frame.pending = key, event.start_mark, True
        if key in frame.container and key != _FLAW:
            self._refuse(event, f"the key {key} stands here twice; keep one")

    def _open(self, event: Any, container: Any, *, keyed: bool) -> None:
        if event.anchor is not None or event.tag is not None:
            self._refuse(event, "an anchor or a tag; write the plain value")
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.keyed and not frame.pending:
            self._refuse(event, "a key is text, not a mapping or a list")
            raise _Stop
        if len(self.stack) >= MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        self._put(event, container)
        self.stack.append(_Frame(container, keyed))

    def _put(self, event: Any, value: Any) -> None:
        """Put `value` where the innermost open container expects one."""
        if not self.stack:
            self.result = value
            self._note(event, None)
            return
        frame = self.stack[-1]
        if not frame.keyed:
            frame.container.append(value)
            self._note(event, None)
        elif frame.pending:
            frame.container[frame.key] = value
            self._note(event, frame.key_mark)
            frame.pending = False
        else:  # an alias as a key: already refused
            raise _Stop

    def _note(self, event: Any, key_mark: Any) -> None:
        if self.places is None:
            return
        mark, end = event.start_mark, event.end_mark
        key = key_mark or mark
        one_line = type(event) is yaml.ScalarEvent and mark.line == end.line
        text_column = mark.column + (1 if event.implicit[0] else 2) if one_line else 0
        place = Place(mark.line + 1, mark.column + 1, key.line + 1, key.column + 1, text_column)
        self.places.setdefault(self._field(), place)

    def _field(self) -> str:
        """Dotted path of where the reading stands."""
        parts: list[str] = []
        for frame in self.stack:
            if not frame.keyed:
                parts.append(f"[{max(len(frame.container) - 1, 0)}]")
            elif frame.pending or frame is not self.stack[-1]:
                parts.append(f".{frame.key}")
        return "".join(parts).removeprefix(".")

    def _refuse(self, event: Any, message: str) -> None:
        mark = event.start_mark
        self.problems.append(Problem(self.path, mark.line + 1, mark.column + 1, self._field(), message))
        if len(self.problems) >= MAX_PROBLEMS_SHOWN:
            raise _Stop

    def _syntax(self, error: yaml.YAMLError, text: str) -> None:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
        else:
            line, column = _line_and_column(text, min(getattr(error, "position", 0), len(text)))
        said = [getattr(error, "problem", None) or getattr(error, "reason", None), getattr(error, "context", None)]
        words = " ".join(part for part in said if part) or "cannot be read"
        self.problems.append(Problem(self.path, line, column, "", f"not YAML: {words}"))
