"""Trains a nanoGPT-sized byte model on Python sources found here, and keeps Q, K and V of its layers: a real model's scores.

    python -m bench.attention_model --out model.json --tensors model.pt

12 layers of 12 heads, width 768, 1024 bytes of context, as nanoGPT's GPT-2 124M but for its vocabulary. Seeds are
fixed; text is what the machine has, so its digest is recorded. Needs a GPU: about a minute on an H200.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from bench.attention_scores import Tiles, score_statistics

KEEP_STEPS = (0, 200, 2000)
KEEP_LAYERS = (0, 5, 11)
"""Layers whose tensors are kept whole; statistics are of all."""
SAMPLE_HEADS = (0, 6)
TILES = (Tiles(64, 64), Tiles(128, 128))
FITS = 60_000.0
"""Of kernels/attention/fmha/kernel.py: a partial row sum below it holds no weight above what fp16 does."""
HELD_OUT = 20
"""One byte in so many, the last ones, is for validation."""


@dataclass(frozen=True)
class Sizes:
    """The model and its training; nanoGPT's where it has the setting."""

    layers: int = 12
    heads: int = 12
    width: int = 768
    context: int = 1024
    batch: int = 12
    steps: int = 2000
    warmup: int = 100
    rate: float = 6e-4
    corpus_bytes: int = 40_000_000


def corpus(limit: int) -> tuple[bytes, dict[str, Any]]:
    """Python sources of this interpreter's library, then of its packages, sorted by path; and what identifies them."""
    paths = sysconfig.get_paths()
    library, packages = Path(paths["stdlib"]), Path(paths["purelib"])
    own = sorted(file for file in library.rglob("*.py") if packages not in file.parents)
    parts: list[bytes] = []
    size = 0
    for file in [*own, *sorted(packages.rglob("*.py"))]:
        if size >= limit:
            break
        parts.append(file.read_bytes())
        size += len(parts[-1])
    text = b"\n".join(parts)[:limit]
    told = {"bytes": len(text), "files": len(parts), "sha256": hashlib.sha256(text).hexdigest()}
    return text, {**told, "text": f"*.py of Python {sys.version.split()[0]} and its packages, sorted by path"}


class Block(nn.Module):
    """Attention and a perceptron, each after a norm and added to what came in."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.norm_attention, self.norm_perceptron = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def projected(self, x: Any) -> tuple[Any, Any, Any]:
        """Q, K and V of x (B, S, width): (B, H, S, D) each."""
        b, s, width = x.shape
        qkv = self.qkv(self.norm_attention(x)).view(b, s, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x: Any) -> Any:
        """(B, S, width)."""
        y = functional.scaled_dot_product_attention(*self.projected(x), is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(x.shape))
        return x + self.down(functional.gelu(self.up(self.norm_perceptron(x))))


class ByteModel(nn.Module):
    """A GPT over bytes; the embedding is the output's matrix too."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, sizes.width)
        self.places = nn.Embedding(sizes.context, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                ends = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * sizes.layers) if ends else 0.02)

    def embedded(self, x: Any) -> Any:
        """(B, S, width) of bytes x (B, S)."""
        return self.bytes(x) + self.places.weight[: x.shape[1]]

    def forward(self, x: Any, y: Any) -> Any:
        """Cross entropy of the bytes y (B, S) that follow x (B, S), natural units."""
        h = self.embedded(x)
        for block in self.blocks:
            h = block(h)
        logits = self.norm(h) @ self.bytes.weight.T
        return functional.cross_entropy(logits.flatten(0, 1).float(), y.flatten())


