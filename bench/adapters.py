"""Evaluations that other people's tuners need to within 2 % of the best, with laws and without, replayed through the real tuners.

    python -m bench.adapters OUT.json [--source h200] [--target h100] [--seeds 20] [--only REGEX]

Every whole sweep of `CASES` recorded on the target is given to a tuner, whose launches are answered by the record. Known are the
runs and laws of the source alone (`bench.cold_gpu.known_from`): nothing measured on the target is readable. The tuners try all
that they are given, in the order given, so an evaluation is a configuration that was launched, failures included, until
the first within 2 % of the sweep's best; without laws the order is random, and the interval is a 95 % bootstrap over the seeds.

cuTile's tuner replays cuTile's kernels. Triton's autotuner and Inductor replay cuTile's too: nobody has recorded sweeps of
theirs, and `python -m bench.adapters_live` on a GPU times their own. They are told that the code is of cuTile's compiler.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import spak
from bench.cold_gpu import known_from
from spak.adapters import cutile
from spak.adapters.advice import TunedKernel
from spak.adapters.inductor import InductorTuning
from spak.adapters.triton import TritonTuning

WITHIN = 1.02
NUM_RESAMPLES = 10_000

CASES = {
    "cuda.tile.tune": r"fmha-(d|gqa)",
    "triton.autotune": r"matmul-(m2048|b8)",
    "torch._inductor": r"matmul-m4096",
}
"""Tuner -> which recorded sweeps it replays."""

FEWEST = 90
"""Configurations of a sweep that takes part."""


@dataclass(frozen=True)
class Sweep:
    """One recorded sweep of the target.

    Attributes:
        times: Configuration -> microseconds, infinite where it failed.
    """

    run: str
    op: str
    problem: Mapping[str, Any]
    compiler: str
    times: Mapping[tuple[tuple[str, Any], ...], float]

    @property
    def space(self) -> list[dict[str, Any]]:
        """Every configuration."""
        return [dict(row) for row in self.times]

    def evaluations(self, launched: Sequence[Mapping[str, Any]]) -> int | None:
        """Launches to the first within 2 % of the best; None if there is none."""
        best = min(self.times.values())
        found = (place for place, one in enumerate(launched, 1) if self.time(one) <= WITHIN * best)
        return next(found, None)

    def time(self, configuration: Mapping[str, Any]) -> float:
        """Microseconds."""
        return self.times[tuple(configuration.items())]


def sweeps(laws: spak.Library, hw: str, only: str) -> Iterator[Sweep]:
    for name in laws.laws.run_ids:
        run = laws.laws.run(name)
        if run.hw != hw or run.tier != "measured" or run.strategy != "exhaustive" or not re.search(only, name):
            continue
        times = {tuple(one.configuration.items()): one.value("time") or float("inf") for one in run.trials}
        if len(times) >= FEWEST:
            yield Sweep(name, run.op, run.problem, f"tileiras {run.toolchain['tileiras']}", times)


Launches = list[dict[str, Any]]
Replay = Callable[[Sweep, TunedKernel | None, Sequence[dict[str, Any]]], Launches]
"""A sweep, what is known (None: nothing) and the space in some order -> what the tuner launched, in order, each once."""


def by_cutile(sweep: Sweep, kernel: TunedKernel | None, space: Sequence[dict[str, Any]]) -> Launches:
    """`cuda.tile.tune.exhaustive_search`, whose launches are answered by the record."""
    import cuda.tile as ct
    from cuda.tile.tune import _tune

    launched: Launches = []

    def benchmark(
        _stream: object, _grid: object, _kernel: object, args: tuple[dict[str, Any]], _flush: object
    ) -> float:
        if args[0] not in launched[-1:]:
            launched.append(args[0])
        if not np.isfinite(sweep.time(args[0])):
            raise RuntimeError("recorded as failed")
        return sweep.time(args[0])

    @ct.kernel
    def recorded(X):
        """Never compiled."""

    real = _tune._benchmark  # noqa: SLF001 - what launches
    _tune._benchmark = benchmark  # noqa: SLF001
    try:
        given = cutile.search_space(kernel, space).kept if kernel else space
        ct.tune.exhaustive_search(given, None, lambda _: (1,), recorded, lambda one: (one,), quiet=True)
    finally:
        _tune._benchmark = real  # noqa: SLF001
    return launched


def by_triton(sweep: Sweep, kernel: TunedKernel | None, space: Sequence[dict[str, Any]]) -> Launches:
    """`triton.autotune` on a kernel whose launches are answered by the record."""
    import triton
    from triton.runtime.errors import OutOfResources

    launched: Launches = []
    names = list(space[0])

    def recorded(X):
        """Never compiled."""

    function = triton.JITFunction(recorded)
    function.run = lambda *_, **given: launched.append({name: given[name] for name in names})

    def do_bench(call: Callable[[], None], quantiles: Sequence[float]) -> list[float]:
        call()
        time = sweep.time(launched[-1])
        if not np.isfinite(time):
            raise OutOfResources(1, 0, "recorded as failed")
        return [time / 1000] * len(quantiles)

    by = None
    if kernel:
        untold = dict.fromkeys(("num_warps", "num_stages", "num_ctas"), "")
        tuning = TritonTuning(replace(kernel, names={**untold, **kernel.names}), toolchain=sweep.compiler)
        by = tuning.prune_configs_by()
    configs = [triton.Config(dict(one), num_ctas=one.get("num_ctas", 1)) for one in space]
    triton.autotune(configs, ["X"], prune_configs_by=by, do_bench=do_bench)(function).run(None)
    return launched[:-1]  # the last launch is of the best


class Recorded:
    """What times a template of Inductor's: the record, in ms."""

    module_path, num_stages, num_warps, n_regs = None, 1, 1, 0

    def __init__(self, key: str, time_us: float, launch: Callable[[], None]) -> None:
        self.module_cache_key, self.time_us, self.launch = key, time_us, launch

    def precompile(self) -> None:
        """There is nothing to compile."""

    def benchmark(self, *_: object, **__: object) -> float:
        """Microseconds as if they were ms, so that PyTorch's own product is faster and runs in the end."""
        self.launch()
        return self.time_us


