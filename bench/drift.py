"""How often a steady device is called unsteady, and how often a slowed one is: on samples that GPUs really gave.

    python -m bench.drift [--laws laws] [--json FILE]

The run files hold every sample of some searches, a round apart. Two kinds of pairs stand for two readings of a reference
kernel: the earlier and the later rounds of one trial, and the same configuration timed in two searches of one day,
minutes apart. Of each pair the later one is judged against the earlier one as it is, which is a false alarm if it is
found to drift, and slowed by 2, 5 and 10 %, in either order.

A device that somebody else uses at times is made of the 25 samples of one trial, of which some, drawn at random, take
half as long again: how often such samples are called uneven, and how often they drift from themselves as they were.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

from spak.kg.evidence.table import problem_of, problem_text
from spak.kg.files.loader import load
from spak.kg.model.run import Run
from spak.tuner.backend.gpu.statistics import MIN_SAMPLES
from spak.tuner.backend.gpu.steady import MARGIN, change, drift, is_beyond, scattered

SLOWED = (1.0, 1.02, 1.05, 1.1)
MARGINS = (0.0, 0.01, MARGIN, 0.03)
SHARES = (0.0, 0.2, 0.3, 0.4, 0.5)
FULL = 25
"""Samples of a trial that stayed for all rounds, as many as a reading has."""

Samples = tuple[float, ...]
Pair = tuple[Samples, Samples]


@dataclass(frozen=True)
class Rates:
    """Of so many pairs, the share found to drift by each slow-down."""

    source: str
    margin: float
    pairs: int
    found: dict[str, float]


def halves(runs: Sequence[Run]) -> Iterator[Pair]:
    """The first and the last rounds of each trial that was timed in all."""
    for run in runs:
        for trial in run.trials:
            samples = trial.times.runtimes
            if len(samples) >= FULL:
                yield samples[: len(samples) // 2], samples[len(samples) // 2 :]


def again(runs: Sequence[Run]) -> Iterator[Pair]:
    """Each configuration that two runs of one occasion timed at one problem size, the earlier run's samples first."""
    kept: dict[tuple[str, str, str, str], list[tuple[str, Samples]]] = {}
    for run in runs:
        for trial in run.trials:
            if len(trial.times.runtimes) >= MIN_SAMPLES:
                size = problem_text(problem_of(run, trial))
                key = run.occasion, run.op, size, json.dumps(trial.configuration, sort_keys=True)
                kept.setdefault(key, []).append((f"{run.created} {run.id}", trial.times.runtimes))
    for timed in kept.values():
        for (earlier, before), (later, now) in combinations(sorted(timed), 2):
            if earlier != later:
                yield before, now


def rates(source: str, pairs: Sequence[Pair], margin: float) -> Rates:
    """The share of `pairs` found to drift: as they are, and with the later samples slowed."""
    found = {}
    for factor in SLOWED:
        hits = 0
        for before, now in pairs:
            hits += is_beyond(change("", [sample * factor for sample in now], before), margin)
        found[f"{factor - 1:.0%}"] = hits / len(pairs)
    return Rates(source, margin, len(pairs), found)


@dataclass(frozen=True)
class Shared:
    """Of so many trials of a device that is used by somebody else for a share of the launches, what is seen."""

    share: float
    trials: int
    uneven: float
    drifted: float


def shared(runs: Sequence[Run], share: float, seed: int = 0) -> Shared:
    """How often samples are called uneven, or their median drifted, of which `share` takes half as long again."""
    rng = random.Random(seed)
    whole = [t.times.runtimes[:FULL] for run in runs for t in run.trials if len(t.times.runtimes) >= FULL]
    uneven = drifted = 0
    for samples in whole:
        now = {"": tuple(sample * (1.5 if rng.random() < share else 1.0) for sample in samples)}
        uneven += scattered(now, {}) is not None
        drifted += drift(now, {"": samples}) is not None
    return Shared(share, len(whole), uneven / len(whole), drifted / len(whole))


def measured_runs(laws: Path) -> list[Run]:
    """The measured runs of a law root."""
    root = load(laws)
    return [run for name in sorted(root.run_ids) if (run := root.run(name)).tier == "measured"]


def measure(runs: Sequence[Run]) -> list[Rates]:
    """All rates on these runs."""
    sources = {"rounds of one trial": list(halves(runs)), "two searches of a day": list(again(runs))}
    return [rates(name, pairs, margin) for name, pairs in sources.items() for margin in MARGINS]


def table(found: Sequence[Rates]) -> str:
    """A line for each source and margin."""
    lines = [
        "samples                 margin  pairs  false alarms   found: " + "   ".join(f"{f - 1:.0%}" for f in SLOWED[1:])
    ]
    for one in found:
        alarms, *slowed = one.found.values()
        seen = " ".join(f"{share:6.1%}" for share in slowed)
        lines.append(f"{one.source:22}  {one.margin:6.1%}  {one.pairs:5}  {alarms:12.1%}        {seen}")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--laws", type=Path, default=Path(__file__).parent.parent / "laws")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = measured_runs(arguments.laws)
    found, uses = measure(runs), [shared(runs, share) for share in SHARES]
    print(table(found))
    for one in uses:
        print(
            f"{one.share:4.0%} half as long again, {one.trials} trials: uneven {one.uneven:.1%}, drift {one.drifted:.1%}"
        )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([asdict(one) for one in (*found, *uses)], indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
