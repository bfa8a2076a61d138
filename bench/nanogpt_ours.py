"""Our training step as a contestant: the model's own step with the operators that a name asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.nanogpt_cases import BEFORE, DEFAULTS, ELSEWHERE, PLAIN, Case, Run
from spak.kernels.nanogpt.operators import AdamwConstants, Operators
from spak.kernels.nanogpt.parameters import GptConfig
from spak.kernels.nanogpt.torch_operators import torch_operators
from spak.kernels.nanogpt.training_step import StepSettings, TrainingStep

ELSEWHERE_HARDWARE = ("rtx5070", "sm_120")
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
        settings = StepSettings(
            case.batch, case.config.context, 1, run.dropout, constants, dtype, graph=on_gpu and run.graph
        )
        factors = step_factors(run.rates, recipe.betas)
        place = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device(run.device)
        chosen = operators_of(case.config, settings, place)
        self.operators = with_dropped_weights(chosen) if run.dropout else chosen
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


def with_dropped_weights(chosen: Operators) -> Operators:
    """The same with PyTorch's attention, as the train command has it: no kernel drops weights."""
    plain = torch_operators()
    return replace(chosen, attention=plain.attention, attention_backward=plain.attention_backward)


def in_bf16_residual(case: Case) -> Case:
    """The case with the residual stream in bf16, as the activations are."""
    return replace(case, config=replace(case.config, residual_dtype="bfloat16"))


def operators_by_name(name: str, laws_before: Path | None = None) -> OperatorsOf:
    """What computes, by contestant; `laws_before` is the folder of laws that `BEFORE` goes by.

    The ablation differs in who advises: all else, the kernels and which operators have one, stays.
    """
    if name == PLAIN:
        return lambda *_: torch_operators()
    import spak
    from spak.gpt_operators import RecordedAdvice, operators_by_laws
    from spak.kg.formats.nodes import HardwareName

    library = spak.load(laws_before) if name == BEFORE else spak.load()
    if name == DEFAULTS:
        return advised(_default_advice(library))
    if name == ELSEWHERE:
        return advised(RecordedAdvice(library, HardwareName(*ELSEWHERE_HARDWARE)))
    return operators_by_laws(library)


def advised(advise: Any) -> OperatorsOf:
    """Kernels wherever there is one, as `advise` configures them."""

    def operators_of(config: GptConfig, settings: StepSettings, device: Any) -> Operators:
        from spak.kernels.launch_device import launch_device
        from spak.kernels.nanogpt.kernel_operators import kernel_operators

        found = launch_device(device)
        if isinstance(found, str):
            raise RuntimeError(found)  # noqa: TRY004  # a reason, not a value of a wrong type
        return kernel_operators(advise, found, config, settings)

    return operators_of


def _default_advice(library: Any) -> Any:
    """Every op's default configuration, whatever the size."""
    from spak.kernels.advice import Advised
    from spak.kg.space.completion import completed

    def advise(op: str, problem: Any, where: str = "") -> Any:
        del problem, where
        return Advised(completed(library.laws.ops[op], {}), "the default")

    return advise
