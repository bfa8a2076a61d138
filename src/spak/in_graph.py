"""Operators as torch.compile takes them: each one call. Importing this loads the compiler, which takes seconds."""

from __future__ import annotations

from typing import Any

import torch

from spak.configured import operator_by
from spak.kernels.cross_entropy.library import reduced_losses


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def attention_in_graph(q: Any, k: Any, v: Any, *rest: Any) -> Any:
    """`spak.attention` of the same arguments: all that is decided is decided from shapes, while the graph is made."""
    *arguments, laws = rest
    return operator_by(laws).dispatched(q, k, v, *arguments)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def cross_entropy_in_graph(logits: Any, targets: Any, reduction: Any, ignore_index: Any, laws: Any) -> Any:
    """`spak.cross_entropy` of the same arguments."""
    return reduced_losses(logits, targets, reduction, ignore_index, operator_by(laws).name)
