"""Gradients of attention bound to their space (laws/ops/fmha-backward.yaml): launches, check, count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spak.kernels.attention.backward.reference import attention_gradients
from spak.kernels.attention.backward.work import backward_work
from spak.kernels.attention.inputs import draw
from spak.kernels.attention.problem import Shape
from spak.kernels.attention.reference import attention
from spak.kernels.cutile import MOST_BLOCKS, Array, Call, CutileSpec, ceil_div
from spak.kernels.interface import Configuration, Problem, Work

NAMED = {
    "scores": {"keys-first": "KEYS_FIRST", "queries-first": "QUERIES_FIRST"},
    "accumulator_init": {"zeros": "ZEROS", "delta": "DELTA", "delta-and-lse": "DELTA_AND_LSE"},
    "masked_tiles": {"first": "FIRST", "inline": "INLINE"},
}
"""Parameter -> the op's name of a variant -> the constant of kernel.py."""

PREPARED_ELEMENTS = 4096
"""Of a tile that a block prepares or converts: what 128 threads hold in some registers, and enough blocks to fill a GPU."""

LARGEST_TILE_M = 128
"""Query rows of which the arrays that hold a number for each row have a whole number: no pass reads one that is not there."""

WGMMA_ROWS = 64
"""Rows of a tensor-core product of a warpgroup. dQ^T has a row a channel: narrower heads would have it made of warps' own
products beside a warpgroup's that is in flight, which the one kernel that was ever wrong does (docs/decisions/0111)."""

GRADIENT_TOLERANCES = {"fp16": 2e-3, "bf16": 1e-2}
"""Largest relative error of each gradient by dtype: scores and their gradients are rounded to it, on the way to sums."""


@dataclass(frozen=True)
class BackwardInputs:
    """Q, O and dO (B, H, Sq, D), K and V (B, KV, Skv, D), contiguous; lse (B, H, Sq) fp32, natural log."""

    q: Any
    k: Any
    v: Any
    o: Any
    lse: Any
    do: Any


@dataclass(frozen=True)
class Gradients:
    """Of Q (B, H, Sq, D), and of K and V (B, KV, Skv, D)."""

    dq: Any
    dk: Any
    dv: Any


def after_forward(q: Any, k: Any, v: Any, do: Any, problem: Problem) -> BackwardInputs:
    """Inputs with O and its log-sum-exp as an exact forward pass leaves them, rounded once."""
    import torch

    shape = Shape.of(problem)
    o, lse = attention(q, k, v, causal=shape.causal, q_offset=shape.q_offset)
    return BackwardInputs(q, k, v, o.to(q.dtype), lse.to(torch.float32), do)


class BackwardSpec(CutileSpec):
    """`fmha-backward`: see kernel.py."""

    op = "fmha-backward"
    inputs = BackwardInputs
    outputs = Gradients

    def arrays(self, problem: Problem) -> Mapping[str, Array]:
        """What the forward pass had and left, the gradient of its output, and the three gradients."""
        shape = Shape.of(problem)
        queries, keys = shape.queries, shape.keys
        lse = Array("fp32", queries.shape[:3])
        given = {"q": queries, "k": keys, "v": keys, "o": queries, "lse": lse, "do": queries}
        return {**given, "dq": queries, "dk": keys, "dv": keys}

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> BackwardInputs:
        """Q, K and V of the problem's kind of inputs, standard normal dO; O and log-sum-exp belong to them."""
        import torch

        given = draw(str(problem.get("inputs", "normal")), problem, seed=seed, device=device)
        generator = torch.Generator(device=device).manual_seed(seed + 1)
        do = torch.randn(given.q.shape, generator=generator, device=device, dtype=torch.float32).to(given.q.dtype)
        return after_forward(given.q, given.k, given.v, do, problem)

    def calls(
        self, problem: Problem, configuration: Configuration, num_sms: int = 1, scale: float | None = None
    ) -> Sequence[Call]:
        """Preparation, pass over keys and conversion of dQ (fused), or the passes over queries and keys (split).

        `scale` is that of the forward pass: head_dim ** -0.5 if None.
        """
        del num_sms
        launches = _Launches(self.arrays(problem), Shape.of(problem), configuration, scale)
        if configuration["dq_form"] == "fused":
            return (launches.prepare(), launches.keys(), launches.convert())
        return (launches.queries(), launches.keys())

    def hints(self, function: str, configuration: Configuration) -> Mapping[str, int]:
        """Those of the pass over keys, or over queries; none for the two small functions."""
        if function == "keys_kernel":
            return super().hints(function, configuration)
        if function == "queries_kernel":
            names = {"occupancy": "dq_occupancy", "num_worker_warps": "dq_worker_warps"}
            return {hint: int(configuration[name]) for hint, name in names.items()}
        return {}

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of each launch."""
        return backward_work(Shape.of(problem), configuration)

    def reference(self, inputs: BackwardInputs, problem: Problem) -> Gradients:
        """Float64, from Q, K, V and dO alone."""
        shape = Shape.of(problem)
        given = (inputs.q, inputs.k, inputs.v, inputs.do)
        return Gradients(*attention_gradients(*given, causal=shape.causal, q_offset=shape.q_offset))

    def tolerance(self, problem: Problem) -> float:
        """2e-3 for fp16, 1e-2 for bf16, of each gradient."""
        return GRADIENT_TOLERANCES[str(problem["dtype"])]

    def baselines(self, inputs: BackwardInputs, problem: Problem) -> Mapping[str, Callable[[], Any]]:
        """The backward passes of PyTorch's SDPA, cuDNN's and FlashAttention-2's; none where the mask is not one they know."""
        from spak.kernels.attention.backward.libraries import backward_passes

        shape = Shape.of(problem)
        if shape.causal and (shape.q_offset or shape.seq_q != shape.seq_kv):
            return {}
        return backward_passes(inputs, causal=shape.causal)


