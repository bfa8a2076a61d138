"""Configurations that bench/attention.py and bench/matmul.py choose from, and the documents' versions by name."""

from __future__ import annotations

from itertools import product

from kernels.interface import Configuration, Problem, Scalar

LATENCIES = ((1, 4), (2, 2), (2, 4), (2, 6), (4, 2), (5, 5), (6, 3), (6, 6))
"""(k_latency, v_latency) pairs that were best for some size in the search of the whole space."""

BASE: dict[str, Scalar] = {
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
    "sum_lanes": 8,
    "heavy_first": True,
    "heads_fastest": False,
    "persistent": False,
}

PLAIN_LOOP: dict[str, Scalar] = {
    **BASE,
    "sum_lanes": 1,
    "split_loop": False,
    "heavy_first": False,
    "k_latency": 1,
    "v_latency": 1,
}
VERSIONS: dict[str, dict[str, Scalar]] = {
    "v1": PLAIN_LOOP,
    "v2-3": {**PLAIN_LOOP, "split_loop": True},
    "v4": {**PLAIN_LOOP, "split_loop": True, "k_latency": 2, "v_latency": 5},
}
"""FMHA as the documents have it: v1 fuses with 64 x 64 tiles, v2 and v3 add GQA and causal masking (a loop that skips
masked tiles and masks only at the diagonal), v4 adds load-latency hints. What tuning found is `tuned`."""

NAIVE: dict[str, Scalar] = {"tile_m": 64, "tile_n": 64, "occupancy": 2}
FUSED: dict[str, Scalar] = {"tile_m": 128, "tile_n": 128, "occupancy": 1}
NAIVE_MATMUL: dict[str, Scalar] = {
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


def fmha(problem: Problem) -> list[Configuration]:
    """Configurations worth measuring at `problem`."""
    wide = int(problem["head_dim"]) > 64
    shapes: list[dict[str, Scalar]] = [
        {"tile_n": 64, "occupancy": 3 if wide else 4, "num_worker_warps": 4},
        {"tile_n": 128, "occupancy": 2 if wide else 3, "num_worker_warps": 4},
        {"tile_n": 128, "occupancy": 2, "num_worker_warps": 4, "pipeline": "early-scores"},
    ]
    if wide:
        shapes += [
            {"tile_n": 64, "occupancy": 3, "num_worker_warps": 4, "pipeline": "early-scores"},
            {"tile_n": 128, "occupancy": 2, "num_worker_warps": 4, "sum_lanes": 1},
            {"tile_n": 128, "occupancy": 2, "num_worker_warps": 4, "pipeline": "early-scores", "sum_lanes": 1},
        ]
    else:
        shapes += [
            {"tile_m": 128, "tile_n": 64, "num_worker_warps": 8},
            {"tile_n": 64, "occupancy": 4, "num_worker_warps": 4, "sum_lanes": 1},
        ]
    orders = [(False, False), (True, False), (False, True), (True, True)] if problem["causal"] else [(False, False)]
    chosen = [
        {**BASE, **shape, "k_latency": k, "v_latency": v, "heads_fastest": heads, "persistent": persistent}
        for shape, (k, v), (heads, persistent) in product(shapes, LATENCIES, orders)
        if not persistent or (k, v) in ((2, 4), (5, 5))
    ]
    if not problem["causal"]:
        chosen += [
            {**BASE, **shape, "k_latency": k, "v_latency": v, "persistent": True}
            for shape, (k, v) in product(shapes, ((2, 4), (5, 5)))
        ]
    if wide:  # at low latency hints the compiler looks ahead less, and late values fit the registers
        late = {"tile_n": 64, "num_worker_warps": 4, "pipeline": "late-values", "k_latency": 1, "v_latency": 1}
        chosen += [{**BASE, **late, "occupancy": occupancy} for occupancy in (2, 3)]
        chosen += [{**BASE, **late, "tile_m": 128, "num_worker_warps": 8, "occupancy": 1}]
    large = {"tile_m": 128, "tile_n": 128, "occupancy": 1, "num_worker_warps": 8}
    return chosen + [
        {**BASE, **large, "heads_fastest": heads, "persistent": persistent}
        for heads, persistent in ((False, False), (False, True), (True, True))
    ]


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
