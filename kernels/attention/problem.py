"""What the attention kernels share: a problem size, their inputs and output, counts, and PyTorch's implementations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from spak.kernels.attention.reference import attention
from spak.kernels.cutile import OUTPUT, Array, CutileSpec, ceil_div
from spak.kernels.interface import Configuration, Operand, Problem, Work


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
        """Read a complete problem; an op without GQA, offset or mask has no such parameter."""
        counts = {name: int(problem[name]) for name in ("batch", "heads", "seq_q", "seq_kv", "head_dim")}
        return cls(
            **counts,
            kv_heads=int(problem.get("kv_heads", counts["heads"])),
            q_offset=int(problem.get("q_offset", 0)),
            causal=bool(problem.get("causal", False)),
            dtype=str(problem["dtype"]),
        )

    @property
    def pairs(self) -> int:
        """Heads of all sequences."""
        return self.batch * self.heads

    @property
    def tile_d(self) -> int:
        """head_dim rounded up to a power of two, as tiles need it."""
        return 1 << (self.head_dim - 1).bit_length()

    @property
    def group(self) -> int:
        """Query heads that share one KV head."""
        return self.heads // self.kv_heads

    @property
    def queries(self) -> Array:
        """(B, H, Sq, D)."""
        return Array(self.dtype, (self.batch, self.heads, self.seq_q, self.head_dim))

    @property
    def keys(self) -> Array:
        """(B, KV, Skv, D)."""
        return Array(self.dtype, (self.batch, self.kv_heads, self.seq_kv, self.head_dim))

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


def key_tiles(shape: Shape, tile_m: int, tile_n: int) -> list[int]:
    """Key tiles each query tile visits, first query tile first: what the kernel's loop bounds give."""
    every, query_tiles = ceil_div(shape.seq_kv, tile_n), ceil_div(shape.seq_q, tile_m)
    if not shape.causal:
        return [every] * query_tiles
    return [min(every, ceil_div((x + 1) * tile_m + shape.q_offset, tile_n)) for x in range(query_tiles)]


class AttentionSpec(CutileSpec):
    """What the specs of all attention kernels do alike."""

    inputs = Inputs

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """Q, K, V and O."""
        shape = Shape.of(problem)
        return {"q": shape.queries, "k": shape.keys, "v": shape.keys, OUTPUT: shape.queries}

    def reference(self, inputs: Inputs, problem: Problem) -> Any:
        """(B, H, Sq, D), float64."""
        shape = Shape.of(problem)
        return attention(inputs.q, inputs.k, inputs.v, causal=shape.causal, q_offset=shape.q_offset)[0]

    def baselines(self, inputs: Inputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """PyTorch's SDPA: its default choice, cuDNN and FA2, which it calls FlashAttention; none where the mask is not one they know."""
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        shape = Shape.of(problem)
        if shape.causal and (shape.q_offset or shape.seq_q != shape.seq_kv):
            return {}

        def attend() -> Any:
            kind = {"is_causal": shape.causal, "enable_gqa": shape.group > 1}
            return torch.nn.functional.scaled_dot_product_attention(inputs.q, inputs.k, inputs.v, **kind)

        def chosen(backend: Any) -> Callable[[], Any]:
            return sdpa_kernel(backend)(attend)  # type: ignore[no-any-return]

        return {
            "sdpa": attend,
            "sdpa-cudnn": chosen(SDPBackend.CUDNN_ATTENTION),
            "sdpa-fa2": chosen(SDPBackend.FLASH_ATTENTION),
        }


def online_work(
    shape: Shape,
    configuration: Configuration,
    *,
    fp32_per_score: int,
    heavy_first: bool = False,
    heads_fastest: bool = False,
) -> Work:
    """Counts of one launch of online softmax; fully masked key tiles are not visited and not counted.

    `heavy_first` launches the query tiles of a head last one first; with `heads_fastest` neighbouring CTAs take the same
    query tile of different heads, not the next query tile.
    """
    tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
    tiles = key_tiles(shape, tile_m, tile_n)
    count = len(tiles)
    if heavy_first:
        tiles.reverse()
    area = tile_m * tile_n
    loaded = 4.0 * tile_n * shape.tile_d
    head_bytes = 4.0 * shape.seq_kv * shape.head_dim
    heads = shape.batch * shape.kv_heads
    return Work(
        iterations=run_lengths(tiles, shape.pairs if heads_fastest else 1),
        repeats=1 if heads_fastest else shape.pairs,
        tensor_flops_per_iteration=4.0 * area * shape.tile_d,
        exp2_per_iteration=float(area + tile_m),
        fp32_per_iteration=float(area * fp32_per_score + tile_m * shape.tile_d),
        smem_bytes_per_iteration=loaded,
        global_bytes=shape.min_bytes,
        outside_bytes=2.0 * tile_m * shape.tile_d,
        chained_products=2,
        row_reductions=2,
        operands=(
            Operand(
                bytes_per_iteration=loaded,
                bytes=heads * head_bytes,
                part_bytes=head_bytes,
                run=shape.group * (1 if heads_fastest else count),
                cycle=heads,
            ),
        ),
    )


def run_lengths(values: Sequence[int], each: int) -> tuple[tuple[int, int], ...]:
    """(count, value) of neighbours that are equal, every value standing for `each` of them."""
    return tuple((each * len(list(equal)), value) for value, equal in groupby(values))
