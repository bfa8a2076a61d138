"""AdamW as operators of a training step: `spak.kernels.nanogpt.operators` says what each must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spak.kernels.adam.spec import SPEC
from spak.kernels.interface import Configuration, Problem


@dataclass(frozen=True)
class AdamwKernels:
    """`GradientNorm` and `Adamw` of NanoGPT's operators; flat contiguous buffers on a GPU, parameters fp32 with a bf16 copy.

    Attributes:
        configure: Gives the configuration to run at a problem size.
    """

    configure: Callable[[Problem], Configuration]

    def norm(self, gradients: Any) -> Any:
        """(1,) fp32; gradients (size,) bf16 or fp32."""
        problem = adamw_problem(gradients)
        norm = gradients.new_empty(1, dtype=_float32())
        configuration = self.configure(problem)
        SPEC.issue(SPEC.norm_calls(problem, configuration), {"g": gradients, "norm": norm}, configuration)
        return norm

    def update(self, state: Any, gradients: Any, norm: Any, factors: Any, constants: Any) -> None:
        """Write parameters, copy and moments of `state`, an `AdamwState`; nothing where the norm is not finite.

        Args:
            state: Buffers.
            gradients: (size,), bf16 or fp32.
            norm: (1,) fp32, of `gradients`.
            factors: (3,) fp32: learning rate, 1 - beta1^t, 1 - beta2^t.
            constants: `AdamwConstants`.
        """
        p, m, v = state.parameters, state.first, state.second
        given = {"p": p, "g": gradients, "m": m, "v": v, "norm": norm, "factors": factors}
        problem = adamw_problem(gradients, state.decayed, constants)
        configuration = self.configure(problem)
        arrays = {**given, "new_p": p, "new_m": m, "new_v": v, "copy": state.copy}
        SPEC.issue((SPEC.update_call(problem, configuration),), arrays, configuration)


def adamw_problem(gradients: Any, decayed: int = 0, constants: Any = None) -> Problem:
    """The problem size; what a norm does not depend on is 0 where it is not given."""
    names = {
        "clip": "max_norm",
        "weight_decay": "weight_decay",
        "beta1": "beta1",
        "beta2": "beta2",
        "epsilon": "epsilon",
    }
    kind = "fp32" if gradients.dtype == _float32() else "bf16"
    sizes = {"num_elements": gradients.numel(), "update_form": "adamw", "gradient": kind, "decayed": decayed}
    return {**sizes, **{name: float(getattr(constants, own, 0.0)) for own, name in names.items()}}


def _float32() -> Any:
    import torch

    return torch.float32
