"""Attention backward, and forward with backward, against cuDNN, FlashAttention-4, FA2 and FlexAttention.

Every time includes Delta and the conversion of dQ. The fastest configuration of each form is chosen in rounds
of its own. Gradients are held against float64 on every kind of inputs; times are taken on standard normal ones, since no
launch here depends on what inputs are. `bench.attention_sitting` runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bench import attention_candidates, flash_attention, flex
from bench.attention import CHAR, CHAR_FP16, MODEL, MODEL_FP16, SIZES, later, plan_of, useful_flops
from bench.attention_judging import (
    BOTH_PASSES,
    DETERMINISTIC,
    NORMAL,
    OURS,
    Case,
    Contestant,
    Judged,
    checked,
    fastest_of,
    judge,
)
from bench.gpu_comparison import Comparison
from spak.kernels.attention.backward.libraries import backward_passes, both_passes
from spak.kernels.attention.backward.spec import SPEC as BACKWARD
from spak.kernels.attention.backward.spec import BackwardInputs, after_forward
from spak.kernels.attention.fmha.spec import SPEC as FMHA
from spak.kernels.attention.inputs import draw
from spak.kernels.attention.problem import Inputs, Shape
from spak.kernels.interface import Configuration, Problem

OP = Path(__file__).parents[1] / "laws" / "ops" / "fmha.yaml"
PER_FORWARD = 2.5
"""Five products where the forward pass has two; what is computed again counts, as it does for every library."""


def problems() -> dict[str, Problem]:
    """Every size judged, by name, in fp16."""
    known = yaml.safe_load(OP.read_text())["problems"]
    halves = {MODEL_FP16: known[MODEL], CHAR_FP16: known[CHAR]}
    return {
        size: {**problem, "dtype": "fp16"}
        for size, problem in [*((size, known[size]) for size in SIZES), *halves.items()]
    }


def backward_inputs(inputs: Inputs, problem: Problem, seed: int) -> BackwardInputs:
    """With a standard normal gradient of the output, and what an exact forward pass leaves."""
    import torch

    generator = torch.Generator(device=inputs.q.device).manual_seed(seed)
    do = torch.randn(inputs.q.shape, generator=generator, device=inputs.q.device, dtype=torch.float32)
    return after_forward(inputs.q, inputs.k, inputs.v, do.to(inputs.q.dtype), problem)


def launched(inputs: BackwardInputs, outputs: Any, problem: Problem, configuration: Configuration) -> Contestant:
    """One of ours; returns the gradients."""

    def launch() -> Any:
        BACKWARD.launch(inputs, outputs, problem, configuration)
        return outputs

    return Contestant(launch, configuration)


def both(
    inputs: BackwardInputs, outputs: Any, problem: Problem, forward: Configuration, last: Configuration
) -> Contestant:
    """Ours, the forward pass first: the backward pass reads the output and log-sum-exp that it wrote."""
    import torch

    out, lse = torch.empty_like(inputs.q), torch.empty_like(inputs.lse)
    first = Inputs(inputs.q, inputs.k, inputs.v)
    after = BackwardInputs(inputs.q, inputs.k, inputs.v, out, lse, inputs.do)

    def launch() -> Any:
        FMHA.launch_lse(first, out, lse, problem, forward)
        BACKWARD.launch(after, outputs, problem, last)
        return outputs

    return Contestant(launch, {"forward": dict(forward), "backward": dict(last)})


def libraries(inputs: BackwardInputs, problem: Problem, *, with_flex: bool) -> dict[str, Contestant]:
    """The backward pass of each; their forward passes run before."""
    found: dict[str, Any] = dict(backward_passes(inputs, causal=Shape.of(problem).causal))
    found["fa4"] = later(flash_attention.backward, inputs, problem)
    found["fa4-deterministic"] = later(lambda i, p: flash_attention.backward(i, p, deterministic=True), inputs, problem)
    if with_flex:
        found["flex"] = later(flex.backward, inputs, problem)
    return {name: Contestant(launch) for name, launch in found.items()}


class Backward:
    """The sizes of one run."""

    def __init__(self, comparison: Comparison, seed: int, *, with_flex: bool) -> None:
        """Nothing is timed yet."""
        self.comparison, self.seed, self.with_flex = comparison, seed, with_flex

    def choose(self, problem: Problem) -> dict[str, Contestant]:
        """The fastest configuration, and the fastest without atomics, on inputs that nothing is judged on."""
        inputs = backward_inputs(draw(NORMAL, problem, seed=self.seed, device="cuda"), problem, self.seed)
        outputs = BACKWARD.make_outputs(problem, device="cuda")
        every = [launched(inputs, outputs, problem, c) for c in attention_candidates.fmha_backward(problem)]
        split = [c for c in every if c.configuration and c.configuration["dq_form"] == "split"]
        fused = [c for c in every if c not in split]
        best_split, _ = fastest_of(self.comparison, split)
        if not fused:
            return {OURS: best_split, DETERMINISTIC: best_split}
        best_fused, _ = fastest_of(self.comparison, fused)
        fastest, _ = fastest_of(self.comparison, [best_fused, best_split])
        return {OURS: fastest, DETERMINISTIC: best_split}

    def judged(
        self, size: str, problem: Problem, chosen: Mapping[str, Contestant], forward: Configuration | None
    ) -> Iterator[Judged]:
        """The row of the backward pass and, with a configuration of the forward pass, that of both, on standard normal inputs."""
        inputs = backward_inputs(draw(NORMAL, problem, seed=self.seed + 1, device="cuda"), problem, self.seed + 1)
        outputs = BACKWARD.make_outputs(problem, device="cuda")
        flops = PER_FORWARD * useful_flops(Shape.of(problem))
        reference = cache(lambda: BACKWARD.reference(inputs, problem))
        limit, plan = BACKWARD.tolerance(problem), plan_of(problem)
        case = Case(size, NORMAL, problem, flops, outputs, reference, limit, plan)
        ours = {name: launched(inputs, outputs, problem, c.configuration or {}) for name, c in chosen.items()}
        yield judge(self.comparison, case, {**ours, **libraries(inputs, problem, with_flex=self.with_flex)})
        if forward:
            together = {
                name: both(inputs, outputs, problem, forward, c.configuration or {}) for name, c in chosen.items()
            }
            for name, launch in both_passes(inputs, causal=Shape.of(problem).causal).items():
                together[name] = Contestant(launch)
            together["fa4"] = Contestant(later(flash_attention.both, inputs, problem))
            case = Case(size, BOTH_PASSES, problem, flops * 1.4, outputs, reference, limit, plan)
            yield judge(self.comparison, case, together)

    def errors(
        self, size: str, problem: Problem, chosen: Mapping[str, Contestant], kinds: Iterator[tuple[str, Inputs]]
    ) -> Iterator[dict[str, Any]]:
        """Relative errors of dQ, dK and dV on every kind of inputs, by contestant; or why there are none."""
        outputs = BACKWARD.make_outputs(problem, device="cuda")
        for kind, given in kinds:
            inputs = backward_inputs(given, problem, self.seed + 2)
            ours = {name: launched(inputs, outputs, problem, c.configuration or {}) for name, c in chosen.items()}
            ours["fa4"] = Contestant(later(flash_attention.backward, inputs, problem))
            reference: Callable[[], Any] = lambda i=inputs: BACKWARD.reference(i, problem)  # noqa: E731
            case = Case(
                size, kind, problem, 0.0, outputs, reference, math.inf
            )  # an error too large is told, not hidden
            found, refused = checked(case, ours)
            row = {"size": size, "inputs": kind, "errors": found, "refused": refused}
            print(size, kind, {name: f"{max(errors):.1e}" for name, errors in found.items()}, refused or "", flush=True)
            yield row
