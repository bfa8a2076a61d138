"""What a fleet gains where there are GPUs: many cores that compile for one GPU, and two or four GPUs against one.

    python -m bench.fleet_gpu compile --out results      # one GPU: all cores and the GPU against one process that does both
    python -m bench.fleet_gpu gpus --out results         # several GPUs: 8, 4, 2 and 1 of them, as many as there are

Each part evaluates the same configurations of one op, drawn with a fixed seed, with empty caches, and counts seconds from
the first request to the last trial; the members of the fleet have joined, imported the compiler and opened their GPUs by
then, and what that took is given beside it; a search's own processes start meanwhile, as they do for whoever searches.
Before the first part one process has imported everything, so that no part alone reads it from a cold disk. cuTile keeps
what it compiled for all processes of a user: each part has a cache of its own there too, or the later ones would compile
nothing; how many functions it compiled is counted, and the benchmark ends if that is not all.
`gpus` evaluates them a second time, when all has been compiled and every process has its modules: what that takes is
measuring alone. Results are written after each part; one that runs out of time says how far it came.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.local_fleet import empty_caches, functions_compiled, local_fleet
from spak.kg.files.loader import load
from spak.kg.model.hardware import device_node
from spak.kg.model.run import Trial
from spak.tuner.backend.base import Backend, Patience, Request
from spak.tuner.backend.gpu.backend import TimingMethod
from spak.tuner.backend.gpu.open import open_gpu, target_of
from spak.tuner.backend.registry import BACKENDS, Task
from spak.tuner.chance import Purpose, shuffled, stream
from spak.tuner.engine import session
from spak.tuner.fleet.backend import FleetBackend
from spak.tuner.fleet.devices import FleetGpu, visible_gpus
from spak.tuner.fleet.local import local_members
from spak.tuner.fleet.open import open_on_fleet

BATCH = 16
SEED = 7


@dataclass(frozen=True)
class Setting:
    """What is evaluated, on what."""

    question: session.SearchTask
    gpus: tuple[FleetGpu, ...]
    requests: tuple[Request, ...]
    folder: Path
    cores: int

    def task(self, cache: Path) -> Task:
        """The task, with a folder for what is compiled."""
        return Task(self.question.hw, self.question.op, self.question.facts, cache, self.cores, SEED)

    @property
    def method(self) -> TimingMethod:
        """How all parts measure."""
        return TimingMethod(batch_size=BATCH, seed=SEED, keep_samples=False)


@dataclass(frozen=True)
class Part:
    """What came of one way to evaluate them.

    Attributes:
        start_s: From the first process to the last member that has joined.
        again_s: The same once more, when nothing is left to compile; 0 if that was not asked for.
        compiled: Functions that cuTile compiled, by its own cache, which was empty.
        interval: Median width of the 95 % intervals, as a share of the times: whether compiling beside disturbs them.
    """

    name: str
    gpus: int
    compilers: int
    trials: int
    of: int
    correct: int
    seconds: float
    again_s: float = 0.0
    start_s: float = 0.0
    best_us: float = 0.0
    interval: float = 0.0
    compiled: int = 0


def setting(arguments: argparse.Namespace, folder: Path) -> Setting:
    laws, gpus = load(arguments.laws), visible_gpus()
    if not gpus:
        raise SystemExit("no NVIDIA GPU with a driver was found")
    hw = device_node(laws.hardware, gpus[0].name)
    if hw is None:
        raise SystemExit(f"{gpus[0].name} is no hardware node of {arguments.laws}")
    question = session.ask(laws, arguments.op, hw, arguments.problem)
    space = question.space
    order = list(shuffled(stream(SEED, Purpose.CHALLENGERS), len(space)))[: arguments.trials]
    requests = tuple(Request(space.config(i), question.problem, "sweep", i) for i in order)
    cores = len(os.sched_getaffinity(0))
    same = tuple(gpu for gpu in gpus if gpu.name == gpus[0].name)
    return Setting(question, same, requests, folder, cores)


def evaluated(backend: Backend, requests: Sequence[Request], until: float) -> list[Trial]:
    """All trials, asked for as a search asks: what is late goes into the next batch. Ends early when time is over."""
    left, waiting, trials = list(requests), [], []
    while (left or waiting) and time.monotonic() < until:
        count = max(0, backend.batch_size - len(waiting))
        asked, left = [*waiting, *left[:count]], left[count:]
        late = set(backend.late(asked, Patience(max(1.0, until - time.monotonic()), whole=not left)))
        waiting = [request for place, request in enumerate(asked) if place in late]
        trials += [t for _, t in backend.evaluate([r for place, r in enumerate(asked) if place not in late])]
        print(f"  {len(trials)} of {len(requests)}", file=sys.stderr, flush=True)
    return trials


def part(name: str, backend: Backend, here: Setting, seconds: float, *, twice: bool = False, **more: float) -> Part:
    """Evaluate everything within so many seconds, twice if asked to, and close the backend."""
    begun = time.monotonic()
    try:
        trials = evaluated(backend, here.requests, begun + seconds)
        ended = time.monotonic()
        if twice and len(trials) == len(here.requests):
            trials = evaluated(backend, here.requests, ended + seconds)
        again_s = time.monotonic() - ended if twice else 0.0
    finally:
        backend.close()
    times = [m for trial in trials for m in trial.measurements if m.name == "time" and m.low is not None]
    widths = [(m.high - m.low) / m.value for m in times if m.high is not None and m.low is not None]
    return Part(
        name=name,
        trials=len(trials),
        of=len(here.requests),
        correct=sum(trial.invalidity == "correct" for trial in trials),
        seconds=round(ended - begun, 2),
        again_s=round(again_s, 2),
        best_us=round(min((m.value for m in times), default=0.0), 3),
        interval=round(statistics.median(widths), 5) if widths else 0.0,
        **more,  # type: ignore[arg-type]
    )


def on_fleet(name: str, here: Setting, gpus: int, seconds: float, *, twice: bool = False) -> Part:
    """On all cores and so many GPUs."""
    folder = here.folder / f"fleet-{gpus}"
    members = local_members(here.cores, [gpu.device for gpu in here.gpus[:gpus]])
    with empty_caches(folder), local_fleet(folder, members) as (executor, joined_s):
        begun = time.monotonic()
        task = here.task(folder / "search")
        backend = open_on_fleet(executor, BACKENDS["gpu"], task, fits=lambda _: True, method=here.method)
        wait(backend.warming if isinstance(backend, FleetBackend) else ())
        start_s = round(joined_s + time.monotonic() - begun, 2)
        found = part(name, backend, here, seconds, twice=twice, gpus=gpus, compilers=here.cores, start_s=start_s)
    return replace(found, compiled=functions_compiled(folder))


def alone(name: str, here: Setting, seconds: float, workers: int) -> Part:
    """Processes of one search that compile, and the GPU; with one: what was there before a search compiled ahead."""
    folder = here.folder / f"alone-{workers}"
    with empty_caches(folder):
        task = here.task(folder)
        target = target_of(task.op.id, task.arch, task.cache / "cubins")
        backend = open_gpu(target, task.facts, here.method, workers=workers)
        found = part(name, backend, here, seconds, gpus=1, compilers=workers)
    return replace(found, compiled=functions_compiled(folder))


def compile_parts(here: Setting, seconds: float) -> Iterator[tuple[str, Part]]:
    """All cores over the fleet, all cores of one search, and one process: whatever the first finds cold is the fleet's loss."""
    yield "fleet", on_fleet("fleet", here, 1, seconds)
    yield "ahead", alone(f"{here.cores} processes of one search compile", here, seconds, here.cores)
    yield "alone", alone("one process compiles", here, seconds, 1)


