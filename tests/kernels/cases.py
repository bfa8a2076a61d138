"""Awkward shapes of attention: one table for the simulator (here) and the GPU (tests/gpu)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import yaml
from numpy.typing import NDArray

from spak.kernels import sim
from spak.kernels.attention.fmha.kernel import FLOOR
from spak.kernels.attention.fmha.spec import SPEC
from tests.kernels.attention_problem import AttentionProblem

SIMULATED_SMS = 4
"""Small, so that a persistent CTA of a small case gets several blocks."""
OP = yaml.safe_load((Path(__file__).parents[2] / "laws/ops/fmha.yaml").read_text())
DTYPES = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}


@dataclass(frozen=True)
class Case(AttentionProblem):
    """A problem and the settings that matter for being right."""

    tile_m: int = 32
    tile_n: int = 32
    split_loop: bool = True
    heavy_first: bool = True
    pipeline: str = "plain"
    masked_tiles: str = "after"
    running_max: bool = True
    raise_by: int = 0
    catch_up: int = 0
    q_registers: bool = False
    sum_lanes: int = 1
    heads_fastest: bool = False
    persistent: bool = False

    @property
    def configuration(self) -> dict[str, bool | int | float | str]:
        """As `KernelSpec` takes it; hints do not change a result."""
        named = {name: getattr(self, name, parameter["default"]) for name, parameter in OP["parameters"].items()}
        return {**named, "occupancy": 1}


CASES = (
    Case("exact tiles"),
    Case("tails of queries and keys", seq_q=77, seq_kv=101),
    Case("one query, one key", seq_q=1, seq_kv=1),
    Case("decode: one query, causal at the end", seq_q=1, seq_kv=130, q_offset=129, causal=True),
    Case("causal tails", seq_q=100, seq_kv=100, causal=True),
    Case("causal, loop not split", seq_q=100, seq_kv=100, causal=True, split_loop=False, heavy_first=False),
    Case("causal, more keys than queries", seq_q=40, seq_kv=110, q_offset=70, causal=True),
    Case("causal, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True),
    Case("causal, more queries than keys", seq_q=150, seq_kv=50, causal=True),
    Case("tile_m under tile_n", seq_q=90, seq_kv=90, causal=True, tile_m=16, tile_n=64),
    Case("tile_n under tile_m", seq_q=90, seq_kv=90, causal=True, tile_m=64, tile_n=16),
    Case("GQA, 6 heads over 2", heads=6, kv_heads=2, seq_q=50, seq_kv=60, batch=2),
    Case("GQA causal bf16", heads=4, kv_heads=1, seq_q=65, seq_kv=65, causal=True, dtype="bf16"),
    Case("head_dim 80 is no power of two", seq_q=40, seq_kv=70, head_dim=80, heads=2, kv_heads=2),
    Case("head_dim 16", head_dim=16, seq_q=33, seq_kv=65, causal=True),
    Case("early scores, tails", seq_q=77, seq_kv=101, pipeline="early-scores", sum_lanes=8),
    Case("early scores, causal", seq_q=100, seq_kv=100, causal=True, pipeline="early-scores"),
    Case("early scores, one key tile", seq_q=20, seq_kv=20, causal=True, pipeline="early-scores"),
    Case("early scores, tile_n under tile_m", seq_q=130, seq_kv=90, causal=True, tile_m=64, pipeline="early-scores"),
    Case("early scores, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True, pipeline="early-scores"),
    Case("late values, tails", seq_q=77, seq_kv=101, pipeline="late-values", sum_lanes=8),
    Case("late values, causal", seq_q=100, seq_kv=100, causal=True, pipeline="late-values"),
    Case("late values, one key tile", seq_q=20, seq_kv=20, causal=True, pipeline="late-values"),
    Case("late values, tile_n under tile_m", seq_q=130, seq_kv=90, causal=True, tile_m=64, pipeline="late-values"),
    Case("late values, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True, pipeline="late-values"),
    Case(
        "eight lanes, heads fastest",
        heads=6,
        kv_heads=2,
        seq_q=100,
        seq_kv=100,
        causal=True,
        sum_lanes=8,
        heads_fastest=True,
    ),
    Case("persistent, uneven shares", heads=3, kv_heads=3, seq_q=130, seq_kv=70, batch=2, persistent=True),
    Case(
        "persistent, heads fastest",
        heads=2,
        kv_heads=1,
        seq_q=130,
        seq_kv=130,
        causal=True,
        persistent=True,
        heads_fastest=True,
    ),
    Case("masks inline, causal tails", seq_q=100, seq_kv=110, causal=True, masked_tiles="inline"),
    Case("masks inline, tails", seq_q=77, seq_kv=101, masked_tiles="inline", sum_lanes=8),
    Case("masks inline, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True, masked_tiles="inline"),
    Case("Q in registers, causal bf16", seq_q=100, seq_kv=100, causal=True, q_registers=True, dtype="bf16"),
    Case("first maximum, tails", seq_q=77, seq_kv=101, running_max=False, sum_lanes=8),
    Case("first maximum, causal", seq_q=100, seq_kv=100, causal=True, running_max=False),
    Case("first maximum, loop not split", seq_q=100, seq_kv=100, causal=True, running_max=False, split_loop=False),
    Case("first maximum, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True, running_max=False),
    Case("first maximum, bf16", heads=4, kv_heads=1, seq_q=65, seq_kv=65, causal=True, dtype="bf16", running_max=False),
    Case(
        "first maximum, masks inline, Q in registers",
        heads=2,
        kv_heads=1,
        seq_q=130,
        seq_kv=150,
        causal=True,
        masked_tiles="inline",
        running_max=False,
        q_registers=True,
        sum_lanes=8,
    ),
    Case("first maximum, early scores", seq_q=100, seq_kv=101, causal=True, pipeline="early-scores", running_max=False),
    Case("first maximum, late values", seq_q=100, seq_kv=101, causal=True, pipeline="late-values", running_max=False),
    Case("first maximum, late values, tails", seq_q=50, seq_kv=70, pipeline="late-values", running_max=False),
    Case("raised by more, tails", seq_q=77, seq_kv=101, raise_by=8),
    Case("raised by more, early scores", seq_q=90, seq_kv=130, causal=True, raise_by=8, pipeline="early-scores"),
    Case("raised by more, rows that see no key", seq_q=70, seq_kv=40, q_offset=-35, causal=True, raise_by=8),
    Case("catching up, tails", seq_q=77, seq_kv=300, running_max=False, catch_up=8, sum_lanes=8),
    Case(
        "catching up, masks inline",
        seq_q=130,
        seq_kv=300,
        causal=True,
        running_max=False,
        catch_up=8,
        sum_lanes=8,
        masked_tiles="inline",
    ),
    Case(
        "catching up, rows that see no key",
        seq_q=70,
        seq_kv=40,
        q_offset=-35,
        causal=True,
        running_max=False,
        catch_up=8,
    ),
    Case("catching up, early scores", seq_q=99, seq_kv=410, running_max=False, catch_up=8, pipeline="early-scores"),
    Case(
        "catching up, early scores, bf16",
        seq_q=99,
        seq_kv=600,
        causal=True,
        running_max=False,
        catch_up=8,
        pipeline="early-scores",
        dtype="bf16",
    ),
    Case(
        "early scores, masks inline", seq_q=100, seq_kv=110, causal=True, pipeline="early-scores", masked_tiles="inline"
    ),
    Case("early scores, masks inline, tails", seq_q=77, seq_kv=101, pipeline="early-scores", masked_tiles="inline"),
    Case(
        "late values, masks inline", seq_q=100, seq_kv=110, causal=True, pipeline="late-values", masked_tiles="inline"
    ),
    Case("late values, masks inline, tails", seq_q=77, seq_kv=101, pipeline="late-values", masked_tiles="inline"),
    Case(
        "masks inline in a pipeline, rows that see no key",
        seq_q=70,
        seq_kv=40,
        q_offset=-35,
        causal=True,
        pipeline="early-scores",
        masked_tiles="inline",
        running_max=False,
    ),
    Case("head_dim 256", head_dim=256, seq_q=40, seq_kv=40, causal=True, dtype="bf16"),
)


@dataclass(frozen=True)
class Drawn:
    """Inputs of a case: q (B, H, Sq, D), k and v (B, KV, Skv, D)."""

    q: NDArray[Any]
    k: NDArray[Any]
    v: NDArray[Any]


def draw(case: Case, seed: int = 0) -> Drawn:
    """Standard normal inputs, rounded to the case's type."""
    rng = np.random.default_rng(seed)

    def one(heads: int, rows: int) -> NDArray[Any]:
        return rng.standard_normal((case.batch, heads, rows, case.head_dim)).astype(DTYPES[case.dtype])

    return Drawn(one(case.heads, case.seq_q), one(case.kv_heads, case.seq_kv), one(case.kv_heads, case.seq_kv))


