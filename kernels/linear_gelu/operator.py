"""The linear layer with GELU as operators of a training step: spak.kernels.nanogpt.operators says what each must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spak.kernels.cutile import DTYPES
from spak.kernels.interface import Configuration, Problem
from spak.kernels.linear_gelu.spec import SPEC
from spak.kernels.operation import tensors_by_name

NAMES = {name: short for short, name in DTYPES.items()}
"""Torch's name of a type -> the op's."""


@dataclass(frozen=True)
class LinearGeluKernels:
    """`LinearGelu` and `LinearGeluBackward` of NanoGPT's operators; tensors bf16 or fp16, contiguous, on a GPU.

    Attributes:
        configure: Gives the configuration to run at a problem size.
    """

    configure: Callable[[Problem], Configuration]

    def forward(self, x: Any, weight: Any, bias: Any | None) -> tuple[Any, Any]:
        """Before and after GELU, (rows, outputs) both; x (rows, inputs), weight (outputs, inputs), bias (outputs,)."""
        bias = x.new_zeros(len(weight)) if bias is None else bias
        before = x.new_empty(len(x), len(weight))
        inputs, outputs = (
            tensors_by_name(x=x, w=weight, b=bias),
            tensors_by_name(pre=before, act=before.new_empty(before.shape)),
        )
        self._launch(inputs, outputs, x, "forward")
        return outputs.pre, outputs.act

    def backward(self, dy: Any, next_weight: Any, before: Any, dbias: Any | None) -> Any:
        """(rows, hidden), (dy next_weight) GELU'(before); `dbias` (hidden,) is written, sums of its columns."""
        dbias = before.new_empty(before.shape[1]) if dbias is None else dbias
        inputs = tensors_by_name(dy=dy, w2=next_weight, pre=before)
        outputs = tensors_by_name(dpre=before.new_empty(before.shape), db=dbias)
        self._launch(inputs, outputs, dy, "backward")
        return outputs.dpre

    def _launch(self, inputs: Any, outputs: Any, x: Any, direction: str) -> None:
        first = next(iter(vars(outputs).values()))
        problem: Problem = {
            "num_rows": x.shape[0],
            "in_features": x.shape[1],
            "out_features": first.shape[1],
            "dtype": NAMES[str(x.dtype).removeprefix("torch.")],
            "direction": direction,
        }
        SPEC.launch(inputs, outputs, problem, self.configure(problem))
