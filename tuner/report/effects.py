"""What one setting changes when everything else stays: ratios over matched contexts with 95 % intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from spak.kg.expression.assignment import show_scalar
from spak.tuner.backend.gpu.statistics import summarise
from spak.tuner.learn.mining.indifferent import NEAR, matched
from spak.tuner.report.document import Block, Paragraph, Section, Table
from spak.tuner.report.timing import Kernel, Rounds, Size, Span
from spak.tuner.report.words import percents

MIN_CONTEXTS = 6
"""Fewer ratios have no 95 % interval for their median (order statistics)."""

NOTHING_BELOW = 0.01
"""A change whose interval stays within 1 % either way is called a tie: the margin of the tie laws."""


@dataclass(frozen=True)
class Effect:
    """One parameter from one value to the next, at one problem size.

    Attributes:
        label: `parameter before->after`.
        size: Place of the problem size.
        change: Median over contexts of the time after over the time before, minus 1, with its 95 % interval.
        contexts: Matched contexts.
        best: The best of all with the value after over the best of all with the value before, minus 1.
    """

    label: str
    size: int
    change: Span
    contexts: int
    best: float

    @property
    def word(self) -> str:
        """`faster`, `slower`, `tie` or `open`."""
        if self.change.high <= NOTHING_BELOW and self.change.low >= -NOTHING_BELOW:
            return "tie"
        return "faster" if self.change.high < 0 else "slower" if self.change.low > 0 else "open"


def effects(kernel: Kernel) -> list[tuple[str, tuple[Effect, ...]]]:
    """Label -> its effects, one for each size, for neighbouring values of each parameter that is no tile size.

    Each is told from the run of the size that has most pairs; times of two runs are never paired. What changes the time
    most comes first.
    """
    found = [effect for place, size in enumerate(kernel.sizes) for effect in _at(kernel, place, size)]
    found.sort(key=lambda one: (one.label, one.size, -one.contexts))
    kept = [next(same) for _, same in groupby(found, key=lambda one: (one.label, one.size))]
    steps = [(label, tuple(group)) for label, group in groupby(kept, key=lambda one: one.label)]
    return sorted(steps, key=lambda step: -float(np.median([abs(one.change.value) for one in step[1]])))


def _at(kernel: Kernel, place: int, size: Size) -> Iterator[Effect]:
    for name, parameter in kernel.op.parameters.items():
        for rounds in size.rounds if parameter.role != "tile" else ():
            values = rounds.table.parameters.get(name, ())
            for before, after in pairwise(range(len(values))):
                effect = _effect(rounds, name, (before, after))
                if effect is not None:
                    label = f"{name} {show_scalar(values[before])}->{show_scalar(values[after])}"
                    yield Effect(label, place, *effect)


def _effect(rounds: Rounds, name: str, codes: tuple[int, int]) -> tuple[Span, int, float] | None:
    contexts, _ = matched(rounds.table, name, codes)
    found = rounds.table.time[rounds.row][contexts]  # (C, 2)
    if rounds.best is None or not len(found):
        return None
    found = found[np.isfinite(found).all(axis=1)]
    near = found[found.min(axis=1) <= NEAR * rounds.best.time_us.value] if len(found) else found
    if len(near) < MIN_CONTEXTS:
        return None
    told = summarise([float(ratio) for ratio in near[:, 1] / near[:, 0] - 1])
    change = Span(
        told.median, told.median if told.low is None else told.low, told.median if told.high is None else told.high
    )
    column = rounds.table.column(name)
    before, after = (rounds.fastest(column == code) for code in codes)
    return change, len(near), after.over(before).value - 1


def section(found: Sequence[tuple[str, tuple[Effect, ...]]]) -> Section:
    """What each setting does, in one table."""
    if not found:
        text = "No parameter besides the tile sizes varies in enough timed pairs of configurations to tell its effect."
        return Section("Which settings matter", "effects", (Paragraph(text),))
    blocks: tuple[Block, ...] = (
        Paragraph(
            "Pairs of configurations that differ in one parameter alone, the faster of the two within "
            f"{NEAR:g}x of the best. A change counts as faster or slower where its 95 % interval says so, as a tie where "
            f"the interval stays within {NOTHING_BELOW:.0%}, else as open."
        ),
        Table(
            caption="What changing one setting does: the commonest verdict and at how many problem sizes, the least and the "
            "largest median change of the time, and the same of the best against the best, all else chosen freely.",
            header=("Change", "Verdict", "time, %", "best, %"),
            rows=tuple((f"`{label}`", *_figures(group)) for label, group in found),
        ),
    )
    return Section("Which settings matter", "effects", blocks)


def _figures(group: Sequence[Effect]) -> tuple[str, str, str]:
    word, count = Counter(effect.word for effect in group).most_common(1)[0]
    changes = percents([effect.change.value for effect in group])
    return f"{word} {count}/{len(group)}", changes, percents([effect.best for effect in group])
