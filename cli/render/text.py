"""Text for people: styles that vanish in a pipe, wrapping to 80 columns, two columns side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from spak.cli.terminal import MARK
from spak.kg.model.base import Scalar

WIDTH = 80
"""Columns of everything printed for people; the same on a terminal and in a pipe."""

_GLUE = "\N{NO-BREAK SPACE}"
"""Stands for a space at which no line ends."""

_HANGING = 4

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}

STATUS_STYLES = {
    "confirmed": ("green",),
    "proposed": ("yellow",),
    "contested": ("magenta",),
    "refuted": ("red",),
    "withdrawn": ("dim",),
}
"""Style of a law's status wherever one is printed."""

VERB_STYLES = {
    "use": ("bold", "green"),
    "avoid": ("bold", "red"),
    "ignore": ("bold", "blue"),
    "never": ("bold", "magenta"),
    "rewrite": ("bold", "cyan"),
}
"""Style of what a law tells a person to do."""


@dataclass(frozen=True)
class Pen:
    """Writes with styles, for a `Screen` to show, or without; what it writes is otherwise the same."""

    colour: bool

    def __call__(self, text: str, *styles: str) -> str:
        """`text` in the given styles."""
        if not (self.colour and styles and text):
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"{MARK}[{codes}m{text}{MARK}[0m"


def wrap(text: str, *, indent: int = 0, width: int = WIDTH) -> list[str]:
    """`text` in lines of at most `width` columns, each starting with `indent` spaces.

    A word is never broken: an id or a path that is longer than a line can still be pasted. It has a line of its own,
    and loses the indent where it does not fit with it.
    """
    margin = " " * indent
    if text and len(text) + indent <= width and text.isprintable():
        return [margin + text.rstrip()]  # most texts: spares the general way its cost over thousands of laws
    lines = textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False, break_long_words=False
    )
    return [line if len(line) <= width else line.lstrip() for line in lines] or [margin.rstrip()]


def as_dictionary(name: str, configuration: Mapping[str, Scalar]) -> list[str]:
    """`name = {...}` in Python, to be pasted; no entry is broken."""
    items = [f'"{key}": {value!r}'.replace("'", '"').replace(" ", _GLUE) for key, value in configuration.items()]
    first, *rest = wrap(f"{name}{_GLUE}={_GLUE}{{{', '.join(items)}}}", width=WIDTH - _HANGING)
    return [line.replace(_GLUE, " ") for line in [first, *(" " * _HANGING + line for line in rest)]]


def with_right(pen: Pen, lines: Sequence[str], right: str, *styles: str) -> list[str]:
    """`lines` with `right` at the right edge of the first; callers wrap the first line short enough."""
    first = lines[0] if lines else ""
    gap = " " * max(1, WIDTH - len(first) - len(right))
    return [first + gap + pen(right, *styles), *lines[1:]]


def side_by_side(left: Sequence[str], right: Sequence[str], *, gap: int = 2) -> list[str]:
    """Two blocks of plain lines in two equal columns; each line must fit its column."""
    column = column_width(gap=gap)
    return [(a.ljust(column) + " " * gap + b).rstrip() for a, b in zip_longest(left, right, fillvalue="")]


def column_width(*, gap: int = 2) -> int:
    """Columns of one half of `side_by_side`."""
    return (WIDTH - gap) // 2


def joined(texts: Sequence[str]) -> str:
    """Texts with the separator used between facts on one line."""
    return " · ".join(text for text in texts if text)
