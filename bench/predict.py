"""How well the predicted rank holds: the model against every recorded run that was measured.

    python -m bench.predict [--laws DIR] [--top 5] [--only TEXT] [--vary] [--out FILE]
    python -m bench.predict --compile [--sample 40] [--only TEXT]

For each run: the rank that the model gives the true best, its first choice and the best of the model's first five against the measured
best, Spearman's rank correlation, and the same for the registers-and-spills order that needs no model. Then the shares of runs whose first
choice is within 10 % and whose best of five is within 5 %, for whole sweeps and for searches.
The features of a configuration are the ones its run recorded; where that recorded none of the hot loop, those of any run that compiled the
same configuration for the same architecture and the same specialised problem parameters. `--compile` compiles each configuration instead.
`--vary` repeats the shares with each constant of the model halved and doubled.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path

import numpy as np

from spak.kernels.interface import Work
from spak.kernels.registry import SPECS, spec
from spak.kg.files.loader import Laws, load
from spak.kg.model.base import Configuration, ProblemSize, Scalar
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.run import Run, Trial
from spak.kg.space.completion import complete
from spak.tuner.backend.base import Request
from spak.tuner.backend.compile import toolchain
from spak.tuner.backend.compile.backend import all_fit, open_task
from spak.tuner.backend.compile.features import resident_features
from spak.tuner.backend.compile.occupancy import OccupancyLimits
from spak.tuner.backend.registry import Task
from spak.tuner.engine import session
from spak.tuner.knowledge import predict as model
from spak.tuner.knowledge.predict import PredictedMachine, predict_us

FEWEST = 20
"""Timed trials below which a run has no ranks worth the name."""
WITHIN_FIRST = 1.10
WITHIN_TOP = 1.05
CONSTANTS = (
    "L2_BYTES_PER_SM_CLOCK",
    "GLOBAL_LATENCY",
    "EDGE_LATENCY",
    "SMEM_LATENCY",
    "TENSOR_LATENCY",
    "SHUFFLE_LATENCY",
    "HELD_PASSES",
    "HELD_BETWEEN",
    "L1_BEYOND_SMEM_BYTES",
)

Features = Mapping[str, float]
Code = tuple[str, str, str, tuple[tuple[str, Scalar], ...]]
"""What compiled code depends on: op, architecture, specialised problem parameters as text, configuration."""


@dataclass(frozen=True)
class Case:
    """One problem size of one run: the trials that were timed and have features.

    Attributes:
        times: (N,) microseconds, measured; `lows` and `highs` are the ends of their 95 % intervals.
        works: What the launches of each do.
        features: Compiled features, with `ctas_per_sm` of at least 1.
        missing: Timed trials without features of their hot loop.
    """

    name: str
    op: str
    sweep: bool
    machine: PredictedMachine
    times: np.ndarray
    works: Sequence[Sequence[Work]]
    features: Sequence[Features]
    missing: int
    configurations: Sequence[Configuration]
    lows: np.ndarray
    highs: np.ndarray

    def predicted(self) -> np.ndarray:
        """(N,) microseconds."""
        pairs = zip(self.works, self.features, strict=True)
        return np.array([predict_us(works, features, self.machine) for works, features in pairs])


@dataclass(frozen=True)
class Row:
    """How the model does on one case.

    Attributes:
        first: Measured time of the first choice over the best one's; `best_of_top` that of the best of the first few.
        first_by_chance: Share of the trials that would do as a first choice, within 10 %.
        top_by_chance: Chance that a few trials drawn at random hold one within 5 %.
    """

    case: str
    trials: int
    missing: int
    rank_of_best: int
    first: float
    best_of_top: float
    correlation: float
    correlation_by_spills: float
    first_by_chance: float
    top_by_chance: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/spak").expanduser())
    parser.add_argument("--top", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--sample", type=int, help="only so many trials a run, evenly over the measured ranks")
    parser.add_argument("--only", default="", help="runs whose id holds this")
    parser.add_argument("--vary", action="store_true")
    parser.add_argument("--out", type=Path, help="the rows as JSON")
    options = parser.parse_args()
    laws = load(options.laws)
    known = {} if options.compile else recorded_codes(laws)
    cases = [case for run in measured(laws) if options.only in run.id for case in cases_of(laws, run, known, options)]
    rows = [row(case, options.top) for case in cases]
    show("whole sweeps", [r for c, r in zip(cases, rows, strict=True) if c.sweep], options.top)
    show("searches", [r for c, r in zip(cases, rows, strict=True) if not c.sweep], options.top)
    varied = list(vary([case for case in cases if case.sweep], options.top)) if options.vary else []
    if options.out:
        found = {
            "rows": [{**asdict(r), "sweep": c.sweep} for c, r in zip(cases, rows, strict=True)],
            "varied": varied,
        }
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def measured(laws: Laws) -> list[Run]:
    """Measured runs of the ops that have a kernel here."""
    runs = [laws.run(name) for name in laws.run_ids]
    return [r for r in runs if r.tier == "measured" and r.op in SPECS]


def cases_of(laws: Laws, run: Run, known: Mapping[Code, Features], options: argparse.Namespace) -> Iterator[Case]:
    """The problem sizes of `run` with enough timed trials that have features."""
    facts = hardware_facts(laws, run.hw)
    limits, kernel, op = OccupancyLimits.of(facts), spec(run.op), laws.ops[run.op]
    problems = {json.dumps(p := complete(op, trial.problem or run.problem), sort_keys=True): p for trial in run.trials}
    for key, problem in problems.items():
        timed = [t for t in run.trials if t.invalidity == "correct" and t.value("time")]
        trials = [t for t in timed if json.dumps(complete(op, t.problem or run.problem), sort_keys=True) == key]
        trials = sampled(trials, options.sample)
        if len(trials) < FEWEST:
            continue
        found: Sequence[Features | None]
        if options.compile:
            found = compiled(laws, run, problem, trials, options.cache)
        else:
            found = [own(t) or known.get(code(laws, run, problem, t.configuration)) for t in trials]
        whole = [(t, {**f, **resident_features(f, limits)}) for t, f in zip(trials, found, strict=True) if f]
        pairs = [(t, f) for t, f in whole if all_fit(f)]
        if len(pairs) < FEWEST:
            continue
        words = "-".join(str(v) for v in problem.values()) if len(problems) > 1 else ""
        yield Case(
            name=run.id.removeprefix("measured-") + (f" {words}" if words else ""),
            op=run.op,
            sweep=bool(run.exhaustive_over) and len(pairs) == len(trials),
            machine=PredictedMachine.of(facts),
            times=np.array([t.value("time") for t, _ in pairs]),
            works=[kernel.work(problem, t.configuration) for t, _ in pairs],
            features=[f for _, f in pairs],
            missing=len(trials) - len(pairs),
            configurations=[t.configuration for t, _ in pairs],
            lows=np.array([interval(t)[0] for t, _ in pairs]),
            highs=np.array([interval(t)[1] for t, _ in pairs]),
        )


def interval(trial: Trial) -> tuple[float, float]:
    """95 % interval of the measured time; the time itself where none was recorded."""
    time = next(m for m in trial.measurements if m.name == "time")
    return (time.value if time.low is None else time.low), (time.value if time.high is None else time.high)


def recorded_codes(laws: Laws) -> dict[Code, Features]:
    """The features of every configuration whose hot loop some run recorded."""
    found: dict[Code, Features] = {}
    for run in (laws.run(name) for name in laws.run_ids):
        if run.op not in SPECS or run.tier not in {"compiled", "measured"}:
            continue
        for trial in run.trials:
            if features := own(trial):
                problem = complete(laws.ops[run.op], trial.problem or run.problem)
                found.setdefault(code(laws, run, problem, trial.configuration), features)
    return found


def own(trial: Trial) -> dict[str, float] | None:
    """What the trial itself recorded, if that includes the hot loop."""
    found = {m.name: m.value for m in trial.measurements}
    return found if "loop_instructions" in found else None


def code(laws: Laws, run: Run, problem: ProblemSize, configuration: Configuration) -> Code:
    """What the compiled code of a trial depends on."""
    kind = {name: problem[name] for name, p in laws.ops[run.op].problem.items() if p.specialises}
    arch = str(hardware_facts(laws, run.hw)["gpu_code"])
    return run.op, arch, json.dumps(kind, sort_keys=True), tuple(sorted(configuration.items()))


def sampled(trials: Sequence[Trial], count: int | None) -> list[Trial]:
    """All trials, or `count` of them spread over the measured ranks, the best included."""
    ranked = sorted(trials, key=lambda trial: trial.value("time") or 0.0)
    if count is None or count >= len(ranked):
        return list(trials)
    return [ranked[i] for i in np.unique(np.linspace(0, len(ranked) - 1, count).round().astype(int))]


def compiled(
    laws: Laws, run: Run, problem: ProblemSize, trials: Sequence[Trial], cache: Path
) -> Sequence[dict[str, float] | None]:
    """The features of each configuration compiled here, for the run's hardware."""
    question = session.ask(laws, run.op, run.hw, ",".join(f"{k}={v}" for k, v in problem.items()))
    backend = open_task(
        Task(question.hw, question.op, question.facts, cache, os.cpu_count() or 1), toolchain.find_toolchain()
    )
    try:
        return backend.features([Request(t.configuration, problem, "") for t in trials])
    finally:
        backend.close()


