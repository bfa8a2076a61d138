"""Cells as tables: for each kind and strategy all searches together and the worst cell, and which cells fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.planted.cells import WITHOUT, Cell

MOST = 0.95
"""Share of the searches of a cell that are to contest every false law, and to arrive in time."""

TWICE = 2.0
"""How many times the evaluations of the search without laws, or of random search, are still in time."""

WRONGED = 0.01
"""Share of searches in which a true law may be contested."""


@dataclass(frozen=True)
class Compared:
    """One cell beside that of the same strategy on the same sweep without laws."""

    cell: Cell
    without: Cell

    @cached_property
    def contested(self) -> float:
        """Share of the searches that contested every false law."""
        return float(np.mean([count == self.cell.false for count in self.cell.contested]))

    @cached_property
    def in_time(self) -> float:
        """Share of the searches that arrive within twice the evaluations in which `MOST` without laws do."""
        return float(np.mean(spent(self.cell) <= TWICE * np.quantile(spent(self.without), MOST)))

    @cached_property
    def in_twice_the_mean(self) -> float:
        """Share that arrive within twice the mean evaluations without laws: many do not without laws either."""
        return float(np.mean(spent(self.cell) <= TWICE * mean(self.without)))

    @cached_property
    def in_twice_the_mean_without(self) -> float:
        """The same share of the searches without laws."""
        return float(np.mean(spent(self.without) <= TWICE * mean(self.without)))

    @property
    def dearer(self) -> float:
        """Mean evaluations over those without laws."""
        return mean(self.cell) / mean(self.without)

    @property
    def to_random(self) -> float:
        """Mean evaluations over what random search expects."""
        return mean(self.cell) / self.cell.at_random

    @property
    def wronged(self) -> float:
        """Share of the searches that contested a law that is not false."""
        return float(np.mean([count > 0 for count in self.cell.wronged]))

    def failures(self) -> Iterator[str]:
        """What is wrong with it."""
        if self.cell.false:
            if self.contested < MOST:
                yield f"contested in {self.contested:.0%}"
            if self.in_time < MOST:
                yield f"in time in {self.in_time:.0%}"
        elif self.wronged > WRONGED:
            yield f"true, contested in {self.wronged:.0%}"
        if self.to_random > TWICE:
            yield f"{self.to_random:.1f} times random ({mean(self.without) / self.cell.at_random:.1f} without laws)"
        if any(self.cell.early):
            yield f"{sum(self.cell.early)} ended early"


def spent(cell: Cell) -> np.ndarray:
    """(seeds,) evaluations to the goal; where it was never reached, one more than there are configurations."""
    return np.array([cell.space + 1 if n is None else n for n in cell.arrived], float)


def mean(cell: Cell) -> float:
    """Mean evaluations to the goal."""
    return float(spent(cell).mean())


def compared(cells: Sequence[Cell]) -> list[Compared]:
    """Each cell with laws beside the one without, where that was made."""
    without = {(cell.sweep, cell.strategy): cell for cell in cells if cell.kind == WITHOUT}
    pairs = ((cell, without.get((cell.sweep, cell.strategy))) for cell in cells if cell.kind != WITHOUT)
    return [Compared(cell, alone) for cell, alone in pairs if alone is not None]


def markdown(cells: Sequence[Cell]) -> Iterator[str]:
    """Two tables: false laws, and true ones."""
    rows = compared(cells)
    columns = [
        *("planted", "strategy", "cells", "contested", "worst cell", "in time", "worst cell", "in 2x the mean"),
        *("without laws", "times without", "worst", "times random, worst", "found out after", "ended early"),
    ]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for (kind, strategy), group in _grouped(row for row in rows if row.cell.false):
        yield _false_row(kind, strategy, group)
    yield ""
    yield "| true laws | strategy | cells | contested | times without, audited | not audited |"
    yield "|---|---|---|---|---|---|"
    for (kind, strategy), group in _grouped(row for row in rows if not row.cell.false):
        audited = [row for row in group if row.cell.audit]
        if not audited:
            continue
        contested = np.mean([count > 0 for row in audited for count in row.cell.wronged])
        costs = [
            _geometric([row.dearer for row in group if bool(row.cell.audit) == is_audited])
            for is_audited in (True, False)
        ]
        yield f"| {kind} | {strategy} | {len(audited)} | {100 * contested:.1f} % | {costs[0]:.2f} | {costs[1]:.2f} |"


def _false_row(kind: str, strategy: str, group: Sequence[Compared]) -> str:
    after = [n for row in group for n in row.cell.found_out if n is not None]
    fields = [
        kind,
        strategy,
        f"{len(group)}",
        _share([row.contested for row in group]),
        _share([min(row.contested for row in group)]),
        _share([row.in_time for row in group]),
        _share([min(row.in_time for row in group)]),
        _share([row.in_twice_the_mean for row in group]),
        _share([row.in_twice_the_mean_without for row in group]),
        f"{_geometric([row.dearer for row in group]):.2f}",
        f"{max(row.dearer for row in group):.2f}",
        f"{max(row.to_random for row in group):.2f}",
        f"{np.median(after):.0f}" if after else "never",
        f"{sum(sum(row.cell.early) for row in group)}",
    ]
    return "| " + " | ".join(fields) + " |"


def failing(cells: Sequence[Cell]) -> Iterator[str]:
    """One line for each cell in which something is wrong."""
    for row in compared(cells):
        found = list(row.failures())
        if found:
            one = row.cell
            audit = "" if one.audit else ", no audit"
            yield f"{one.sweep}, {one.kind}, {one.strategy}{audit}: {'; '.join(found)}: {one.what[:160]}"


def _grouped(rows: Iterable[Compared]) -> Iterator[tuple[tuple[str, str], list[Compared]]]:
    groups: dict[tuple[str, str], list[Compared]] = {}
    for row in rows:
        groups.setdefault((row.cell.kind, row.cell.strategy), []).append(row)
    yield from groups.items()


def _share(values: Sequence[float]) -> str:
    """A mean share in percent; only what is all is said to be 100 %."""
    share = float(np.mean(values))
    return "100 %" if share == 1 else f"{min(share, 0.999):.1%}".replace("%", " %")


def _geometric(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values)))) if values else float("nan")
