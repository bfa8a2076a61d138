"""Throughput of the kernel simulator, one block at a time, many together, and with checks: `python -m bench.simulator`.

Compilation is outside the timing; each row is the best of seven runs in CPU time, the modes of a kernel in turn. An element is one of
the output.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import numpy as np

from spak.kernels import sim
from spak.kernels.attention.fmha.kernel import fmha_kernel
from tests.kernels import styles
from tests.kernels.cases import Case, simulate

REPEATS = 7
MODES = {
    "one block at a time": {"batch": 1},
    "together": {},
    "together, with checks": {"check": True},
}
MATMUL_SIZE, MATMUL_TILE = 512, 64
ATTENTION = Case("bench", heads=4, kv_heads=2, seq_q=512, seq_kv=512, head_dim=64, causal=True, tile_m=64, tile_n=64)


def best_seconds(run: Callable[..., object]) -> dict[str, float]:
    """Mode -> seconds; the modes take turns, so that other load of the machine meets all of them."""
    times: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(REPEATS + 1):
        for mode, how in MODES.items():
            start = time.process_time()
            run(**how)
            times[mode].append(time.process_time() - start)
    return {mode: min(measured[1:]) for mode, measured in times.items()}


def row(name: str, mode: str, seconds: float, counts: tuple[int, int, float]) -> None:
    blocks, elements, flops = counts
    print(f"| {name} | {mode} | {blocks / seconds:,.0f} | {elements / seconds:,.0f} | {flops / seconds / 1e9:.2f} |")


def matmul() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((MATMUL_SIZE, MATMUL_SIZE)).astype(np.float16) for _ in range(2))
    c = sim.empty((MATMUL_SIZE, MATMUL_SIZE), np.float16)
    blocks = (MATMUL_SIZE // MATMUL_TILE) ** 2
    args = (a, b, c, MATMUL_TILE, MATMUL_TILE, MATMUL_TILE, 4)
    run = lambda **how: sim.launch(None, (blocks,), styles.matmul_persistent, args, **how)  # noqa: E731
    for mode, seconds in best_seconds(run).items():
        row(f"matmul {MATMUL_SIZE}^3 fp16", mode, seconds, (blocks, c.size, 2.0 * MATMUL_SIZE**3))


def attention() -> None:
    from tests.kernels.cases import draw

    x = draw(ATTENTION)
    blocks = ATTENTION.seq_q // ATTENTION.tile_m * ATTENTION.heads
    flops = 4.0 * ATTENTION.heads * ATTENTION.seq_q * ATTENTION.seq_kv * ATTENTION.head_dim / 2  # causal: half
    for mode, seconds in best_seconds(lambda **how: simulate(ATTENTION, x, fmha_kernel, **how)).items():
        row("FMHA causal 512 D64 fp16", mode, seconds, (blocks, x.q.size, flops))


def main() -> None:
    print(f"{platform.machine()}, NumPy {np.__version__}\n")
    print("| kernel | mode | blocks/s | elements/s | GFLOP/s |\n| --- | --- | --- | --- | --- |")
    matmul()
    attention()


if __name__ == "__main__":
    main()
