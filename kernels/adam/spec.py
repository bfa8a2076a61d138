"""Adam and AdamW bound to their space (laws/ops/adam.yaml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.adam.reference import AdamwStep, Decay, adam, adamw
from spak.kernels.cutile import TOLERANCES, Array, Call, ceil_div
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import OperationSpec

STATE = ("p", "g", "m", "v")
"""Parameters, their gradient, and its moments."""

NEW_STATE = ("new_p", "new_m", "new_v")

NORM_TILE = 4096
"""Parts of the norm that its CTA loads at a time."""


class AdamSpec(OperationSpec):
    """`adam`: element by element; AdamW after the norm that it clips by is summed."""

    op = "adam"

    def written(self, problem: Problem) -> Sequence[str]:
        """The new state; of AdamW also its copy in bf16, and the norm of the gradient."""
        return (*NEW_STATE, "copy", "norm") if _is_adamw(problem) else NEW_STATE

    def operands(self, problem: Problem) -> Mapping[str, Array]:
        """State, what the step's number decides, and what is written."""
        shape = (int(problem["num_elements"]),)
        flat, gradient = Array("fp32", shape), Array(str(problem["gradient"]), shape)
        state = {**dict.fromkeys(STATE, flat), "g": gradient}
        if not _is_adamw(problem):
            return {**state, "rates": Array("fp32", (2,)), **dict.fromkeys(NEW_STATE, flat)}
        written = {**dict.fromkeys(NEW_STATE, flat), "copy": Array("bf16", shape), "norm": Array("fp32", (1,))}
        return {**state, "factors": Array("fp32", (3,)), **written}

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:  # noqa: ARG002
        """The update; AdamW's after the norm."""
        if _is_adamw(problem):
            return (*self.norm_calls(problem, configuration), self.update_call(problem, configuration))
        grid, tile = _grid(problem, configuration)
        names = " ".join(self.arrays(problem))
        return (self.call(problem, grid, "adam_kernel", names, *_decay(problem), tile),)

    def norm_calls(self, problem: Problem, configuration: Configuration) -> Sequence[Call]:
        """AdamW's norm of the gradient: sums of squares of tiles, then of these."""
        tile = int(configuration["sum_tile"])
        parts = {"parts": Array("fp32", (ceil_div(int(problem["num_elements"]), tile),))}
        squares = self.call(problem, parts["parts"].shape, "squares_kernel", "g", tile)
        norm = self.call(problem, (1,), "norm_kernel", "norm", NORM_TILE)
        return (
            replace(squares, arrays={**squares.arrays, **parts}, hot=False),
            replace(norm, arrays={**parts, **norm.arrays}, hot=False),
        )

    def update_call(self, problem: Problem, configuration: Configuration) -> Call:
        """AdamW's update, which reads the norm."""
        grid, tile = _grid(problem, configuration)
        step, names = _step(problem), f"p g m v norm factors {' '.join(NEW_STATE)} copy"
        rates = (step.max_norm, step.weight_decay, *step.decay)
        call = self.call(problem, grid, "adamw_kernel", names, *rates, tile)
        return replace(call, scalars=(step.decayed, *call.scalars))

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:
        """None for the one CTA that adds the parts of the norm; occupancy is the update's alone."""
        if function == "norm_kernel":
            return {}
        hints = super().hints(function, configuration)
        return {name: hint for name, hint in hints.items() if name != "occupancy" or function != "squares_kernel"}

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Any:
        """Normal, but for second moments and what the step's number decides, which are not negative."""
        drawn = super().make_inputs(problem, seed=seed, device=device)
        name = "factors" if _is_adamw(problem) else "rates"
        return replace(drawn, v=drawn.v.square(), **{name: getattr(drawn, name).abs() + 0.5})

    def definition(self, problem: Problem, **inputs: Any) -> Any:
        """What is written, of torch tensors."""
        if not _is_adamw(problem):
            return adam(**inputs, decay=_decay(problem))
        inputs["g"] = inputs["g"].to(inputs["p"].dtype)
        p, m, v, norm = adamw(**inputs, step=_step(problem))
        return p, m, v, p, norm

    def tolerance(self, problem: Problem) -> float:
        """That of the copy where there is one."""
        return TOLERANCES["bf16"] if _is_adamw(problem) else super().tolerance(problem)


def _is_adamw(problem: Problem) -> bool:
    return problem["update_form"] == "adamw"


def _grid(problem: Problem, configuration: Configuration) -> tuple[tuple[int], int]:
    tile = int(configuration["tile_size"])
    return (ceil_div(int(problem["num_elements"]), tile),), tile


def _decay(problem: Problem) -> Decay:
    return Decay(*(float(problem[name]) for name in Decay._fields))


def _step(problem: Problem) -> AdamwStep:
    limits = (float(problem["max_norm"]), float(problem["weight_decay"]))
    return AdamwStep(int(problem["decayed"]), *limits, _decay(problem))


SPEC = AdamSpec()
