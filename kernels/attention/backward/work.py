"""Counts of the backward pass, launch by launch: what each pass of its loops does, in which order, and who shares what."""

from __future__ import annotations

from spak.kernels.attention.problem import Shape, key_tiles, run_lengths
from spak.kernels.cutile import ceil_div
from spak.kernels.interface import Configuration, Operand, Work

FP32_PER_SCORE = {"zeros": 4, "delta": 3, "delta-and-lse": 2}
"""Element-wise operations of a score: scale and subtract the log-sum-exp, subtract Delta, multiply; less what the products'
accumulators begin at."""

FP32_OF_MASK = 2
"""More of them where every tile is masked: compare, and select."""


def backward_work(shape: Shape, configuration: Configuration) -> tuple[Work, ...]:
    """Of each launch: fused, the pass over keys between preparation and conversion; split, both passes."""
    if configuration["dq_form"] == "split":
        return pass_over_queries(shape, configuration), pass_over_keys(shape, configuration)
    rows = float(shape.pairs * shape.seq_q)
    read, sums = 2.0 * rows * shape.head_dim, 4.0 * rows * shape.head_dim
    prepare = moving(
        "prepare_kernel", 2 * read + 4 * rows + sums + 8 * rows
    )  # O, dO, log-sum-exp; zeros, two numbers a row
    convert = moving("convert_kernel", sums + read)
    return prepare, pass_over_keys(shape, configuration), convert


def pass_over_keys(shape: Shape, configuration: Configuration) -> Work:
    """One CTA a key tile: dK and dV of all the query tiles that see it, head by head of its group; fused, dQ of those as well."""
    fused = configuration["dq_form"] == "fused"
    tile_m, tile_n = int(configuration["tile_m"]), int(configuration["tile_n"])
    visited = query_tiles(shape, tile_m, tile_n)
    pairs, heads_fastest = shape.batch * shape.kv_heads, bool(configuration["heads_fastest"])
    loaded = 2.0 * (1 + int(configuration["q_loads"])) * tile_m * shape.tile_d  # Q, once or twice, and dO
    apart = shape.causal and configuration["masked_tiles"] == "first"
    fp32 = FP32_PER_SCORE[str(configuration["accumulator_init"])] + (FP32_OF_MASK if shape.causal and not apart else 0)
    part = 4.0 * shape.group * shape.seq_q * shape.head_dim
    written = 8.0 * shape.pairs * shape.seq_q * shape.head_dim if fused else 0.0  # sums of dQ come and go
    return Work(
        iterations=run_lengths([shape.group * count for count in visited], pairs if heads_fastest else 1),
        repeats=1 if heads_fastest else pairs,
        tensor_flops_per_iteration=2.0 * (5 if fused else 4) * tile_m * tile_n * shape.tile_d,
        exp2_per_iteration=float(tile_m * tile_n),
        fp32_per_iteration=float(fp32 * tile_m * tile_n),
        smem_bytes_per_iteration=loaded + 8.0 * tile_m,
        global_bytes=pairs * part + 8.0 * pairs * shape.seq_kv * shape.head_dim + written,
        outside_bytes=4.0 * tile_n * shape.tile_d,
        loops=shape.group * (2 if apart else 1),
        chained_products=2,
        operands_serve_all=True,
        operands=(
            Operand(
                bytes_per_iteration=loaded,
                bytes=pairs * part,
                part_bytes=part,
                run=1 if heads_fastest else len(visited),
                cycle=pairs,
            ),
        ),
        added_bytes_per_iteration=4.0 * tile_m * shape.tile_d if fused else 0.0,
    )


def pass_over_queries(shape: Shape, configuration: Configuration) -> Work:
    """One CTA a query tile: dQ, and what the pass over keys needs of its rows. With a mask the last tile comes first."""
    tile_m, tile_n = int(configuration["dq_tile_m"]), int(configuration["dq_tile_n"])
    visited = key_tiles(shape, tile_m, tile_n)[:: -1 if shape.causal else 1]
    heads, heads_fastest = shape.batch * shape.kv_heads, bool(configuration["heads_fastest"])
    loaded = 4.0 * tile_n * shape.tile_d  # K and V
    part = 4.0 * shape.seq_kv * shape.head_dim
    return Work(
        function="queries_kernel",
        iterations=run_lengths(visited, shape.pairs if heads_fastest else 1),
        repeats=1 if heads_fastest else shape.pairs,
        tensor_flops_per_iteration=6.0 * tile_m * tile_n * shape.tile_d,
        exp2_per_iteration=float(tile_m * tile_n),
        fp32_per_iteration=float(FP32_PER_SCORE["zeros"] * tile_m * tile_n),
        smem_bytes_per_iteration=loaded,
        global_bytes=heads * part + 8.0 * shape.pairs * shape.seq_q * shape.head_dim,
        outside_bytes=8.0 * tile_m * shape.tile_d,
        loops=2 if shape.causal else 1,
        chained_products=2,
        operands_serve_all=True,
        operands=(
            Operand(
                bytes_per_iteration=loaded,
                bytes=heads * part,
                part_bytes=part,
                run=shape.group * (1 if heads_fastest else len(visited)),
                cycle=heads,
            ),
        ),
    )


def moving(function: str, global_bytes: float) -> Work:
    """A launch that only moves bytes."""
    return Work(
        function=function,
        iterations=((1, 1),),
        tensor_flops_per_iteration=0.0,
        exp2_per_iteration=0.0,
        fp32_per_iteration=0.0,
        smem_bytes_per_iteration=0.0,
        global_bytes=global_bytes,
    )


def query_tiles(shape: Shape, tile_m: int, tile_n: int) -> list[int]:
    """Query tiles that each key tile visits for each query head, first key tile first: what the kernel's loop bounds give."""
    every, tiles = ceil_div(shape.seq_q, tile_m), ceil_div(shape.seq_kv, tile_n)
    if not shape.causal:
        return [every] * tiles
    return [max(every - max(j * tile_n - shape.q_offset, 0) // tile_m, 0) for j in range(tiles)]
