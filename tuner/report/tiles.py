"""The space as a map: for each pair of tile sizes the best over all other parameters, by kind of problem."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from spak.kg.evidence.table import Bools
from spak.kg.expression.assignment import show_scalar
from spak.tuner.report.document import Paragraph, Section, Table
from spak.tuner.report.timing import KernelRuns, Rounds, Size
from spak.tuner.report.words import NOTHING

_DARKEST = 4.0
"""Slowdown from which on a cell is as dark as it gets: beyond it a configuration is hopeless anyway."""


def section(kernel: KernelRuns) -> Section:
    """The map over the first two tile sizes that vary, from the largest run of each problem size."""
    table = kernel.tables[0]
    own = kernel.op.parameters
    tiles = [name for name in own if own[name].role == "tile" and len(table.parameters.get(name, ())) > 1]
    sizes = [size for size in kernel.sizes if size.rounds[0].table is table and size.rounds[0].best]
    if len(tiles) < 2 or not sizes:  # noqa: PLR2004 - a map has two axes
        text = "Fewer than two tile sizes vary in these runs: there is no map."
        return Section("The map of the space", "map", (Paragraph(text),))
    kinds = [
        name
        for name, p in kernel.op.problem.items()
        if p.specialises and len({size.problem[name] for size in sizes}) > 1
    ]
    (first, rows), (second, columns) = ((name, table.parameters[name]) for name in tiles[:2])

    def kind(size: Size) -> tuple[str, ...]:
        return tuple(show_scalar(size.problem[name]) for name in kinds)

    cells, heat = [], []
    for values, group in groupby(sorted(sizes, key=kind), key=kind):
        rounds = [size.rounds[0] for size in group]
        for i, value in enumerate(rows):
            inside = [(table.column(first) == i) & (table.column(second) == j) for j in range(len(columns))]
            found = [_cell(rounds, one) for one in inside]
            labels = (*values, str(len(rounds)), show_scalar(value))
            cells.append((*labels, *(text for text, _ in found)))
            heat.append((*(0 for _ in labels), *(depth for _, depth in found)))
    header = (*kinds, "sizes", first, *map(show_scalar, columns))
    text = (
        f"Each cell is a pair of `{first}` (rows) and `{second}` (columns): the slowdown of its fastest configuration against "
        "the best of the same rounds, over every other parameter; of several problem sizes the largest. s: it spills."
    )
    return Section("The map of the space", "map", (Table(text, header, tuple(cells), heat=tuple(heat)),))


def _cell(sizes: Sequence[Rounds], inside: Bools) -> tuple[str, int]:
    """`1.04 s`, and how dark it is, in percent."""
    worst, spills = 0.0, False
    for rounds in sizes:
        times_us = np.where(inside, rounds.table.time[rounds.row], np.nan)
        if rounds.best is None or np.isnan(times_us).all():
            continue
        place = int(np.nanargmin(times_us))
        worst = max(worst, float(times_us[place]) / rounds.best.time_us.value)
        stack = rounds.table.features.get("spill_bytes")
        spills |= stack is not None and bool(stack[rounds.row, place] > 0)
    if not worst:
        return NOTHING, 0
    return f"{worst:.2f}{' s' if spills else ''}", min(100, round(100 * math.log(worst) / math.log(_DARKEST)))
