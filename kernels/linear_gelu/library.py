"""Linear layer with GELU as PyTorch's dispatcher knows it: by the kernel where it serves, else by PyTorch."""

from __future__ import annotations

import math
from typing import Any

import torch

from spak.kernels.advice import NoKernelError, configured_by, tell_once
from spak.kernels.linear_gelu.operator import LinearGeluKernels
from spak.kernels.linear_gelu.reference import linear_gelu
from spak.kernels.linear_gelu.spec import SPEC
from spak.kernels.tensor_arguments import check_beside, check_tensor
from spak.kernels.torch_operator import Passes, autocast, torch_operator

MULTIPLIED_DTYPES = (torch.float16, torch.bfloat16)
"""What the kernel multiplies."""
WEIGHT_RANK = 2


def check_linear(x: Any, weight: Any, bias: Any | None) -> None:
    """Raise for what cannot be asked.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If it is beyond what it may be, or does not go with the others; names it.
    """
    check_tensor("x", x)
    if not x.dim():
        raise ValueError(f"x: of shape (..., inputs) (got {tuple(x.shape)})")
    check_tensor("weight", weight)
    if weight.dim() != WEIGHT_RANK:
        raise ValueError(f"weight: of shape (outputs, inputs) (got {tuple(weight.shape)})")
    check_beside("weight", weight, (weight.shape[0], x.shape[-1]), ("x", x))
    if bias is not None:
        check_tensor("bias", bias)
        check_beside("bias", bias, weight.shape[:1], ("weight", weight))


def activated(x: Any, weight: Any, bias: Any | None, laws: str) -> Any:
    """(..., outputs): GELU of x weight^T + bias; arguments and errors as `check_linear`, and types equal after autocast."""
    check_linear(x, weight, bias)
    x, weight, bias = autocast(x, weight, bias)
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype != x.dtype:
            raise TypeError(f"{name}: of the dtype of x, {x.dtype} (got {tensor.dtype})")
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    return LINEAR_GELU(rows, weight, bias, laws)[0].view(*x.shape[:-1], weight.shape[0])


def _forward(x: Any, weight: Any, bias: Any | None, laws: str) -> tuple[Any, Any]:
    """After GELU, and before."""
    try:
        given = [None if one is None else one.contiguous() for one in (x, weight, bias)]
        before, after = _kernels(x, weight, laws).forward(*given)
    except NoKernelError as error:
        tell_once("linear_gelu", str(error), "linear and gelu")
        before, after = linear_gelu(x, weight, bias)
    return after, before


def _kernels(x: Any, weight: Any, laws: str) -> LinearGeluKernels:
    """The kernel, as laws configure it.

    Raises:
        NoKernelError: If there is none, whatever laws say.
    """
    configure = configured_by(laws, SPEC.op, x.device)
    if x.dtype not in MULTIPLIED_DTYPES:
        raise NoKernelError(f"no kernel for {x.dtype}")
    if not (x.numel() and weight.numel()):
        raise NoKernelError("no kernel for an empty matrix")
    return LinearGeluKernels(configure)


def _forward_shapes(x: Any, weight: Any, bias: Any | None, laws: str) -> tuple[Any, Any]:
    del bias, laws
    shape = (x.shape[0], weight.shape[0])
    return x.new_empty(shape), x.new_empty(shape)


def _backward(dafter: Any, x: Any, weight: Any, bias: Any | None, before: Any) -> tuple[Any, Any, Any]:
    """Gradients of x, of weight, and of bias if there is one.

    By PyTorch, which has the best products of large matrices; the kernel for the way back begins before the next layer's.
    """
    dbefore = torch.ops.aten.gelu_backward(dafter.contiguous(), before, approximate="tanh")
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    dbias = before.new_empty(0) if bias is None else dbefore.sum(0, dtype=wide).to(bias.dtype)
    return dbefore @ weight, dbefore.T @ x, dbias


def _backward_shapes(dafter: Any, x: Any, weight: Any, bias: Any | None, before: Any) -> tuple[Any, Any, Any]:
    del dafter
    return x.new_empty(x.shape), weight.new_empty(weight.shape), before.new_empty(0 if bias is None else bias.shape)


LINEAR_GELU = torch_operator(
    torch.library.Library("spak", "FRAGMENT"),
    "linear_gelu",
    Passes(
        schema="(Tensor x, Tensor weight, Tensor? bias, str laws) -> (Tensor after, Tensor before)",
        forward=_forward,
        forward_shapes=_forward_shapes,
        kept=lambda inputs, results: (*inputs[:3], results[1]),
        backward_schema="(Tensor dafter, Tensor x, Tensor weight, Tensor? bias, Tensor before)"
        " -> (Tensor dx, Tensor dweight, Tensor dbias)",
        backward=_backward,
        backward_shapes=_backward_shapes,
        spread=tuple,
    ),
)
"""`spak::linear_gelu`."""
