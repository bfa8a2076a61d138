"""MicroGPT's training step in PyTorch, as strong as it comes: eager, compiled, and compiled inside one CUDA graph.

All in float32. `highest` is PyTorch's own default for products: no tensor cores. `high` lets it round operands to tf32,
which is not accurate enough for the trajectory; it is timed to be shown, not to be compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

EPSILON = 1e-5
BETAS = (0.85, 0.99)
LEARNING_RATE = 0.01
WARMUPS = 3


@dataclass(frozen=True)
class Shape:
    """What the step needs to know of the model."""

    layers: int
    heads: int


def loss_of(weights: Mapping[str, Any], tokens: Any, lengths: Any, shape: Shape) -> Any:
    """Mean over documents of the mean over their positions; tokens (B, T + 1) int64, lengths (B,)."""
    import torch
    from torch.nn import functional

    def normed(x: Any) -> Any:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)

    batch, context = tokens.shape[0], tokens.shape[1] - 1
    x = normed(weights["wte"][tokens[:, :-1]] + weights["wpe"][:context])
    split = (batch, context, shape.heads, x.shape[-1] // shape.heads)
    for layer in range(shape.layers):
        w = {
            name: weights[f"layer{layer}.{name}"]
            for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")
        }
        y = normed(x)
        q, k, v = (functional.linear(y, w[f"attn_w{n}"]).view(split).transpose(1, 2) for n in "qkv")
        o = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + functional.linear(o, w["attn_wo"])
        x = x + functional.linear(functional.linear(normed(x), w["mlp_fc1"]).relu(), w["mlp_fc2"])
    logits = functional.linear(x, weights["lm_head"])
    losses = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    seen = torch.arange(context, device=tokens.device)[None, :] < lengths[:, None]
    return ((losses * seen).sum(1) / lengths).mean()


class Trainer:
    """Parameters, Adam and the documents on the GPU; one `step` is forward, backward and the update of the next batch."""

    def __init__(
        self, weights: Mapping[str, Any], tokens: Any, lengths: Any, shape: Shape, batch: int, steps: int
    ) -> None:
        """Copies of `weights`; tokens (steps * batch, T + 1) and lengths (steps * batch,) on the GPU."""
        import torch

        self.weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
        self.tokens, self.lengths, self.shape, self.batch, self.steps = (
            tokens.long(),
            lengths.float(),
            shape,
            batch,
            steps,
        )
        rate = torch.tensor(LEARNING_RATE, device=tokens.device)
        self.adam = torch.optim.Adam(self.weights.values(), lr=rate, betas=BETAS, eps=1e-8, fused=True, capturable=True)
        self.rate = rate
        self.number = torch.zeros((), dtype=torch.int64, device=tokens.device)
        self.losses = torch.zeros(steps, device=tokens.device)
        self.loss_of: Callable[..., Any] = loss_of

    def step(self) -> None:
        """One step; which one it is stands on the GPU, so that a captured step goes on to the next batch."""
        import torch

        rows = self.number * self.batch + torch.arange(self.batch, device=self.tokens.device)
        for w in self.weights.values():
            w.grad = None
        loss = self.loss_of(self.weights, self.tokens[rows], self.lengths[rows], self.shape)
        loss.backward()
        self.rate.copy_(LEARNING_RATE * (1 - self.number / self.steps))
        self.adam.step()
        self.losses.index_copy_(0, self.number[None], loss.detach()[None])
        self.number.add_(1).remainder_(self.steps)


@dataclass(frozen=True)
class CapturedStep:  # pragma: no cover  # needs a GPU: tests/gpu
    """A step as one CUDA graph, with the trainer whose memory it reads and writes: a graph alone keeps none of it."""

    trainer: Trainer
    graph: Any

    def __call__(self) -> None:
        """The next step."""
        self.graph.replay()


def captured(trainer: Trainer) -> CapturedStep:  # pragma: no cover  # needs a GPU: tests/gpu
    """The whole step, update included, as one CUDA graph."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARMUPS):
            trainer.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        trainer.step()
    return CapturedStep(trainer, graph)
