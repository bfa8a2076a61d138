"""The definition."""

from __future__ import annotations

from typing import Any


def cross_entropy(logits: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """Weighted loss of each row, (rows,), and the gradient of their sum, (rows, vocab), in the type of the logits."""
    from torch.nn.functional import one_hot

    logs = logits.log_softmax(dim=1)
    hit = one_hot(targets.long(), logits.shape[1])
    return -weights * (logs * hit).sum(dim=1), weights[:, None] * (logs.exp() - hit)
