"""MicroGPT at larger sizes: time of a training step of each plan, of the C port on one core, and of PyTorch on the same GPU.

    python -m bench.microgpt_scale --out bench/results/microgpt-scale.json [--data names.txt]

Documents are full: names one after another, cut into pieces as long as the context, so that no implementation saves work by
skipping what is beyond a document. A time is that of a whole run, synchronised, over its steps; median of several runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench.microgpt import attempted
from bench.microgpt_torch import Shape, Trainer, captured
from spak.kernels.microgpt.data import Beginning, begin, lines_of, small_list
from spak.kernels.microgpt.port import compiled, train_in_c
from spak.kernels.microgpt.reference import train, views
from spak.kernels.microgpt.spec import SPEC, TrainingInputs, adam_factors
from spak.tuner.backend.gpu.cubins import CubinStore, compile_into, load_ahead_of_time

SEQUENCE = {
    "plan": "sequence",
    "steps_per_launch": 1000,
    "head_products": "batched",
    "moments": "tiles",
    "backward_weights": "late",
    "num_worker_warps": 4,
    "occupancy": 1,
    "products": "tf32x3",
    "tile_m": 64,
    "tile_n": 64,
    "tile_t": 64,
    "tile_w": 32,
    "splits": 4,
}
RESIDENT = {
    **SEQUENCE,
    "plan": "resident",
    "moments": "tiles",
    "num_worker_warps": 8,
    "products": "fp32",
    "tile_w": 64,
    "splits": 8,
}
STEPS, RUNS = 100, 5
C_FLAGS = ("-O3", "-march=native")
C_SECONDS = 2.0
"""The C port does as many steps as it does in this time, 100 at most."""
COMPILE_S = 60.0


@dataclass(frozen=True)
class Size:
    """Of a model and its batch."""

    width: int
    layers: int
    context: int
    batch: int

    @property
    def problem(self) -> dict[str, int]:
        """As `KernelSpec` takes it."""
        return {"vocab": 27, **vars(self), "heads": 4, "steps": STEPS}

    @property
    def resident(self) -> bool:
        """Whether the plan `resident` is timed: what is much larger does not fit one CTA, or takes minutes to compile."""
        return self.width <= 16 and self.layers == 1 and self.context <= 16


TARGET = Size(64, 2, 64, 64)
SIZES = (
    *(Size(16, 1, 16, batch) for batch in (1, 8, 64)),
    *(Size(32, 1, 16, batch) for batch in (1, 8)),
    *(Size(64, 1, 16, batch) for batch in (1, 8)),
    Size(128, 2, 64, 64),
    TARGET,
)
"""The one with most opponents last: what fails there spoils no other."""


def full_documents(beginning: Beginning, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, lengths) of STEPS batches of documents as long as the context."""
    model, corpus = beginning.model, beginning.corpus
    count = STEPS * size.batch * (size.context + 1)
    token = {character: index for index, character in enumerate(corpus.characters)}
    stream = [t for document in corpus.documents for t in (model.bos, *(token[c] for c in document))]
    tokens = np.resize(np.array(stream, np.int32), count).reshape(-1, size.context + 1)
    return tokens, np.full(len(tokens), size.context, np.int32)


def timed(run: Callable[[], object], steps: int, runs: int = RUNS) -> list[float]:
    """Microseconds of a step in each of `runs`, synchronised."""
    import torch

    times = []
    for _ in range(runs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / steps * 1e6)
    return times


def summary(times: Sequence[float], **more: object) -> dict[str, Any]:
    """Median and range."""
    return {"step_us": statistics.median(times), "low_us": min(times), "high_us": max(times), **more}


def differences(outputs: Any, wanted: Any) -> dict[str, object]:
    """Of losses in nats, and of the first gradients relative to their norm."""
    losses = (outputs.losses.double() - wanted.losses).abs()
    gradients = (outputs.gradients.double() - wanted.gradients).norm() / wanted.gradients.norm()
    return {"loss_difference": [float(losses[:n].max()) for n in (10, STEPS)], "gradient_error": float(gradients)}


