"""What laws save each strategy, on recorded sweeps of sizes that the laws were not found on.

    python -m bench.laws_strategies [--strategies random genetic forest] [--seeds 200] [--json FILE]

Laws are mined and confirmed on the sweeps of the other lengths (`bench.laws`); then the strategy searches the held-out
sweep through the real loop, with those laws and the default audit, and without. What laws about compiled features
remove costs a compilation and no evaluation, and is not counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.laws import ROOT, splits, subject, sweeps
from bench.planted.cells import replayed, under
from bench.planted.sweeps import sweep
from spak.kg.files.loader import Laws, load
from spak.kg.model.law import Law
from spak.kg.model.run import Run, Trial
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.searcher import RunningSearch
from spak.tuner.knowledge.restriction import Restriction
from spak.tuner.learn.lesson import Lesson, learn_from_runs
from spak.tuner.strategy import registry

GOALS = (1.05, 1.01)
OP = "fmha"


@dataclass(frozen=True)
class Row:
    """One strategy on one held-out sweep.

    Attributes:
        without, with_: Mean evaluations over the seeds to within 5 % and 1 % of the best.
        error: Standard error of each ratio of means, by resampling the seeds.
    """

    strategy: str
    problem: str
    seeds: int
    without: tuple[float, float]
    with_: tuple[float, float]
    error: tuple[float, float]

    @property
    def saved(self) -> tuple[float, float]:
        """How many times fewer evaluations with laws."""
        return self.without[0] / self.with_[0], self.without[1] / self.with_[1]


def evaluations(one: Run, restriction: Restriction, strategy: str, seed: int) -> tuple[int, int]:
    """Evaluations to within 5 % and 1 % of the best; the search ends there."""
    best = min(value for trial in one.trials if (value := trial.value("time")) is not None)
    reached: list[int] = []
    spent = 0

    def keep(trial: Trial) -> None:
        nonlocal spent
        spent += trial.invalidity != "constraints"
        value = trial.value("time")
        while value is not None and len(reached) < len(GOALS) and value <= GOALS[len(reached)] * best:
            reached.append(spent)
        if len(reached) == len(GOALS):
            raise KeyboardInterrupt

    search = RunningSearch(restriction, partial(registry.make, strategy), Budget(len(restriction.space)), seed)
    replayed(one.id, search, keep)
    if len(reached) < len(GOALS):
        raise AssertionError(f"{one.id}, {strategy}, seed {seed}: the best was never reached")
    return reached[0], reached[1]


def row(one: Run, restrictions: tuple[Restriction, Restriction], strategy: str, seeds: int) -> Row:
    """The strategy without and with laws on one sweep."""
    counts = np.array([[evaluations(one, r, strategy, seed) for seed in range(seeds)] for r in restrictions], float)
    rng = np.random.default_rng(0)
    drawn = rng.integers(seeds, size=(500, seeds))
    ratios = counts[0][drawn].mean(axis=1) / counts[1][drawn].mean(axis=1)
    means, error = counts.mean(axis=1), ratios.std(axis=0)
    return Row(strategy, one.id, seeds, tuple(means[0]), tuple(means[1]), tuple(error))


def held_out(laws: Laws) -> Iterator[tuple[Run, tuple[Law, ...]]]:
    """Each sweep with laws from the sweeps of other lengths."""
    runs = sweeps(laws, OP)
    for name, found, held in splits(list(runs)):
        if not name.startswith("without seq_q="):
            continue
        first = [runs[text] for text in found[::2]]
        lesson = Lesson(subject(laws.ops[OP], first[0].id), laws.ops[OP], {}, 0, 0)
        learned = learn_from_runs(first, [runs[text] for text in found[1::2]], lesson)
        yield from ((runs[text], learned.laws) for text in held)


def rows(laws: Laws, strategies: Sequence[str], seeds: int) -> Iterator[Row]:
    """Every strategy on every sweep."""
    for one, found in held_out(laws):
        restriction = under(sweep(one.id), found)
        for strategy in strategies:
            yield row(one, (Restriction(restriction.space), restriction), strategy, seeds)


def main() -> int:
    """Print a line for each strategy and sweep, and the geometric means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strategies", nargs="+", default=["random", "genetic", "forest"])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = []
    print(f"{'strategy':9}{'held-out sweep':45}{'to 5%: without, with':>22}{'to 1%: without, with':>22}")
    for one in rows(load(ROOT), arguments.strategies, arguments.seeds):
        found.append(one)
        cells = [
            f"{a:8.1f}{b:7.1f} {s:4.2f}±{e:.2f}"
            for a, b, s, e in zip(one.without, one.with_, one.saved, one.error, strict=True)
        ]
        print(f"{one.strategy:9}{one.problem:45}{'  '.join(cells)}", flush=True)
    for strategy in arguments.strategies:
        logs = np.log([one.saved for one in found if one.strategy == strategy])
        print(f"{strategy}: {np.exp(logs.mean(axis=0))[0]:.2f} and {np.exp(logs.mean(axis=0))[1]:.2f} times fewer")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
