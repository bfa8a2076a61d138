"""`python -m bench.laws planted`: every cell on as many cores as there are, its tables, and the cells that fail."""

from __future__ import annotations

import gzip
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import msgspec

from bench.planted.cells import Cell, Task, cell, plants
from bench.planted.sweeps import sweep_ids
from bench.planted.table import failing, markdown

STRATEGIES = ("random", "transfer", "genetic", "forest")
"""Those that take least first: a run that is ended has most of the cells."""


@dataclass(frozen=True)
class Choice:
    """What of it is run.

    Attributes:
        sweeps: Words of which a sweep's id has one; empty: all.
        kinds: Kinds of plants, `true region` for true ones; empty: all.
    """

    sweeps: Sequence[str] = ()
    kinds: Sequence[str] = ()
    strategies: Sequence[str] = STRATEGIES
    seeds: int = 40
    jobs: int = 1

    def tasks(self) -> Iterator[Task]:
        """Every cell that is wanted, with the cells without laws that it is compared with."""
        chosen = [name for name in sweep_ids() if not self.sweeps or any(word in name for word in self.sweeps)]
        for strategy in (name for name in STRATEGIES if name in self.strategies):
            for name in chosen:
                yield Task(name, True, -1, strategy, self.seeds)
                yield from self._planted(name, strategy)

    def _planted(self, name: str, strategy: str) -> Iterator[Task]:
        for number, plant in enumerate(plants(name, are_false=True)):
            if self._wants(plant.kind):
                yield Task(name, True, number, strategy, self.seeds)
        for number, plant in enumerate(plants(name, are_false=False)):
            if self._wants(f"true {plant.kind}"):
                yield Task(name, False, number, strategy, self.seeds)
                yield Task(name, False, number, strategy, self.seeds, audit=0.0)

    def _wants(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds


def cells(choice: Choice) -> Iterator[Cell]:
    """Every cell that is wanted, as it is done; progress goes to stderr."""
    tasks = list(choice.tasks())
    started = time.monotonic()
    for number, done in enumerate(_run(tasks, choice.jobs), 1):
        yield done
        if number % max(1, len(tasks) // 40) == 0:
            print(f"{number} of {len(tasks)} cells, {time.monotonic() - started:.0f} s", file=sys.stderr)


def _run(tasks: Sequence[Task], jobs: int) -> Iterator[Cell]:
    with ProcessPoolExecutor(jobs, get_context("fork"), _alone) as pool:  # what is read and planted is shared
        yield from (future.result() for future in as_completed([pool.submit(cell, task) for task in tasks]))


def _alone() -> None:
    """One thread for linear algebra: the searches themselves are what runs side by side."""
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    threadpool_limits(1)


def run(choice: Choice, to: Path | None) -> None:
    """Run what is wanted, print it, and keep each cell in `to` as it is done: a run that is ended leaves what it has."""
    found = []
    with nullcontext() if to is None else to.open("wb") as file:
        for one in cells(choice):
            found.append(one)
            if file is not None:
                file.write(msgspec.json.encode(one) + b"\n")
                file.flush()
    show(found)


def show(found: Sequence[Cell]) -> None:
    """Print the tables, then the cells that fail."""
    ordered = in_order(found)
    print("\n".join(markdown(ordered)))
    wrong = list(failing(ordered))
    print(f"\n{len(wrong)} of {len(found)} cells fail" + "".join(f"\n- {line}" for line in wrong))


def in_order(found: Sequence[Cell]) -> list[Cell]:
    """By kind, strategy and sweep, whichever was done first."""
    return sorted(found, key=lambda one: (one.kind, one.strategy, one.sweep, one.what, -one.audit))


def read(paths: Sequence[Path]) -> list[Cell]:
    """Cells of earlier runs."""
    data = b"".join(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in paths)
    return [msgspec.json.decode(line, type=Cell) for line in data.splitlines()]
