"""What knowledge from one GPU is worth on another, cold: searches replayed from the sweeps recorded on that other GPU.

    python -m bench.cold_gpu [--source h200] [--target h100] [--seeds 10] [--only REGEX] [--json FILE]

Every whole sweep recorded on the target is searched ten times for 80 trials in each way of `ARMS`. Known are the runs
measured on the source, what compilers and simulators said, and the laws as they stand on that evidence alone: nothing
that was measured on the target, or on any third device, is readable, and a law's status is worked out anew without it.
A trial is a configuration that was evaluated; one that laws set aside by what it compiled to costs none.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

import spak
from spak.kg.files.loader import Laws
from spak.kg.law.status import status
from spak.kg.law.toolchain import compiler_of
from spak.kg.model.base import Model, ProblemSize
from spak.kg.model.law import Law
from spak.kg.model.run import Run, Trial
from spak.kg.model.taxonomy import Taxonomy

ROOT = Path(__file__).parents[1] / "laws"
TRIALS = (10, 20, 40, 80)
"""Numbers of trials that tables show."""
FEWEST = 90
"""Configurations of a sweep that takes part: a smaller one is searched whole in 80 trials."""
NEEDS_GPU = frozenset({"measured", "reported"})
"""Tiers of runs that say something of a device; what was compiled or computed took none."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """One way to search.

    Attributes:
        title: What a person reads.
        laws, runs: Whether the source's laws and its recorded runs are known.
        same_size: Whether runs at the very size that is searched are among them.
        strategy: Empty: what `tune` takes by default.
    """

    title: str
    laws: bool = False
    runs: bool = False
    same_size: bool = True
    strategy: str = ""


ARMS: Mapping[str, Arm] = {
    "both": Arm("laws and runs of the {source}", laws=True, runs=True),
    "sizes": Arm("the same, this size left out", laws=True, runs=True, same_size=False),
    "runs": Arm("its runs alone", runs=True),
    "laws": Arm("its laws alone", laws=True),
    "model": Arm("nothing, strategy transfer", strategy="transfer"),
    "forest": Arm("nothing, strategy forest", strategy="forest"),
    "nothing": Arm("nothing"),
}


class Course(Model, frozen=True, kw_only=True):
    """One search of one sweep.

    Attributes:
        steps: Each improvement: trials so far, and the best time so far over the sweep's best.
        set_aside: Configurations compiled, and by a law not evaluated.
    """

    sweep: str
    arm: str
    seed: int
    steps: tuple[tuple[int, float], ...]
    set_aside: int = 0

    def best_after(self, trials: int) -> float:
        """Best time after so many trials over the sweep's best; infinite if none of them ran."""
        return min((ratio for place, ratio in self.steps if place <= trials), default=float("inf"))


class SweepFacts(Model, frozen=True, kw_only=True):
    """One recorded sweep.

    Attributes:
        removed, postponed: Configurations that the source's laws remove before compiling, and that they move back.
        default: Time of the op's default over the best; None where the sweep has it not.
        ratios: Each configuration's time over the best, ascending; those that failed are left out.
    """

    op: str
    problem: str
    configurations: int
    best_us: float
    removed: int
    postponed: int
    default: float | None
    ratios: tuple[float, ...]


class ColdResult(Model, frozen=True, kw_only=True):
    """All searches of one pair of GPUs.

    Attributes:
        laws: Law -> status without the target's evidence, of those that are known.
    """

    source: str
    target: str
    seeds: int
    laws: dict[str, str]
    sweeps: dict[str, SweepFacts]
    courses: tuple[Course, ...]


def known_from(laws: Laws, device: str) -> Laws:
    """`laws` as if `device` were the only one ever measured: runs of others and what laws owe them are gone.

    A law that was found in a run of another device, or that nothing else speaks for, is not known at all.
    """
    ours = {name: run for name in laws.run_ids if _is_known(run := laws.run(name), device)}
    files = {**laws.paths, "run": {name: path for name, path in laws.paths["run"].items() if name in ours}}
    kept = {name: found for name, law in laws.laws.items() if (found := on_evidence_of(law, ours)) is not None}
    return replace(laws, contents=msgspec.structs.replace(laws.contents, laws=kept, files=files))


def _is_known(run: Run, device: str) -> bool:
    return run.tier not in NEEDS_GPU or run.hw == device


def on_evidence_of(law: Law, runs: Mapping[str, Run]) -> Law | None:
    """`law` with the evidence of `runs` alone and the status that it gives; None if it would not have been written."""
    kept = tuple(entry for entry in law.evidence if entry.run in runs)
    found_elsewhere = any(entry.role == "suggested" and entry.run not in runs for entry in law.evidence)
    if not kept or found_elsewhere:
        return None
    bare = msgspec.structs.replace(law, evidence=kept)
    return msgspec.structs.replace(bare, status=status(bare))


def bare(laws: Laws, arm: Arm, problem: ProblemSize | None = None) -> Laws:
    """What of `laws` is readable in one way to search for `problem`."""
    contents = laws.contents
    if not arm.laws:
        contents = msgspec.structs.replace(contents, laws={})
    runs = contents.files["run"] if arm.runs else {}
    if not arm.same_size:
        runs = {name: path for name, path in runs.items() if not same_size(laws.run(name), problem or {})}
    return replace(laws, contents=msgspec.structs.replace(contents, files={**contents.files, "run": runs}))


