"""The drawings of a report; each states its units, its error bars, and in words what a person who cannot see it misses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spak.kg.expression.assignment import show_scalar
from spak.tuner.report import drawing
from spak.tuner.report.bounds import Bound, Roofs
from spak.tuner.report.document import Figure
from spak.tuner.report.drawing import BLUE, GREEN, GREY, INK, ORANGE, PURPLE
from spak.tuner.report.effects import Effect, by_step
from spak.tuner.report.landscape import Cell, Map
from spak.tuner.report.timing import Kernel, Size, Span
from spak.tuner.report.words import digits, extent

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

_COLUMNS = 4
"""Small maps side by side."""

_DARKEST = 4.0
"""Slowdown from which on a cell is as dark as it gets: beyond it a configuration is hopeless anyway."""


def throughput(kernel: Kernel) -> Figure:
    """TFLOPS of the tuned and the default configuration and of the libraries at every size."""
    sizes = [size for size in kernel.sizes if size.best is not None]
    names = list(dict.fromkeys(name for size in sizes for name in size.references))
    series: list[tuple[str, str, list[Span | None]]] = [
        ("tuned", BLUE, [size.best.tflops if size.best else None for size in sizes]),
        ("default", ORANGE, [size.default.tflops if size.default else None for size in sizes]),
    ]
    for name, colour in zip(names, (GREY, GREEN, PURPLE) * len(names), strict=False):
        series.append((name, colour, [_rate(size, name) for size in sizes]))
    series = [one for one in series if any(one[2])]

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        height = 0.8 / len(series)
        for place, (label, colour, rates) in enumerate(series):
            at = [row + (place - (len(series) - 1) / 2) * height for row, rate in enumerate(rates) if rate]
            found = [rate for rate in rates if rate]
            axes.barh(at, [r.value for r in found], height=height * 0.9, color=colour, label=label)
            _whiskers(axes, at, found)
        axes.set_yticks(range(len(sizes)), [size.name for size in sizes])
        axes.margins(y=0.01)
        axes.invert_yaxis()
        axes.set_xlabel("TFLOPS, useful work; whiskers: 95 % interval")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    best = [size.best.tflops.value for size in sizes if size.best]
    return Figure(
        "throughput",
        "Throughput in TFLOPS of useful work at each problem size: the tuned kernel, its default configuration and the "
        "library baselines timed in the same rounds. Whiskers are 95 % intervals of the median.",
        f"Bar chart. The tuned kernel reaches {extent(best, ' TFLOPS')} over {len(sizes)} problem sizes.",
        drawing.draw("throughput", (8.6, 0.8 + 0.085 * (len(series) + 1) * len(sizes)), paint),
    )


def _rate(size: Size, name: str) -> Span | None:
    return size.references[name].rate(size.flops / 1e6) if name in size.references else None


def _whiskers(axes: Any, at: Sequence[float], found: Sequence[Span]) -> None:
    ends = [[span.value - span.low for span in found], [span.high - span.value for span in found]]
    axes.errorbar([s.value for s in found], at, xerr=ends, fmt="none", ecolor=INK, elinewidth=0.8, capsize=1.2)


def roofline(roofs: Roofs, series: Sequence[tuple[str, Sequence[Bound]]]) -> Figure:
    """The roofs and every measured kernel under them."""
    points = [bound for _, found in series for bound in found]
    low = min([bound.intensity for bound in points] + [roofs.ridge]) / 4
    high = max([bound.intensity for bound in points] + [roofs.ridge]) * 4

    def paint(canvas: Canvas) -> None:
        axes = canvas.subplots()
        span = np.geomspace(low, high, 200)
        axes.loglog(span, np.minimum(span * roofs.gb_per_s / 1e3, roofs.tflops), color=INK, linewidth=1.4)
        _roof_words(axes, roofs, high)
        markers = zip(series, (BLUE, ORANGE, GREEN, PURPLE, GREY), "osD^v", strict=False)
        for (label, found), colour, marker in markers:
            timed = [bound for bound in found if bound.size.best is not None]
            rates = [bound.size.best.tflops for bound in timed if bound.size.best]
            ends = [[rate.value - rate.low for rate in rates], [rate.high - rate.value for rate in rates]]
            axes.errorbar(
                [bound.intensity for bound in timed],
                [rate.value for rate in rates],
                yerr=ends,
                fmt=marker,
                color=colour,
                markersize=5,
                capsize=2,
                label=label,
            )
        reached = [bound.size.best.tflops.value for bound in points if bound.size.best]
        axes.set(xlim=(low, high), ylim=(min([*reached, roofs.tflops / 10]) / 2, roofs.tflops * 1.6))
        axes.set_xlabel("FLOP per byte of least traffic to device memory")
        axes.set_ylabel("TFLOPS, useful work")
        axes.grid(visible=True, which="major", color=GREY, alpha=0.35, linewidth=0.5)
        axes.legend(loc="lower right")

    shares = [
        100 * bound.size.best.tflops.value / min(roofs.tflops, bound.intensity * roofs.gb_per_s / 1e3)
        for bound in points
        if bound.size.best
    ]
    return Figure(
        "roofline",
        f"Roofline: the peak of {digits(roofs.tflops)} TFLOPS (fp16 or bf16 tensor cores, dense, as printed in the "
        f"datasheet) and {digits(roofs.gb_per_s)} GB/s meet at {digits(roofs.ridge)} FLOP per byte. Each marker is the "
        "fastest configuration at one problem size; vertical bars are 95 % intervals, mostly smaller than the marker.",
        f"Log-log plot. The measured points lie at {extent(shares, ' %', 2)} of the roof above them.",
        drawing.draw("roofline", (8.6, 3.8), paint),
    )


def _roof_words(axes: Any, roofs: Roofs, high: float) -> None:
    axes.annotate(
        f"{digits(roofs.tflops)} TFLOPS",
        (high, roofs.tflops),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right",
    )
    axes.annotate(
        f"{digits(roofs.gb_per_s)} GB/s",
        (roofs.ridge / 2, roofs.tflops / 2),
        xytext=(-6, 2),
        textcoords="offset points",
        ha="right",
    )


def heat_maps(found: Sequence[Map]) -> Figure:
    """One small map for each problem size."""
    timed = any(one.size.best is not None for one in found)
    columns = min(_COLUMNS, len(found))
    rows = math.ceil(len(found) / columns)

    def paint(canvas: Canvas) -> None:
        grid = canvas.subplots(rows, columns, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place < len(found):
                _one_map(axes, found[place], timed=timed)
            else:
                axes.set_axis_off()

    axes = found[0].axes
    shade = (
        "Slowdown of the fastest configuration of each cell against the fastest of the size (1.00 is the best; darker is "
        f"slower, {digits(_DARKEST)}x and beyond alike)"
        if timed
        else "Least stack, in bytes a thread, that a configuration of the cell spills (darker is more); nothing was timed"
    )
    return Figure(
        "map",
        f"{shade}. Rows are `{axes[0]}`, columns `{axes[1]}`. Hatched and marked s: the configuration shown spills "
        f"registers.{_widest(found) if timed else ''}",
        "Heat maps of the tile sizes, one for each problem size; the numbers follow as a table.",
        drawing.draw("map", (2.15 * columns + 0.2, (0.30 * len(found[0].rows) + 0.75) * rows), paint),
    )


def _widest(found: Sequence[Map]) -> str:
    """How far the interval of a cell reaches from its value at most: the error bars of a map."""
    cells = [cell for one in found for row in one.cells for cell in row if not math.isnan(cell.slowdown)]
    reach = max(max(cell.high / cell.slowdown, cell.slowdown / cell.low) - 1 for cell in cells)
    return f" The 95 % interval of a slowdown reaches at most {digits(100 * reach, 2)} % of it to either side."


def _one_map(axes: Any, one: Map, *, timed: bool) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - drawing.draw has said what is missing

    values = [[cell.slowdown if timed else cell.spills for cell in row] for row in one.cells]
    most = _DARKEST if timed else max(1.0, float(np.nanmax([[*row] for row in values] + [[0.0] * len(one.columns)])))
    for i, row in enumerate(one.cells):
        for j, cell in enumerate(row):
            value = values[i][j]
            if math.isnan(value):
                continue
            depth = math.log(max(value, 1.0)) / math.log(_DARKEST) if timed else value / most
            depth = min(1.0, depth)
            face = (0.23, 0.51, 0.77, 0.06 + 0.86 * depth)
            spills = cell.spills > 0
            box = Rectangle(
                (j, i), 1, 1, facecolor=face, edgecolor=INK, linewidth=0.4, hatch="////" if spills else None
            )
            axes.add_patch(box)
            _cell_words(axes, (j + 0.5, i + 0.5), cell, timed=timed)
    axes.set(xlim=(0, len(one.columns)), ylim=(len(one.rows), 0), title=one.size.name)
    axes.set_xticks(np.arange(len(one.columns)) + 0.5, [show_scalar(value) for value in one.columns])
    axes.set_yticks(np.arange(len(one.rows)) + 0.5, [show_scalar(value) for value in one.rows])
    axes.set(xlabel=one.axes[1], ylabel=one.axes[0])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _cell_words(axes: Any, place: tuple[float, float], cell: Cell, *, timed: bool) -> None:
    text = f"{cell.slowdown:.2f}" if timed else f"{cell.spills:.0f}"
    best = timed and cell.slowdown <= 1.0
    axes.annotate(
        f"{text}{' s' if cell.spills > 0 else ''}",
        place,
        ha="center",
        va="center",
        fontsize=8,
        fontweight="bold" if best else "normal",
    )


def forest(found: Sequence[Effect]) -> Figure:
    """Each hint's change at each problem size, with its interval."""
    groups = by_step(found)
    sizes = list(dict.fromkeys(effect.size for effect in found))

    def paint(canvas: Canvas) -> None:
        grid = canvas.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axes, (label, group) in zip(grid, groups, strict=True):
            at = [sizes.index(effect.size) for effect in group]
            values = [100 * effect.change.value for effect in group]
            ends = [
                [100 * (effect.change.value - effect.change.low) for effect in group],
                [100 * (effect.change.high - effect.change.value) for effect in group],
            ]
            axes.axvline(0, color=GREY, linewidth=0.8)
            axes.errorbar(values, at, xerr=ends, fmt="o", color=BLUE, ecolor=BLUE, markersize=3.5, capsize=2)
            axes.set_title(label.replace(" ", "\n", 1))
            axes.set_xlabel("change, %")
            axes.margins(x=0.15)
        grid[0].set_yticks(range(len(sizes)), sizes)
        grid[0].set_ylim(len(sizes) - 0.5, -0.5)

    return Figure(
        "effects",
        "Change of the time in percent when one parameter changes and all others stay: median over matched pairs, bars are "
        "its 95 % interval (order statistics). Left of zero is faster. Each panel has its own scale.",
        "Dots with intervals, one panel for each change of a parameter, one row for each problem size; the numbers follow.",
        drawing.draw("effects", (max(5.0, 1.2 + 1.45 * len(groups)), 0.9 + 0.27 * len(sizes)), paint),
    )
