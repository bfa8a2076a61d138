"""The mask floor, computed: FMHA's own source on the simulator with -1e20 and with -inf, on rows that see no key."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spak.kernels.attention import online_softmax
from spak.kernels.attention.fmha.spec import SPEC
from spak.kernels.attention.problem import Shape
from spak.kernels.sim.launch import empty, launch
from spak.kernels.sim.variant import variant

KERNEL = Path(__file__).parent / "fmha" / "kernel.py"
GUARD = "saw_key = m_i > NO_KEY"
NO_GUARD = "saw_key = m_i <= -m_i + 1.0e38"
"""True for every m_i that can occur, -inf included: what the kernel would write without its guard."""
CONFIGURATION = {
    "tile_m": 32,
    "tile_n": 32,
    "occupancy": 1,
    "num_ctas": 1,
    "num_worker_warps": 0,
    "k_latency": 2,
    "v_latency": 2,
    "use_tma": True,
    "split_loop": True,
    "heavy_first": True,
}
SEQ, HIDDEN, HEAD_DIM, TILE = 64, 32, 32, 32
"""The first HIDDEN of SEQ query rows see no key."""
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Outcome:
    """What one choice of floor did.

    Attributes:
        floor: The value of masked scores and of the first maximum.
        guarded: Whether the kernel's test for rows without keys was in place.
        masked_rows: Rows that see no key.
        nan_rows: Of those, rows with a NaN in the output.
        zero_rows: Of those, rows that are exactly 0.
        visible_rows_right: Whether all other rows are within 1e-3 of float64.
    """

    floor: float
    guarded: bool
    masked_rows: int
    nan_rows: int
    zero_rows: int
    visible_rows_right: bool


def masked_row_outcomes(*, seed: int) -> list[Outcome]:
    """Both floors, with and without the kernel's guard, on one head of causal attention with rows that see no key."""
    return [one(floor, seed=seed, guarded=guarded) for floor in (-1.0e20, -math.inf) for guarded in (True, False)]


def one(floor: float, *, guarded: bool, seed: int) -> Outcome:
    """Run one choice. q_offset is negative, and one query tile holds both kinds of rows and one neither."""
    changes = {"FLOOR = -1.0e20": f'FLOOR = float("{floor}")'}
    if not guarded:
        changes[GUARD] = NO_GUARD
    kernel = variant(KERNEL, changes).fmha_kernel
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((1, 1, SEQ, HEAD_DIM)).astype(np.float16) for _ in range(3))
    out, lse = empty(q.shape, np.float16), empty((1, 1, SEQ), np.float32)
    hidden = HIDDEN - TILE // 2
    scale = HEAD_DIM**-0.5
    shape = Shape(
        batch=1,
        heads=1,
        kv_heads=1,
        seq_q=SEQ,
        seq_kv=SEQ,
        q_offset=-hidden,
        head_dim=HEAD_DIM,
        causal=True,
        dtype="fp16",
    )
    constants = SPEC.constants(shape, CONFIGURATION)
    launch(None, SPEC.grid(shape, CONFIGURATION, 1), kernel, (q, k, v, out, lse, scale, -hidden, *constants))
    scores = q[0, 0].astype(np.float64) @ k[0, 0].astype(np.float64).T * scale
    visible = np.arange(SEQ)[:, None] - hidden >= np.arange(SEQ)
    want = online_softmax.reference(scores, v[0, 0].astype(np.float64), visible)
    got = out[0, 0].astype(np.float64)
    error = np.linalg.norm(got[hidden:] - want[hidden:]) / np.linalg.norm(want[hidden:])
    masked = got[:hidden]
    return Outcome(
        floor=floor,
        guarded=guarded,
        masked_rows=hidden,
        nan_rows=int(np.isnan(masked).any(axis=1).sum()),
        zero_rows=int((masked == 0).all(axis=1).sum()),
        visible_rows_right=bool(error <= TOLERANCE),
    )
