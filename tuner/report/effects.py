"""What one setting changes when everything else stays: ratios over matched contexts with 95 % intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from spak.kg.expression.assignment import show_scalar
from spak.tuner.backend.gpu.statistics import summarise
from spak.tuner.learn.mining.indifferent import NEAR
from spak.tuner.report.document import Paragraph, Section, Table
from spak.tuner.report.timing import KernelRuns, Rounds
from spak.tuner.report.words import percents

MIN_CONTEXTS = 6
"""Fewer ratios have no 95 % interval for their median (order statistics)."""

NOTHING_BELOW = 0.01
"""A change whose interval stays within 1 % either way is called a tie: the margin of the tie laws."""


@dataclass(frozen=True)
class ParameterEffect:
    """One parameter from one value to the next, at one problem size.

    Attributes:
        change: Median over contexts of the time after over the time before, minus 1.
        verdict: `faster`, `slower` or `tie` where the 95 % interval of the change says so, else `open`.
        best: The best of all with the value after over the best of all with the value before, minus 1.
    """

    label: str
    size: int
    contexts: int
    change: float
    verdict: str
    best: float


def parameter_effects(kernel: KernelRuns) -> list[tuple[str, list[ParameterEffect]]]:
    """Label -> its effects, one for each size, for neighbouring values of each parameter that is no tile size.

    Each is told from the run of the size that has most pairs; times of two runs are never paired. What changes the time
    most comes first.
    """
    found = [
        effect for place, size in enumerate(kernel.sizes) for one in size.rounds for effect in _effects(one, place)
    ]
    found.sort(key=lambda one: (one.label, one.size, -one.contexts))
    kept = [next(same) for _, same in groupby(found, key=lambda one: (one.label, one.size))]
    steps = [(label, list(group)) for label, group in groupby(kept, key=lambda one: one.label)]
    return sorted(steps, key=lambda step: -float(np.median([abs(one.change) for one in step[1]])))


def _effects(rounds: Rounds, size: int) -> Iterator[ParameterEffect]:
    table = rounds.table
    for name, parameter in rounds.op.parameters.items():
        values = table.parameters.get(name, ()) if parameter.role != "tile" and rounds.best else ()
        for before, after in pairwise(range(len(values))):
            contexts = table.matched(name, (before, after))
            found = table.time[rounds.row][contexts]  # (C, 2)
            found = found[np.isfinite(found).all(axis=1)]
            near = found[(found <= NEAR * table.time[rounds.row, table.best()[rounds.row]]).any(axis=1)]
            if len(near) < MIN_CONTEXTS:
                continue
            told = summarise([float(ratio) for ratio in near[:, 1] / near[:, 0] - 1])
            best = [rounds.fastest(table.column(name) == code) for code in (before, after)]
            label = f"{name} {show_scalar(values[before])}->{show_scalar(values[after])}"
            verdict = _verdict(told.low or 0.0, told.high or 0.0)
            yield ParameterEffect(label, size, len(near), told.median, verdict, best[1].over(best[0]).value - 1)


def _verdict(low: float, high: float) -> str:
    if low >= -NOTHING_BELOW and high <= NOTHING_BELOW:
        return "tie"
    return "faster" if high < 0 else "slower" if low > 0 else "open"


def section(found: Sequence[tuple[str, Sequence[ParameterEffect]]]) -> Section:
    """What each setting does, in one table."""
    title, anchor = "Which settings matter", "effects"
    if not found:
        text = "No parameter besides the tile sizes varies in enough timed pairs of configurations to tell its effect."
        return Section(title, anchor, (Paragraph(text),))
    text = (
        f"Pairs of configurations that differ in one parameter alone, the faster of the two within {NEAR:g}x of the best. "
        "A change counts as faster or slower where its 95 % interval says so, as a tie where the interval stays within "
        f"{NOTHING_BELOW:.0%}, else as open."
    )
    rows = []
    for label, group in found:
        word, count = Counter(one.verdict for one in group).most_common(1)[0]
        changes, best = percents([one.change for one in group]), percents([one.best for one in group])
        rows.append((f"`{label}`", f"{word} {count}/{len(group)}", changes, best))
    table = Table(
        caption="What changing one setting does: the commonest verdict and at how many problem sizes, the least and the "
        "largest median change of the time, and the same of the best against the best, all else chosen freely.",
        header=("Change", "Verdict", "time, %", "best, %"),
        rows=tuple(rows),
    )
    return Section(title, anchor, (Paragraph(text), table))
