"""Training of MicroGPT bound to its space (laws/ops/microgpt.yaml): the run as one op, from documents to parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from spak.kernels.cutile import Array, Call, CutileSpec
from spak.kernels.interface import Configuration, Problem, Work
from spak.kernels.microgpt.drawing import draw_run
from spak.kernels.microgpt.model import BETA1, BETA2, Model, initial_parameters, learning_rates, num_parameters
from spak.kernels.microgpt.resident.launch import FUNCTION, resident_calls, resident_work
from spak.kernels.microgpt.sequence.launch import WITHOUT_PRODUCTS, SequencePlan, layout_of, sequence_work

RUN_TOLERANCE = 1e-4
"""Largest relative error of the losses of all steps, of the last parameters and of the first gradients, each as a whole."""

MOST_POSITIONS_OF_ONE_CORE = 1024
"""Of a step of the float64 run."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a run begins with and trains on.

    Attributes:
        initial: (P,) fp32, matrices row-major one after another.
        tokens: (steps * batch, context + 1) int32; the last token of the vocabulary ends a document, any may begin it.
        lengths: (steps * batch,) int32, tokens that have a successor.
        rates: (steps, 2) fp32: the learning rate over 1 - beta1^t, and (1 - beta2^t)^-1/2, with t from 1 on.
    """

    initial: Any
    tokens: Any
    lengths: Any
    rates: Any


@dataclass(frozen=True)
class TrainingOutputs:
    """Losses (steps,), parameters after the last step (P,), and gradients of the first step (P,), all fp32."""

    losses: Any
    parameters: Any
    gradients: Any


def sizes_of(problem: Problem) -> Model:
    """The model's sizes."""
    return Model(*(int(problem[name]) for name in ("vocab", "width", "layers", "heads", "context")))


def adam_factors(steps: int) -> np.ndarray:
    """(steps, 2) float64: `TrainingInputs.rates`."""
    count = np.arange(1, steps + 1)
    return np.stack([learning_rates(steps) / (1 - BETA1**count), (1 - BETA2**count) ** -0.5], axis=1)


@contextmanager
def float64_place(problem: Problem, device: Any) -> Iterator[Any]:
    """The device where float64 trains: short steps on one core of the CPU, since launches, and threads that wait for one another, take longer."""
    import torch

    if int(problem["batch"]) * int(problem["context"]) > MOST_POSITIONS_OF_ONE_CORE:
        yield device
        return
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield "cpu"
    finally:
        torch.set_num_threads(num_threads)


class MicrogptSpec(CutileSpec):
    """`microgpt`: losses, parameters and the first gradients of a run."""

    op = "microgpt"
    inputs = TrainingInputs
    outputs = TrainingOutputs

    @property
    def source_files(self) -> Sequence[str]:
        """The cuTile source of each plan, and the sizes and constants that it takes from elsewhere."""
        folder = Path(__file__).parent
        sequence = sorted((folder / "sequence").glob("*kernel.py"))
        return tuple(
            map(str, (folder / "model.py", folder / "resident/kernel.py", folder / "sequence/layout.py", *sequence))
        )

    def module(self, function: str) -> str:
        """The kernel.py of the plan that has the function."""
        return f"spak.kernels.microgpt.{'resident' if function == FUNCTION else 'sequence'}.kernel"

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """What a run begins with, what it trains on, and what it leaves."""
        model, steps = sizes_of(problem), int(problem["steps"])
        flat, documents = Array("fp32", (num_parameters(model),)), steps * int(problem["batch"])
        return {
            "initial": flat,
            "tokens": Array("int32", (documents, model.context + 1)),
            "lengths": Array("int32", (documents,)),
            "rates": Array("fp32", (steps, 2)),
            "losses": Array("fp32", (steps,)),
            "parameters": flat,
            "gradients": flat,
        }

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> TrainingInputs:
        """Weights as microgpt.py draws them, and documents of random tokens that keep clear of ReLU's bend."""
        import torch

        generator, model, steps = Random(seed), sizes_of(problem), int(problem["steps"])  # noqa: S311  # no secret
        initial = initial_parameters(model, generator).astype(np.float32)
        with float64_place(problem, device) as place:
            documents = draw_run(model, initial, generator, batch=int(problem["batch"]), steps=steps, device=place)
        drawn = (initial, *documents, adam_factors(steps).astype(np.float32))
        return TrainingInputs(*(torch.from_numpy(array).to(device) for array in drawn))

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """The launches of the plan, which follow one another on a stream."""
        del num_sms
        model, batch, steps = sizes_of(problem), int(problem["batch"]), int(problem["steps"])
        if configuration["plan"] == "resident":
            return resident_calls(model, self.arrays(problem), configuration, batch=batch, steps=steps)
        return self.sequence_plan(problem, configuration).calls()

    def sequence_plan(self, problem: Problem, configuration: Configuration) -> SequencePlan:
        """The launches of the plan `sequence`."""
        model = sizes_of(problem)
        layout = layout_of(model, int(problem["batch"]), configuration)
        return SequencePlan(model, layout, configuration, self.arrays(problem), int(problem["steps"]))

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:
        """Those of the configuration, but none for launches without a product."""
        return {} if function in WITHOUT_PRODUCTS else super().hints(function, configuration)

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of all launches as one."""
        if configuration["plan"] == "sequence":
            return (sequence_work(self.sequence_plan(problem, configuration)),)
        batch, steps = int(problem["batch"]), int(problem["steps"])
        return (resident_work(sizes_of(problem), self.arrays(problem), batch=batch, steps=steps),)

    def reference(self, inputs: TrainingInputs, problem: Problem) -> TrainingOutputs:
        """Float64, from the same initial parameters."""
        from spak.kernels.microgpt.reference import train

        batch, steps = int(problem["batch"]), int(problem["steps"])
        device = inputs.initial.device
        with float64_place(problem, device) as place:
            given = (one.to(place) for one in (inputs.initial, inputs.tokens, inputs.lengths))
            trained = train(sizes_of(problem), *given, batch=batch, steps=steps)
        return TrainingOutputs(*(one.to(device) for one in trained))

    def tolerance(self, problem: Problem) -> float:  # noqa: ARG002  # the interface's
        """1e-4, of losses, parameters and gradients, each as a whole."""
        return RUN_TOLERANCE

    def baselines(self, inputs: TrainingInputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:  # noqa: ARG002
        """None here: what trains this model elsewhere is compared in bench/microgpt.py."""
        return {}


SPEC = MicrogptSpec()