def gpu_parts(here: Setting, seconds: float) -> Iterator[tuple[str, Part]]:
    """As many GPUs as there are, then fewer, one at last."""
    for count in (n for n in (8, 4, 2, 1) if n <= len(here.gpus)):
        yield f"gpus-{count}", on_fleet("fleet", here, count, seconds, twice=True)


def table(parts: Sequence[Part]) -> str:
    rows = [
        "| part | GPUs | compile | trials | seconds | again s | start s | best us | interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {p.name} | {p.gpus} | {p.compilers} | {p.trials} of {p.of} | {p.seconds} | {p.again_s} | {p.start_s} | {p.best_us} | {p.interval:.2%} |"
        for p in parts
    ]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["compile", "gpus"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--op", default="matmul")
    parser.add_argument("--problem", default="")
    parser.add_argument("--trials", type=int, default=0, help="0: 24 for compile, 96 for gpus")
    parser.add_argument("--part-s", type=float, default=120.0, help="time limit of each part")
    parser.add_argument("--laws", type=Path, default=Path("laws"))
    arguments = parser.parse_args()
    arguments.trials = arguments.trials or {"compile": 24, "gpus": 96}[arguments.which]
    arguments.out.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="fleet-gpu-"))
    here = setting(arguments, folder)
    about = {"gpu": here.gpus[0].name, "gpus": len(here.gpus), "cores": here.cores, "op": here.question.op.id}
    about |= {"problem": dict(here.question.problem), "trials": len(here.requests), "batch": BATCH, "seed": SEED}
    print(json.dumps(about), flush=True)
    kept = arguments.out / f"fleet-{arguments.which}-{here.question.hw}.json"
    parts: dict[str, Part] = {}
    subprocess.run([sys.executable, "-c", "import distributed, torch, cuda.tile._compile"], check=False)
    try:
        makers = compile_parts if arguments.which == "compile" else gpu_parts
        for key, found in makers(here, arguments.part_s):
            parts[key] = found
            kept.write_text(json.dumps({**about, "parts": {k: asdict(p) for k, p in parts.items()}}, indent=1) + "\n")
            print(table([found]).splitlines()[-1], flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        print(table(list(parts.values())))


if __name__ == "__main__":
    main()
