"""FMHA bound to its space (laws/ops/fmha.yaml): launch, check, count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spak.kernels.attention.problem import AttentionSpec, Shape, online_work
from spak.kernels.cutile import Array, Call, ceil_div, resident
from spak.kernels.interface import Configuration, Problem, Work

PIPELINES = {"plain": "PLAIN", "early-scores": "EARLY_SCORES", "late-values": "LATE_VALUES"}
MASKED_TILES = {"after": "AFTER", "inline": "INLINE"}
"""The op's name of a variant -> the constant of kernel.py."""

MOST_BLOCKS = 65535
"""Blocks of a grid in its second or third dimension. Source: CUDA programming guide, compute capabilities."""


class FmhaSpec(AttentionSpec):
    """`fmha`: see kernel.py."""

    op = "fmha"

    def calls(self, problem: Problem, configuration: Configuration, num_sms: int = 1) -> Sequence[Call]:
        """One, without log-sum-exp."""
        from spak.kernels.attention.fmha import kernel

        shape, c = Shape.of(problem), configuration
        constants = (
            shape.heads,
            shape.group,
            shape.tile_d,
            c["tile_m"],
            c["tile_n"],
            c["k_latency"],
            c["v_latency"],
            shape.causal,
            shape.seq_kv % int(c["tile_n"]) != 0,
            getattr(kernel, PIPELINES[str(c["pipeline"])]),
            c["split_loop"],
            getattr(kernel, MASKED_TILES[str(c["masked_tiles"])]),
            c["running_max"],
            c["q_registers"],
            c["sum_lanes"],
            bool(c["heavy_first"]) and shape.causal,
            c["heads_fastest"],
            shape.pairs > MOST_BLOCKS,
            c["persistent"],
            c["use_tma"],
            False,  # log-sum-exp is not written
        )
        arrays = {**self.arrays(problem), "lse": Array("fp32", (1, 1, 1))}
        scalars = (shape.head_dim**-0.5, shape.q_offset)
        return (Call("fmha_kernel", self.grid(shape, c, num_sms), arrays, scalars, constants),)

    def grid(self, shape: Shape, configuration: Configuration, num_sms: int) -> tuple[int, int, int]:
        """Blocks to launch: one for each query tile and head, or as many as the hints keep resident if persistent."""
        query_tiles = ceil_div(shape.seq_q, int(configuration["tile_m"]))
        if configuration["persistent"]:
            return min(query_tiles * shape.pairs, resident(configuration, num_sms)), 1, 1
        if shape.pairs > MOST_BLOCKS:
            return shape.pairs, query_tiles, 1
        return (1, shape.pairs, query_tiles) if configuration["heads_fastest"] else (1, query_tiles, shape.pairs)

    def work(self, problem: Problem, configuration: Configuration) -> Work:
        """Counts of one launch."""
        shape = Shape.of(problem)
        return replace(
            online_work(shape, configuration, fp32_per_score=4),
            loops=2 if shape.causal and configuration["masked_tiles"] == "after" else 1,
            cluster=int(configuration["num_ctas"]),
        )


SPEC = FmhaSpec()
