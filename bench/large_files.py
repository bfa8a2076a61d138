"""How long `kg import` takes for a file of 20,000 configurations. The file is made up: its times mean nothing.

    python -m bench.large_files [--configurations 20000] [--repeat 3]

Six parameters, 32 samples for each configuration as in the files of the public benchmark hub, every tenth configuration failed.
Prints, for a T4 file and for a Kernel Tuner cache, plain and gzipped: bytes, wall seconds of the whole command with its
start, its processor seconds, and the bytes of the run file it wrote.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PARAMETERS = {
    "block_size_x": [16, 32, 48, 64, 96, 128, 192, 256],
    "block_size_y": [1, 2, 3, 4, 6, 8, 12, 16],
    "tile_size_x": [1, 2, 3, 4, 5, 6, 7, 8],
    "tile_size_y": [1, 2, 3, 4, 6],
    "unroll": [0, 1, 2, 4],
    "use_shmem": [0, 1],
}
SAMPLES = 32
MOMENT = "2026-01-01 00:00:00.000000+00:00"
FAILED = "RuntimeFailedConfig"
EVERY = 10
"""One configuration in so many fails."""


def made_up(count: int, seed: int) -> list[tuple[dict[str, int], list[float]]]:
    """`count` configurations with their samples in ms, none where the configuration failed."""
    rng = np.random.default_rng(seed)
    shape = [len(values) for values in PARAMETERS.values()]
    rows = np.sort(rng.choice(math.prod(shape), count, replace=False))
    codes = np.array(np.unravel_index(rows, shape)).T  # (count, P)
    effects = [rng.normal(0, 0.4, size) for size in shape]
    times = np.exp(sum(effect[codes[:, p]] for p, effect in enumerate(effects)) + rng.normal(0, 0.1, count))
    samples = times[:, None] * np.exp(rng.normal(0, 0.01, (count, SAMPLES)))
    failed = rng.random(count) < 1 / EVERY
    names = list(PARAMETERS)
    return [
        (
            {name: PARAMETERS[name][code] for name, code in zip(names, row, strict=True)},
            [] if bad else own.tolist(),
        )
        for row, own, bad in zip(codes, samples, failed, strict=True)
    ]


def t4(entries: list[tuple[dict[str, int], list[float]]]) -> bytes:
    """As a T4 file, indented as the public ones are."""
    results = [
        {
            "timestamp": MOMENT,
            "configuration": configuration,
            "times": {
                "compilation": 900.0,
                "framework": 80.0,
                "search_algorithm": 0,
                "validation": 0,
                "runtimes": samples,
            },
            "invalidity": "correct" if samples else "runtime",
            "correctness": int(bool(samples)),
            "measurements": [{"name": "time", "value": sum(samples) / SAMPLES if samples else FAILED, "unit": ""}],
            "objectives": ["time"],
        }
        for configuration, samples in entries
    ]
    file = {"metadata": {"timeunit": "miliseconds"}, "results": results, "schema_version": "1.0.0"}
    return json.dumps(file, indent=2).encode()


def cache(entries: list[tuple[dict[str, int], list[float]]]) -> bytes:
    """As a Kernel Tuner cache."""
    found = {
        ",".join(map(str, configuration.values())): {
            **configuration,
            "time": sum(samples) / SAMPLES if samples else FAILED,
            **({"times": samples} if samples else {}),
            "compile_time": 900.0,
            "verification_time": 0,
            "benchmark_time": 190.0,
            "strategy_time": 0,
            "framework_time": 80.0,
            "timestamp": MOMENT,
        }
        for configuration, samples in entries
    }
    head = {
        "device_name": "Made-up GPU",
        "kernel_name": "made_up",
        "problem_size": [4096, 4096],
        "tune_params_keys": list(PARAMETERS),
        "tune_params": PARAMETERS,
        "objective": "time",
        "cache": found,
    }
    return json.dumps(head).encode()


def timed(file: Path) -> tuple[float, float, int]:
    """Wall and processor seconds of importing `file` into a new law root, and bytes of the run file."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "laws"
        command = ["-m", "spak.cli.kg", "--laws", str(root), "import", str(file), "--hw", "made-up", "--op", "made-up"]
        before, started = os.times(), time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        wall, after = time.perf_counter() - started, os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        (written,) = (root / "evidence").glob("*.json*")
        return wall, spent, written.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    entries = made_up(options.configurations, 0)
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'file':24} {'MB':>6} {'wall s':>18} {'processor s':>18} {'written MB':>10}")
        for name, content in {"T4": t4(entries), "Kernel Tuner cache": cache(entries)}.items():
            for suffix, packed in (("", content), (".gz", gzip.compress(content, 6))):
                file = Path(folder) / f"{name.replace(' ', '-')}.json{suffix}"
                file.write_bytes(packed)
                walls, spent, sizes = zip(*(timed(file) for _ in range(options.repeat)), strict=True)
                shown = [" ".join(f"{value:5.2f}" for value in sorted(row)) for row in (walls, spent)]
                print(
                    f"{name + suffix:24} {len(packed) / 1e6:6.1f} {shown[0]:>18} {shown[1]:>18} {sizes[0] / 1e6:10.2f}"
                )


if __name__ == "__main__":
    main()
