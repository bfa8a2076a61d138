"""FlexAttention as a contestant, compiled for one size; it compiles at its first call, from disk if another process did.

Compiled code runs through autograd, which runs a backward pass on the stream of its forward pass: both are on the
stream that graphs are captured on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spak.kernels.attention.problem import Shape
from spak.kernels.interface import Problem


def compiled(problem: Problem) -> Callable[[Any, Any, Any], Any]:
    """O (B, H, S, D) of Q (B, H, S, D), K and V (B, KV, S, D)."""
    import torch
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    shape = Shape.of(problem)
    torch._dynamo.reset()  # noqa: SLF001  # one size must not count as a recompilation of another
    mask = None
    if shape.causal:
        mask = create_block_mask(lambda _b, _h, q, k: q >= k, None, None, shape.seq_q, shape.seq_kv, device="cuda")
    attend = torch.compile(flex_attention, dynamic=False)
    return lambda q, k, v: attend(q, k, v, block_mask=mask, enable_gqa=shape.group > 1)


def forward(inputs: Any, problem: Problem) -> Callable[[], Any]:
    """A call that gives O (B, H, S, D)."""
    attend = compiled(problem)
    return lambda: attend(inputs.q, inputs.k, inputs.v)


def backward(inputs: Any, problem: Problem) -> Callable[[], tuple[Any, ...]]:
    """A call that gives dQ, dK and dV; the forward pass runs at its first call."""
    import torch

    attend = compiled(problem)
    q, k, v = (x.detach().requires_grad_() for x in (inputs.q, inputs.k, inputs.v))
    graph: list[Any] = []

    def launch() -> tuple[Any, ...]:
        if not graph:
            stream = torch.cuda.graph(torch.cuda.CUDAGraph()).capture_stream
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                graph.append(attend(q, k, v))
            torch.cuda.synchronize()
        gradients: tuple[Any, ...] = torch.autograd.grad(graph[0], (q, k, v), inputs.do, retain_graph=True)
        return gradients

    return launch
