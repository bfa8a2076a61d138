"""A report as Markdown that reads well as plain text: one sentence a line, tables padded to their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spak.tuner.report.document import Block, Bullets, Caution, Document, Figure, Paragraph, Table

_SENTENCE_END = re.compile(r"(?<=[a-z0-9)`%]\.) (?=[A-Z`])")


def markdown(document: Document) -> str:
    """`document` as Markdown, figures by their captions: the tables beside them hold the numbers."""
    lines = [f"# {document.title}", "", document.subtitle, ""]
    for section in document.sections:
        lines += [f"## {section.title}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield from _sentences(block.text)
    elif isinstance(block, Caution):
        for line in _sentences(f"**Note.** {block.text}"):
            yield f"> {line}"
    elif isinstance(block, Bullets):
        if block.summary:
            yield f"{block.summary}:"
            yield ""
        for item in block.items:
            yield f"- {item}"
    elif isinstance(block, Figure):
        yield f"*Figure (in the HTML page): {block.caption}*"
    else:
        yield from _table(block)


def _sentences(text: str) -> list[str]:
    return _SENTENCE_END.sub("\n", text).split("\n")


def _table(table: Table) -> Iterator[str]:
    yield f"*{table.caption}*"
    yield ""
    cells = [[_cell(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(table.header))]
    right = [side == "right" for side in table.alignment]
    yield _row(cells[0], widths, right)
    rule = [
        ("-" * (width - 1) + ":") if at_right else "-" * width for width, at_right in zip(widths, right, strict=True)
    ]
    yield f"| {' | '.join(rule)} |"
    for row in cells[1:]:
        yield _row(row, widths, right)


def _row(row: list[str], widths: list[int], right: list[bool]) -> str:
    padded = [
        cell.rjust(width) if at_right else cell.ljust(width)
        for cell, width, at_right in zip(row, widths, right, strict=True)
    ]
    return f"| {' | '.join(padded)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