def same_size(run: Run, problem: ProblemSize) -> bool:
    """Whether any trial of `run` is at `problem`."""
    return any((trial.problem or run.problem) == problem for trial in run.trials)


@dataclass(frozen=True)
class Target:
    """A recorded sweep to be searched."""

    run: Run
    recording: spak.Recording

    @cached_property
    def best(self) -> float:
        """The least time, in microseconds."""
        return min(value for trial in self.run.trials if (value := trial.value("time")) is not None)

    @property
    def label(self) -> str:
        """The run's id without the words that all have."""
        return self.run.id.partition(f"{self.run.hw}-{self.run.op}-")[2]


def sweeps(library: spak.Library, device: str, only: str) -> Iterator[Target]:
    """The whole sweeps measured on `device` whose id matches `only`."""
    for name in library.laws.run_ids:
        run = library.laws.run(name)
        timed = sum(trial.value("time") is not None for trial in run.trials)
        whole = (run.hw, run.tier) == (device, "measured") and run.exhaustive_over and timed >= FEWEST
        if whole and re.search(only, name):
            yield Target(run, spak.read_recording(library.laws.path("run", name)))


def searched(target: Target, laws: Laws, arm: str, seed: int) -> tuple[Course, spak.Replayed]:
    """One search of a sweep."""
    what = spak.Replay(
        spak.HardwareName(target.run.hw),
        target.run.op,
        laws,
        ARMS[arm].strategy,
        budget=max(TRIALS),
        seed=seed,
        toolchain=compiler_of(target.run.toolchain),
    )
    done = spak.replay(target.recording, what)
    evaluated = [trial for trial in done.trials if trial.invalidity != "constraints"]
    steps = tuple(improvements(evaluated, target.best))
    aside = len(done.trials) - len(evaluated)
    return Course(sweep=target.run.id, arm=arm, seed=seed, steps=steps, set_aside=aside), done


def improvements(trials: Sequence[Trial], best: float) -> Iterator[tuple[int, float]]:
    """Where the best so far improves: trials so far, and its time over `best`."""
    least = float("inf")
    for place, trial in enumerate(trials, 1):
        value = trial.value("time")
        if value is not None and value < least:
            least = value
            yield place, round(value / best, 4)


def facts(target: Target, done: spak.Replayed) -> SweepFacts:
    """What is known of a sweep, and what the laws of a search do to it."""
    times = sorted(value for trial in target.run.trials if (value := trial.value("time")) is not None)
    place = done.space.default_index
    default = None if place is None else done.space.config(place)
    found = next((trial for trial in target.run.trials if trial.configuration == default), None)
    return SweepFacts(
        op=target.run.op,
        problem=target.label,
        configurations=len(target.run.trials),
        best_us=target.best,
        removed=int(done.restriction.removed.sum()),
        postponed=int(done.restriction.postponed.sum()),
        default=round(found.value("time") / target.best, 4) if found and found.value("time") else None,
        ratios=tuple(round(value / target.best, 4) for value in times),
    )


def replays(library: spak.Library, source: str, targets: Sequence[Target], seeds: int) -> ColdResult:
    """Every search of every sweep."""
    known = known_from(library.laws, source)
    stated: dict[str, SweepFacts] = {}
    courses: list[Course] = []
    for target in targets:
        for arm, how in ARMS.items():
            started = time.perf_counter()
            readable = bare(known, how, target.run.problem)
            for seed in range(seeds):
                course, done = searched(target, readable, arm, seed)
                courses.append(course)
            if how.laws:
                stated[target.run.id] = facts(target, done)
            print(f"{target.run.id} {arm}: {time.perf_counter() - started:.1f} s", file=sys.stderr, flush=True)
    about = {target.run.op for target in targets}
    laws = {name: law.status for name, law in known.laws.items() if law.scope.op in about}
    hw = targets[0].run.hw
    return ColdResult(source=source, target=hw, seeds=seeds, laws=laws, sweeps=stated, courses=tuple(courses))


def device(laws: Laws, option: str, name: str) -> str:
    """The id of a device that the law root knows.

    Raises:
        SystemExit: If there is none of that name.
    """
    try:
        return Taxonomy("hardware", laws.hardware).resolve(name)
    except spak.UnknownNameError as error:
        print(f"{option}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def main() -> int:
    """Search, print what it came to, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="h200", help="hardware whose knowledge is there")
    parser.add_argument("--target", default="h100", help="hardware that is searched")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="regular expression in run ids")
    parser.add_argument("--laws", type=Path, default=ROOT)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: at least one")
    library = spak.load(options.laws)
    source = device(library.laws, "--source", options.source)
    target = device(library.laws, "--target", options.target)
    try:
        targets = list(sweeps(library, target, options.only))
    except re.error as error:
        parser.error(f"--only {options.only}: no regular expression: {error}")
    if not targets:
        parser.error(f"--target {options.target}: no whole sweep measured there has {options.only!r} in its id")
    result = replays(library, source, targets, options.seeds)
    if options.json:
        options.json.write_bytes(msgspec.json.encode(result) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
