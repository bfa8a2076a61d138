"""From which size on a GPU trains MicroGPT faster than one core: runs of both at small sizes, for laws to be judged by.

    python -m bench.microgpt_crossover --out laws/evidence [--budget-s 60]

One document a step, and several, of random lengths; the default configuration, checked against float64 first and timed as every
trial is. The time that it is compared with is the C port's on the same machine, float64, host clock, the fastest of `FLAGS`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import msgspec

from bench.run_file import rounded, rounded_reference, write_run
from bench.sweep import Sweep, measured_on
from spak.kernels.microgpt.drawing import draw_documents
from spak.kernels.microgpt.model import initial_parameters
from spak.kernels.microgpt.port import train_in_c
from spak.kernels.microgpt.spec import SPEC, sizes_of
from spak.kg.files.loader import load
from spak.kg.model.hardware import hardware_facts
from spak.kg.model.run import Measurement, Run
from spak.kg.space.completion import complete, completed
from spak.tuner.backend.base import Backend, Request
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.gpu.detect import detect
from spak.tuner.backend.gpu.open import open_gpu, target_of
from spak.tuner.backend.gpu.statistics import summarise
from spak.tuner.engine import record

SYSTEM = "microgpt-c"
"""Whose time stands among a run's references; also a system of the law root."""
FLAGS = (("-O3",), ("-O3", "-march=native"))
RUNS = 11
STEPS = 200


@dataclass(frozen=True)
class SmallSize:
    """Of a model and its batch."""

    width: int
    heads: int
    context: int
    batch: int = 1

    @property
    def problem(self) -> dict[str, int]:
        """As the op has it."""
        return {"vocab": 27, "layers": 1, "steps": STEPS, **asdict(self)}

    @property
    def name(self) -> str:
        """`w8-t4-b1`."""
        return f"w{self.width}-t{self.context}-b{self.batch}"


SIZES = (
    *(SmallSize(4, 2, context) for context in (4, 8, 16)),
    *(SmallSize(8, 2, context) for context in (4, 8, 16)),
    *(SmallSize(16, 4, context) for context in (4, 8, 16)),
    *(SmallSize(width, heads, 4, batch) for width, heads in ((4, 2), (8, 2)) for batch in (4,)),
)


def in_c(problem: Mapping[str, int], seed: int) -> Measurement:
    """Microseconds of the run in C, by the flags with which it is fastest.

    Raises:
        RuntimeError: If it cannot be compiled.
    """
    model, batch, steps, generator = sizes_of(problem), problem["batch"], problem["steps"], Random(seed)
    parameters = initial_parameters(model, generator)
    documents = draw_documents(model, steps * batch, generator)

    def once(flags: tuple[str, ...]) -> float:
        start = time.perf_counter()
        train_in_c(model, parameters, *documents, batch=batch, steps=steps, flags=flags)
        return (time.perf_counter() - start) * 1e6

    found = [summarise([once(flags) for _ in range(1 + RUNS)][1:]) for flags in FLAGS]  # the first run compiles
    best = min(found, key=lambda interval: interval.median)
    return Measurement(name="time", value=best.median, unit="us", low=best.low, high=best.high)


def asked(sweep: Sweep, size: SmallSize) -> Request:
    """The default configuration at one size."""
    return Request(completed(sweep.op, {}), complete(sweep.op, size.problem), "default")


def compared(sweep: Sweep, backend: Backend, size: SmallSize) -> Run:
    """The run of one size."""
    request = asked(sweep, size)
    trials = tuple(rounded(trial) for _, trial in backend.evaluate([request]))
    frame = sweep.frame(size.name, request.problem, backend.provenance())
    return msgspec.structs.replace(
        record.experiment(frame, sweep.hardware, trials),
        id=f"measured-{sweep.hw}-{sweep.op.id}-{size.name}-beside-c",
        strategy="",
        reproduce="python -m bench.microgpt_crossover",
        reference_times={SYSTEM: rounded_reference(in_c(size.problem, seed=0))},
        note=f"{SYSTEM} is timed on the host, {RUNS} runs after one, not in the rounds of the trials.",
    )


def told(run: Run) -> str:
    """A line for people."""
    ours = [value for trial in run.trials if (value := trial.value("time")) is not None]
    theirs = run.reference_times[SYSTEM].value
    if not ours:
        return f"{run.id}: failed, {run.trials[0].failure}"
    return f"{run.id}: {ours[0] / STEPS:.2f} us a step, C {theirs / STEPS:.2f}, {theirs / ours[0]:.2f} times as fast"


def main(words: Sequence[str] | None = None) -> int:
    """Measure every size that fits the time budget; a run file each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("laws/evidence"))
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    parser.add_argument("--cubins", type=Path, default=Path(".spak/cubins"))
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--budget-s", type=float, default=3600.0)
    parser.add_argument("--commit", default="")
    arguments = parser.parse_args(words)
    started = time.monotonic()
    laws = load(arguments.laws)
    hw = measured_on(laws, "", detect())
    facts = hardware_facts(laws, hw)
    sweep = Sweep(laws.ops[SPEC.op], facts, laws.hardware, hw, str(facts["gpu_code"]), arguments.commit, {})
    target, method = target_of(SPEC.op, sweep.arch, arguments.cubins), TimingMethod(keep_samples=False)
    backend = open_gpu(target, facts, method, workers=arguments.workers)
    try:
        backend.start([asked(sweep, size) for size in SIZES])
        for size in SIZES:
            if time.monotonic() - started > arguments.budget_s:
                print(f"{size.name}: not measured, {arguments.budget_s:.0f} s are over", flush=True)
                continue
            run = compared(sweep, backend, size)
            print(write_run(run, arguments.out), told(run), flush=True)
    finally:
        backend.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
