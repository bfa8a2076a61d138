"""What a report is made of. HTML and Markdown render the same blocks, so the two never tell different stories.

Texts may hold `code` between backticks and nothing else: everything is escaped where it is rendered.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    text: str


@dataclass(frozen=True)
class Caution:
    """What a reader must know before believing the figures."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list; with a `summary` a page shows it only when asked."""

    items: tuple[str, ...]
    summary: str = ""


@dataclass(frozen=True)
class Table:
    """A table; its first column names the row.

    Attributes:
        left: Columns besides the first that are words, not figures.
        heat: How dark a page makes each cell, in percent; empty: none.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()
    heat: tuple[tuple[int, ...], ...] = ()

    @property
    def alignment(self) -> tuple[str, ...]:
        """`left` or `right`, one for each column."""
        return ("left", *("left" if name in self.left else "right" for name in self.header[1:]))


@dataclass(frozen=True)
class Figure:
    """A drawing: a word for ids, what it shows with units, what one who cannot see it should know, and the SVG itself."""

    name: str
    caption: str
    alternative: str
    svg: str


Block = Paragraph | Caution | Bullets | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what is under it; its `anchor`, for links, is unique in the document."""

    title: str
    anchor: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report: one line of title, one of what evidence it rests on, and its sections in reading order."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
