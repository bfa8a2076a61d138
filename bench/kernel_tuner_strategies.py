"""Evaluations that Kernel Tuner's own strategies need on recorded spaces, in its simulation mode.

    python bench/kernel_tuner_strategies.py FOLDER --seeds 200 --strategies simulated_annealing,genetic_algorithm > kt.jsonl

FOLDER holds `*_T4.json.gz`. Evaluations are unique configurations, as Kernel Tuner itself counts them. A strategy that stops
without reaching a fraction is counted as having searched the whole space: that is what would be left to do.
One line of JSON for each record and strategy: mean evaluations to 95 % and 99 % over the seeds, and how many reached them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import tempfile
import warnings
from pathlib import Path

import numpy as np

from kg.formats.reader import read_recording

FRACTIONS = (0.95, 0.99)
MOST = 1500  # unique evaluations; beyond it the rest of the space is counted
STRATEGIES = "simulated_annealing,genetic_algorithm,mls,dual_annealing,diff_evo"


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


def evaluations(cache: Path, strategy: str, seed: int, names: list[str], best: float) -> list[int | None]:
    """Unique evaluations to each of `FRACTIONS`, None where the strategy stopped before."""
    from kernel_tuner.interface import tune_cache

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Kernel Tuner draws from the global generator
    with contextlib.redirect_stdout(io.StringIO()):
        results, _ = tune_cache(str(cache), strategy=strategy, strategy_options={"max_fevals": MOST}, quiet=True)
    seen: set[tuple[object, ...]] = set()
    found: list[int | None] = [None] * len(FRACTIONS)
    for result in results:
        seen.add(tuple(result[name] for name in names))
        time = result["time"]
        for place, fraction in enumerate(FRACTIONS):
            if found[place] is None and isinstance(time, float) and best >= fraction * time:
                found[place] = len(seen)
    return found


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--strategies", default=STRATEGIES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for path in sorted(options.folder.glob("*_T4.json*")):
            cache = cache_of(path, Path(scratch))
            content = json.loads(cache.read_text())
            size = len(content["cache"])
            best = min(entry["time"] for entry in content["cache"].values() if isinstance(entry["time"], float))
            for strategy in options.strategies.split(","):
                counts = [
                    evaluations(cache, strategy, seed, content["tune_params_keys"], best)
                    for seed in range(options.seeds)
                ]
                line = {"record": cache.stem, "strategy": strategy, "seeds": options.seeds, "space": size}
                for place, fraction in enumerate(FRACTIONS):
                    reached = [count[place] for count in counts if count[place] is not None]
                    line[f"mean_to_{fraction}"] = float(np.mean([count[place] or size for count in counts]))
                    line[f"reached_{fraction}"] = len(reached)
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
