"""What the attention kernels share: a problem size, random inputs, outputs to fill, and PyTorch's implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spak.kernels.interface import Problem

MIN_HEAD_DIM, MAX_HEAD_DIM = 16, 256
TOLERANCES = {"fp16": 1e-3, "bf16": 8e-3}
"""Largest relative error by dtype; the unit roundoffs are 2^-11 and 2^-8."""


@dataclass(frozen=True)
class Shape:
    """A problem size of attention, typed.

    Attributes:
        q_offset: Query row i sees keys up to i + q_offset when causal.
        dtype: fp16 or bf16.
    """

    batch: int
    heads: int
    kv_heads: int
    seq_q: int
    seq_kv: int
    q_offset: int
    head_dim: int
    causal: bool
    dtype: str

    @classmethod
    def of(cls, problem: Problem) -> Shape:
        """Read a problem; an op without GQA, offset or mask leaves those parameters out.

        Raises:
            ValueError: If kv_heads does not divide heads, or head_dim is outside 16..256.
        """
        counts = {name: int(problem[name]) for name in ("batch", "heads", "seq_q", "seq_kv", "head_dim")}
        kv_heads = int(problem.get("kv_heads", counts["heads"]))
        if counts["heads"] % kv_heads:
            raise ValueError(f"kv_heads {kv_heads} does not divide heads {counts['heads']}")
        if not MIN_HEAD_DIM <= counts["head_dim"] <= MAX_HEAD_DIM:
            raise ValueError(f"head_dim must be {MIN_HEAD_DIM}..{MAX_HEAD_DIM} (got {counts['head_dim']})")
        return cls(
            **counts,
            kv_heads=kv_heads,
            q_offset=int(problem.get("q_offset", 0)),
            causal=bool(problem.get("causal", False)),
            dtype=str(problem["dtype"]),
        )

    @property
    def tile_d(self) -> int:
        """head_dim rounded up to a power of two, as tiles need it."""
        return 1 << (self.head_dim - 1).bit_length()

    @property
    def group(self) -> int:
        """Query heads that share one KV head."""
        return self.heads // self.kv_heads

    @property
    def queries(self) -> tuple[int, int, int, int]:
        """(B, H, Sq, D)."""
        return self.batch, self.heads, self.seq_q, self.head_dim

    @property
    def keys(self) -> tuple[int, int, int, int]:
        """(B, KV, Skv, D)."""
        return self.batch, self.kv_heads, self.seq_kv, self.head_dim

    @property
    def min_bytes(self) -> float:
        """Q, K and V read once, O written once, two bytes an element."""
        return 4.0 * self.batch * self.head_dim * (self.heads * self.seq_q + self.kv_heads * self.seq_kv)


@dataclass(frozen=True)
class Inputs:
    """Q (B, H, Sq, D), K and V (B, KV, Skv, D), contiguous."""

    q: Any
    k: Any
    v: Any


def torch_dtype(shape: Shape) -> Any:
    """The torch dtype of a problem's inputs and output."""
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16}[shape.dtype]


def draw_inputs(shape: Shape, *, seed: int, device: str) -> Inputs:
    """Standard normal Q, K, V."""
    import torch

    generator = torch.Generator(device=device).manual_seed(seed)

    def draw(size: tuple[int, ...]) -> Any:
        return torch.randn(size, generator=generator, device=device, dtype=torch.float32).to(torch_dtype(shape))

    return Inputs(draw(shape.queries), draw(shape.keys), draw(shape.keys))


def blank_output(shape: Shape, *, device: str) -> Any:
    """(B, H, Sq, D) of NaN."""
    import torch

    return torch.full(shape.queries, float("nan"), dtype=torch_dtype(shape), device=device)


def library_attention(inputs: Inputs, shape: Shape) -> Mapping[str, Callable[[], Any]]:
    """PyTorch's SDPA: its default choice, cuDNN and FlashAttention; none where the mask is not one they know."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if shape.causal and (shape.q_offset or shape.seq_q != shape.seq_kv):
        return {}

    def run(backend: Any | None) -> Callable[[], Any]:
        def call() -> Any:
            attend = torch.nn.functional.scaled_dot_product_attention
            kind = {"is_causal": shape.causal, "enable_gqa": shape.group > 1}
            if backend is None:
                return attend(inputs.q, inputs.k, inputs.v, **kind)
            with sdpa_kernel(backend):
                return attend(inputs.q, inputs.k, inputs.v, **kind)

        return call

    return {
        "sdpa": run(None),
        "sdpa-cudnn": run(SDPBackend.CUDNN_ATTENTION),
        "sdpa-flash": run(SDPBackend.FLASH_ATTENTION),
    }


class AttentionSpec:
    """What the specs of all attention kernels do alike; see `spak.kernels.interface.KernelSpec`."""

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Inputs:
        """Standard normal Q, K, V."""
        return draw_inputs(Shape.of(problem), seed=seed, device=device)

    def make_outputs(self, problem: Problem, *, device: str) -> Any:
        """(B, H, Sq, D) of NaN."""
        return blank_output(Shape.of(problem), device=device)

    def reference(self, inputs: Inputs, problem: Problem) -> Any:
        """(B, H, Sq, D), float64."""
        from spak.kernels.attention.fmha.reference import attention

        shape = Shape.of(problem)
        return attention(inputs.q, inputs.k, inputs.v, causal=shape.causal, q_offset=shape.q_offset)[0]

    def tolerance(self, problem: Problem) -> float:
        """1e-3 for fp16, 8e-3 for bf16."""
        return TOLERANCES[str(problem["dtype"])]

    def baselines(self, inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's SDPA by backend."""
        return library_attention(inputs, Shape.of(problem))
