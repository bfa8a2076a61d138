"""MicroGPT trained for 1,000 steps: fidelity to float64, and time beside scalar Python, torch and C on the same machine.

    python -m bench.microgpt --data names.txt --out bench/results/microgpt-h200.json

Host clock around whole runs that end with everything on the host, in rounds of a new random order each; scalar Python
takes minutes and runs first, on cores of its own. Without a GPU the plans are left out. Needs a C compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from hashlib import sha256
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench.microgpt_runs import (
    OURS,
    SCALAR,
    TORCH,
    PlanRunner,
    Runner,
    Task,
    fidelity,
    in_torch,
    number_by_number,
    on_host,
)
from spak.kernels.microgpt.data import begin, lines_of
from spak.kernels.microgpt.model import Model
from spak.kernels.registry import spec
from spak.tuner.backend.gpu.statistics import summarise
from spak.tuner.backend.gpu.timing import Plan, interleave

ROUNDS = Plan(rounds=21, slow_rounds=6, slow_ratio=2.0, warmups=1)
SCALAR_RUNS = 6
"""Enough for an interval."""
BATCH_STEPS = 100
"""Of a run with several documents a step."""

PRODUCT_US, ELEMENTWISE_US = 0.25, 0.08
"""Latency of a dependent stage in one CTA of an H200: a 16 x 16 x 16 product with an RMSNorm, and an element-wise one."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="names.txt")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--scalar-steps", type=int, help="steps of scalar Python; all unless given")
    parser.add_argument(
        "--configuration", action="append", default=[], help="JSON, repeatable: what differs from the default"
    )
    parser.add_argument(
        "--batch", action="append", type=int, default=[], help="documents a step, repeatable, for the last table"
    )
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # more are slower at this size
    start = begin(lines_of(arguments.data))
    task = Task(start, arguments.steps)
    more = [Task(start, BATCH_STEPS, batch) for batch in arguments.batch]
    scalar_steps = arguments.scalar_steps or arguments.steps
    result: dict[str, Any] = {"seed": arguments.seed, "steps": arguments.steps, "data": described(arguments.data)}
    cores = sorted(os.sched_getaffinity(0))
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(SCALAR_RUNS, mp_context=get_context("spawn")) as pool,
    ):
        scalars = [
            pool.submit(number_by_number, arguments.data, scalar_steps, cores[-1 - i % len(cores)])
            for i in range(SCALAR_RUNS)
        ]
        runners: dict[str, Runner] = dict(on_host())
        plans = None
        if torch.cuda.is_available():
            plans = Plans(Path(folder), arguments)
            plans.compile_ahead(task, more)
            runners |= plans.runners(task)
            result["refused"] = plans.refused
        exact = in_torch(task)
        result["losses"], result["fidelity"] = {"reference": rounded(exact.losses)}, {}
        for name, runner in runners.items():
            got = runner(task)
            result["fidelity"][name] = fidelity(got, exact)
            if name == OURS:
                result["losses"][name] = rounded(got.losses)
        result["times"] = {name: asdict(interval) for name, interval in timed(runners, task, arguments.seed).items()}
        save(result, arguments.out)
        result["batches"] = [attempted(lambda each=each: batch_row(plans, each, arguments.seed)) for each in more]
        save(result, arguments.out)
        result["preparation_ms"] = preparation(arguments.data)
        result["floor"] = floor(start.model)
        result["machine"] = {**machine(), **(plans.machine() if plans else {})}
        save(result, arguments.out)
        result["scalar"] = summary_of(scalars, scalar_steps)
    save(result, arguments.out)
    print(told(result))
    return 0


