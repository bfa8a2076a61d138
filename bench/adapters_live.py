"""Other people's tuners on a GPU, on kernels of their own: evaluations to within 2 % of the best, with a smaller size known.

    python -m bench.adapters_live OUT.json [--small 2048] [--large 4096] [--seeds 20]

cuTile's `exhaustive_search`, Triton's autotuner and Inductor tune a matrix product (fp16, m = n = k) at two sizes, in random order and whole;
all they measure goes into a law root through their adapters. Then the larger size is asked for as if only the smaller one were
known, and evaluations are counted in that order; without knowledge, as in `bench.adapters`, they are counted in random orders.
Results of cuTile's and Triton's configurations are checked before they are timed; Inductor checks none, so its times are reported.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cuda.tile as ct
import numpy as np
import torch
import triton
import triton.language as tl

import spak
from bench.adapters import WITHIN, interval
from spak.adapters import cutile
from spak.adapters.advice import TunedKernel
from spak.adapters.inductor import InductorTuning
from spak.adapters.triton import TritonTuning

TILES = {"tile_m": (64, 128, 256), "tile_n": (64, 128, 256), "tile_k": (32, 64)}
WARPS = {"num_warps": (4, 8), "num_stages": (2, 3, 4)}
TEMPLATE = {
    **dict.fromkeys(("tile_m", "tile_n", "tile_k"), (16, 32, 64, 128, 256)),
    "num_warps": (1, 2, 4, 8, 16),
    "num_stages": (1, 2, 3, 4, 5, 6, 7, 8),
}
MAX_ERROR = 1e-2
"""Relative, of a product in fp16 beside PyTorch's."""

BLOCKS = {"BLOCK_M": "tile_m", "BLOCK_N": "tile_n", "BLOCK_K": "tile_k"}


@ct.kernel
def tile_product(A, B, C, tm: ct.Constant[int], tn: ct.Constant[int], tk: ct.Constant[int]):
    i, j = ct.bid(0), ct.bid(1)
    total = ct.full((tm, tn), 0, ct.float32)
    for k in range(ct.num_tiles(A, axis=1, shape=(tm, tk))):
        a = ct.load(A, (i, k), (tm, tk))
        b = ct.load(B, (k, j), (tk, tn))
        total = ct.mma(a, b, total)
    ct.store(C, (i, j), ct.astype(total, ct.float16))


@triton.jit
def triton_product(  # noqa: PLR0913, PLR0917 - a kernel
    A, B, C, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr
):
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    depth = tl.arange(0, BLOCK_K)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, N, BLOCK_K):
        a = tl.load(A + rows[:, None] * N + (k + depth)[None, :])
        b = tl.load(B + (k + depth)[:, None] * N + columns[None, :])
        total = tl.dot(a, b, total)
    tl.store(C + rows[:, None] * N + columns[None, :], total.to(tl.float16))


