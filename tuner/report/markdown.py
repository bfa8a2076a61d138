"""A report as Markdown that reads well as plain text: one sentence a line, tables padded to their columns."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spak.kg.visible import as_markdown
from spak.tuner.report.document import Block, Bullets, Caution, Document, Figure, Paragraph, Table

_SENTENCE_END = re.compile(r"(?<=[a-z0-9)`%]\.) (?=[A-Z`])")


def markdown(document: Document) -> str:
    """`document` as Markdown, figures by their captions."""
    lines = [f"# {_inline(document.title)}", "", _inline(document.subtitle), ""]
    for section in document.sections:
        lines += [f"## {_inline(section.title)}", ""]
        for block in section.blocks:
            lines += [*_block(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _sentences(_inline(block.text))
    elif isinstance(block, Caution):
        yield "> " + _sentences(f"**Note.** {_inline(block.text)}").replace("\n", "\n> ")
    elif isinstance(block, Bullets):
        yield from (f"{_inline(block.summary)}:", "") if block.summary else ()
        yield from (f"- {_inline(item)}" for item in block.items)
    elif isinstance(block, Figure):
        yield f"*Figure (in the HTML page): {_inline(block.caption)}*"
    else:
        yield from _table(block)


def _inline(text: str) -> str:
    return as_markdown(text, code="`")


def _sentences(text: str) -> str:
    return _SENTENCE_END.sub("\n", text)


def _table(table: Table) -> Iterator[str]:
    yield f"*{_inline(table.caption)}*"
    yield ""
    cells = [[_inline(cell) for cell in row] for row in (table.header, *table.rows)]
    columns = [
        (max(3, *map(len, column)), side)
        for column, side in zip(zip(*cells, strict=True), table.alignment, strict=True)
    ]
    cells.insert(1, ["-" * width if side == "left" else "-" * (width - 1) + ":" for width, side in columns])
    for row in cells:
        padded = [
            f"{cell:{'<' if side == 'left' else '>'}{width}}" for cell, (width, side) in zip(row, columns, strict=True)
        ]
        yield f"| {' | '.join(padded)} |"
