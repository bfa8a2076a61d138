"""Cross-entropy as PyTorch's dispatcher knows it: losses of rows, by the kernel where one serves, else by PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from spak.kernels.advice import advised, tell_once
from spak.kernels.cross_entropy.operator import cross_entropy_into
from spak.kernels.cross_entropy.spec import IGNORED, SPEC
from spak.kernels.interface import Problem
from spak.kernels.tensor_arguments import check_tensor
from spak.kernels.torch_operator import Passes, torch_operator

KERNEL_LOGIT_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}
"""Torch's type of the kernel's logits -> the op's name of it."""
LOGIT_DTYPES = (*KERNEL_LOGIT_DTYPES, torch.float64)
TARGET_DTYPES = (torch.int32, torch.int64)
REDUCTIONS = ("mean", "sum", "none")
LOGITS_RANK = 2


def check_losses(logits: Any, targets: Any, reduction: str, ignore_index: int) -> None:
    """Raise for what cannot be asked.

    Raises:
        TypeError: If an argument is of another kind; names it.
        ValueError: If it is beyond what it may be, or does not go with the others; names it.
    """
    for name, tensor, dtypes in (("logits", logits, LOGIT_DTYPES), ("targets", targets, TARGET_DTYPES)):
        check_tensor(name, tensor, dtypes)
    if logits.dim() != LOGITS_RANK or logits.shape[1] < 1:
        raise ValueError(f"logits: of shape (rows, vocabulary) (got {tuple(logits.shape)})")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets: one for each of {logits.shape[0]} rows (got shape {tuple(targets.shape)})")
    if targets.device != logits.device:
        raise ValueError(f"targets: on the device of logits, {logits.device} (got {targets.device})")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: one of {', '.join(REDUCTIONS)} (got {reduction!r})")
    if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
        raise TypeError(f"ignore_index: a whole number (got {ignore_index!r})")


def reduced_losses(logits: Any, targets: Any, reduction: str, ignore_index: int, laws: str) -> Any:
    """Losses in float32 (float64 of float64): (rows,) for `none`, else a scalar; arguments and errors as `check_losses`."""
    check_losses(logits, targets, reduction, ignore_index)
    losses = LOSSES(logits, targets, ignore_index, laws)[0]
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / (targets != ignore_index).sum()


def _wide(logits: Any) -> Any:
    return torch.float64 if logits.dtype == torch.float64 else torch.float32


def _forward(logits: Any, targets: Any, ignore_index: int, laws: str) -> tuple[Any, Any]:
    """Losses (rows,) and the gradient of their sum (rows, vocab)."""
    advice = advised(laws, SPEC.op, _problem(logits), logits.device)
    if advice.configuration is None:
        tell_once("cross_entropy", advice.because, "cross_entropy")
        return losses_by_torch(logits, targets, ignore_index)
    counted = torch.where(targets == ignore_index, IGNORED, targets).int()
    rows = logits if logits.stride(1) == 1 else logits.contiguous()
    gradient = logits.new_empty(logits.shape)
    return cross_entropy_into(gradient, rows, counted, 1.0, configuration=advice.configuration), gradient


def _problem(logits: Any) -> Problem | str:
    """The problem size, or why no kernel has one."""
    rows, vocab = logits.shape
    if logits.dtype not in KERNEL_LOGIT_DTYPES:
        return f"no kernel for {logits.dtype}"
    if not rows:
        return "no kernel for no rows"
    return {"num_rows": rows, "vocab": vocab, "dtype": KERNEL_LOGIT_DTYPES[logits.dtype], "weighted": False}


def losses_by_torch(logits: Any, targets: Any, ignore_index: int) -> tuple[Any, Any]:
    """The same two by PyTorch, computed in float32, or float64 of float64."""
    logarithms = torch.log_softmax(logits.to(_wide(logits)), 1)
    losses = torch.nn.functional.nll_loss(logarithms, targets.long(), reduction="none", ignore_index=ignore_index)
    ignored = (targets == ignore_index)[:, None]
    index = targets.long()[:, None].masked_fill(ignored, 0)
    gradient = logarithms.exp_()
    gradient.scatter_(1, index, gradient.gather(1, index) - 1)
    return losses, gradient.masked_fill_(ignored, 0).to(logits.dtype)


def _forward_shapes(logits: Any, targets: Any, ignore_index: int, laws: str) -> tuple[Any, Any]:
    del targets, ignore_index, laws
    return logits.new_empty(logits.shape[:1], dtype=_wide(logits)), logits.new_empty(logits.shape)


def _backward(dlosses: Any, gradient: Any) -> Any:
    return (gradient * dlosses[:, None]).to(gradient.dtype)


LOSSES = torch_operator(
    torch.library.Library("spak", "FRAGMENT"),
    "cross_entropy",
    Passes(
        schema="(Tensor logits, Tensor targets, int ignore_index, str laws) -> (Tensor losses, Tensor gradient)",
        forward=_forward,
        forward_shapes=_forward_shapes,
        kept=lambda inputs, results: results[1:],  # noqa: ARG005  # logits are not kept
        backward_schema="(Tensor dlosses, Tensor gradient) -> Tensor",
        backward=_backward,
        backward_shapes=lambda dlosses, gradient: torch.empty_like(gradient),  # noqa: ARG005
    ),
)
"""`spak::cross_entropy`."""
