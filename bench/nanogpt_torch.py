"""GPT-2 in plain PyTorch with its training step, as strong as it comes: what NanoGPT's step is compared with.

fp32 weights under bf16 autocast, fused AdamW, clipping. `VARIANTS` are the baselines: attention by its matrix or by SDPA,
eager or compiled, launched kernel by kernel or as one CUDA graph that holds the whole step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.nanogpt_cases import COMPILED, EAGER, MATRIX, Case, Run
from spak.kernels.nanogpt.parameters import GptConfig

BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION, "math": SDPBackend.MATH}
"""SDPA by name; `sdpa` leaves the choice to PyTorch, `matrix` writes the whole attention matrix."""
CAPTURE_WARMUPS = 3
OWN_GRAPHS = ("reduce-overhead", "max-autotune")
"""Modes of torch.compile that capture forward and backward in CUDA graphs of their own."""


class Attention(nn.Module):
    """Causal self-attention of all heads."""

    def __init__(self, config: GptConfig, attention: str, dropout: float) -> None:
        super().__init__()
        self.heads, self.attention, self.dropout = config.heads, attention, dropout
        self.c_attn = nn.Linear(config.width, 3 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(config.width, config.width, bias=config.bias)
        if attention == "matrix":
            unseen = torch.ones(config.context, config.context, dtype=torch.bool).triu(1)
            self.register_buffer("unseen", unseen, persistent=False)

    def projected(self, x: Any) -> Any:
        """Q, K, V of x (B, T, width): (B, H, T, D) each."""
        b, t, width = x.shape
        return (each.view(b, t, self.heads, -1).transpose(1, 2) for each in self.c_attn(x).split(width, dim=2))

    def forward(self, x: Any) -> Any:
        """(B, T, width)."""
        b, t, width = x.shape
        q, k, v = self.projected(x)
        y = self.by_matrix(q, k, v) if self.attention == "matrix" else self.by_sdpa(q, k, v)
        return functional.dropout(
            self.c_proj(y.transpose(1, 2).reshape(b, t, width)), self.dropout, training=self.training
        )

    def by_matrix(self, q: Any, k: Any, v: Any) -> Any:
        """Q, K, V: (B, H, T, D); the scores lie in memory."""
        t = q.shape[2]
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(q.shape[3]))
        weights = scores.masked_fill(self.unseen[:t, :t], float("-inf")).softmax(dim=-1)
        return functional.dropout(weights, self.dropout, training=self.training) @ v

    def by_sdpa(self, q: Any, k: Any, v: Any) -> Any:
        """Q, K, V: (B, H, T, D)."""
        dropout = self.dropout if self.training else 0.0
        with nullcontext() if self.attention == "sdpa" else sdpa_kernel(BACKENDS[self.attention]):
            return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)


class Perceptron(nn.Module):
    """Two layers with GPT-2's GELU between them."""

    def __init__(self, config: GptConfig, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.c_fc = nn.Linear(config.width, 4 * config.width, bias=config.bias)
        self.c_proj = nn.Linear(4 * config.width, config.width, bias=config.bias)

    def forward(self, x: Any) -> Any:
        """(B, T, width)."""
        x = self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))
        return functional.dropout(x, self.dropout, training=self.training)


