"""Lists of ids for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from spak.cli.render.text import WIDTH, wrap
from spak.kg.answers.listing import Listed

_COLUMN = 24
"""Columns that ids get; a longer one stands on a line of its own."""


def listing_json(entries: Sequence[Listed]) -> str:
    """The entries as an indented JSON array with a final newline."""
    return msgspec.json.format(msgspec.json.encode(entries), indent=2).decode() + "\n"


def entry_lines(entries: Sequence[Listed]) -> str:
    """An entry a line, or its id on one and what it is below, in 80 columns; no id is broken."""
    column = min(_COLUMN, 2 + max((len(entry.id) for entry in entries), default=0))
    lines = [line for entry in entries for line in _lines(entry, column)]
    return "".join(line.rstrip() + "\n" for line in lines)


def _lines(entry: Listed, column: int) -> list[str]:
    about = wrap(entry.about, width=WIDTH - column) if entry.about else [""]
    if len(entry.id) + 2 <= column:
        first, *rest = about
        return [entry.id.ljust(column) + first, *(" " * column + line for line in rest)]
    return [entry.id, *(wrap(entry.about, indent=2) if entry.about else [])]
