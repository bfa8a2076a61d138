"""Operators of NanoGPT's training step, each by a kernel or by PyTorch, as laws and recorded runs say of the device."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from spak.choice import Choice, Chooser
from spak.kernels.advice import Advised
from spak.kernels.interface import Problem
from spak.kernels.launch_device import launch_device
from spak.kernels.nanogpt.kernel_operators import kernel_operators
from spak.kernels.nanogpt.operators import OPERATOR_NAMES, Operators
from spak.kernels.nanogpt.parameters import GptConfig
from spak.kernels.nanogpt.surroundings import OperatorSource
from spak.kg.errors import KgError
from spak.kg.files.loader import Laws
from spak.kg.formats.nodes import HardwareName
from spak.kg.model.base import ProblemSize
from spak.kg.space.completion import completed
from spak.library import Library

if TYPE_CHECKING:
    from spak.kernels.nanogpt.training_step import StepSettings

BY_PYTORCH = ("torch", "sdpa")
"""What the names of recorded baselines begin with that PyTorch's operators are."""


class RecordedAdvice:
    """What to run of each op on one device."""

    def __init__(self, library: Library, hw: HardwareName) -> None:
        """Begin; nothing is read before it is asked for."""
        self._laws, self._hw, self._toolchain = library.laws, hw, library.toolchain
        self._chooser = cache(self._new_chooser)

    def __call__(self, op: str, problem: Problem, where: str = "") -> Advised:
        """A configuration with its reason; none where none is feasible or PyTorch was recorded to be faster."""
        try:
            choice = self._choice(op, problem, where)
        except KgError as error:
            return Advised(None, str(error))
        faster = _faster(self._laws, choice)
        return Advised(None, faster) if faster else Advised(choice.configuration, _told(self._laws, choice))

    def _choice(self, op: str, problem: Problem, where: str) -> Choice:
        """That of the chooser; but an order that laws alone give does not come before the default of an op that nobody tried."""
        chooser = self._chooser(op)
        choice = chooser.choose(dict(problem), where)
        if choice.origin != "ranked" or self._is_tried(op):
            return choice
        default = " and ".join(f"{name} == {value!r}" for name, value in completed(self._laws.ops[op], {}).items())
        try:
            known = chooser.choose(dict(problem), default)
        except KgError:
            return choice
        return replace(known, origin="default", because="nothing of it is recorded; its default")

    def _is_tried(self, op: str) -> bool:
        return any(self._laws.run(each).op == op for each in self._laws.run_ids)

    def _new_chooser(self, op: str) -> Chooser:
        return Chooser(self._laws, op, self._hw, self._toolchain)


def _faster(laws: Laws, choice: Choice) -> str:
    """That PyTorch was faster than every configuration where both were recorded at this size, in words; else empty."""
    ours, theirs = [], []
    for run in _runs(laws, choice):
        if not any(name.startswith(BY_PYTORCH) for name in run.reference_times):
            continue
        times = [trial.value("time") for trial in run.trials if trial.invalidity == "correct"]
        ours += [time for time in times if time is not None]
        theirs += [(found.value, name) for name, found in run.reference_times.items() if name.startswith(BY_PYTORCH)]
    if not (ours and theirs) or min(ours) <= min(theirs)[0]:
        return ""
    return f"{min(theirs)[1]} took {min(theirs)[0]:.4g} us on {choice.hw}, the fastest kernel {min(ours):.4g}"


def _runs(laws: Laws, choice: Choice) -> list[Any]:
    defaults = {name: parameter.default for name, parameter in laws.ops[choice.op].problem.items()}
    runs = map(laws.run, laws.run_ids)
    same = (run for run in runs if run.op == choice.op and run.hw == choice.hw and run.tier == "measured")
    return [run for run in same if _complete(defaults, run.problem) == dict(choice.problem)]


def _complete(defaults: ProblemSize, problem: ProblemSize) -> ProblemSize:
    return {**defaults, **problem}


def _told(laws: Laws, choice: Choice) -> str:
    default = completed(laws.ops[choice.op], {})
    differing = {name: value for name, value in choice.configuration.items() if default[name] != value}
    words = ", ".join(f"{name}={value}" for name, value in differing.items()) or "the default"
    return f"{words} ({choice.origin}: {choice.because})"


def operators_by_laws(library: Library) -> OperatorSource:
    """Chooses operators for a model, the shape of a step and a torch device."""

    def operators_of(config: GptConfig, step: StepSettings, device: Any) -> Operators:
        import torch  # noqa: PLC0415  # whoever only reads help needs none

        found = launch_device(device)
        if isinstance(found, str) or step.dtype != torch.bfloat16:
            reason = found if isinstance(found, str) else f"kernels are for activations in bfloat16, not {step.dtype}"
            return _all_by_pytorch(reason)
        return kernel_operators(RecordedAdvice(library, HardwareName(found.hardware, found.arch)), found, config, step)

    return operators_of


def _all_by_pytorch(reason: str) -> Operators:
    from spak.kernels.nanogpt.torch_operators import torch_operators  # noqa: PLC0415

    return replace(torch_operators(), reasons=dict.fromkeys(OPERATOR_NAMES, f"PyTorch: {reason}"))