class Layer(nn.Module):
    """Attention and perceptron, each after a norm and added to what came in."""

    def __init__(self, config: GptConfig, attention: str, dropout: float) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = (nn.LayerNorm(config.width, bias=config.bias) for _ in range(2))
        self.attn, self.mlp = Attention(config, attention, dropout), Perceptron(config, dropout)

    def forward(self, x: Any) -> Any:
        """(B, T, width)."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class TorchGpt(nn.Module):
    """GPT-2; the token embedding is the output's matrix too. Parameters have the names and shapes of `parameter_shapes`."""

    def __init__(self, config: GptConfig, attention: str = "sdpa", dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.wte, self.wpe = nn.Embedding(config.vocab, config.width), nn.Embedding(config.context, config.width)
        self.h = nn.ModuleList(Layer(config, attention, dropout) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.width, bias=config.bias)

    def embedded(self, x: Any) -> Any:
        """(B, T, width) of tokens x (B, T)."""
        h = self.wte(x) + self.wpe(torch.arange(x.shape[1], device=x.device))
        return functional.dropout(h, self.dropout, training=self.training)

    def logits(self, x: Any) -> Any:
        """(B, T, vocab) of tokens x (B, T)."""
        h = self.embedded(x)
        for layer in self.h:
            h = layer(h)
        return functional.linear(self.ln_f(h), self.wte.weight)

    def forward(self, x: Any, y: Any) -> Any:
        """Mean cross-entropy of the tokens y (B, T) that follow x (B, T), natural units."""
        return functional.cross_entropy(self.logits(x).flatten(0, 1), y.flatten())

    def load(self, weights: Mapping[str, Any]) -> None:
        """Copy parameters by name; rows that fill up the vocabulary are left behind."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(weights[name][: len(parameter)])


@dataclass(frozen=True)
class Variant:
    """One way to run the step.

    Attributes:
        attention: `matrix`, `sdpa`, or one of `BACKENDS`.
        mode: Of torch.compile; None is eager.
        captured: The whole step, clipping and AdamW included, is one CUDA graph.
    """

    attention: str = "sdpa"
    mode: str | None = None
    captured: bool = False


VARIANTS = {
    MATRIX: Variant("matrix"),
    EAGER: Variant(),
    COMPILED: Variant(mode="default"),
    "torch.compile, cuDNN attention": Variant("cudnn", "default"),
    "torch.compile reduce-overhead": Variant(mode="reduce-overhead"),
    "torch.compile max-autotune": Variant(mode="max-autotune"),
    "torch.compile in a CUDA graph": Variant(mode="default", captured=True),
    "torch.compile in a CUDA graph, cuDNN attention": Variant("cudnn", "default", captured=True),
    "torch.compile max-autotune in a CUDA graph": Variant("cudnn", "max-autotune-no-cudagraphs", captured=True),
}


def settle() -> None:
    """What an expert sets: tf32 where a product stays fp32, and room for every variant's compiled code."""
    torch.set_float32_matmul_precision("high")
    torch._dynamo.config.recompile_limit = 64  # noqa: SLF001  # the only way


class TorchTrainer:
    """Model, AdamW and the batch's place on the device; a step is `feed`, then `advance`. Nothing waits for the device."""

    def __init__(self, case: Case, variant: Variant, weights: Mapping[str, Any], run: Run) -> None:
        """Copies of `weights` are trained."""
        self.case, self.variant, self.device = case, variant, run.device
        self.model = TorchGpt(case.config, variant.attention, run.dropout).to(run.device)
        self.model.load(weights)
        self.inputs = torch.zeros(2, case.batch, case.config.context, dtype=torch.int64, device=run.device)
        self.rate = torch.tensor(run.rates[0], device=run.device)
        self.loss = torch.zeros((), device=run.device)
        self._rates, self._done = run.rates, 0
        self._optimizer = self._adamw()
        self._loss_of = self._compiled()
        self._advance: Callable[[], None] = self._step

    def feed(self, batch: Any) -> None:
        """Copy inputs and targets, (2, B, T) int32, and the learning rate to where the step reads them."""
        self.inputs.copy_(batch)
        self.rate.fill_(self._rates[self._done])

    def advance(self) -> None:
        """Forward, backward, clipping and AdamW on what was fed; the loss goes to `loss`."""
        if self.variant.captured and self._advance == self._step:
            self._advance = self._captured()
        self._advance()
        self._done += 1

    def last_loss(self) -> float:
        """Of the last step; waits for the device."""
        return float(self.loss)

    def weights(self) -> dict[str, Any]:
        """Parameters by name, as they are now: views."""
        return {name: parameter.detach() for name, parameter in self.model.named_parameters()}

    def gradients(self) -> dict[str, Any]:
        """Of every parameter, by name, for what was fed; nothing is updated."""
        self._optimizer.zero_grad(set_to_none=True)
        self._backward()
        return {name: parameter.grad.clone() for name, parameter in self.model.named_parameters()}

    def _adamw(self) -> Any:
        recipe, parameters = self.case.recipe, list(self.model.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
        settings = {"lr": self.rate, "betas": recipe.betas, "eps": recipe.epsilon}
        return torch.optim.AdamW(groups, **settings, fused=True, capturable=True)

    def _compiled(self) -> Callable[..., Any]:
        if self.variant.mode is None:
            return self.model
        return torch.compile(self.model, mode=self.variant.mode, fullgraph=True)

    def _backward(self) -> None:
        if self.variant.mode in OWN_GRAPHS:
            torch.compiler.cudagraph_mark_step_begin()
        with torch.autocast(self.device, dtype=torch.bfloat16):
            loss = self._loss_of(self.inputs[0], self.inputs[1])
        loss.backward()
        self.loss.copy_(loss.detach())

    def _step(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.case.recipe.clip, foreach=True)
        self._optimizer.step()

    def _captured(self) -> Callable[[], None]:  # pragma: no cover  # needs a GPU
        """The step as one CUDA graph; state that the warm-up changed is put back, so that the first replay is the first step."""
        before = {name: p.clone() for name, p in self.weights().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(CAPTURE_WARMUPS):
                self._step()
        torch.cuda.current_stream().wait_stream(side)
        self._optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        self.model.load(before)
        for state in self._optimizer.state.values():
            for value in state.values():
                value.zero_()
        replay: Callable[[], None] = graph.replay
        return replay
