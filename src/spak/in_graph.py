"""Operators as torch.compile takes them: each one call. Importing this loads the compiler, which takes seconds."""

from __future__ import annotations

from typing import Any

import torch

from spak.configured import operator_by


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]  # torch is not typed here
def attention_in_graph(q: Any, k: Any, v: Any, *rest: Any) -> Any:
    """`spak.attention` of the same arguments: all that is decided is decided from shapes, while the graph is made."""
    *arguments, laws = rest
    return operator_by(laws).dispatched(q, k, v, *arguments)
