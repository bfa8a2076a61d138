"""Residual addition and norm as PyTorch's dispatcher knows them: by the kernels where they serve, else by PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from spak.kernels.add_norm.by_torch import add_norm_by_torch, add_norm_gradients_by_torch
from spak.kernels.add_norm.operator import AddNormKernels, NormGradients
from spak.kernels.add_norm.spec import SPEC
from spak.kernels.advice import NoKernelError, configured_by, tell_once
from spak.kernels.tensor_arguments import check_beside, check_tensor
from spak.kernels.torch_operator import Passes, autocast, torch_operator

STREAM_DTYPES = (torch.float32, torch.bfloat16)
"""Of the residual streams that the kernels add to."""
NORMS = ("layer", "rms")


def check_add_norm(residual: Any, branch: Any | None, gain: Any, bias: Any | None, norm: str) -> None:
    """Raise for what cannot be asked.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If it is beyond what it may be, or does not go with the others; names it.
    """
    check_tensor("residual", residual)
    if not residual.dim() or not residual.shape[-1]:
        raise ValueError(f"residual: of shape (..., width), width at least 1 (got {tuple(residual.shape)})")
    shapes = {"branch": residual.shape, "gain": residual.shape[-1:], "bias": residual.shape[-1:]}
    for name, tensor in (("branch", branch), ("gain", gain), ("bias", bias)):
        if tensor is not None or name == "gain":
            check_tensor(name, tensor)
            check_beside(name, tensor, shapes[name], ("residual", residual))
    if branch is not None and (branch.dtype == torch.float64) != (residual.dtype == torch.float64):
        raise TypeError(f"branch: float64 beside float64, and only there (got {branch.dtype} beside {residual.dtype})")
    if norm not in NORMS:
        raise ValueError(f"norm: one of {', '.join(NORMS)} (got {norm!r})")


def residual_and_norm(
    residual: Any, branch: Any | None, gain: Any, bias: Any | None, norm: str, laws: str
) -> tuple[Any, Any]:
    """New residual and its norm, shaped as `residual`; arguments and errors as `check_add_norm`."""
    check_add_norm(residual, branch, gain, bias, norm)
    (given,) = autocast(residual if branch is None else branch)
    rows = residual.reshape(-1, residual.shape[-1])
    added = None if branch is None else given.reshape(rows.shape)
    wide = torch.float64 if residual.dtype == torch.float64 else torch.float32
    parameters = gain.to(wide), None if bias is None else bias.to(wide)
    total, normed, _ = ADD_NORM(rows, added, *parameters, norm, given.dtype, laws)
    return residual if branch is None else total.view(residual.shape), normed.view(residual.shape)


def _forward(
    residual: Any, branch: Any | None, gain: Any, bias: Any | None, norm: str, dtype: Any, laws: str
) -> tuple[Any, Any, Any]:
    added, offset = (None if one is None else one.contiguous() for one in (branch, bias))
    given = residual.contiguous(), added, gain.contiguous(), offset
    try:
        total, normed, statistics = _kernels(residual, norm, laws).forward(*given, dtype)
    except NoKernelError as error:
        tell_once("add_norm", str(error), "addition and norm")
        total, normed, statistics = add_norm_by_torch(*given, dtype, norm)
    return residual.new_empty(0) if branch is None else total, normed, statistics


def _kernels(residual: Any, norm: str, laws: str) -> AddNormKernels:
    """The kernels, as laws configure them.

    Raises:
        NoKernelError: If there is none, whatever laws say.
    """
    configure = configured_by(laws, SPEC.op, residual.device)
    if residual.dtype not in STREAM_DTYPES:
        raise NoKernelError(f"no kernel for a residual in {residual.dtype}")
    if not len(residual):
        raise NoKernelError("no kernel for no rows")
    return AddNormKernels(configure, norm)


def _forward_shapes(
    residual: Any, branch: Any | None, gain: Any, bias: Any | None, norm: str, dtype: Any, laws: str
) -> tuple[Any, Any, Any]:
    del bias, laws
    statistics = gain.new_empty(1 + (norm == "layer"), residual.shape[0])
    total = residual.new_empty(0 if branch is None else residual.shape)
    return total, residual.new_empty(residual.shape, dtype=dtype), statistics


def _kept(inputs: tuple[Any, ...], results: tuple[Any, ...]) -> tuple[Any, ...]:
    """The new residual, gain, bias, statistics; type of the norm, which norm, laws."""
    residual, branch, gain, bias, norm, dtype, laws = inputs
    total, _, statistics = results
    return residual if branch is None else total, gain, bias, statistics, dtype, norm, laws


def _backward(dtotal: Any | None, dnormed: Any | None, total: Any, gain: Any, *rest: Any) -> tuple[Any, Any, Any, Any]:
    """Gradients of residual, of branch if it is of another type, of gain, and of bias if there is one."""
    bias, statistics, dtype, norm, laws = rest
    dy = total.new_zeros(total.shape, dtype=dtype) if dnormed is None else dnormed.contiguous()
    above = None if dtotal is None or dtotal.dim() != total.dim() else dtotal.contiguous()
    saved = total.contiguous(), gain.contiguous(), statistics
    try:
        kernels = _kernels(total, norm, laws)
        dgain, dbias = torch.empty_like(saved[1]), None if bias is None else torch.empty_like(saved[1])
        dx, dbranch = kernels.backward(dy, above, saved, NormGradients(dgain, dbias), dtype)
    except NoKernelError as error:
        tell_once("add_norm", str(error), "addition and norm")
        dx, dgain, dbias = add_norm_gradients_by_torch(dy, above, saved, norm, has_bias=bias is not None)
        dbranch = dx.to(dtype)
    nothing = gain.new_empty(0)
    return dx, nothing.to(dtype) if dbranch is dx else dbranch, dgain, nothing if dbias is None else dbias


def _backward_shapes(
    dtotal: Any | None, dnormed: Any | None, total: Any, gain: Any, *rest: Any
) -> tuple[Any, Any, Any, Any]:
    del dtotal, dnormed
    bias, _, dtype, _, _ = rest
    dbranch = total.new_empty(0 if dtype == total.dtype else total.shape, dtype=dtype)
    return (
        total.new_empty(total.shape),
        dbranch,
        gain.new_empty(gain.shape),
        gain.new_empty(0 if bias is None else gain.shape),
    )


def _spread(found: tuple[Any, Any, Any, Any]) -> tuple[Any, Any, Any, Any]:
    dresidual, dbranch, dgain, dbias = found
    return dresidual, dresidual if dbranch.dim() != dresidual.dim() else dbranch, dgain, dbias


_LEFT = "Tensor total, Tensor gain, Tensor? bias, Tensor statistics, ScalarType dtype, str norm, str laws"

ADD_NORM = torch_operator(
    torch.library.Library("spak", "FRAGMENT"),
    "add_norm",
    Passes(
        schema="(Tensor residual, Tensor? branch, Tensor gain, Tensor? bias, str norm, ScalarType dtype, str laws)"
        " -> (Tensor total, Tensor normed, Tensor statistics)",
        forward=_forward,
        forward_shapes=_forward_shapes,
        kept=_kept,
        backward_schema=f"(Tensor? dtotal, Tensor? dnormed, {_LEFT})"
        " -> (Tensor dresidual, Tensor dbranch, Tensor dgain, Tensor dbias)",
        backward=_backward,
        backward_shapes=_backward_shapes,
        num_results=2,
        spread=_spread,
    ),
)
"""`spak::add_norm`; a result that is not there is an empty vector: no operator gives a tensor twice, or its input."""
