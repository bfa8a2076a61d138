"""The two models of the NanoGPT comparison, the batches that all contestants see, and how much arithmetic a step is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spak.kernels.nanogpt.parameters import GptConfig, num_gpt_parameters

PEAK_TFLOPS = 989.0
"""Dense bf16 peak that MFU is of. Source: laws/hardware/h200.yaml, fp16_tflops; bf16 has the same rate."""

MATRIX, EAGER, COMPILED = "attention matrix, eager", "SDPA, eager", "torch.compile"
"""Baselines; the names of all compiled ones begin with the last."""
OURS, PLAIN = "ours", "ours, PyTorch's operators"
DEFAULTS, ELSEWHERE = "ours, default configurations", "ours, laws and runs of an RTX 5070"
BEFORE = "ours, laws and runs from before the search at these sizes"
ABLATION = (OURS, BEFORE, ELSEWHERE, DEFAULTS)
"""Our step with the same kernels, differently configured."""
BF16_RESIDUAL = ", bf16 residual"
"""What follows the name of ours where the residual stream is bf16."""
TORCH = "torch"
"""The baseline of the trainings, as against `OURS`."""
WARMUP_STEPS = 100
"""Source: nanoGPT's character config."""


@dataclass(frozen=True)
class Recipe:
    """How AdamW updates, and what the gradient's norm is clipped to. Source: nanoGPT's train.py and its character config."""

    rate: float = 6e-4
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True)
class Case:
    """A model with the batch it is timed at: `batch` sequences of `config.context` tokens."""

    config: GptConfig
    batch: int
    recipe: Recipe

    @property
    def tokens(self) -> int:
        """Of a step."""
        return self.batch * self.config.context

    def warming_rates(self, steps: int) -> list[float]:
        """Of the first steps of a training: nothing blows up, so that contestants' losses can be held against each other."""
        return [self.recipe.rate * min(1.0, (step + 1) / WARMUP_STEPS) for step in range(steps)]

    @property
    def flops(self) -> float:
        """Of a step: 6 a parameter and token, without position embeddings, and 12 layers * width * context for attention.

        The mask is not counted off. Source: Chowdhery et al., PaLM, appendix B; nanoGPT's estimate_mfu.
        """
        c = self.config
        parameters = num_gpt_parameters(c) - c.context * c.width
        return self.tokens * (6.0 * parameters + 12.0 * c.layers * c.width * c.context)

    def mfu(self, ms: float) -> float:
        """Share of the peak that a step of so many milliseconds uses."""
        return self.flops / (ms * 1e9 * PEAK_TFLOPS)


CASES = {
    "124m": Case(GptConfig(), 12, Recipe()),
    "char": Case(GptConfig(vocab=65, width=384, layers=6, heads=6, context=256), 64, Recipe(1e-3, (0.9, 0.99))),
}


@dataclass(frozen=True)
class Run:
    """How a contestant trains: the learning rate of every step, and where.

    Attributes:
        reduce: Makes the gradients of all processes one, in place; None: there is one process.
        graph: On a GPU a step that can be captured is.
    """

    rates: Sequence[float]
    dropout: float = 0.0
    device: str = "cuda"
    reduce: Callable[[Any], None] | None = None
    graph: bool = True


def characters(text: Path) -> tuple[Any, list[str]]:
    """(tokens (N,) int64 on the CPU, the vocabulary in order) of a text file."""
    import torch

    content = text.read_text(encoding="utf-8")
    vocabulary = sorted(set(content))
    index = {character: number for number, character in enumerate(vocabulary)}
    return torch.tensor([index[character] for character in content]), vocabulary


def zipf_tokens(count: int, vocab: int, seed: int) -> Any:
    """(count,) int64 on the CPU: token r with a frequency that falls as 1 / (r + 1), as words of a text do.

    Uniform ones would spare the embedding's gradient what real text costs it: many rows that meet in few tokens.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    cumulative = (1.0 / torch.arange(1, vocab + 1, dtype=torch.float64)).cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * cumulative[-1]
    return torch.searchsorted(cumulative, drawn).clamp_(max=vocab - 1)


class Batches:
    """Inputs and targets of so many steps, on the device: step i sees `batches[i]`, (2, B, T) int32."""

    def __init__(self, data: Any, case: Case, count: int, seed: int, device: str) -> None:
        """Pieces of `data` (N,) at random places, the same for the same seed."""
        import torch

        context = case.config.context
        generator = torch.Generator().manual_seed(seed)
        starts = torch.randint(len(data) - context, (count, case.batch, 1), generator=generator)
        places = starts.to(device) + torch.arange(context, device=device)
        there = data.to(device, torch.int32)
        self._pairs = torch.stack([there[places], there[places + 1]], dim=1)

    def __getitem__(self, step: int) -> Any:
        """After the last comes the first."""
        return self._pairs[step % len(self._pairs)]

    def __len__(self) -> int:
        return len(self._pairs)


def timing_batches(case: Case, data: Any, seed: int, device: str, count: int = 64) -> Batches:
    """Pieces of the text if the model is one of characters, else tokens drawn as a text has them."""
    needed = count * case.tokens + case.config.context + 1
    source = data if case.config.vocab < 1000 else zipf_tokens(needed, case.config.vocab, seed)
    return Batches(source, case, count, seed, device)


def agreeing(losses: Sequence[float], others: Sequence[float]) -> float:
    """Largest difference of two runs' losses at the same step."""
    return max(abs(a - b) for a, b in zip(losses, others, strict=True))
