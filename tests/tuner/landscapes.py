"""Synthetic sweeps with known laws in them, for tests of mining, confirmation and doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np

from spak.kg.model.run import Failure, Measurement, Run, Trial

VALUES = {"tile_m": (32, 64, 128, 256), "tile_n": (32, 64, 128), "occupancy": (1, 2, 4), "v_latency": (2, 3, 4, 5)}


def configurations() -> list[dict[str, int]]:
    return [dict(zip(VALUES, values, strict=True)) for values in product(*VALUES.values())]


def spill(configuration: Mapping[str, int]) -> float:
    """Big tiles spill: the mechanism planted in `planted`."""
    return max(0.0, configuration["tile_m"] * configuration["tile_n"] / 64 - 128) * 8


def planted(configuration: Mapping[str, int], size: int) -> float:
    """Microseconds: spilling costs 3x, occupancy 1 costs 1.5x, 64x64 is best, v_latency does nothing."""
    time = 100.0 * size
    time *= 1 + 0.03 * abs(np.log2(configuration["tile_m"] / 64)) + 0.03 * abs(np.log2(configuration["tile_n"] / 64))
    time *= 3.0 if spill(configuration) > 0 else 1.0
    return time * (1.5 if configuration["occupancy"] == 1 else 1.0)


def sweep(
    sizes: tuple[int, ...] = (1, 2, 4),
    *,
    seed: int = 0,
    noise: float = 0.001,
    time: Callable[[Mapping[str, int], int], float] = planted,
    name: str = "synthetic",
) -> Run:
    """One exhaustive run over VALUES at some sizes; the interval is two standard deviations of the noise."""
    rng = np.random.default_rng(seed)
    trials = []
    for size in sizes:
        for configuration in configurations():
            value = time(configuration, size) * float(np.exp(rng.normal(0, noise)))
            if not np.isfinite(value):
                failure = Failure(type="CompilerError", message="planted")
                trials.append(
                    Trial(configuration=configuration, problem={"size": size}, invalidity="compile", failure=failure)
                )
                continue
            measured = Measurement(
                name="time", value=value, unit="us", low=value * (1 - 2 * noise), high=value * (1 + 2 * noise)
            )
            spilled = Measurement(name="spill_bytes", value=spill(configuration), unit="bytes")
            trials.append(Trial(configuration=configuration, problem={"size": size}, measurements=(measured, spilled)))
    return Run(id=name, tier="measured", created="2026-01-01T00:00:00Z", hw="sm_90", op="fmha", trials=tuple(trials))


def noise_only(seed: int, *, sizes: tuple[int, ...] = (1, 2, 4, 8), spread: float = 0.3, name: str = "noise") -> Run:
    """A sweep in which nothing matters: every time is drawn anew from one distribution."""
    rng = np.random.default_rng(seed)
    return sweep(sizes, seed=seed, noise=0.002, time=lambda *_: float(100 * np.exp(rng.normal(0, spread))), name=name)