@dataclass(frozen=True)
class _Launches:
    """The launches of one configuration at one problem size."""

    arrays: Mapping[str, Array]
    shape: Shape
    configuration: Configuration
    given_scale: float | None

    @property
    def scale(self) -> float:
        return self.shape.head_dim**-0.5 if self.given_scale is None else self.given_scale

    @property
    def scratch(self) -> Mapping[str, Array]:
        """What the passes read of each row, a whole number of tiles of rows."""
        rows = Array("fp32", (self.shape.pairs, ceil_div(self.shape.seq_q, LARGEST_TILE_M) * LARGEST_TILE_M))
        return {"lse2": rows, "delta": rows}

    @property
    def dq_sum(self) -> Array:
        """The float32 dQ that is added to; split, a place holder."""
        batch, heads, rows, channels = self.shape.queries.shape
        if self.configuration["dq_form"] == "split":
            return Array("fp32", (1, 1, 1, 1))
        return Array("fp32", (batch, heads, channels, rows) if self.transposed else (batch, heads, rows, channels))

    @property
    def transposed(self) -> bool:
        return self.configuration["dq_sum"] == "columns" and self.shape.head_dim >= WGMMA_ROWS

    def chosen(self, *names: str) -> dict[str, Array]:
        every = {**self.arrays, **self.scratch, "dq_sum": self.dq_sum}
        return {name: every[name] for name in names}

    @property
    def prepared_rows(self) -> int:
        """Rows that a block prepares or converts."""
        return min(PREPARED_ELEMENTS // self.shape.tile_d, LARGEST_TILE_M)

    def prepare(self) -> Call:
        shape, rows = self.shape, self.prepared_rows
        arrays = self.chosen("o", "do", "lse", "lse2", "delta", "dq_sum")
        grid = (shape.pairs, arrays["lse2"].shape[1] // rows, 1)
        constants = (shape.heads, rows, shape.tile_d, self.transposed, self.constant("accumulator_init"))
        return Call("prepare_kernel", grid, arrays, (self.scale,), constants, hot=False)

    def constant(self, name: str) -> int:
        """That of kernel.py which the configuration's value of a parameter of `NAMED` means."""
        from spak.kernels.attention.backward import kernel

        return int(getattr(kernel, NAMED[name][str(self.configuration[name])]))

    def keys(self) -> Call:
        shape, c = self.shape, self.configuration
        tile_n = int(c["tile_n"])
        tiles, pairs = ceil_div(shape.seq_kv, tile_n), shape.batch * shape.kv_heads
        heads_fastest = bool(c["heads_fastest"]) or pairs > MOST_BLOCKS
        constants = (
            shape.kv_heads,
            shape.group,
            shape.tile_d,
            c["tile_m"],
            tile_n,
            c["latency"],
            shape.causal,
            shape.seq_kv % tile_n != 0,
            c["dq_form"] == "fused",
            self.constant("scores"),
            self.transposed,
            c["stagger"],
            heads_fastest,
            c["use_tma"],
            self.constant("accumulator_init"),
            self.constant("masked_tiles"),
            c["q_loads"],
            c["epilogue_subtiles"],
        )
        arrays = self.chosen("q", "k", "v", "do", "lse2", "delta", "dq_sum", "dk", "dv")
        grid = (pairs, tiles, 1) if heads_fastest else (tiles, pairs, 1)
        return Call("keys_kernel", grid, arrays, (self.scale, shape.q_offset), constants)

    def queries(self) -> Call:
        shape, c = self.shape, self.configuration
        tile_m, tile_n = int(c["dq_tile_m"]), int(c["dq_tile_n"])
        tiles = ceil_div(shape.seq_q, tile_m)
        heads_fastest = bool(c["heads_fastest"]) or shape.pairs > MOST_BLOCKS
        constants = (
            shape.heads,
            shape.group,
            shape.tile_d,
            tile_m,
            tile_n,
            c["dq_latency"],
            shape.causal,
            shape.seq_kv % tile_n != 0,
            heads_fastest,
            c["use_tma"],
            self.constant("accumulator_init"),
        )
        arrays = self.chosen("q", "k", "v", "o", "do", "lse", "lse2", "delta", "dq")
        grid = (shape.pairs, tiles, 1) if heads_fastest else (tiles, shape.pairs, 1)
        return Call("queries_kernel", grid, arrays, (self.scale, shape.q_offset), constants, hot=False)

    def convert(self) -> Call:
        shape, rows = self.shape, self.prepared_rows
        grid, constants = (
            (shape.pairs, ceil_div(shape.seq_q, rows), 1),
            (shape.heads, rows, shape.tile_d, self.transposed),
        )
        return Call("convert_kernel", grid, self.chosen("dq_sum", "dq"), (self.scale,), constants, hot=False)


SPEC = BackwardSpec()