def reference(case: Case, x: Drawn, scale: float | None = None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(attention in float64, which rows see a key); rows that see none are 0."""
    p, _, sees = weights(case, x, scale)
    v = np.repeat(x.v.astype(np.float64), case.heads // case.kv_heads, axis=1)
    return p @ v / np.where(sees[:, None], p.sum(axis=-1, keepdims=True), 1.0), sees


def reference_lse(case: Case, x: Drawn, scale: float | None = None) -> NDArray[np.float64]:
    """Natural log of the sum of exp(scaled scores), (B, H, Sq) in float64; the mask floor in rows that see no key."""
    p, top, sees = weights(case, x, scale)
    return np.where(sees, top[..., 0] + np.log(np.where(sees, p.sum(axis=-1), 1.0)), FLOOR)


def weights(
    case: Case, x: Drawn, scale: float | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """(exp(scaled scores - row maximum), row maximum, which rows see a key) in float64."""
    group = case.heads // case.kv_heads
    k = np.repeat(x.k.astype(np.float64), group, axis=1)
    scores = x.q.astype(np.float64) @ k.swapaxes(2, 3) * (case.head_dim**-0.5 if scale is None else scale)
    visible = np.ones((case.seq_q, case.seq_kv), dtype=bool)
    if case.causal:
        visible = np.arange(case.seq_q)[:, None] + case.q_offset >= np.arange(case.seq_kv)
    scores = np.where(visible, scores, -np.inf)
    sees = visible.any(axis=1)
    top = np.where(sees[:, None], scores.max(axis=-1, keepdims=True), 0.0)
    return np.exp(scores - top), top, sees


def simulate(
    case: Case, x: Drawn, kernel: Any, *, lse: bool = False, scale: float | None = None, **how: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(output, log-sum-exp) of an FMHA kernel on the simulator, both poisoned before; the second as `launch_lse` has it.

    `how` goes to `sim.launch`.
    """
    [call] = SPEC.calls(case.problem, case.configuration, SIMULATED_SMS)
    if lse:
        call = SPEC.call_with_lse(case.problem, case.configuration, SIMULATED_SMS, scale)
    out = sim.empty(x.q.shape, DTYPES[case.dtype])
    sums = sim.empty(x.q.shape[:3], np.float32)
    args = (x.q, x.k, x.v, out, sums, *call.scalars, *call.constants)
    sim.launch(None, call.grid, kernel, args, **how)
    return out, sums


def relative_error(got: NDArray[Any], want: NDArray[np.float64]) -> float:
    """||got - want|| / ||want||, NaN if any element of `got` is."""
    return float(np.linalg.norm(got.astype(np.float64) - want) / max(float(np.linalg.norm(want)), 1e-30))
