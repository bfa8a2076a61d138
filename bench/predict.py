"""How well the predicted rank holds: the model against every recorded sweep that was measured.

    python bench/predict.py [--laws DIR] [--top 5] [--quick]

For each sweep: the rank that the model gives the true best, its first choice and the best of the model's first five against the measured
best, Spearman's rank correlation, and the same for the registers-and-spills order that needs no model.
`--quick` takes the features in the run files; without it each configuration is compiled (cached) for its hot loop.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kernels.registry import SPECS, spec
from kg.loader import Laws, load
from kg.model.run import Run, Trial
from tuner import session
from tuner.backend.base import Request
from tuner.backend.compile import toolchain
from tuner.backend.compile.features import resident
from tuner.backend.compile.occupancy import Limits
from tuner.predict.model import Machine, predict_us


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/spak/compile").expanduser())
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--sample", type=int, help="only so many trials a sweep, evenly over the measured ranks")
    parser.add_argument("--only", default="", help="sweeps whose id holds this")
    options = parser.parse_args()
    laws = load(options.laws)
    print(f"{'sweep':44} {'N':>4} {'rank of':>8} {'first':>8} {'best of':>8} {'rank':>6} {'by spills,':>10}")
    print(f"{'':44} {'':>4} {'the best':>8} {'choice':>8} {f'first {options.top}':>8} {'corr.':>6} {'registers':>10}")
    for run in (r for r in measured(laws) if options.only in r.id):
        trials = sampled(run, options.sample)
        features = from_run(laws, run, trials) if options.quick else compiled(laws, run, trials, options.cache)
        print(row(laws, run, trials, features, options.top), flush=True)


def measured(laws: Laws) -> list[Run]:
    """Sweeps of one problem size with at least 20 timed trials."""
    runs = [laws.run(name) for name in laws.run_ids]
    return [r for r in runs if r.tier == "measured" and r.op in SPECS and len(r.trials) >= 20]


def sampled(run: Run, count: int | None) -> list[Trial]:
    """Timed trials of the run's own problem size, all or `count` of them spread over the ranks, the best included."""
    trials = [t for t in run.trials if t.invalidity == "correct" and t.value("time") and not t.problem]
    trials.sort(key=lambda trial: trial.value("time") or 0.0)
    if count is None or count >= len(trials):
        return trials
    return [trials[i] for i in np.unique(np.linspace(0, len(trials) - 1, count).round().astype(int))]


def from_run(laws: Laws, run: Run, trials: Sequence[Trial]) -> list[dict[str, float] | None]:
    """The features that the run recorded."""
    limits = Limits.of(session.ask(laws, run.op, run.hw, "").facts)
    found = [{m.name: m.value for m in trial.measurements} for trial in trials]
    return [{**f, **resident(f, limits)} if "registers" in f else None for f in found]


def compiled(laws: Laws, run: Run, trials: Sequence[Trial], cache: Path) -> list[dict[str, float] | None]:
    """The features of each configuration compiled here, for the run's hardware."""
    question = session.ask(laws, run.op, run.hw, ",".join(f"{k}={v}" for k, v in run.problem.items()))
    backend = session.compile_backend(question, toolchain.find(), session.Workplace(cache, os.cpu_count() or 1))
    try:
        return list(backend.features([Request(t.configuration, run.problem, "") for t in trials]))
    finally:
        backend.close()


def row(laws: Laws, run: Run, trials: Sequence[Trial], features: Sequence[dict[str, float] | None], top: int) -> str:
    """One line of the table."""
    machine = Machine.of(session.ask(laws, run.op, run.hw, "").facts)
    kernel = spec(run.op)
    pairs = [(t, f) for t, f in zip(trials, features, strict=True) if f is not None and f["ctas_per_sm"] >= 1]
    times = np.array([t.value("time") for t, _ in pairs])
    predicted = np.array([predict_us(kernel.work(run.problem, t.configuration), f, machine) for t, f in pairs])
    naive = np.array([f["spill_bytes"] * 1e3 + f["registers"] for _, f in pairs])
    order = np.argsort(predicted, kind="stable")
    rank = int(np.flatnonzero(order == times.argmin())[0]) + 1
    first, regret = times[order[0]] / times.min(), times[order[:top]].min() / times.min()
    return (
        f"{run.id:44} {len(pairs):4} {rank:8} {first:7.3f}x {regret:7.3f}x {correlation(predicted, times):6.2f}"
        f" {correlation(naive, times):10.2f}"
    )


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + 1 + ends) / 2)[inverse]


if __name__ == "__main__":
    main()
