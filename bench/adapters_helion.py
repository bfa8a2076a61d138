"""Evaluations that Helion's own searches need to within 2 % of the best, with laws and records and without.

    python -m bench.adapters_helion FOLDER OUT.json --seeds 20

FOLDER holds `NAME_T4.json.gz`, one for each GPU, of the same kernel, and `T1.json`, its space. One GPU at a time is held out:
Helion's search classes, configurations and filter search it as they are, on a CPU; a launch takes what was recorded, and a
combination that the kernel forbids does not run. `with` has the seeds and the filter of `spak.adapters.helion` on what `kg import`
wrote of the others. Evaluations are unique configurations that Helion benchmarked. A search that ended before is continued at
random, at random search's expectation. Intervals are 95 % bootstraps over the seeds. OUT has the evaluations of every search.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import spak
from bench.adapters_kernel_tuner import ARCH, WITHIN, expected, interval, show
from spak.adapters.advice import TunedKernel
from spak.adapters.helion import HelionAdvice

NOW = datetime(2026, 1, 1, tzinfo=UTC)

ALGORITHMS = ("LFBOTreeSearch", "PatternSearch")
"""Helion's default, and the one of `helion.autotuner.autotune`."""

NUM_SEEDS = 10
"""Configurations that records give to a search."""


class Arrived(BaseException):
    """Within 2 % of the best; not an Exception, so that no search takes it for a failed configuration."""


def provider(known: dict[tuple[Any, ...], float | None], tried: set[tuple[Any, ...]]) -> type:
    """Helion's provider whose launches take what `known` has, in microseconds; what was benchmarked comes into `tried`."""
    from helion.autotuner.benchmark_provider import LocalBenchmarkProvider

    enough = min(time for time in known.values() if time is not None) / WITHIN

    class Recorded(LocalBenchmarkProvider):
        def _benchmark_function(self, config: Any, *_: Any, **__: Any) -> float:
            key = tuple(config.values())
            tried.add(key)
            time_us = known.get(key)
            if time_us is not None and time_us <= enough:
                raise Arrived
            return math.inf if time_us is None else time_us * 1e-3

    return Recorded


@dataclass(frozen=True)
class Advised:
    """What the searches of one GPU are told: the same for every seed, and the filter remembers what it said."""

    filter: Callable[[Any], Any]
    seeds: list[dict[str, Any]]


def searched(algorithm: str, record: spak.Recording, seed: int, advice: Advised | None) -> tuple[int, bool]:
    """Unique configurations that were benchmarked, and whether one was within 2 % of the best."""
    import torch
    from helion.autotuner import EnumFragment, search_algorithms
    from helion.autotuner.external import _ExternalKernelAdapter, create_user_config_spec

    names = tuple(record.parameters)
    known = {tuple(trial.configuration[name] for name in names): trial.value("time") for trial in record.trials}
    spec = create_user_config_spec({name: EnumFragment(tuple(values)) for name, values in record.parameters.items()})
    advised = {}
    if advice is not None:
        advised = {"autotune_config_filter": advice.filter, "autotune_seed_configs": advice.seeds}
    anything = (torch.ones(1),)
    kernel = _ExternalKernelAdapter(
        spec,
        lambda _: lambda x: x,
        anything,
        baseline_fn=lambda x: x,
        device=torch.device("cpu"),
        autotune_log_level=logging.CRITICAL,
        autotune_progress_bar=False,
        autotune_random_seed=seed,
        autotune_ignore_errors=True,
        **advised,
    )
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Helion's surrogates draw from the global generator
    tried: set[tuple[Any, ...]] = set()
    search = search_algorithms[algorithm](kernel, anything)
    search._benchmark_provider_cls = provider(known, tried)  # noqa: SLF001 - the constructor of these classes takes none
    try:
        search.autotune()
    except Arrived:
        return len(tried), True
    return len(tried), False


def held_out(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """A line for each GPU, algorithm, with and without."""
    arch = dict(pair.split("=") for pair in options.arch.split(","))
    paths = {path.name.partition("_T4")[0]: path for path in sorted(options.folder.glob("*_T4.json*"))}
    for name, path in paths.items():
        record = spak.read_recording(path)
        size = math.prod(map(len, record.parameters.values()))
        times = [found for trial in record.trials if (found := trial.value("time")) is not None]
        with tempfile.TemporaryDirectory() as scratch:
            for other in paths.keys() - {name}:
                hw, t1 = spak.HardwareName(other, arch[other]), options.folder / "T1.json"
                spak.import_file(Path(scratch) / "laws", spak.Import(paths[other], hw, "recorded", t1), NOW)
            laws, hw = spak.load(Path(scratch) / "laws"), spak.HardwareName(name, arch[name])
            kernel = TunedKernel(laws, "recorded", hw, names={one: one for one in record.parameters})
            helion = HelionAdvice(kernel)
            known = Advised(
                helion.filter, helion.seeds({one: values[0] for one, values in record.parameters.items()}, NUM_SEEDS)
            )
            for algorithm in options.algorithms.split(","):
                for case in ("with", "without"):
                    started = time.perf_counter()
                    found = [
                        searched(algorithm, record, seed, known if case == "with" else None)
                        for seed in range(options.seeds)
                    ]
                    counts = [float(number if done else expected(times, size, number)) for number, done in found]
                    spent = round(time.perf_counter() - started, 1)
                    print(name, algorithm, case, np.mean(counts), f"{spent} s", file=sys.stderr, flush=True)
                    yield {
                        "gpu": name,
                        "case": f"{algorithm}, {case}",
                        "mean": float(np.mean(counts)),
                        "interval": interval(counts),
                        "evaluations": [number if done else None for number, done in found],
                        "arrived": sum(done for _, done in found),
                        "random_expected": expected(times, size, 0),
                        "seconds": spent,
                    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--arch", default=ARCH)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--algorithms", default=",".join(ALGORITHMS))
    options = parser.parse_args()
    lines = list(held_out(options))
    file = {"helion": version("helion"), "within": "2 %", "seeds": options.seeds, "searches": lines}
    options.out.write_text(json.dumps(file, indent=1) + "\n")
    show(lines)


if __name__ == "__main__":
    main()
