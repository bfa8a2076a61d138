"""Whether compiling for six architectures is linear in the workers of a fleet: 1, 2, 4, ... of them on this machine.

    python -m bench.fleet_architectures --out results

The same configurations of one op are compiled for a launch on each architecture by fleets of that many workers, each fleet
new and with empty caches; its workers have joined and imported the compiler before seconds are counted, from the first
request until all code has arrived and its features are known. One worker comes first: how long it took for each piece is
the order of the others, longest first, so that they end together; then the most workers, which take the least time.

Efficiency is the seconds of one worker over those of `n` workers times `n`. What it lacks is the machine's as far as the
same compilations take longer where more run beside (`slower`: processors that share caches, clocks and execution units),
and else the fleet's (`busy`: the share of its workers' time in which a compiler runs). `same` counts the pieces whose code
is what one worker's was, byte for byte. The file is written after each step; what does not fit into the time limit is
left out and said.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.local_fleet import empty_caches, functions_compiled, local_fleet
from spak.kg.files.loader import load
from spak.kg.model.base import Configuration
from spak.tuner.backend.compile.toolchain import compiler_string
from spak.tuner.backend.gpu.ahead import versions_of
from spak.tuner.backend.gpu.protocol import Contestant
from spak.tuner.backend.source import source_of
from spak.tuner.chance import Purpose, shuffled, stream
from spak.tuner.engine import session
from spak.tuner.fleet.backend import FleetCompiler
from spak.tuner.fleet.executor import Executor
from spak.tuner.fleet.local import local_members
from spak.tuner.fleet.measuring import CubinLedger
from spak.tuner.fleet.open import describe
from spak.tuner.fleet.orders import KernelIdentity

ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
SEED = 7
SPARE = 1.25
"""A step begins if the time left is that many times what linearity would take."""

Place = tuple[str, int]
"""A piece: its architecture, and the place of its configuration."""


@dataclass(frozen=True)
class Sweep:
    """What is compiled: each configuration for each architecture, of which `questions` knows the facts."""

    questions: Mapping[str, session.SearchTask]
    configurations: tuple[Configuration, ...]

    @property
    def places(self) -> list[Place]:
        """All pieces, the architectures in turn."""
        return [(arch, number) for number in range(len(self.configurations)) for arch in self.questions]


@dataclass(frozen=True)
class Step:
    """What so many workers made of it.

    Attributes:
        compiled: Functions that cuTile compiled, by its own cache, which was empty.
        seconds: From the first request to the last answer.
        compiling_s: Sum of what the compilers took by their own clocks.
        start_s: Until all had joined; `warm_s`: then, until all had imported the compiler.
        load: Of the machine, the average of a minute, at the end.
        efficiency: None if not all was done.
    """

    workers: int
    pieces: int
    of: int
    failed: int
    same: int
    compiled: int
    seconds: float
    compiling_s: float
    start_s: float
    warm_s: float
    load: float
    speed_up: float | None = None
    efficiency: float | None = None
    busy: float | None = None
    slower: float | None = None


class Compiling:
    """The pieces of one step: asks for them, and knows when and to what each was compiled."""

    def __init__(self, sweep: Sweep, executor: Executor, folder: Path) -> None:
        self._sweep = sweep
        self.done: dict[Place, float] = {}
        self.compiling_s = 0.0
        self.code: dict[Place, tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self._ledgers = {arch: _ledger(question, arch, folder) for arch, question in sweep.questions.items()}
        self._compilers = {
            arch: FleetCompiler(executor, ledger, sweep.questions[arch].facts) for arch, ledger in self._ledgers.items()
        }

    def warm(self, executor: Executor) -> float:
        """Have every worker import the compiler; how long that took, in seconds."""
        begun = time.monotonic()
        describe(executor, next(iter(self._ledgers.values())).kernel.op)
        return time.monotonic() - begun

    def run(self, order: Sequence[Place], limit_s: float) -> float:
        """Compile the pieces in that order; seconds until the last, or until time was over."""
        begun = time.monotonic()
        pending = []
        for place in order:
            arch, number = place
            problem = self._sweep.questions[arch].problem
            future = self._compilers[arch].start(problem, self._sweep.configurations[number])
            future.add_done_callback(lambda _, place=place: self._mark(place, time.monotonic() - begun))
            pending.append((place, future))
        wait([future for _, future in pending], timeout=limit_s)
        for place, future in pending:
            if future.done():
                code = future.result()
                self.compiling_s += code.milliseconds / 1e3
                self._compilers[place[0]].inspect(code)
                self.code[place] = self._digests(place) if code.failure is None else ()
        return time.monotonic() - begun

    def _mark(self, place: Place, seconds: float) -> None:
        with self._lock:
            self.done[place] = seconds

    def _digests(self, place: Place) -> tuple[str, ...]:
        arch, number = place
        asked = [Contestant(0, self._sweep.configurations[number])]
        return tuple(one.digest for one in self._ledgers[arch].of(self._sweep.questions[arch].problem, asked))


def _ledger(question: session.SearchTask, arch: str, folder: Path) -> CubinLedger:
    kernel = KernelIdentity(op=question.op.id, arch=arch, source_sha256=source_of(question.op.id))
    return CubinLedger(kernel, versions_of("cutile"), compiler_string(), folder / "search")


def costs(done: Mapping[Place, float]) -> dict[Place, float]:
    """Seconds of each piece, of one worker that did one after the other: from the end of the piece before it."""
    ends = sorted(done.items(), key=lambda item: item[1])
    return {place: end - before for (place, end), before in zip(ends, [0.0, *(end for _, end in ends)], strict=False)}


def measured(sweep: Sweep, workers: int, order: Sequence[Place], limit_s: float) -> tuple[Step, Compiling]:
    """One step, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="fleet-arch-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with empty_caches(folder), local_fleet(folder, local_members(workers)) as (executor, start_s):
            compiling = Compiling(sweep, executor, folder)
            warm_s = compiling.warm(executor)
            seconds = compiling.run(order, limit_s)
        compiled = functions_compiled(folder)
    step = Step(
        workers=workers,
        pieces=len(compiling.code),
        of=len(order),
        failed=sum(not code for code in compiling.code.values()),
        same=len(compiling.code),
        compiled=compiled,
        seconds=round(seconds, 2),
        compiling_s=round(compiling.compiling_s, 2),
        start_s=round(start_s, 2),
        warm_s=round(warm_s, 2),
        load=round(os.getloadavg()[0], 1),
    )
    return step, compiling