def by_inductor(sweep: Sweep, kernel: TunedKernel | None, space: Sequence[dict[str, Any]]) -> Launches:
    """Inductor's choice for a product, compiled on the CPU, among templates that are answered by the record."""
    import contextlib

    import torch
    from torch._inductor import config
    from torch._inductor.select_algorithm import TritonTemplateCaller, get_algorithm_selector_cache

    launched: Launches = []

    def with_templates(choices: list[Any]) -> list[Any]:
        mm = choices[0]
        described = [", ".join(f"{name}={value!r}" for name, value in one.items()) for one in space]
        return [
            mm,
            *(
                TritonTemplateCaller(
                    f"recorded_{place}",
                    mm.input_nodes,
                    mm.layout,
                    None,
                    text,
                    Recorded(str(place), sweep.time(one), lambda one=one: launched.append(one)),
                )
                for place, (one, text) in enumerate(zip(space, described, strict=True))
            ),
        ]

    cache = get_algorithm_selector_cache()
    tuning = InductorTuning(kernel, "recorded_", toolchain=sweep.compiler) if kernel else None
    patched = config.patch(max_autotune_gemm=True, max_autotune_gemm_backends="ATEN", force_disable_caches=True)
    torch.compiler.reset()
    cache.add_preprocessing_fn(with_templates)
    try:
        with tuning.installed() if tuning else contextlib.nullcontext(), patched:
            torch.compile(lambda a, b: a @ b)(torch.ones(16, 16), torch.ones(16, 16))
    finally:
        cache.clear_preprocessing_fns()
    return launched