class Products:
    """One GPU, one size, all three tuners; every space is in a random order, so that no order is anybody's choice."""

    def __init__(self, laws: spak.Library, n: int, inductor: str = "DEFAULT") -> None:
        """`inductor` is how many of its templates' settings it tries, DEFAULT or EXHAUSTIVE."""
        self.inductor = inductor
        self.laws, self.n, self.device = laws, n, torch.cuda.get_device_name()
        torch.manual_seed(0)
        self.a, self.b = (torch.randn(n, n, device="cuda", dtype=torch.float16) for _ in range(2))
        self.expected = self.a @ self.b

    def kernel(self, name: str, space: dict[str, tuple[int, ...]], names: dict[str, str]) -> TunedKernel:
        """The product as an op of its own."""
        op = spak.op(name, space, problem={"n": self.n})
        return TunedKernel(self.laws, op, spak.HardwareName(self.device), {"n": self.n}, names)

    def check(self, out: torch.Tensor) -> None:
        """Stop at a wrong product, and leave nothing of it."""
        error = (out.float() - self.expected.float()).norm() / self.expected.float().norm()
        out.zero_()
        if not error < MAX_ERROR:
            raise SystemExit(f"a wrong product: relative error {error:.2g}")

    def by_cutile(self) -> spak.ToolRun:
        """`cuda.tile.tune.exhaustive_search`; each configuration is launched and checked before."""
        rows = [dict(zip(TILES, row, strict=True)) for row in itertools.product(*TILES.values())]
        stream, out = torch.cuda.current_stream(), torch.empty_like(self.a)

        def grid(one: dict[str, int]) -> tuple[int, int]:
            return self.n // one["tile_m"], self.n // one["tile_n"]

        def arguments(one: dict[str, int]) -> tuple[Any, ...]:
            return (self.a, self.b, out, *one.values())

        for one in rows:
            try:
                ct.launch(stream, grid(one), tile_product, arguments(one))
                self.check(out)
            except Exception as error:  # noqa: BLE001 - what fails is for the tuner to find
                print(one, type(error).__name__)
        space = random.Random(0).sample(rows, len(rows))
        result = ct.tune.exhaustive_search(space, stream, grid, tile_product, arguments, quiet=True)
        kernel = self.kernel("cutile-product", TILES, {name: name for name in TILES})
        return cutile.results(kernel, result, datetime.now(UTC), checked=True, device=self.device)

    def by_triton(self) -> spak.ToolRun:
        """`triton.autotune`, which checks each configuration before it times it."""
        space = {**TILES, **WARPS}
        kernel = self.kernel("triton-product", space, {**BLOCKS, **{name: name for name in WARPS}, "num_ctas": ""})
        tuning, out = TritonTuning(kernel), torch.empty_like(self.a)

        def bench(call: Callable[[], None], quantiles: tuple[float, ...]) -> list[float]:
            call()
            self.check(out)
            return triton.testing.do_bench(call, quantiles=quantiles)

        rows = [dict(zip(space, row, strict=True)) for row in itertools.product(*space.values())]
        configs = [
            triton.Config({block: row[name] for block, name in BLOCKS.items()}, **{name: row[name] for name in WARPS})
            for row in random.Random(0).sample(rows, len(rows))
        ]
        product = triton.autotune(
            configs, ["N"], prune_configs_by=tuning.prune_configs_by(), do_bench=tuning.watched(bench)
        )(triton_product)
        product[lambda meta: (self.n // meta["BLOCK_M"], self.n // meta["BLOCK_N"])](self.a, self.b, out, self.n)
        tuning.take(product)
        return tuning.results(datetime.now(UTC), checked=True, device=self.device)[0]

    def by_inductor(self) -> spak.ToolRun:
        """Inductor's choice among its templates, of which only the winner is checked."""
        from torch._inductor import config

        names = {**BLOCKS, "num_warps": "num_warps", "num_stages": "num_stages", "EVEN_K": ""}
        tuning = InductorTuning(self.kernel("inductor-product", TEMPLATE, names), "triton_mm_")
        torch.compiler.reset()
        with (
            tuning.installed(),
            config.patch(
                max_autotune_gemm=True, max_autotune_gemm_search_space=self.inductor, force_disable_caches=True
            ),
        ):
            self.check(torch.compile(torch.matmul)(self.a, self.b))
        return tuning.results(datetime.now(UTC), device=self.device)[0]


def compared(name: str, small: spak.ToolRun, large: spak.ToolRun, seeds: int) -> dict[str, Any]:
    """Evaluations at the larger size, with the smaller one known and with nothing."""
    times = {tuple(one.configuration.items()): one.time_us or float("inf") for one in large.tried}
    best = min(times.values())

    def evaluations(order: list[dict[str, Any]]) -> int:
        return next(place for place, one in enumerate(order, 1) if times[tuple(one.items())] <= WITHIN * best)

    tried = [dict(one.configuration) for one in large.tried]
    with tempfile.TemporaryDirectory() as scratch:
        spak.record(Path(scratch) / "laws", small)
        laws = spak.load(Path(scratch) / "laws")
        ranking = laws.rank(tried, op=large.op.id, hw=large.hardware, problem=large.problem)
        order = [{parameter: one[parameter] for parameter in tried[0]} for one in ranking.order]
    without = [evaluations(random.Random(seed).sample(tried, len(tried))) for seed in range(seeds)]
    return {
        "tuner": name,
        "tool": large.tool,
        "device": large.device,
        "configurations": len(tried),
        "failed": sum(one.time_us is None for one in large.tried),
        "best_us": best,
        "without": {"evaluations": without, "mean": float(np.mean(without)), "interval": interval(without)},
        "with": evaluations(order),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--small", type=int, default=2048)
    parser.add_argument("--large", type=int, default=4096)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--inductor", choices=("DEFAULT", "EXHAUSTIVE"), default="DEFAULT", help="its search space")
    options = parser.parse_args()
    laws = spak.load(Path(__file__).parents[1] / "laws").without_knowledge()
    small, large = (Products(laws, n, options.inductor) for n in (options.small, options.large))
    lines = []
    for name in ("by_cutile", "by_triton", "by_inductor"):
        tuner = name.removeprefix("by_")
        try:
            lines.append(compared(tuner, getattr(small, name)(), getattr(large, name)(), options.seeds))
        except Exception as error:  # noqa: BLE001 - one tuner that cannot run leaves the others theirs
            lines.append({"tuner": tuner, "failed": f"{type(error).__name__}: {error}"})
        print(json.dumps(lines[-1]), flush=True)
        options.out.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    main()
