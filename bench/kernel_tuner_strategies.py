"""Evaluations that Kernel Tuner's own strategies need on recorded spaces, in its simulation mode.

    python -m bench.kernel_tuner_strategies FOLDER OUT.jsonl --seeds 200 --strategies mls,diff_evo

FOLDER holds `*_T4.json.gz`. Evaluations are unique configurations of the record, as Kernel Tuner itself counts them. A strategy
that stops without reaching a fraction is counted as having searched the whole space: that is what would be left to do.
A search is ended once it reached the last fraction; nothing after that is counted.
OUT gets one line of JSON for each record and strategy as soon as it is done, and lines that are there already are not measured
again: mean evaluations to 95 % and 99 % over the seeds, how many reached them, and the number of every seed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import random
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spak.kg.formats.reader import read_recording

FRACTIONS = (0.95, 0.99)
MOST = 1500  # unique evaluations; beyond it the rest of the space is counted
STRATEGIES = "adaptive_tabu_greywolf,nsga2,diff_evo,simulated_annealing,dual_annealing,genetic_algorithm"


class Reached(BaseException):
    """The last fraction is reached; not an Exception, so that no strategy takes it for a failed configuration."""


@dataclass
class Count:
    """Unique evaluations until each fraction of the optimum was seen.

    Attributes:
        best: The record's fastest time.
        known: Keys of the record's configurations.
        fractions: Of the optimum, ascending.
    """

    best: float
    known: frozenset[str]
    fractions: tuple[float, ...] = FRACTIONS
    seen: set[str] = field(default_factory=set)
    found: list[int | None] = field(init=False)

    def __post_init__(self) -> None:
        self.found = [None] * len(self.fractions)

    def add(self, element: tuple[object, ...], result: dict[str, Any] | None) -> None:
        """Count what Kernel Tuner evaluated; end the search once the last fraction is reached."""
        key = ",".join(map(str, element))
        if result is None or key not in self.known:  # beyond the budget, or not a configuration of the space
            return
        self.seen.add(key)
        seconds = result["time"]
        for place, fraction in enumerate(self.fractions):
            if self.found[place] is None and isinstance(seconds, float) and self.best >= fraction * seconds:
                self.found[place] = len(self.seen)
        if self.found[-1] is not None:
            raise Reached


def cache_of(path: Path, folder: Path) -> Path:
    """The record at `path` as a Kernel Tuner cache in `folder`."""
    recording = read_recording(path)
    names = list(recording.parameters)
    entries = {}
    for trial in recording.trials:
        time = trial.value("time")
        key = ",".join(str(trial.configuration[name]) for name in names)
        entries[key] = {
            **trial.configuration,
            "time": time * 1e-3 if time is not None else "RuntimeFailedConfig",
            "compile_time": 1.0,
            "verification_time": 0,
            "benchmark_time": 1.0,
            "strategy_time": 0,
            "framework_time": 0,
        }
    content = {
        "device_name": path.stem,
        "kernel_name": "recorded",
        "problem_size": [1],
        "tune_params_keys": names,
        "tune_params": {name: list(values) for name, values in recording.parameters.items()},
        "objective": "time",
        "cache": entries,
    }
    out = folder / f"{path.name.partition('.')[0]}.json"
    out.write_text(json.dumps(content))
    return out


@contextlib.contextmanager
def counted(count: Count) -> Iterator[None]:
    """What Kernel Tuner's simulation runs meanwhile is counted in `count`."""
    from kernel_tuner.runners.simulation import SimulationRunner

    original = SimulationRunner.run

    def run(self: Any, parameter_space: Any, tuning_options: Any) -> list[dict[str, Any] | None]:
        elements = [tuple(element) for element in parameter_space]
        results = original(self, elements, tuning_options)
        for element, result in zip(elements, results, strict=True):
            count.add(element, result)
        return list(results)

    SimulationRunner.run = run
    try:
        yield
    finally:
        SimulationRunner.run = original


def evaluations(cache: Path, strategy: str, seed: int, count: Count) -> list[int | None]:
    """Unique evaluations to each of `FRACTIONS`, None where the strategy stopped before."""
    from kernel_tuner import util
    from kernel_tuner.interface import tune_cache

    if not hasattr(util.read_cache, "cache_info"):
        util.read_cache = functools.lru_cache(maxsize=2)(util.read_cache)  # half of a short search is reading the file

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Kernel Tuner draws from the global generator
    with contextlib.suppress(Reached), contextlib.redirect_stdout(io.StringIO()), counted(count):
        tune_cache(str(cache), strategy=strategy, strategy_options={"max_fevals": MOST}, quiet=True)
    return count.found


def measured(cache: Path, strategy: str, seeds: int) -> dict[str, object]:
    """The line of one record and strategy."""
    started = time.perf_counter()
    entries = json.loads(cache.read_text())["cache"]
    best = min(entry["time"] for entry in entries.values() if isinstance(entry["time"], float))
    counts = [evaluations(cache, strategy, seed, Count(best, frozenset(entries))) for seed in range(seeds)]
    line: dict[str, object] = {
        "record": cache.stem,
        "strategy": strategy,
        "seeds": seeds,
        "space": len(entries),
        "kernel_tuner": version("kernel_tuner"),
    }
    for place, fraction in enumerate(FRACTIONS):
        found = [count[place] for count in counts]
        line[f"mean_to_{fraction}"] = float(np.mean([number or len(entries) for number in found]))
        line[f"reached_{fraction}"] = sum(number is not None for number in found)
        line[f"evaluations_to_{fraction}"] = found
    return line | {"seconds": round(time.perf_counter() - started, 1)}


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--strategies", default=STRATEGIES)
    options = parser.parse_args()
    before = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {(line["record"], line["strategy"]) for line in before if line["seeds"] == options.seeds}
    with tempfile.TemporaryDirectory() as scratch, options.out.open("a") as out:
        caches = [cache_of(path, Path(scratch)) for path in sorted(options.folder.glob("*_T4.json*"))]
        for strategy in options.strategies.split(","):
            for cache in caches:
                if (cache.stem, strategy) not in done:
                    out.write(json.dumps(measured(cache, strategy, options.seeds)) + "\n")
                    out.flush()


if __name__ == "__main__":
    main()
