"""Do laws save evaluations, and what does a wrong one cost? On the recorded sweeps, so that anybody can repeat it.

    python -m bench.laws [holdout] [planted] [noise] [--json FILE]

holdout  laws mined from some problem sizes, applied to the others: share pruned, what of the best is kept,
         evaluations to within 5 % and 1 % of the best (random order: exact expectation)
planted  a false law that removes the best and at least five more: with the default audit, how soon is it found out
noise    mining and confirmation on data in which nothing matters
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np

from spak.kg.evidence.judge import in_scope
from spak.kg.evidence.table import TrialTable, from_runs, problem_text
from spak.kg.expression import parse
from spak.kg.files.loader import Laws, load
from spak.kg.law.kinds.avoid import AvoidClaim, NegativeLaw
from spak.kg.law.status import status
from spak.kg.model.law import Bound, Evidence, Law, Scope
from spak.kg.model.op import Op, Parameter
from spak.kg.model.run import Run, Trial
from spak.kg.space.space import Space, build
from spak.tuner.backend.base import Provenance
from spak.tuner.backend.replay import ReplayBackend
from spak.tuner.engine.budget import Budget
from spak.tuner.engine.loop import Hooks, Result, RunningSearch, run_search
from spak.tuner.knowledge.restriction import Context, Restriction, restrict
from spak.tuner.learn.lesson import Lesson, learn_from_runs
from spak.tuner.learn.mining.candidates import Topic
from spak.tuner.strategy import registry
from tests.tuner.landscapes import noise_only

ROOT = Path(__file__).parent.parent / "laws"
TOOLCHAIN = "tileiras 13.4.92"
SEEDS = 100
NOISE_RUNS = 200
LARGE = 300
"""Trials of a sweep of a declared core; smaller ones answer a question of their own (the latency hints)."""


def sweeps(laws: Laws, op: str) -> dict[str, Run]:
    """The exhaustive measured runs of an op, by problem size."""
    runs = [laws.run(name) for name in laws.run_ids if name.startswith("measured-")]
    return {problem_text(r.problem): r for r in runs if r.op == op and r.exhaustive_over and len(r.trials) >= LARGE}


def subject(op: Op, run_id: str) -> Topic:
    return replace(Topic.of(op, "sm_90", run_id), toolchain="tileiras >=13.4,<14", toolchain_seen=TOOLCHAIN)


# ---------------------------------------------------------------------------------------------------------- holdout


@dataclass(frozen=True)
class HoldOut:
    """One problem size under laws mined and confirmed on others.

    Attributes:
        pruned: Share of the space that the hard laws remove (parameters alone, and with compiled features).
        kept: Best of what is left over the best of all, 1 is nothing lost.
        without, with_: Expected evaluations in random order to within 5 % and 1 %.
    """

    problem: str
    laws: int
    pruned: float
    pruned_before_compiling: float
    kept: float
    without: tuple[float, float]
    with_: tuple[float, float]


def expected(total: int, good: int) -> float:
    """Evaluations to the first of `good` among `total` in random order, exact: (total + 1) / (good + 1)."""
    return (total + 1) / (good + 1) if good else float("inf")


def masks(laws: Sequence[Law], table: TrialTable) -> tuple[np.ndarray, np.ndarray]:
    """(N,) what the laws about time remove at the table's one problem size: by parameters alone, and in all."""
    early = np.zeros(len(table.codes), dtype=bool)
    every = early.copy()
    for law in laws:
        if not isinstance(law, NegativeLaw) or "slowdown" not in law.claim.effect or law.status != "confirmed":
            continue
        if not in_scope(law, table.problems, {})[0]:
            continue
        region = table.holds(parse(law.claim.avoid), 0, {})
        every |= region
        if not any(name in law.claim.avoid for name in table.features):
            early |= region
    return early, every


def under(laws: Sequence[Law], one: Run) -> HoldOut:
    table = from_runs([one])
    early, removed = masks(laws, table)
    time = table.time[0]
    seen = np.isfinite(time)
    best = float(time[seen].min())
    left = seen & ~removed
    numbers = [
        tuple(expected(int(mask.sum()), int((time[mask] <= near * best).sum())) for near in (1.05, 1.01))
        for mask in (seen, left)
    ]
    return HoldOut(
        problem=problem_text(one.problem),
        laws=len(laws),
        pruned=float(removed[seen].mean()),
        pruned_before_compiling=float(early[seen].mean()),
        kept=best / float(time[left].min()),
        without=numbers[0],
        with_=numbers[1],
    )