def attempted(table: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The table, or why there is none: what was measured before is not lost with it."""
    try:
        return table()
    except Exception as error:  # noqa: BLE001  # reported, whatever it is
        return {"refused": f"{type(error).__name__}: {str(error)[:200]}"}


def save(result: Mapping[str, Any], out: Path) -> None:
    """What there is so far."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


def told(result: Mapping[str, Any]) -> str:
    """For people."""
    lines = [f"{SCALAR:40s} {result['scalar']['median']:10.1f} us a step"]
    lines += [
        f"{name:40s} {t['median']:10.2f} us a step ({t['low']:.2f} to {t['high']:.2f})"
        for name, t in result["times"].items()
    ]
    lines += [f"{name:40s} {found}" for name, found in result["fidelity"].items()]
    lines += [json.dumps(result[key]) for key in ("batches", "preparation_ms", "floor", "machine")]
    return "\n".join([*lines, json.dumps(result.get("refused", {}))])


def described(names: Path) -> dict[str, Any]:
    """Which list it is."""
    return {"sha256": sha256(names.read_bytes()).hexdigest(), "lines": len(lines_of(names))}


def rounded(losses: np.ndarray) -> list[float]:
    """Seven decimals: what float32 has of a loss."""
    return [round(float(loss), 7) for loss in losses]


def summary_of(scalars: Sequence[Future[float]], steps: int) -> dict[str, Any]:
    """Microseconds a step of scalar Python, of runs that went on beside all else, each on a core of its own."""
    return {"steps": steps, **asdict(summarise([run.result() / steps * 1e6 for run in scalars]))}


class Plans:  # pragma: no cover  # needs a GPU: tests/gpu
    """The op's configurations that are asked for, compiled ahead on all cores."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        """Open the device; compiled code goes to `folder`."""
        from bench.gpu_comparison import Comparison

        op = yaml.safe_load((Path(__file__).parents[1] / "laws" / "ops" / "microgpt.yaml").read_text())
        default = {name: parameter["default"] for name, parameter in op["parameters"].items()}
        self._configurations = configurations(default, arguments.configuration or ["{}"])
        self._folder, self._arch = folder, arguments.arch
        self._comparison = Comparison(arguments.arch, folder, workers=len(os.sched_getaffinity(0)), seed=arguments.seed)
        self.refused: dict[str, str] = {}

    def compile_ahead(self, task: Task, more: Sequence[Task]) -> None:
        """Every configuration for `task`, and the first one for each of `more`, all functions at once."""
        wanted = [(problem_of(task), configuration) for configuration in self._configurations.values()]
        wanted += [(problem_of(each), wanted[0][1]) for each in more]
        with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
            for problem, configuration in wanted:
                for function in sorted({call.function for call in spec("microgpt").calls(problem, configuration)}):
                    pool.submit(compile_function, (problem, configuration, function), self._folder, self._arch)

    def runners(self, task: Task, most: int | None = None) -> dict[str, PlanRunner]:
        """The first `most` by name; what cannot run is noted in `refused`."""
        found, problem = {}, problem_of(task)
        for name, configuration in islice(self._configurations.items(), most):
            try:
                found[name] = PlanRunner(spec("microgpt"), problem, configuration, self._comparison.timer.prepare)
            except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
                self.refused[f"{name}, batch {task.batch}"] = (
                    f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
                )
        return found

    def machine(self) -> dict[str, Any]:
        """The device's side of it."""
        self._comparison.clocks.observe()
        return self._comparison.machine()


def configurations(default: Mapping[str, Any], changes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Name -> configuration, from JSON of what differs from the default."""
    return {told_change(change): {**default, **change} for change in map(json.loads, changes)}


def compile_function(what: tuple[Mapping[str, Any], Mapping[str, Any], str], folder: Path, arch: str) -> None:
    """Compile one function of one configuration of one problem size, for a launch in this or another process."""
    from spak.tuner.backend.gpu.cubins import CubinStore, compile_into

    problem, configuration, function = what
    for job in spec("microgpt").compile_jobs(problem, configuration):
        if job.symbol == function:
            compile_into(CubinStore(folder), job, arch, "bench")


def problem_of(task: Task) -> dict[str, Any]:
    """Problem size of the op."""
    return {**vars(task.start.model), "batch": task.batch, "steps": task.steps}


def told_change(change: Mapping[str, Any]) -> str:
    """Name of a configuration: what differs from the default."""
    return ", ".join([OURS, *(f"{key} {value}" for key, value in change.items())])


def batch_row(plans: Plans | None, task: Task, seed: int) -> dict[str, Any]:
    """Times of one number of documents a step, with the largest difference of a loss."""
    runners: dict[str, Runner] = dict(on_host())
    exact = runners.pop(TORCH)(task)
    if plans is not None:
        runners |= plans.runners(task, 1)
    difference = {name: fidelity(runner(task), exact)["max_abs_difference"] for name, runner in runners.items()}
    times = {name: asdict(interval) for name, interval in timed(runners, task, seed).items()}
    return {"batch": task.batch, "steps": task.steps, "times": times, "max_abs_difference": difference}


def timed(runners: Mapping[str, Runner], task: Task, seed: int) -> dict[str, Any]:
    """Microseconds a step of each runner, by the host's clock, interleaved."""

    def sample(name: str) -> float:
        started = time.perf_counter()
        runners[name](task)
        return (time.perf_counter() - started) / task.steps * 1e6

    for name in runners:
        sample(name)
    samples = interleave(list(runners), sample, ROUNDS, random.Random(seed))
    return {name: summarise(times) for name, times in samples.items()}


def preparation(names: Path) -> dict[str, float]:
    """Milliseconds before a run, the same for all: read the file, shuffle, draw the weights."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        begin(lines_of(names))
        times.append((time.perf_counter() - started) * 1e3)
    return asdict(summarise(times))


def floor(model: Model) -> dict[str, float]:
    """Microseconds that no schedule of one document a step goes below, by dependent stages and their latencies.

    A product waits for another one 6 times a layer on the way forward (q, scores, values, output, two of the MLP), 6 times
    on the way back, and for the head there and back and the embedding; in between lie a softmax, two norms and a ReLU a
    layer, each way; then come the softmax over tokens, the first norm each way, and Adam.
    """
    products, elementwise = 12 * model.layers + 3, 8 * model.layers + 4
    return {
        "products": products,
        "elementwise": elementwise,
        "us": products * PRODUCT_US + elementwise * ELEMENTWISE_US,
    }


def machine() -> dict[str, Any]:
    """Processor, device, versions."""
    import torch

    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    processor = next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "")
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return {
        "processor": processor or platform.processor(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "compiler": compiler,
        "torch_threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.exit(main())
