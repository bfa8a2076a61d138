"""Operators as torch.compile takes them: each one call. Importing this loads the compiler, which takes seconds."""

from __future__ import annotations

from typing import Any

import torch

from spak.configured import operator_by
from spak.kernels.add_norm.library import residual_and_norm
from spak.kernels.cross_entropy.library import reduced_losses
from spak.kernels.linear_gelu.library import activated


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def attention_in_graph(q: Any, k: Any, v: Any, *rest: Any) -> Any:
    """`spak.attention` of the same arguments: all that is decided is decided from shapes, while the graph is made."""
    *arguments, laws = rest
    return operator_by(laws).dispatched(q, k, v, *arguments)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def cross_entropy_in_graph(logits: Any, targets: Any, reduction: Any, ignore_index: Any, laws: Any) -> Any:
    """`spak.cross_entropy` of the same arguments."""
    return reduced_losses(logits, targets, reduction, ignore_index, operator_by(laws).name)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def add_norm_in_graph(residual: Any, branch: Any, gain: Any, bias: Any, norm: Any, laws: Any) -> Any:
    """`spak.add_norm` of the same arguments."""
    return residual_and_norm(residual, branch, gain, bias, norm, operator_by(laws).name)


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def linear_gelu_in_graph(x: Any, weight: Any, bias: Any, laws: Any) -> Any:
    """`spak.linear_gelu` of the same arguments."""
    return activated(x, weight, bias, operator_by(laws).name)