TUNERS: Mapping[str, Replay] = {
    "cuda.tile.tune": by_cutile,
    "triton.autotune": by_triton,
    "torch._inductor": by_inductor,
}


def interval(counts: Sequence[float]) -> tuple[float, float]:
    """Of the mean: a 95 % bootstrap."""
    rng = np.random.default_rng(0)
    means = rng.choice(np.asarray(counts, float), (NUM_RESAMPLES, len(counts))).mean(axis=1)
    return round(float(np.quantile(means, 0.025)), 1), round(float(np.quantile(means, 0.975)), 1)


def compared(tuner: str, sweep: Sweep, known: spak.Library, options: argparse.Namespace) -> dict[str, Any]:
    """One sweep through one tuner: without laws in random orders, with laws, and with laws and recorded runs."""
    run, space = TUNERS[tuner], sweep.space
    streams = [np.random.default_rng([seed, zlib.crc32(sweep.run.encode())]) for seed in range(options.seeds)]
    orders = [[space[place] for place in stream.permutation(len(space))] for stream in streams]
    found: dict[str, Any] = {"tuner": tuner, "run": sweep.run, "configurations": len(space)}
    found["without"] = told([run(sweep, None, order) for order in orders], sweep)
    for arm, laws in (("laws", without_runs(known)), ("laws and runs", known)):
        names = {name: name for name in space[0]}
        kernel = TunedKernel(laws, sweep.op, options.target, dict(sweep.problem), names).compiled_by(sweep.compiler)
        found[arm] = told([run(sweep, kernel, order) for order in orders], sweep)
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def told(launches: Sequence[Launches], sweep: Sweep) -> dict[str, Any]:
    """Evaluations of each search, and what the tuner launched at all: how many, and the best of them over the sweep's best."""
    counts = [sweep.evaluations(launched) for launched in launches]
    missed = [len(sweep.times) + 1 if count is None else count for count in counts]
    best = max(min(map(sweep.time, launched)) for launched in launches) / min(sweep.times.values())
    return {
        "launched": len(launches[0]),
        "best": round(best, 4),
        "evaluations": counts,
        "mean": float(np.mean(missed)),
        "interval": interval(missed),
    }


def without_runs(laws: spak.Library) -> spak.Library:
    """The same laws, as if no run were recorded."""
    contents = laws.laws.contents
    bare = msgspec.structs.replace(contents, files={**contents.files, "run": {}})
    return replace(laws, laws=replace(laws.laws, contents=bare))


def show(lines: Sequence[Mapping[str, Any]]) -> None:
    """A table of Markdown."""
    print(
        "| tuner | sweep | launched without | without | with laws | with laws and runs | launched with | best of those |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for line in lines:
        arms = [line[arm] for arm in ("without", "laws", "laws and runs")]
        cells = [line["tuner"], line["run"].removeprefix("measured-"), line["configurations"]]
        cells += [f"{arm['mean']:.1f} ({arm['interval'][0]:.1f} to {arm['interval'][1]:.1f})" for arm in arms]
        best = 100 * (arms[-1]["best"] - 1)
        print(f"| {' | '.join(map(str, cells))} | {arms[-1]['launched']} | {best:.1f} % slower |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", default="h200")
    parser.add_argument("--target", default="h100")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="only sweeps whose run's id matches")
    options = parser.parse_args()
    logging.getLogger("torch._inductor").setLevel(logging.CRITICAL)
    laws = spak.load(Path(__file__).parents[1] / "laws")
    known = replace(laws, laws=known_from(laws.laws, options.source))
    lines = [
        compared(tuner, sweep, known, options)
        for tuner, which in CASES.items()
        for sweep in sweeps(laws, options.target, which)
        if re.search(options.only, sweep.run)
    ]
    options.out.write_text(
        json.dumps({"source": options.source, "target": options.target, "lines": lines}, indent=1) + "\n"
    )
    show(lines)


if __name__ == "__main__":
    main()
