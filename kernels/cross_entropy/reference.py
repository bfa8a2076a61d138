"""The definition."""

from __future__ import annotations

from typing import Any


def cross_entropy(logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """Weighted loss of each row, (rows,), and the gradient of their sum, (rows, vocab), in the type of the logits.

    A row of weight 0, or whose target is negative, counts nothing.
    """
    import torch

    logs = logits.log_softmax(dim=1)
    counts = torch.where(targets < 0, 0.0, torch.as_tensor(weights, dtype=logits.dtype))
    column = targets.long().clamp_min(0)[:, None]
    loss = -counts * logs.gather(1, column)[:, 0]
    gradient = logs.exp_().scatter_add_(1, column, logs.new_full(column.shape, -1.0))
    return loss, gradient.mul_(counts[:, None])
