"""What one hint changes when everything else stays: ratios over matched contexts with 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from spak.kg.expression.assignment import show_scalar
from spak.kg.model.base import Scalar
from spak.kg.model.op import Op
from spak.tuner.backend.gpu.statistics import summarise
from spak.tuner.learn.mining.indifferent import NEAR, matched
from spak.tuner.learn.mining.table import Bools, TrialTable
from spak.tuner.report.document import Block, Bullets, Figure, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Span, fastest
from spak.tuner.report.words import signed_percent

MIN_CONTEXTS = 6
"""Fewer ratios have no 95 % interval for their median (order statistics)."""

NOTHING_BELOW = 0.01
"""A change whose interval stays within 1 % either way is called none: the margin of the tie laws."""


@dataclass(frozen=True)
class Effect:
    """One parameter from one value to the next, at one problem size.

    Attributes:
        parameter: Its name.
        before: Value changed from.
        after: Value changed to.
        size: Name of the problem size.
        change: Median over contexts of the time after over the time before, minus 1, with its 95 % interval.
        contexts: Matched contexts.
        best: The best of all with `after` over the best of all with `before`, minus 1, with its interval.
    """

    parameter: str
    before: Scalar
    after: Scalar
    size: str
    change: Span
    contexts: int
    best: Span

    @property
    def label(self) -> str:
        """`v_latency 4->5`."""
        return f"{self.parameter} {show_scalar(self.before)}->{show_scalar(self.after)}"


def effects(kernel: Kernel) -> tuple[Effect, ...]:
    """Every step between neighbouring values of every parameter that is no tile size and varies.

    Each is told from the run of the size that has most pairs; times of two runs are never paired.
    """
    found: dict[tuple[str, str], Effect] = {}
    for name, parameter in kernel.op.parameters.items():
        if parameter.role != "tile":
            for effect in _in_every_run(kernel, name):
                known = found.get((effect.label, effect.size))
                if known is None or known.contexts < effect.contexts:
                    found[effect.label, effect.size] = effect
    sizes = {size.name: place for place, size in enumerate(kernel.sizes)}
    labels = {label: place for place, (label, _) in enumerate(found)}
    return tuple(sorted(found.values(), key=lambda one: (labels[one.label], sizes[one.size])))


def _in_every_run(kernel: Kernel, name: str) -> Iterator[Effect]:
    if len(kernel.table.parameters.get(name, ())) > 1:
        yield from _steps(kernel, name)
    for other in kernel.others:
        yield from _in_every_run(other, name)


def _steps(kernel: Kernel, name: str) -> Iterator[Effect]:
    table = kernel.table
    values = table.parameters[name]
    for before, after in pairwise(range(len(values))):
        contexts, _ = matched(table, name, (before, after))
        for size in kernel.sizes:
            if size.best is None or not len(contexts):
                continue
            found = table.time[size.row][contexts]  # (C, 2)
            found = found[np.isfinite(found).all(axis=1)]
            near = found[found.min(axis=1) <= NEAR * size.best.time_us.value] if len(found) else found
            if len(near) < MIN_CONTEXTS:
                continue
            told = summarise([float(ratio) for ratio in near[:, 1] / near[:, 0] - 1])
            assert told.low is not None  # noqa: S101 - MIN_CONTEXTS samples have an interval
            assert told.high is not None  # noqa: S101
            change = Span(told.median, told.low, told.high)
            best = _best_against_best(table, size.row, (table.column(name) == before, table.column(name) == after))
            yield Effect(name, values[before], values[after], size.name, change, len(near), best)


def _best_against_best(table: TrialTable, row: int, inside: tuple[Bools, Bools]) -> Span:
    """What choosing the second over the first costs when everything else is chosen as well as it can be."""
    before, after = (fastest(table, row, mask & table.observed[row]) for mask in inside)
    ratio = after.over(before)
    return Span(ratio.value - 1, ratio.low - 1, ratio.high - 1)


def verdict(found: Sequence[Effect]) -> str:
    """What one step does over all sizes, in words."""
    words = [_word(effect.change) for effect in found]
    counts = [
        (word, words.count(word)) for word in ("a tie within 1 %", "faster", "slower", "undecided") if word in words
    ]
    if len(counts) == 1:
        return f"{counts[0][0]} at {_all(len(found))}"
    return ", ".join(f"{word} at {count} of {len(found)} sizes" for word, count in counts)


def _word(change: Span) -> str:
    if change.high <= NOTHING_BELOW and change.low >= -NOTHING_BELOW:
        return "a tie within 1 %"
    return "faster" if change.high < 0 else "slower" if change.low > 0 else "undecided"


def _all(count: int) -> str:
    return "every size" if count > 1 else "the only size"


def _medians(found: Sequence[Span]) -> str:
    low, high = (signed_percent(end([span.value for span in found])) for end in (min, max))
    return low if low == high else f"{low} to {high}"


def by_step(found: Sequence[Effect]) -> list[tuple[str, tuple[Effect, ...]]]:
    """Label -> its effects, one for each size."""
    return [(label, tuple(group)) for label, group in groupby(found, key=lambda effect: effect.label)]


def section(op: Op, found: Sequence[Effect], figure: Figure | None) -> Section:
    """What each hint does, with its intervals."""
    title, anchor = "What the hints do", "effects"
    if not found:
        text = "No parameter besides the tile sizes varies in enough timed pairs of configurations to tell its effect."
        return Section(title, anchor, (Paragraph(text),))
    blocks: list[Block] = [
        Paragraph(
            "Pairs of configurations that differ in one parameter alone, the faster of the two within "
            f"{NEAR:g}x of the best; the change is the median over pairs, the interval is 95 % by order statistics. "
            "Above zero is slower."
        ),
        Bullets(tuple(_bullet(op, label, group) for label, group in by_step(found))),
    ]
    if figure is not None:
        blocks.append(figure)
    blocks += [_numbers(label, group) for label, group in by_step(found)]
    return Section(title, anchor, tuple(blocks))


def _bullet(op: Op, label: str, group: Sequence[Effect]) -> str:
    return (
        f"`{label}` ({op.parameters[group[0].parameter].description}): {verdict(group)}; medians "
        f"{_medians([effect.change for effect in group])} over {_pairs(group)} pairs. "
        f"Best against best, all else chosen freely: {_medians([effect.best for effect in group])}."
    )


def _pairs(group: Sequence[Effect]) -> str:
    low, high = (end(effect.contexts for effect in group) for end in (min, max))
    return str(low) if low == high else f"{low} to {high}"


def _bare(change: float) -> str:
    return signed_percent(change).removesuffix(" %")


def _numbers(label: str, group: Sequence[Effect]) -> Table:
    rows = [
        (
            effect.size,
            _bare(effect.change.value),
            f"[{_bare(effect.change.low)}, {_bare(effect.change.high)}]",
            _bare(effect.best.value),
            f"[{_bare(effect.best.low)}, {_bare(effect.best.high)}]",
        )
        for effect in group
    ]
    return Table(
        caption=f"`{label}`: change of the time in percent; median over matched pairs with its 95 % interval, "
        "and the best with the second value against the best with the first.",
        header=("Problem size", "median", "[95 %]", "best", "[95 %]"),
        rows=tuple(rows),
        folded=True,
    )
