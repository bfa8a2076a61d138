"""Residual addition and norm as operators of a training step: spak.kernels.nanogpt.operators says what each must do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from spak.kernels.add_norm.spec import SPEC
from spak.kernels.cutile import DTYPES
from spak.kernels.interface import Configuration, Problem
from spak.kernels.operation import tensors_by_name

OP_DTYPES = {name: short for short, name in DTYPES.items()}
"""Torch's name of a type -> the op's."""


class NormGradients(NamedTuple):
    """Where gradients of parameters are written, (width,) each and of one type; None: no such parameter, or no wish for it.

    Attributes:
        gain: Of the norm.
        bias: Of the norm.
        branch_bias: Column sums of the new residual's gradient, which is the gradient of the bias of the linear layer that
            the branch ends with.
    """

    gain: Any
    bias: Any | None
    branch_bias: Any | None = None


@dataclass(frozen=True)
class AddNormKernels:
    """`AddNorm` and `AddNormBackward` of NanoGPT's operators; contiguous tensors on a GPU, gains and biases fp32.

    Attributes:
        configure: Gives the configuration to run at a problem size.
        norm: `layer` or `rms`.
    """

    configure: Callable[[Problem], Configuration]
    norm: str = "layer"

    def forward(
        self, residual: Any, branch: Any | None, gain: Any, bias: Any | None, dtype: Any
    ) -> tuple[Any, Any, Any]:
        """New residual (rows, width), its norm in `dtype`, and statistics, fp32: 1 / deviation, then means, if it has any.

        Raises:
            ValueError: If the branch has another shape than the residual stream.
            TypeError: For a dtype that the kernel does not know.
        """
        import torch

        _check_rows("branch", branch, residual)
        normed = torch.empty(residual.shape, dtype=dtype, device=residual.device)
        given, problem = (
            _present(residual=residual, branch=branch, gain=gain, bias=bias),
            self._problem(residual, dtype),
        )
        problem |= {"bias": bias is not None, "branch": branch is not None, "branch_bias": branch is not None}
        total = residual if branch is None else torch.empty_like(residual)
        statistics = residual.new_empty((1 + (self.norm == "layer"), len(residual)), dtype=torch.float32)
        written = _present(new_residual=None if branch is None else total, y=normed, statistics=statistics)
        SPEC.launch(tensors_by_name(**given), tensors_by_name(**written), problem, self.configure(problem))
        return total, normed, statistics

    def backward(
        self, dnormed: Any, dresidual: Any | None, saved: tuple[Any, Any, Any], gradients: NormGradients, dtype: Any
    ) -> tuple[Any, Any]:
        """Gradient of the new residual in its type and in `dtype`; those of the parameters are written to `gradients`.

        Args:
            dnormed: (rows, width), of `dtype`: gradient of the norm.
            dresidual: Gradient that reaches the new residual past this norm; None: none does.
            saved: The new residual, gain, and statistics.
            gradients: Where those of the parameters are written.
            dtype: Of what the branch computes in.

        Raises:
            ValueError: If a gradient has another shape than the residual stream.
            TypeError: For a dtype that the kernel does not know.
        """
        import torch

        residual, gain, statistics = saved
        _check_rows("dnormed", dnormed, residual)
        _check_rows("dresidual", dresidual, residual)
        problem = self._problem(residual, dtype) | {"direction": "backward", "from_above": dresidual is not None}
        problem |= {"bias": gradients.bias is not None, "branch_bias": gradients.branch_bias is not None}
        problem["gradient_dtype"] = _dtype_name(gradients.gain.dtype)
        dx = torch.empty_like(residual)
        dbranch = dx if dtype == residual.dtype else torch.empty_like(dnormed)
        given = _present(dy=dnormed, dnew_residual=dresidual, new_residual=residual, statistics=statistics, gain=gain)
        sums = {"dgain": gradients.gain, "dbias": gradients.bias, "dbranch_bias": gradients.branch_bias}
        written = _present(dresidual=dx, dbranch=None if dbranch is dx else dbranch, **sums)
        SPEC.launch(tensors_by_name(**given), tensors_by_name(**written), problem, self.configure(problem))
        return dx, dbranch

    def _problem(self, residual: Any, dtype: Any) -> dict[str, Any]:
        """That of a forward pass, with a branch."""
        kinds = {"dtype": _dtype_name(dtype), "residual_dtype": _dtype_name(residual.dtype), "gradient_dtype": "bf16"}
        rows, width = residual.shape
        flags = {"bias": True, "branch": True, "from_above": True, "branch_bias": True}
        given = {"num_rows": rows, "width": width, "direction": "forward", "norm": self.norm}
        return {**given, **flags, **kinds}


def _present(**tensors: Any) -> dict[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _check_rows(name: str, tensor: Any | None, residual: Any) -> None:
    if tensor is not None and tensor.shape != residual.shape:
        raise ValueError(f"{name}: must have the residual's shape {tuple(residual.shape)} (got {tuple(tensor.shape)})")


def _dtype_name(dtype: Any) -> str:
    found = OP_DTYPES.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise TypeError(f"dtype: one of {', '.join(OP_DTYPES)} (got {dtype})")
    return found
