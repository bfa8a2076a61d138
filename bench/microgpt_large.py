"""MicroGPT at width 64, 2 layers, context 64, 64 documents a step: the op's plans beside PyTorch on the same GPU."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench.microgpt_torch import Shape, Trainer, opponents
from spak.kernels.microgpt import reference
from spak.kernels.microgpt.spec import SPEC, sizes_of
from spak.tuner.backend.gpu.statistics import summarise
from spak.tuner.backend.gpu.timing import Plan, interleave

OPPONENTS = ("eager", "eager in a CUDA graph", "torch.compile in a CUDA graph")
LARGE_ROUNDS = Plan(rounds=9, slow_rounds=6, slow_ratio=3.0, warmups=1)
EARLY = 10
"""Steps over which losses are compared: later ones of two float32 runs drift apart, PyTorch's as well."""


def large_case(  # pragma: no cover  # needs a GPU
    problem: Mapping[str, Any], configurations: Mapping[str, Mapping[str, Any]], prepare: Callable[..., Any], seed: int
) -> dict[str, Any]:
    """Microseconds a step of each, by the host's clock around all steps of a run, and how far losses and gradients are off."""
    import torch

    torch.set_float32_matmul_precision("highest")
    inputs, steps = SPEC.make_inputs(problem, seed=seed, device="cuda"), int(problem["steps"])
    exact = SPEC.reference(inputs, problem)
    runs: dict[str, Callable[[], object]] = {}
    errors: dict[str, Mapping[str, float]] = {}
    refused: dict[str, str] = {}
    for name, configuration in configurations.items():
        outputs = SPEC.make_outputs(problem, device="cuda")
        try:
            runs[name] = prepare(lambda o=outputs, c=configuration: SPEC.launch(inputs, o, problem, c))
        except Exception as error:  # noqa: BLE001  # what cannot run is reported, whatever it raises
            refused[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
            continue
        for one in vars(outputs).values():
            one.fill_(float("nan"))
        runs[name]()
        errors[name] = early_errors(outputs, exact)
    narrow = (inputs.initial, inputs.tokens, inputs.lengths)
    float32 = reference.train(sizes_of(problem), *narrow, batch=int(problem["batch"]), steps=steps, dtype=torch.float32)
    errors["torch float32"] = early_errors(float32, exact)
    for name in OPPONENTS:
        try:
            runs[name] = repeated(torch_step(name, problem, inputs), steps)
            runs[name]()
        except Exception as error:  # noqa: BLE001
            runs.pop(name, None)
            refused[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"
    times = measured(runs, steps, seed)
    return {"problem": dict(problem), "times": times, "errors": errors, "refused": refused}


def early_errors(got: Any, exact: Any) -> dict[str, float]:
    """Largest difference of a loss in the first steps, and the relative error of the first gradients."""
    losses = (got.losses[:EARLY].double() - exact.losses[:EARLY].double()).abs().max()
    difference = got.gradients.double() - exact.gradients.double()
    return {"early_losses": float(losses), "gradients": float(difference.norm() / exact.gradients.double().norm())}


def torch_step(name: str, problem: Mapping[str, Any], inputs: Any) -> Callable[[], object]:
    """A step of PyTorch's from the same weights, on the same documents."""
    model = sizes_of(problem)
    weights = reference.views(model, inputs.initial)

    def make() -> Trainer:
        shape = Shape(model.layers, model.heads)
        return Trainer(weights, inputs.tokens, inputs.lengths, shape, int(problem["batch"]), int(problem["steps"]))

    return opponents(make, (name,))[name]


def repeated(step: Callable[[], object], steps: int) -> Callable[[], object]:
    """All steps of a run."""

    def run() -> None:
        for _ in range(steps):
            step()

    return run


def measured(runs: Mapping[str, Callable[[], object]], steps: int, seed: int) -> dict[str, Any]:
    """Median and interval of each, in microseconds a step, interleaved; each sample ends with the device idle."""
    import torch

    def sample(name: str) -> float:
        torch.cuda.synchronize()
        started = time.perf_counter()
        runs[name]()
        torch.cuda.synchronize()
        return (time.perf_counter() - started) / steps * 1e6

    for name in runs:
        sample(name)
    samples: Mapping[str, Sequence[float]] = interleave(list(runs), sample, LARGE_ROUNDS, random.Random(seed))
    return {name: asdict(summarise(list(map(float, np.asarray(times))))) for name, times in samples.items()}