def row(case: Case, top: int) -> Row:
    """How the model does on `case`; of equal predictions the one recorded first counts first."""
    times, predicted = case.times, case.predicted()
    naive = np.array([f["spill_bytes"] * 1e3 + f["registers"] for f in case.features])
    order = np.argsort(predicted, kind="stable")
    return Row(
        case=case.name,
        trials=len(times),
        missing=case.missing,
        rank_of_best=int(np.flatnonzero(order == times.argmin())[0]) + 1,
        first=float(times[order[0]] / times.min()),
        best_of_top=float(times[order[:top]].min() / times.min()),
        correlation=correlation(predicted, times),
        correlation_by_spills=correlation(naive, times),
        first_by_chance=float(np.mean(times <= WITHIN_FIRST * times.min())),
        top_by_chance=1 - comb(int(np.sum(times > WITHIN_TOP * times.min())), top) / comb(len(times), top),
    )


def shares(rows: Sequence[Row]) -> tuple[int, int]:
    """Rows whose first choice is within 10 % of the best, and whose best of the first is within 5 %."""
    return sum(r.first <= WITHIN_FIRST for r in rows), sum(r.best_of_top <= WITHIN_TOP for r in rows)


def show(title: str, rows: Sequence[Row], top: int) -> None:
    if not rows:
        return
    print(f"{title:54} {'N':>4} {'rank of':>8} {'first':>8} {'best of':>8} {'rank':>6} {'by spills,':>10}")
    print(f"{'':54} {'':>4} {'the best':>8} {'choice':>8} {f'first {top}':>8} {'corr.':>6} {'registers':>10}")
    for r in rows:
        print(
            f"{r.case[:54]:54} {r.trials:4} {r.rank_of_best:8} {r.first:7.3f}x {r.best_of_top:7.3f}x"
            f" {r.correlation:6.2f} {r.correlation_by_spills:10.2f}"
        )
    first, best = shares(rows)
    print(
        f"first choice within 10 %: {first} of {len(rows)}; best of the first {top} within 5 %: {best} of {len(rows)}"
    )
    chance = sum(r.first_by_chance for r in rows), sum(r.top_by_chance for r in rows)
    print(f"expected of choices at random: {chance[0]:.1f} and {chance[1]:.1f}\n")


def vary(cases: Sequence[Case], top: int) -> Iterator[dict[str, float | str]]:
    """The shares with each constant halved and doubled."""
    for name in CONSTANTS:
        for factor in (0.5, 2.0):
            with scaled({name: factor}):
                first, best = shares([row(case, top) for case in cases])
            print(f"{name} x {factor}: {first} and {best} of {len(cases)}", flush=True)
            yield {"constant": name, "factor": factor, "first": first, "best_of_top": best, "cases": len(cases)}


@contextmanager
def scaled(factors: Mapping[str, float]) -> Iterator[None]:
    """The model with constants of its module multiplied."""
    before = {name: getattr(model, name) for name in factors}
    for name, factor in factors.items():
        setattr(model, name, before[name] * factor)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(model, name, value)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; ties share their mean rank."""
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


def ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + 1 + ends) / 2)[inverse]


if __name__ == "__main__":
    main()
