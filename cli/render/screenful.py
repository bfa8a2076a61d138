"""An answer that fits a screen: entries under headings, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

LINES = 40
"""Most lines of a default answer."""

T = TypeVar("T")


def fitting(entries: Iterable[tuple[str, Sequence[str]]], room: int) -> dict[str, list[Sequence[str]]]:
    """Heading -> its entries, up to the first that does not fit in `room` lines; a heading takes a line and an empty one."""
    shown: dict[str, list[Sequence[str]]] = {}
    for heading, lines in entries:
        room -= len(lines) + (0 if heading in shown else 2)
        if room < 0:
            break
        shown.setdefault(heading, []).append(lines)
    return shown


def in_turn(queues: Sequence[Sequence[T]]) -> Iterator[T]:
    """The first of each, then the second of each, and so on, so that none fills the screen."""
    for place in range(max(map(len, queues), default=0)):
        yield from (queue[place] for queue in queues if place < len(queue))