class Training:
    """The model, its text on the device, and what was kept on the way."""

    def __init__(self, sizes: Sizes, text: bytes, device: str) -> None:
        torch.manual_seed(1)
        self.sizes, self.device = sizes, device
        data = torch.frombuffer(bytearray(text), dtype=torch.uint8).to(device)
        held_out = len(data) // HELD_OUT
        self.data, self.unseen = data[:-held_out], data[-held_out:]
        self.model = ByteModel(sizes).to(device)
        self.generator = torch.Generator(device=device).manual_seed(2)
        self.losses: dict[int, float] = {}
        self.unseen_losses: dict[int, float] = {}
        self.kept: dict[int, list[tuple[Any, Any, Any]]] = {}

    def batch(self, data: Any, generator: Any) -> tuple[Any, Any]:
        """Bytes (B, S) at random places, and those that follow."""
        context = self.sizes.context
        starts = torch.randint(len(data) - context - 1, (self.sizes.batch,), generator=generator, device=self.device)
        rows = data[starts[:, None] + torch.arange(context + 1, device=self.device)].long()
        return rows[:, :-1], rows[:, 1:]

    def autocast(self) -> Any:
        """bf16 where PyTorch finds it safe."""
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def keep(self, step: int) -> None:
        """Q, K and V of every layer for one batch of unseen text, always the same, in the type that attention sees."""
        x, y = self.batch(self.unseen, torch.Generator(device=self.device).manual_seed(3))
        layers = []
        with torch.no_grad(), self.autocast():
            self.unseen_losses[step] = float(self.model(x, y))
            h = self.model.embedded(x)
            for block in self.model.blocks:
                layers.append(tuple(each.contiguous() for each in block.projected(h)))
                h = block(h)
        self.kept[step] = layers

    def rate(self, step: int) -> float:
        """Learning rate: linear warm-up, then half a cosine to a tenth."""
        s = self.sizes
        if step < s.warmup:
            return s.rate * (step + 1) / s.warmup
        done = (step - s.warmup) / max(1, s.steps - s.warmup)
        return s.rate * (0.1 + 0.45 * (1.0 + math.cos(math.pi * done)))

    def run(self, keep_steps: Sequence[int], *, compiled: bool) -> float:
        """Train, keeping at those steps; seconds without what was kept. A loss is recorded every 50 steps."""
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.model.parameters() if p.ndim == 2], "weight_decay": 0.1},
            {"params": [p for p in self.model.parameters() if p.ndim != 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=self.device == "cuda")
        loss_of = torch.compile(self.model) if compiled else self.model
        seconds, started = 0.0, time.monotonic()
        for step in range(self.sizes.steps + 1):
            if step in keep_steps:
                seconds += time.monotonic() - started
                self.keep(step)
                started = time.monotonic()
            if step == self.sizes.steps:
                break
            with self.autocast():
                loss = loss_of(*self.batch(self.data, self.generator))
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = self.rate(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 50 == 0:
                self.losses[step] = float(loss.detach())
        return seconds + time.monotonic() - started


def layer_statistics(kept: Mapping[int, Sequence[tuple[Any, Any, Any]]]) -> list[dict[str, Any]]:
    """Scores of each layer at each step, for every tile of `TILES`, of the first two sequences."""
    return [
        {
            "step": step,
            "layer": layer,
            "largest": max(float(x.abs().max()) for x in (q, k, v)),
            **asdict(score_statistics(q[:2], k[:2], causal=True, tiles=tiles, fits=FITS)),
        }
        for step, layers in kept.items()
        for layer, (q, k, v) in enumerate(layers)
        for tiles in TILES
    ]


def write_samples(kept: Mapping[int, Sequence[tuple[Any, Any, Any]]], folder: Path) -> None:
    """A file a step with some heads of the first sequence of all layers, (layers, 3, heads, S, D) in fp16: 10 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    for step, layers in kept.items():
        every = [torch.stack([x[0, list(SAMPLE_HEADS)].half().cpu() for x in layer]) for layer in layers]
        torch.save(torch.stack(every), folder / f"qkv-step-{step}.pt")


def line(found: Mapping[str, Any]) -> str:
    """For people: one layer at one step."""
    return (
        f"step {found['step']:4d} layer {found['layer']:2d} tiles {found['tiles']['tile_m']:3d}x{found['tiles']['tile_n']:3d}"
        f"  std {found['std']:5.2f}  growth 50/90/99/100 % "
        + " ".join(f"{x:5.1f}" for x in found["growth"].values())
        + f"  over 2^16 {found['exceeding']['16']:5.1%}  over 2^26 {found['exceeding']['26']:5.1%}"
        + f"  raised 2^0/4/8 {' '.join(f'{x:5.1%}' for x in found['raised'].values())}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON: text, losses, statistics of every layer")
    parser.add_argument(
        "--tensors", type=Path, help="kept layers' Q, K and V, as bench.attention_sitting reads them; 1.5 GB"
    )
    parser.add_argument("--samples", type=Path, help="folder for a few heads of all layers")
    parser.add_argument("--eager", action="store_true", help="do not compile the model")
    parser.add_argument("--steps", type=int, default=Sizes.steps)
    arguments = parser.parse_args()
    sizes = Sizes(steps=arguments.steps)
    text, told = corpus(sizes.corpus_bytes)
    training = Training(sizes, text, "cuda")
    seconds = training.run(KEEP_STEPS, compiled=not arguments.eager)
    print(
        f"{sizes.steps} steps in {seconds:.0f} s; loss {training.losses}; unseen {training.unseen_losses}", flush=True
    )
    if arguments.samples:
        write_samples(training.kept, arguments.samples)
    statistics = layer_statistics(training.kept)
    result = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "sizes": asdict(sizes),
        "corpus": told,
        "seconds": seconds,
        "losses": training.losses,
        "unseen_losses": training.unseen_losses,
        "layers": statistics,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    for found in statistics:
        if found["tiles"]["tile_m"] == TILES[0].tile_m:
            print(line(found), flush=True)
    if arguments.tensors:
        whole = {step: {layer: layers[layer] for layer in KEEP_LAYERS} for step, layers in training.kept.items()}
        partial = arguments.tensors.with_suffix(".partial")
        torch.save(whole, partial)
        partial.rename(arguments.tensors)  # whoever waits for it finds it whole, and the GPU free
    return 0


if __name__ == "__main__":
    sys.exit(main())
