"""Do laws save evaluations, and what does a wrong one cost? On the recorded sweeps, so that anybody can repeat it.

    python -m bench.laws [holdout] [noise] [--json FILE]
    python -m bench.laws planted [--sweeps WORD ...] [--kinds KIND ...] [--strategies NAME ...] [--seeds 40] [--jobs 1]
    python -m bench.laws planted --table FILE ...    what earlier runs came to

holdout  laws mined from some problem sizes, applied to the others: share pruned, what of the best is kept,
         evaluations to within 5 % and 1 % of the best (random order: exact expectation)
planted  false laws of every kind on every sweep, under every strategy (`bench.planted`): is each found out, and what
         does it cost; and the same for true ones. The whole takes hours on one core: --jobs
noise    mining and confirmation on data in which nothing matters
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from bench.planted import command
from spak.kg.evidence.judge import in_scope
from spak.kg.evidence.table import TrialTable, from_runs, problem_text
from spak.kg.expression import parse
from spak.kg.files.loader import Laws, load
from spak.kg.law.kinds.avoid import NegativeLaw
from spak.kg.model.law import Law
from spak.kg.model.op import Op
from spak.kg.model.run import Run
from spak.tuner.learn.lesson import Lesson, learn_from_runs
from spak.tuner.learn.mining.candidates import Topic
from tests.tuner.landscapes import noise_only

ROOT = Path(__file__).parent.parent / "laws"
HW = "h200"
TOOLCHAIN = "tileiras 13.4.92"
NOISE_RUNS = 200
LARGE = 300
"""Trials of a sweep of a declared core; smaller ones answer a question of their own (the latency hints)."""


def sweeps(laws: Laws, op: str) -> dict[str, Run]:
    """The exhaustive runs of an op measured on an H200, by problem size."""
    runs = [laws.run(name) for name in laws.run_ids if name.startswith("measured-")]
    mine = [run for run in runs if (run.hw, run.op) == (HW, op)]
    return {problem_text(run.problem): run for run in mine if run.exhaustive_over and len(run.trials) >= LARGE}


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


def main() -> int:
    """Run the parts that are named, and keep their numbers."""
    options = arguments().parse_args()
    if options.table is not None:
        command.show(command.read(options.table))
        return 0
    if options.parts == ["planted"]:
        chosen = {name: getattr(options, name) for name in ("sweeps", "kinds", "strategies", "seeds", "jobs")}
        command.run(command.Choice(**chosen), options.json)
        return 0
    laws = load(ROOT)
    result: dict[str, object] = {}
    if "holdout" in options.parts:
        result["holdout"] = rows = [row for op in laws.ops if sweeps(laws, op) for row in holdout(laws, op)]
        show_holdout(rows)
    if "noise" in options.parts:
        result["noise"] = noise()
        print(result["noise"])
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["holdout", "noise"])
    parser.add_argument("--json", type=Path, metavar="FILE")
    planted = parser.add_argument_group("planted")
    planted.add_argument("--sweeps", nargs="+", default=(), metavar="WORD", help="those whose id has one of the words")
    planted.add_argument("--kinds", nargs="+", default=(), metavar="KIND")
    planted.add_argument("--strategies", nargs="+", default=command.STRATEGIES, choices=command.STRATEGIES)
    planted.add_argument("--seeds", type=int, default=40)
    planted.add_argument("--jobs", type=int, default=1)
    planted.add_argument("--table", type=Path, nargs="+", metavar="FILE", help="print what earlier runs kept, .gz too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
