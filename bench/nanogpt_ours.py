"""Our training step as a contestant: the model's own step with the operators that a name asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from bench.nanogpt_cases import PLAIN, Case, Run
from spak.kernels.nanogpt.operators import AdamwConstants, Operators
from spak.kernels.nanogpt.parameters import GptConfig
from spak.kernels.nanogpt.torch_operators import torch_operators
from spak.kernels.nanogpt.training_step import StepSettings, TrainingStep

OperatorsOf = Callable[[GptConfig, StepSettings, Any], Operators]
"""Model, shape of a step and device -> what computes."""


def step_factors(rates: Sequence[float], betas: tuple[float, float]) -> Any:
    """(steps, 3) float32: learning rate and both bias corrections of every step, as `Adamw` reads them."""
    t = torch.arange(1, len(rates) + 1, dtype=torch.float64)
    columns = [torch.tensor(rates, dtype=torch.float64), *(1 - beta**t for beta in betas)]
    return torch.stack(columns, dim=1).float()


class OurTrainer:
    """`TrainingStep` behind the contestants' interface; on a GPU activations are bf16 and the step is one CUDA graph."""

    def __init__(self, case: Case, operators_of: OperatorsOf, flat: Any, run: Run) -> None:
        """A copy of the flat buffer `flat` is trained."""
        recipe, on_gpu = case.recipe, run.device == "cuda"
        constants = AdamwConstants(*recipe.betas, recipe.epsilon, recipe.weight_decay, recipe.clip)
        dtype = torch.bfloat16 if on_gpu else torch.float32
        settings = StepSettings(case.batch, case.config.context, 1, run.dropout, constants, dtype, graph=on_gpu)
        factors = step_factors(run.rates, recipe.betas)
        self.operators = operators_of(case.config, settings, torch.device(run.device))
        self.step = TrainingStep(
            case.config, self.operators, flat.to(run.device, copy=True), factors, settings, run.reduce
        )
        self._fed: Any = None
        self._done = 0

    def feed(self, batch: Any) -> None:
        """Inputs and targets, (2, B, T) int32; the step copies them to its own place."""
        self._fed = batch

    def advance(self) -> None:
        """One step."""
        self.step.run((self._fed,))
        self._done += 1

    def last_loss(self) -> float:
        """Of the last step; waits for the device."""
        return float(self.step.history()[self._done - 1, 0])

    def weights(self) -> Mapping[str, Any]:
        """Parameters by name, as they are now: views."""
        return self.step.network.parameters

    def gradients(self) -> dict[str, Any]:
        """Of every parameter, by name, for what was fed; a step is done for them."""
        self.advance()
        return self.step.layout.views(self.step.gradients)


def in_bf16_residual(case: Case) -> Case:
    """The case with the residual stream in bf16, as the activations are."""
    return replace(case, config=replace(case.config, residual_dtype="bfloat16"))


def operators_by_name(name: str) -> OperatorsOf:
    """What computes, by contestant."""
    if name == PLAIN:
        return lambda *_: torch_operators()
    import spak
    from spak.gpt_operators import operators_by_laws

    return operators_by_laws(spak.load())
