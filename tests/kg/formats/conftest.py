"""Small result files in each format, as Python objects that a test can spoil."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

T4 = dict[str, Any]


def t4_result(configuration: dict[str, Any], time: float | str, **changes: Any) -> T4:
    """One T4 entry in milliseconds; a text for `time` is a failure."""
    failed = isinstance(time, str)
    entry: T4 = {
        "timestamp": "2024-01-01 00:00:00+00:00",
        "configuration": configuration,
        "times": {"compilation": 100.0, "framework": 1.0, "search_algorithm": 0, "validation": 0},
        "invalidity": "runtime" if failed else "correct",
        "correctness": 0 if failed else 1,
        "measurements": [{"name": "time", "value": time, "unit": ""}],
        "objectives": ["time"],
    }
    if not failed:
        entry["times"]["runtimes"] = [time * 0.9, time * 1.1]
    return {**entry, **changes}


def t4_file(results: list[T4], unit: str = "miliseconds") -> T4:
    """A T4 file, with the hub's spelling of its unit."""
    return {"metadata": {"timeunit": unit}, "results": results, "schema_version": "1.0.0"}


def grid() -> list[T4]:
    """Six results over x in 1, 2, 4 and y in 0, 1; one failure."""
    times: list[float | str] = [6.0, 5.0, 4.0, 3.0, 2.0, "RuntimeFailedConfig"]
    configurations = [{"x": x, "y": y} for x in (1, 2, 4) for y in (0, 1)]
    return [t4_result(configuration, time) for configuration, time in zip(configurations, times, strict=True)]


def cache_file() -> dict[str, Any]:
    """The same six results as a Kernel Tuner cache."""
    cache = {}
    for result in grid():
        configuration = result["configuration"]
        key = ",".join(map(str, configuration.values()))
        time = result["measurements"][0]["value"]
        entry = {**configuration, "time": time, "compile_time": 100.0, "verification_time": 0, "benchmark_time": 7.5}
        cache[key] = entry | ({} if isinstance(time, str) else {"times": [time * 0.9, time * 1.1], "GFLOP/s": 12.0})
    return {
        "device_name": "Some GPU",
        "kernel_name": "some_kernel",
        "problem_size": [64, 32],
        "tune_params_keys": ["x", "y"],
        "tune_params": {"x": [1, 2, 4], "y": [0, 1]},
        "objective": "time",
        "cache": cache,
    }


def save(folder: Path, content: Any, name: str = "file.json") -> Path:
    """`content` as JSON in `folder`."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def samples() -> SimpleNamespace:
    """The builders above."""
    return SimpleNamespace(t4_result=t4_result, t4_file=t4_file, grid=grid, cache_file=cache_file, save=save)
