"""Configurations that bench.attention_sitting and bench.matmul choose from, and the documents' versions by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path

import yaml

from spak.kernels.interface import Configuration, Problem, Scalar

Settings = dict[str, Scalar]
OPS = Path(__file__).parents[1] / "laws" / "ops"

BASE: Settings = {
    "tile_m": 64,
    "tile_n": 64,
    "occupancy": 2,
    "num_worker_warps": 0,
    "num_ctas": 1,
    "k_latency": 2,
    "v_latency": 4,
    "use_tma": True,
    "split_loop": True,
    "pipeline": "plain",
    "masked_tiles": "after",
    "running_max": True,
    "raise_by": 0,
    "catch_up": 0,
    "q_registers": False,
    "sum_lanes": 8,
    "heavy_first": True,
    "heads_fastest": False,
    "persistent": False,
}

PLAIN_LOOP: Settings = {
    **BASE,
    "sum_lanes": 1,
    "split_loop": False,
    "heavy_first": False,
    "k_latency": 1,
    "v_latency": 1,
}
VERSIONS: dict[str, Settings] = {
    "v1": PLAIN_LOOP,
    "v2-3": {**PLAIN_LOOP, "split_loop": True},
    "v4": {**PLAIN_LOOP, "split_loop": True, "k_latency": 2, "v_latency": 5},
}
"""FMHA as the documents have it: v1 fuses with 64 x 64 tiles, v2 and v3 add GQA and causal masking (a loop that skips
masked tiles and masks only at the diagonal), v4 adds load-latency hints. What tuning found is `tuned`."""

NAIVE: Settings = {"tile_m": 64, "tile_n": 64, "occupancy": 2}
FUSED: Settings = {"tile_m": 128, "tile_n": 128, "occupancy": 1}
NAIVE_MATMUL: Settings = {
    "tile_m": 64,
    "tile_n": 64,
    "tile_k": 32,
    "occupancy": 1,
    "num_worker_warps": 0,
    "num_ctas": 1,
    "latency": 1,
    "use_tma": True,
    "group": 0,
    "persistent": False,
}


POLICIES: Mapping[str, tuple[Settings, tuple[tuple[int, int], ...]]] = {
    "running": ({"running_max": True}, ((1, 1), (2, 4), (5, 5))),
    "first": ({"running_max": False}, ((2, 4), (5, 5))),
    "catch-up": ({"running_max": False}, ((2, 4), (5, 5))),
    "raise-8": ({"running_max": True, "raise_by": 8}, ((5, 5),)),
}
"""What is done about rising maxima, by name, with the pairs (k_latency, v_latency) that led with it."""

MANY_KEYS = 4096
"""More keys than these need 16 key tiles until a maximum rises by little, fewer 8 (docs/decisions/0110)."""

NARROW: tuple[Settings, ...] = ({"tile_n": 64, "occupancy": 4},)
"""Shapes for head_dim up to 64."""

NARROW_LONG: Settings = {"tile_n": 128, "occupancy": 3}
"""One more with a running maximum: it led at 16,384 keys."""

WIDE: tuple[Settings, ...] = ({"tile_n": 128}, {"tile_n": 128, "q_registers": True})
"""Shapes for head_dim 128."""

EARLY: Settings = {"tile_n": 128, "pipeline": "early-scores"}
"""One more for head_dim 128 without a running maximum, with which pipelines spill or wait."""

FITS = 60_000.0
"""kernels/attention/fmha/kernel.py computes a query tile again if a partial row sum reaches it."""


def policy(configuration: Configuration) -> str:
    """What a configuration does about rising maxima: its name in `POLICIES`."""
    if configuration["running_max"]:
        return "raise-8" if configuration["raise_by"] else "running"
    return "catch-up" if configuration["catch_up"] else "first"


def fmha(problem: Problem) -> list[Configuration]:
    """Configurations worth measuring at `problem`: shapes that led a search somewhere, under every policy."""
    wide, causal, many = int(problem["head_dim"]) > 64, bool(problem["causal"]), int(problem["seq_kv"]) > MANY_KEYS
    grouped = problem["heads"] != problem["kv_heads"]
    order: Settings = {"num_worker_warps": 4, "heads_fastest": causal and (grouped or not wide)}
    chosen: list[Settings] = []
    for name, (settings, latencies) in POLICIES.items():
        more: Settings = {**settings, "catch_up": (16 if many else 8) if name == "catch-up" else 0}
        for shape, (k, v) in product(_shapes(name, wide, many), latencies):
            chosen += [
                {**order, **more, **shape, "k_latency": k, "v_latency": v, "masked_tiles": masked}
                for masked in _masked_tiles(name, shape, causal)
            ]
    return [{**_defaults("fmha"), **BASE, **each} for each in chosen]


def _shapes(name: str, wide: bool, many: bool) -> tuple[Settings, ...]:
    """Those that led under a policy."""
    held = name in {"first", "catch-up"}
    if wide:
        return (WIDE[1], EARLY) if held else WIDE
    return (*NARROW, NARROW_LONG) if many and name == "running" else NARROW


def _masked_tiles(name: str, shape: Settings, causal: bool) -> tuple[str, ...]:
    """One loop for all key tiles led wherever it was tried, but for a running maximum and the pipelines."""
    if not causal or "pipeline" in shape:
        return ("after",)
    return ("after", "inline") if name == "running" else ("inline",)


def fused(tile_m: int, tile_n: int, warps: int, **more: Scalar) -> Settings:
    """One pass over keys, `warps` worker warps."""
    return {"dq_form": "fused", "tile_m": tile_m, "tile_n": tile_n, "num_worker_warps": warps, **more}


def split(keys: tuple[int, int, int], queries: tuple[int, int, int], **more: Scalar) -> Settings:
    """Two passes; tile_m, tile_n and worker warps of that over keys, then of that over queries."""
    names = ("tile_m", "tile_n", "num_worker_warps", "dq_tile_m", "dq_tile_n", "dq_worker_warps")
    return {"dq_form": "split", **dict(zip(names, (*keys, *queries), strict=True)), **more}


BACKWARD_NARROW: tuple[Settings, ...] = (
    fused(128, 128, 8, accumulator_init="delta-and-lse"),
    fused(128, 128, 8, accumulator_init="delta-and-lse", epilogue_subtiles=4),
    fused(128, 128, 8, accumulator_init="delta-and-lse", latency=3),
    fused(128, 128, 8),
    fused(64, 64, 4, occupancy=2, accumulator_init="delta"),
    split((64, 64, 4), (64, 64, 4), occupancy=2),
    split((64, 64, 4), (64, 64, 4), occupancy=2, accumulator_init="delta"),
    split((64, 64, 4), (64, 64, 4), occupancy=2, accumulator_init="delta", q_loads=2),
    split((64, 128, 8), (64, 64, 4), accumulator_init="delta-and-lse"),
)
"""Gradients, shapes for head_dim up to 64."""

TWO_LOADS: Settings = {"q_loads": 2, "epilogue_subtiles": 4}
"""A second buffer of Q, and the shared memory it takes from dK and dV."""

BACKWARD_WIDE: tuple[Settings, ...] = (
    fused(64, 128, 8, **TWO_LOADS),
    fused(64, 128, 8, dq_sum="rows", **TWO_LOADS),
    fused(64, 128, 8, accumulator_init="delta", **TWO_LOADS),
    fused(64, 128, 8, accumulator_init="delta", dq_sum="rows", **TWO_LOADS),
    fused(64, 128, 8, accumulator_init="delta"),
    split((64, 64, 4), (64, 64, 4), occupancy=2),
    split((64, 64, 4), (64, 64, 4), occupancy=2, q_loads=2),
    split((64, 128, 8), (64, 64, 4), **TWO_LOADS),
    split((64, 128, 8), (64, 64, 4), q_loads=2),
)
"""Gradients, shapes for head_dim 128."""


def fmha_backward(problem: Problem) -> list[Configuration]:
    """Configurations of the gradients worth measuring at `problem`: shapes that led a search; heads first led with GQA alone."""
    shapes = BACKWARD_WIDE if int(problem["head_dim"]) > 64 else BACKWARD_NARROW
    orders = (False, True) if problem["heads"] != problem["kv_heads"] else (False,)
    more: Settings = {"masked_tiles": "inline"} if problem["causal"] else {"stagger": True}
    chosen: list[Settings] = []
    for shape, heads in product(shapes, orders):
        chosen.append({**shape, "heads_fastest": heads})
        if shape["dq_form"] == "fused":
            chosen.append({**shape, "heads_fastest": heads, **more})
    return [{**_defaults("fmha-backward"), **each} for each in chosen]


@cache
def _defaults(op: str) -> Mapping[str, Scalar]:
    """What a parameter is that a configuration does not name."""
    parameters = yaml.safe_load((OPS / f"{op}.yaml").read_text())["parameters"]
    return {name: parameter["default"] for name, parameter in parameters.items()}


def matmul() -> list[Configuration]:
    """Configurations worth measuring at any size."""
    tiles = ((128, 256, 1, 1, 8), (256, 128, 1, 1, 8), (256, 256, 1, 2, 8), (128, 128, 2, 1, 4))
    return [
        {
            **NAIVE_MATMUL,
            "tile_m": m,
            "tile_n": n,
            "tile_k": 64,
            "occupancy": occupancy,
            "num_ctas": ctas,
            "num_worker_warps": warps,
            "latency": latency,
            "group": group,
            "persistent": persistent,
        }
        for (m, n, occupancy, ctas, warps), latency, group, persistent in product(
            tiles, (4, 6, 7), (4, 8, 16), (False, True)
        )
    ]
