"""FMHA bound to its space (laws/ops/fmha.yaml): launch, check, count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spak.kernels.attention.inputs import draw
from spak.kernels.attention.problem import AttentionSpec, Inputs, Shape, online_work
from spak.kernels.cutile import MOST_BLOCKS, OUTPUT, Array, Call, ceil_div, resident, sms_of
from spak.kernels.interface import Configuration, Problem, Work

PIPELINES = {"plain": "PLAIN", "early-scores": "EARLY_SCORES", "late-values": "LATE_VALUES"}
MASKED_TILES = {"after": "AFTER", "inline": "INLINE"}
"""The op's name of a variant -> the constant of kernel.py."""

LEAST_SCALE, MOST_SCALE = 1e-9, 1e5
"""Between them a masked score, scaled, stays far below every real one."""


class FmhaSpec(AttentionSpec):
    """`fmha`: see kernel.py."""

    op = "fmha"

    def make_inputs(self, problem: Problem, *, seed: int, device: str) -> Inputs:
        """Drawn as the problem's `inputs` say; standard normal where it does not say."""
        return draw(str(problem.get("inputs", "normal")), problem, seed=seed, device=device)

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
            c["raise_by"],
            c["catch_up"],
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

    def call_with_lse(
        self, problem: Problem, configuration: Configuration, num_sms: int = 1, scale: float | None = None
    ) -> Call:
        """The one call, with log-sum-exp (B, H, Sq), fp32, natural log, as the output `lse` beside `out`.

        Args:
            problem: Complete.
            configuration: Complete.
            num_sms: Of the device.
            scale: Of the scores; head_dim ** -0.5 if not given.

        Raises:
            ValueError: For a scale that is not from `LEAST_SCALE` to `MOST_SCALE`.
        """
        shape = Shape.of(problem)
        scale = shape.head_dim**-0.5 if scale is None else scale
        if not LEAST_SCALE <= scale <= MOST_SCALE:
            raise ValueError(f"scale: from {LEAST_SCALE:g} to {MOST_SCALE:g} (got {scale!r})")
        [call] = self.calls(problem, configuration, num_sms)
        arrays = {**call.arrays, "lse": Array("fp32", (shape.batch, shape.heads, shape.seq_q))}
        return replace(call, arrays=arrays, scalars=(scale, *call.scalars[1:]), constants=(*call.constants[:-1], True))

    def launch_lse(
        self,
        inputs: Inputs,
        out: Any,
        lse: Any,
        problem: Problem,
        configuration: Configuration,
        scale: float | None = None,
    ) -> None:
        """As `launch`, and writes lse: (B, H, Sq), fp32, natural log of the sum of exp(scaled scores).

        A row that sees no key gets 0 in `out` and kernel.py's FLOOR in `lse`. Arguments and errors as for `call_with_lse`.
        """
        call = self.call_with_lse(problem, configuration, sms_of(out.device), scale)
        self.issue((call,), {**vars(inputs), OUTPUT: out, "lse": lse}, configuration)

    def grid(self, shape: Shape, configuration: Configuration, num_sms: int) -> tuple[int, int, int]:
        """Blocks to launch: one for each query tile and head, or as many as the hints keep resident if persistent."""
        query_tiles = ceil_div(shape.seq_q, int(configuration["tile_m"]))
        if configuration["persistent"]:
            return min(query_tiles * shape.pairs, resident(configuration, num_sms)), 1, 1
        if shape.pairs > MOST_BLOCKS:
            return shape.pairs, query_tiles, 1
        return (1, shape.pairs, query_tiles) if configuration["heads_fastest"] else (1, query_tiles, shape.pairs)

    def work(self, problem: Problem, configuration: Configuration) -> Sequence[Work]:
        """Counts of the launch; what is computed again after an overflow is not foreseen."""
        shape, c = Shape.of(problem), configuration
        order = {name: bool(c[name]) for name in ("heavy_first", "heads_fastest")}
        work = replace(
            online_work(shape, c, fp32_per_score=4, **order),
            loops=2
            if shape.causal and c["masked_tiles"] == "after"
            else 1,  # unsplit too: the compiler splits the loop
            row_reductions=int(bool(c["running_max"])) + int(c["sum_lanes"] == 1),
            cluster=int(c["num_ctas"]),
            walkers_per_sm=float(c["occupancy"]) if c["persistent"] else 0.0,
        )
        return (work,)


SPEC = FmhaSpec()
