"""Cross-entropy as a training step calls it: `spak.kernels.nanogpt.operators.CrossEntropy` by the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spak.kernels.cross_entropy.spec import SPEC
from spak.kernels.cutile import name_of_dtype
from spak.kernels.interface import Configuration


def cross_entropy_in_place(logits: Any, targets: Any, scale: float, *, configuration: Configuration) -> Any:
    """`cross_entropy_into` the logits themselves, which are overwritten."""
    return cross_entropy_into(logits, logits, targets, scale, configuration=configuration)


def cross_entropy_into(dlogits: Any, logits: Any, targets: Any, scale: float, *, configuration: Configuration) -> Any:
    """Losses (rows,), fp32, in nats; the gradient of their sum, times `scale`, is written.

    A row whose target is negative has loss and gradient 0. One launch on the current stream.

    Args:
        dlogits: As logits, or these; the gradient.
        logits: (rows, vocab) bf16, fp16 or fp32; columns are adjacent, what lies between rows stays as it is.
        targets: (rows,) int32, below vocab.
        scale: Of the gradient: 1 / rows for that of the mean.
        configuration: Complete, of the op `cross-entropy`.

    Raises:
        ValueError: If columns are apart, or logits and targets differ in their rows.
        TypeError: For another dtype.
    """
    import torch

    rows, vocab = logits.shape
    if logits.stride(1) != 1:
        raise ValueError(f"logits: columns must be adjacent (got strides {tuple(logits.stride())})")
    if targets.shape != (rows,):
        raise ValueError(f"targets: one for each of {rows} rows of logits (got shape {tuple(targets.shape)})")
    if targets.dtype != torch.int32:
        raise TypeError(f"targets: int32 (got {targets.dtype})")
    problem = {"num_rows": rows, "vocab": vocab, "dtype": name_of_dtype(logits, "logits"), "weighted": False}
    losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
    arrays = {"logits": logits, "targets": targets, "loss": losses, "dlogits": dlogits}
    [call] = SPEC.calls(problem, configuration)
    SPEC.issue((replace(call, scalars=(float(scale),)),), arrays, configuration)
    return losses
