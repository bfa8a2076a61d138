"""The space as a map: for each pair of tile sizes the best over all other parameters, and where the code spills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spak.kg.expression.assignment import show_scalar
from spak.kg.model.base import Scalar
from spak.tuner.learn.mining.table import Bools, Floats, TrialTable
from spak.tuner.report.document import Block, Figure, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Size, Span, fastest
from spak.tuner.report.words import NOTHING, counted, digits, extent, times


@dataclass(frozen=True)
class Cell:
    """One pair of values.

    Attributes:
        slowdown: The fastest of the cell against the best of the size; NaN where nothing was timed.
        low: Lower end that the intervals of both allow.
        high: Upper end.
        spills: Stack of a thread of the fastest, or the least of the cell where nothing was timed; NaN if unknown.
        spilling: Share of the cell's compiled configurations that spill.
        count: Configurations tried.
    """

    slowdown: float
    low: float
    high: float
    spills: float
    spilling: float
    count: int


@dataclass(frozen=True)
class Map:
    """One problem size over two axes.

    Attributes:
        size: The problem size.
        axes: Names of rows and columns.
        rows: Values of the first.
        columns: Values of the second.
        cells: (rows, columns).
    """

    size: Size
    axes: tuple[str, str]
    rows: tuple[Scalar, ...]
    columns: tuple[Scalar, ...]
    cells: tuple[tuple[Cell, ...], ...]


def maps(kernel: Kernel) -> tuple[Map, ...]:
    """One for each problem size, over the first two tile sizes that vary; empty if fewer do."""
    table = kernel.table
    tiles = [
        name
        for name, parameter in kernel.op.parameters.items()
        if parameter.role == "tile" and len(table.parameters.get(name, ())) > 1
    ]
    if len(tiles) < 2:  # noqa: PLR2004 - a map has two axes
        return ()
    first, second = tiles[:2]
    rows, columns = table.parameters[first], table.parameters[second]
    found = []
    for size in kernel.sizes:
        cells = [
            [_cell(table, size, (table.column(first) == i) & (table.column(second) == j)) for j in range(len(columns))]
            for i in range(len(rows))
        ]
        found.append(Map(size, (first, second), rows, columns, tuple(map(tuple, cells))))
    return tuple(found)


def _cell(table: TrialTable, size: Size, inside: Bools) -> Cell:
    times_us: Floats = np.where(inside, table.time[size.row], np.nan)
    stack = table.features.get("spill_bytes")
    stacks: Floats = np.full(len(inside), np.nan) if stack is None else np.where(inside, stack[size.row], np.nan)
    known = ~np.isnan(stacks)
    spilling = float(np.mean(stacks[known] > 0)) if known.any() else float("nan")
    count = int(np.sum(inside & (table.observed[size.row] | table.failed[size.row] | known)))
    least = float(np.nanmin(stacks)) if known.any() else float("nan")
    if size.best is None or np.isnan(times_us).all():
        return Cell(float("nan"), float("nan"), float("nan"), least, spilling, count)
    place = int(np.nanargmin(times_us))
    ratio = fastest(table, size.row, inside & table.observed[size.row]).over(size.best.time_us)
    own = float(stacks[place])
    return Cell(ratio.value, ratio.low, ratio.high, own, spilling, count)


def section(kernel: Kernel, found: Sequence[Map], figure: Figure | None) -> Section:
    """The map, its numbers, and what spilling costs."""
    title, anchor = "The map of the space", "map"
    if not found:
        return Section(title, anchor, (Paragraph("Fewer than two tile sizes vary in these runs: there is no map."),))
    timed = [one for one in found if one.size.best is not None]
    axes = found[0].axes
    what = (
        "the slowdown of its fastest configuration against the fastest of all, over every other parameter"
        if timed
        else "the least stack that any configuration of it spills, in bytes a thread; nothing was timed"
    )
    blocks: list[Block] = [
        Paragraph(f"Each cell is a pair of `{axes[0]}` and `{axes[1]}`; it shows {what}. A cell marked s spills there.")
    ]
    if figure is not None:
        blocks.append(figure)
    blocks.append(_numbers(found, timed=bool(timed)))
    spills = _spills(kernel)
    if spills is not None:
        blocks += [_spill_words(kernel), spills]
    return Section(title, anchor, tuple(blocks))


def _numbers(found: Sequence[Map], *, timed: bool) -> Table:
    axes, columns = found[0].axes, found[0].columns
    rows = []
    for one in found:
        for place, value in enumerate(one.rows):
            cells = [_text(cell, timed=timed) for cell in one.cells[place]]
            rows.append((one.size.name, show_scalar(value), *cells))
    unit = "slowdown of the fastest against the best of the size" if timed else "least spilled bytes a thread"
    return Table(
        caption=f"Columns are `{axes[1]}`: {unit}; s: it spills.",
        header=("Problem size", axes[0], *(show_scalar(value) for value in columns)),
        rows=tuple(rows),
        folded=True,
    )


def _text(cell: Cell, *, timed: bool) -> str:
    if timed:
        return NOTHING if np.isnan(cell.slowdown) else f"{cell.slowdown:.2f}x{' s' if cell.spills > 0 else ''}"
    return NOTHING if np.isnan(cell.spills) else f"{digits(cell.spills)}{' s' if cell.spills > 0 else ''}"


@dataclass(frozen=True)
class Spilling:
    """What spilling costs at one size: the fastest that spills and the fastest that does not, against the best."""

    size: Size
    known: int
    count: int
    with_spill: Span | None
    without: Span | None
    median: float


def spilling(kernel: Kernel) -> Iterator[Spilling]:
    """One for each size at which compiled code is known."""
    table = kernel.table
    stack = table.features.get("spill_bytes")
    if stack is None:
        return
    for size in kernel.sizes:
        stacks = stack[size.row]
        known = ~np.isnan(stacks)
        if not known.any():
            continue
        spills, kept = known & (stacks > 0), known & (stacks == 0)
        observed = table.observed[size.row]
        relative = table.time[size.row] / size.best.time_us.value if size.best else np.full(len(stacks), np.nan)
        seen = spills & observed
        median = float(np.median(relative[seen])) if seen.any() else float("nan")
        ends = [_against_best(table, size, some & observed) for some in (spills, kept)]
        yield Spilling(size, int(known.sum()), int(spills.sum()), ends[0], ends[1], median)


def _against_best(table: TrialTable, size: Size, inside: Bools) -> Span | None:
    return fastest(table, size.row, inside).over(size.best.time_us) if size.best and inside.any() else None


def _spills(kernel: Kernel) -> Table | None:
    rows = tuple(
        (
            one.size.name,
            f"{one.count} of {one.known}",
            times(one.with_spill, ends=False) if one.with_spill else NOTHING,
            f"{one.median:.2f}x" if not np.isnan(one.median) else NOTHING,
            times(one.without, ends=False) if one.without else NOTHING,
        )
        for one in spilling(kernel)
    )
    if not rows:
        return None
    return Table(
        caption="Configurations whose code spills registers: how many, the slowdown of the fastest of them and their median "
        "slowdown, and the slowdown of the fastest that does not spill, all against the best of the size.",
        header=("Problem size", "spill", "fastest", "median", "fastest without"),
        rows=rows,
    )


def _spill_words(kernel: Kernel) -> Paragraph:
    found = [one for one in spilling(kernel) if one.with_spill is not None]
    total = sum(one.count for one in spilling(kernel))
    if not found:
        return Paragraph(f"{counted(total, 'configuration')} spilled; none of them was timed.")
    near = [one for one in found if one.with_spill and one.with_spill.low <= 1.0]
    tie = (
        f"At {len(near)} of {counted(len(found), 'size')} a configuration that spills is, or ties with, the fastest, so a "
        "spill alone does not tell that a configuration is slow."
        if near
        else "At no size does a configuration that spills tie with the fastest."
    )
    medians = extent([one.median for one in found], "x")
    return Paragraph(f"{tie} The median configuration that spills takes {medians} the time of the best.")