def ours(size: Size, inputs: Any, wanted: Any, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """One plan: a run is one CUDA graph."""
    import torch

    outputs = SPEC.make_outputs(size.problem, device="cuda")
    SPEC.launch(inputs, outputs, size.problem, configuration)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        SPEC.launch(inputs, outputs, size.problem, configuration)
    graph.replay()
    return summary(timed(graph.replay, STEPS), **differences(outputs, wanted))


def pytorch(size: Size, inputs: Any, beginning: Beginning) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """What times each implementation: float32 (`highest`) and, only to be shown, products in tf32 (`high`)."""
    weights = views(beginning.model, inputs.initial)

    def trainer(*, fused: bool) -> Trainer:
        import torch

        made = Trainer(weights, inputs.tokens, inputs.lengths, Shape(size.layers, 4), size.batch, STEPS)
        if fused:
            made.loss_of = torch.compile(made.loss_of)
        return made

    def in_precision(precision: str, make: Callable[[], Callable[[], object]]) -> dict[str, Any]:
        import torch

        torch.set_float32_matmul_precision(precision)
        step = make()
        for _ in range(STEPS):
            step()
        return summary(timed(lambda: [step() for _ in range(STEPS)], STEPS))

    makers: Mapping[str, Callable[[], Callable[[], object]]] = {
        "torch eager": lambda: trainer(fused=False).step,
        "torch eager in a CUDA graph": lambda: captured(trainer(fused=False)),
        "torch.compile in a CUDA graph": lambda: captured(trainer(fused=True)),
    }
    for precision in ("highest", "high"):
        for name, make in makers.items():
            yield f"{name}, {precision}", partial(in_precision, precision, make)


def in_c(beginning: Beginning, data: tuple[np.ndarray, np.ndarray], batch: int) -> dict[str, Any]:
    """The C port, on one core."""

    def run(steps: int) -> float:
        start = time.perf_counter()
        documents = (part[: steps * batch] for part in data)
        train_in_c(beginning.model, beginning.parameters, *documents, batch=batch, steps=steps, flags=C_FLAGS)
        return (time.perf_counter() - start) / steps * 1e6

    compiled(C_FLAGS)
    first = run(1)
    steps = max(1, min(STEPS, int(C_SECONDS / RUNS / first * 1e6)))
    return summary([run(steps) for _ in range(RUNS)] if first < C_SECONDS * 1e6 else [first], steps=steps)


def measured(size: Size, lines: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Every implementation at one size; what fails is kept with its reason."""
    import torch

    beginning = begin(lines, width=size.width, layers=size.layers, context=size.context)
    data = full_documents(beginning, size)
    arrays = (beginning.parameters.astype(np.float32), *data, adam_factors(STEPS).astype(np.float32))
    inputs = TrainingInputs(*(torch.from_numpy(array).cuda() for array in arrays))
    wanted = train(beginning.model, inputs.initial, inputs.tokens, inputs.lengths, batch=size.batch, steps=STEPS)
    plans = {"sequence": SEQUENCE, **({"resident": RESIDENT} if size.resident else {})}
    for name, configuration in plans.items():
        yield name, attempted(partial(ours, size, inputs, wanted, configuration))
    yield "C, one core", attempted(partial(in_c, beginning, data, size.batch))
    if size == TARGET:
        documents = (inputs.initial, inputs.tokens, inputs.lengths)
        single = train(beginning.model, *documents, batch=size.batch, steps=STEPS, dtype=torch.float32)
        yield "torch float32, difference only", differences(single, wanted)
        for name, time_it in pytorch(size, inputs, beginning):
            yield name, attempted(time_it)


def compile_function(size: Size, configuration: Mapping[str, Any], number: int, arch: str, cubins: Path) -> str:
    """Compile one function into the store; the reason if it did not."""
    job = SPEC.compile_jobs(size.problem, configuration)[number]
    try:
        compile_into(CubinStore(cubins), job, arch, "bench")
    except Exception as error:  # noqa: BLE001  # found again when it is launched
        return f"{job.symbol}: {type(error).__name__}"
    return ""


def compile_all(wanted: Sequence[tuple[Size, Mapping[str, Any]]], arch: str, cubins: Path, workers: int) -> None:
    """Every function of every size, function by function on all cores; COMPILE_S seconds at most."""
    tasks = [(*one, number) for one in wanted for number in range(len(SPEC.compile_jobs(one[0].problem, one[1])))]
    tasks.sort(key=lambda task: (task[1]["plan"] != RESIDENT["plan"], -task[0].width))  # what takes longest, first
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    futures = [pool.submit(compile_function, *task, arch, cubins) for task in tasks]
    done, late = wait(futures, timeout=COMPILE_S)
    print(len(done), "compiled", len(late), "late", [future.result() for future in done if future.result()], flush=True)
    pool.shutdown(wait=False, cancel_futures=True)


def main() -> int:
    """Parse the command line, compile ahead, measure, write after every number."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="a document a line; else the short list of the package")
    parser.add_argument("--cubins", type=Path, default=Path(".spak/cubins"))
    parser.add_argument("--workers", type=int, default=14)
    arguments = parser.parse_args()
    lines = lines_of(arguments.data) if arguments.data else small_list()
    major, minor = torch.cuda.get_device_capability()
    ahead = [(s, c) for s in SIZES for c in (SEQUENCE, RESIDENT) if c is SEQUENCE or s.resident]
    compile_all(ahead, f"sm_{major}{minor}", arguments.cubins, arguments.workers)
    load_ahead_of_time(CubinStore(arguments.cubins), "bench")
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "sizes": []}
    for size in SIZES:
        row: dict[str, Any] = {**asdict(size), "steps": STEPS}
        found["sizes"].append(row)
        for name, result in measured(size, lines):
            row[name] = result
            print(size, name, result, flush=True)
            arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