def compared(step: Step, one: Step, same: int) -> Step:
    """A step with what it is beside one worker; without, if either did not do all."""
    if step.pieces < step.of or one.pieces < one.of:
        return Step(**{**asdict(step), "same": same})
    found = {
        "same": same,
        "speed_up": round(one.seconds / step.seconds, 2),
        "efficiency": round(one.seconds / step.seconds / step.workers, 3),
        "busy": round(step.compiling_s / step.seconds / step.workers, 3),
        "slower": round(step.compiling_s / one.compiling_s, 3),
    }
    return Step(**{**asdict(step), **found})


def default_workers() -> list[int]:
    """1, 2, 4, ... up to the cores of this process, and these."""
    cores = len(os.sched_getaffinity(0))
    return sorted({1 << power for power in range(cores.bit_length())} | {cores})


def row(step: Step) -> str:
    fields = (step.workers, f"{step.pieces} of {step.of}", step.failed, step.same, step.seconds, step.speed_up)
    more = (step.efficiency, step.busy, step.slower, step.start_s, step.warm_s, step.load)
    return f"| {' | '.join('' if field is None else str(field) for field in (*fields, *more))} |"


HEAD = (
    "| workers | pieces | failed | same | s | speed-up | efficiency | busy | slower | start s | warm s | load |\n"
    + ("|---" * 12 + "|")
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--op", default="matmul")
    parser.add_argument("--configurations", type=int, default=24, help="of the op, each for six architectures")
    parser.add_argument("--workers", type=lambda text: [int(part) for part in text.split(",")], default=None)
    parser.add_argument("--limit-s", type=float, default=540.0, help="time limit of all steps together")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    begun, laws = time.monotonic(), load(arguments.laws)
    questions = {arch: session.ask(laws, arguments.op, arch, "") for arch in ARCHITECTURES}
    space = questions[ARCHITECTURES[0]].space
    drawn = list(shuffled(stream(SEED, Purpose.CHALLENGERS), len(space)))[: arguments.configurations]
    sweep = Sweep(questions, tuple(space.config(place) for place in drawn))
    cores = len(os.sched_getaffinity(0))
    about = {"op": arguments.op, "architectures": ARCHITECTURES, "pieces": len(sweep.places), "cores": cores}
    print(json.dumps(about), HEAD, sep="\n", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    steps: list[Step] = []
    left_out: list[int] = []
    first: Compiling | None = None
    order = sweep.places
    for workers in sorted({1, *(arguments.workers or default_workers())}, key=lambda count: (count != 1, -count)):
        left_s = arguments.limit_s - (time.monotonic() - begun)
        if left_s < (SPARE * steps[0].seconds / workers if steps else 1.0):
            left_out.append(workers)
            continue
        step, compiling = measured(sweep, workers, order, left_s)
        first = first or compiling
        same = sum(first.code.get(place) == code for place, code in compiling.code.items())
        steps.append(compared(step, steps[0] if steps else step, same))
        if workers == 1:
            spent = costs(compiling.done)
            order = sorted(order, key=lambda place: -spent.get(place, 0.0))
        print(row(steps[-1]), flush=True)
        found = {**about, "left_out": left_out, "steps": [asdict(one) for one in steps]}
        (arguments.out / f"fleet-architectures-{cores}-cores.json").write_text(json.dumps(found, indent=1) + "\n")
    if left_out:
        print(f"no time for {', '.join(map(str, left_out))} workers")


if __name__ == "__main__":
    main()
