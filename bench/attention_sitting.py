"""Every table of attention in one run: forward and backward, all sizes and inputs, one after the other on one GPU.

    python -m bench.attention_sitting --out results

Needs a GPU; five minutes on an H200 with 16 cores. With `--char`, the file that `bench.nanogpt_training --tensors` writes,
Q and K of the character model are among the inputs. `bench.attention_model` trains its model while kernels and libraries
compile; nothing is timed before both are done. Results are written after every row: attention.json,
attention-backward.json and attention-model.json; sizes that they have are left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from bench import attention, attention_backward, attention_candidates, flash_attention
from bench.attention import (
    CHAR,
    CHAR_FP16,
    MODEL,
    MODEL_FP16,
    Forward,
    Kept,
    forward_configurations,
    model_kinds,
    model_of,
)
from bench.attention_backward import Backward
from bench.attention_judging import Contestant, Results
from bench.gpu_comparison import Comparison, matmul_rate_tflops
from bench.library_compilation import LibraryCompilation
from spak.kernels.attention.inputs import DISTRIBUTIONS, draw
from spak.kernels.attention.problem import Inputs
from spak.kernels.interface import Configuration, Problem

MODEL_S = 150.0
"""Wait for the trained model at most this long, in seconds."""
ALIKE = "d64-s1024-causal"
"""Whose forward configuration serves a size that has no forward row of its own."""


def in_order() -> list[str]:
    """Every size of either pass; the longest, which take half of the time, last."""
    long = [size for size in attention.SIZES if "s16384" in size]
    short = [size for size in attention.SIZES if size not in long]
    return [*short, MODEL, MODEL_FP16, CHAR, CHAR_FP16, *long]


class Training:
    """bench.attention_model in a process of its own, from now on."""

    def __init__(self, out: Path, tensors: Path) -> None:
        """`out` gets its results, `tensors` what its layers gave their attention."""
        self._tensors = tensors
        command = [sys.executable, "-m", "bench.attention_model", "--out", str(out), "--tensors", str(tensors)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def kept(self) -> Kept:
        """Q, K and V by step and layer, once it has ended; nothing, and a line that says so, if it failed or takes too long."""
        import torch

        try:
            code = self._process.wait(timeout=MODEL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = None
        if code != 0:
            print(f"no trained model (exit status {code}); its inputs are left out", flush=True)
            return {}
        found: Kept = torch.load(self._tensors)
        return found


def character_model(file: Path | None) -> Kept:
    """The first, a middle and the last layer of each step that bench.nanogpt_training kept; nothing without its file."""
    import torch

    steps: Kept = torch.load(file) if file is not None else {}
    return {
        step: {layer: layers[layer] for layer in sorted({min(layers), sorted(layers)[len(layers) // 2], max(layers)})}
        for step, layers in steps.items()
    }


class Sitting:
    """One run: both passes, each with its file of results."""

    def __init__(self, comparison: Comparison, models: Mapping[str, Kept], options: argparse.Namespace) -> None:
        """`models` by the names that `model_of` gives; `options` are those of `options_of`."""
        self.comparison, self.models, self.seed, self.out = comparison, models, options.seed, options.out
        about = {
            "seed": self.seed,
            "flash_attention_4": flash_attention.version() or f"{flash_attention.PACKAGE} is not installed",
            "bf16_matmul_tflops": matmul_rate_tflops(comparison),
        }
        self.forward = Forward(comparison, models, self.seed, with_flex=options.flex)
        self.backward = Backward(comparison, self.seed, with_flex=options.flex)
        self.forward_results = Results(self.out / "attention.json", about)
        self.backward_results = Results(self.out / "attention-backward.json", about)
        self.errors = self.backward_results.list_of("errors")
        self.chosen: dict[str, Mapping[str, Contestant]] = {}

    def measure_forward(self, size: str, problem: Problem) -> None:
        """Choose and judge the forward pass on every kind of inputs."""
        for row in self.forward.judged(size, problem):
            self.forward_results.add(row)
        self.forward_results.save(machine=self.comparison.machine())

    def measure_backward(self, size: str, problem: Problem) -> None:
        """Choose and judge the backward pass, alone and with the forward pass."""
        self.chosen[size] = self.backward.choose(problem)
        for row in self.backward.judged(size, problem, self.chosen[size], self._forward_of(size)):
            self.backward_results.add(row)
        self.backward_results.save(machine=self.comparison.machine())

    def gradient_errors(self, size: str, problem: Problem) -> None:
        """Hold the gradients against float64 on every kind of inputs."""
        seed = self.seed + 2
        drawn: Iterator[tuple[str, Inputs]] = (
            (kind, draw(kind, problem, seed=seed, device="cuda")) for kind in DISTRIBUTIONS
        )
        kinds = chain(drawn, model_kinds(self.models.get(model_of(size), {}), problem))
        self.errors += self.backward.errors(size, problem, self.chosen[size], kinds)
        self.backward_results.save(errors=self.errors)

    def _forward_of(self, size: str) -> Configuration | None:
        known = forward_configurations(self.out / "attention.json")
        return known.get(size, known.get(ALIKE))


def steps(sitting: Sitting, sizes: Sequence[str]) -> Iterator[tuple[str, Any, Problem]]:
    """(size, what is to be done, its problem), what matters most first: times of both passes, then errors of gradients."""
    forward, backward = attention.problems(), attention_backward.problems()
    for size in sizes:
        if (
            size in forward
            and size not in sitting.forward_results.sizes
            and (sitting.models.get(model_of(size)) or not model_of(size))
        ):
            yield size, sitting.measure_forward, forward[size]
        if size in backward and size not in sitting.backward_results.sizes:
            yield size, sitting.measure_backward, backward[size]
    for size in sizes:
        if size in sitting.chosen:
            yield size, sitting.gradient_errors, backward[size]


def compiled(options: argparse.Namespace, sizes: Sequence[str], folder: Path) -> Comparison:
    """The comparison, once all kernels and libraries of both passes are compiled."""
    workers = len(os.sched_getaffinity(0))
    passes = (attention.problems(), attention_backward.problems())
    wanted = [[problems[size] for size in sizes if size in problems] for problems in passes]
    compilations = [
        LibraryCompilation(problems, backward=backward, workers=workers // 2, with_flex=options.flex)
        for problems, backward in zip(wanted, (False, True), strict=True)
    ]
    comparison = Comparison(options.arch, folder, workers=workers, seed=options.seed)
    candidates = (attention_candidates.fmha, attention_candidates.fmha_backward)
    modules = ("fmha", "backward")
    for module, choose, problems in zip(modules, candidates, wanted, strict=True):
        pairs = [(problem, configuration) for problem in problems for configuration in choose(problem)]
        comparison.compile_ahead(f"spak.kernels.attention.{module}.spec", pairs)
    failed = [dict(compilation.wait()) for compilation in compilations]
    print(f"libraries that failed, forward and backward: {failed}", flush=True)
    return comparison


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of results")
    parser.add_argument("--char", type=Path, help="what bench.nanogpt_training kept of the character model (--tensors)")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("--only", default="", help="sizes whose names contain one of these, separated by commas")
    parser.add_argument("--until-s", type=float, default=1e9, help="begin nothing further after this many seconds")
    parser.add_argument("--flex", action="store_true", help="time FlexAttention too, on standard normal inputs")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    return parser.parse_args(argv)


def main() -> int:
    options, started = options_of(), time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = [size for size in in_order() if any(part in size for part in options.only.split(","))]
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training = Training(options.out / "attention-model.json", folder / "model.pt")
        comparison = compiled(options, sizes, folder / "cubins")
        print(f"compiled at {time.monotonic() - started:.0f} s", flush=True)
        sitting = Sitting(comparison, {MODEL: training.kept(), CHAR: character_model(options.char)}, options)
        print(f"trained at {time.monotonic() - started:.0f} s", flush=True)
        for size, step, problem in steps(sitting, sizes):
            if time.monotonic() - started > options.until_s:
                print(f"{size}: {step.__name__} left out", flush=True)
                continue
            try:
                step(size, problem)
            except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
                print(f"{size}: {error}", flush=True)
            print(f"{step.__name__} at {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