def splits(problems: Sequence[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Ways to take sizes apart: found and confirmed on the first list, applied to the second."""
    parsed = {text: dict(part.split("=") for part in text.split(",")) for text in problems}
    for name in ("seq_q", "m", "head_dim"):
        values = sorted({fields[name] for fields in parsed.values() if name in fields}, key=float)
        for value in values if len(values) > 1 else ():
            held = [text for text, fields in parsed.items() if fields.get(name) == value]
            found = [text for text in problems if text not in held]
            yield f"without {name}={value}", found, held
    for text in problems:
        yield f"without {text}", [other for other in problems if other != text], [text]


def holdout(laws: Laws, op_id: str) -> list[dict[str, object]]:
    op = laws.ops[op_id]
    runs = sweeps(laws, op_id)
    rows: list[dict[str, object]] = []
    for name, found, held in splits(list(runs)):
        if len(found) < 4:
            continue
        suggesting, confirming = found[::2], found[1::2]
        first = [runs[text] for text in suggesting]
        learned = learn_from_runs(
            first, [runs[text] for text in confirming], Lesson(subject(op, first[0].id), op, {}, 0, 0)
        )
        for text in held:
            result = under(learned.laws, runs[text])
            rows.append({"op": op_id, "split": name, **msgspec.to_builtins(result)})
    return rows


# ---------------------------------------------------------------------------------------------------------- planted


@dataclass(frozen=True)
class Root:
    """A law root with one law in it."""

    laws: Mapping[str, Law]
    hardware: Mapping[str, object]
    ops: Mapping[str, Op]
    systems: Mapping[str, object]


def recorded_space(laws: Laws, one: Run) -> Space:
    """The op's space, narrowed to what the sweep recorded."""
    op = laws.ops[one.op]
    values = {name: tuple(found) for name, found in one.exhaustive_over.items()}
    parameters = {}
    for name, parameter in op.parameters.items():
        kept = tuple(value for value in parameter.values if value in values.get(name, (parameter.default,)))
        default = parameter.default if parameter.default in kept else kept[0]
        parameters[name] = Parameter(
            values=kept, default=default, role=parameter.role, description=parameter.description
        )
    return build(msgspec.structs.replace(op, parameters=parameters), one.problem)


def plants(table: TrialTable, count: int) -> list[str]:
    """False predicates: each removes the best and at least five more that beat all that is left; widest first."""
    time = table.time[0]
    order = np.argsort(np.where(np.isfinite(time), time, np.inf))
    single = [
        (f"{name} == {value!r}", table.column(name) == code)
        for name, values in table.parameters.items()
        if len(values) > 1
        for code, value in enumerate(values)
    ]
    pairs = [
        (f"{a[0]} and {b[0]}", a[1] & b[1]) for a, b in combinations(single, 2) if a[0].split()[0] != b[0].split()[0]
    ]
    found: list[tuple[int, str]] = []
    for text, mask in [*single, *pairs]:
        leading = np.argmin(mask[order]) if not mask[order].all() else len(order)
        if leading >= 6:
            found.append((int(mask.sum()), text))
    found.sort(reverse=True)
    step = max(1, len(found) // count)
    return [text for _, text in found[::step]][:count]


def planted_law(avoid: str, one: Run) -> NegativeLaw:
    """A confirmed law that is false."""
    entry = Evidence(
        run="planted",
        verdict="supports",
        tier="measured",
        role="independent",
        effect={"slowdown": 1.5},
        interval={"slowdown": (1.4, 1.6)},
        problems=("size=1", "size=2"),
        toolchain=TOOLCHAIN,
    )
    law = NegativeLaw(
        id="planted-falsehood",
        title="A law that is wrong",
        scope=Scope(hw="sm_90", op=one.op, toolchain="tileiras >=13.4,<14"),
        status="confirmed",
        claim=AvoidClaim(avoid=avoid, effect={"slowdown": Bound(at_least=1.2)}),
        evidence=(entry,),
    )
    if status(law) != "confirmed":
        raise AssertionError(law)
    return law


def reached(trials: Sequence[object], goal: float) -> int | None:
    """Evaluations until a trial is at `goal` or below; None if none is."""
    for place, trial in enumerate(trials, 1):
        value = trial.value("time")  # type: ignore[attr-defined]
        if value is not None and value <= goal:
            return place
    return None


def search(laws: Laws, one: Run, law: Law | None, seed: int, strategy: str) -> tuple[int | None, bool]:
    """Evaluations to within 2 % of the best, and whether the law was found out."""
    space = recorded_space(laws, one)
    root = Root({} if law is None else {law.id: law}, laws.hardware, laws.ops, {})
    restriction = restrict(space, root, Context("h200", TOOLCHAIN, transfer=False))
    best = min(value for trial in one.trials if (value := trial.value("time")) is not None)
    result = searched(one, restriction, strategy, seed)
    return reached(result.trials, 1.02 * best), bool(result.restriction.contested)


def searched(
    one: Run, restriction: Restriction, strategy: str, seed: int, keep: Callable[[Trial], None] = lambda _: None
) -> Result:
    """A search of one recorded sweep under a restriction of its own; `keep` is told each trial and may stop it."""
    provenance = Provenance("measured", {"tileiras": TOOLCHAIN.split()[1]}, None, None, "time")
    search = RunningSearch(restriction, lambda: registry.make(strategy), Budget(len(restriction.space)), seed)
    return run_search(search, ReplayBackend(recording(one), provenance), Hooks(lambda: 0.0, keep, lambda *_: None))


def recording(one: Run) -> object:
    from spak.kg.formats.recording import Recording, seen_parameters

    return Recording(
        format="run", parameters=seen_parameters(one.trials), declared=False, trials=one.trials, problem=one.problem
    )


def planted(laws: Laws, op_id: str, strategy: str = "random", count: int = 3) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for text, one in sweeps(laws, op_id).items():
        table = from_runs([one])
        without = [search(laws, one, None, seed, strategy)[0] for seed in range(SEEDS)]
        usual = float(np.mean([n for n in without if n is not None]))
        for avoid in plants(table, count):
            law = planted_law(avoid, one)
            found = [search(laws, one, law, seed, strategy) for seed in range(SEEDS)]
            rows.append(
                {
                    "op": op_id,
                    "strategy": strategy,
                    "problem": text,
                    "planted": avoid,
                    "removed": float(table.holds(parse(avoid), 0, {}).mean()),
                    "without_mean": usual,
                    "with_median": float(np.median([n if n is not None else np.inf for n, _ in found])),
                    "with_worst": float(np.max([n if n is not None else np.inf for n, _ in found])),
                    "within_twice_mean": sum(n is not None and n <= 2 * usual for n, _ in found),
                    "without_within_twice_mean": sum(n is not None and n <= 2 * usual for n in without),
                    "found_out": sum(contested for _, contested in found),
                }
            )
    return rows


# ---------------------------------------------------------------------------------------------------------- noise


def noise() -> dict[str, object]:
    """On pure noise: how often a negative or positive law about time is suggested, and how often confirmed."""
    suggested = confirmed = 0
    op = Op(id="fmha", title="Noise")
    for seed in range(NOISE_RUNS):
        runs = noise_only(seed), noise_only(seed + 10_000, sizes=(16, 32, 64))
        learned = learn_from_runs(
            [runs[0]], [runs[1]], Lesson(replace(subject(op, "noise"), kinds=()), op, {}, 0, seed)
        )
        about = [c for c in learned.candidates if {"slowdown", "cost", "failure_rate"} & set(c.law.claim.effect)]
        suggested += bool(about)
        confirmed += any(c.outcome == "confirmed" for c in about)
    return {"runs": NOISE_RUNS, "suggested": suggested, "confirmed": confirmed}


# ---------------------------------------------------------------------------------------------------------- tables


def show_holdout(rows: Sequence[Mapping[str, object]]) -> None:
    print(f"{'split':34}{'pruned':>8}{'kept':>8}{'evals 5%':>16}{'evals 1%':>16}")
    for row in rows:
        a, b = row["without"], row["with_"]
        print(
            f"{str(row['split'])[:33]:34}{row['pruned']:8.1%}{row['kept']:8.1%}"
            f"{a[0]:8.1f}{b[0]:8.1f}{a[1]:8.1f}{b[1]:8.1f}   {row['problem'][-60:]}"
        )


def show_planted(rows: Sequence[Mapping[str, object]]) -> None:
    print(f"{'planted falsehood':44}{'removes':>8}{'without':>8}{'median':>8}{'worst':>7}{'<=2x':>5}{'found':>6}")
    for row in rows:
        print(
            f"{str(row['planted'])[:43]:44}{row['removed']:8.1%}{row['without_mean']:8.1f}{row['with_median']:8.1f}"
            f"{row['with_worst']:7.0f}{row['within_twice_mean']:5}{row['found_out']:6}  ({row['without_within_twice_mean']} without)"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["holdout", "planted", "noise"])
    parser.add_argument("--strategy", default="random")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    laws = load(ROOT)
    ops = [op for op in laws.ops if sweeps(laws, op)]
    result: dict[str, object] = {}
    if "holdout" in options.parts:
        result["holdout"] = rows = [row for op in ops for row in holdout(laws, op)]
        show_holdout(rows)
    if "planted" in options.parts:
        result["planted"] = rows = [row for op in ops for row in planted(laws, op, options.strategy)]
        show_planted(rows)
    if "noise" in options.parts:
        result["noise"] = noise()
        print(result["noise"])
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
