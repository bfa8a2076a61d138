"""Small runs of the shipped ops, as a GPU might have recorded them, and the shipped law root."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import msgspec

from spak.kg.files.loader import Laws
from spak.kg.model.base import Scalar
from spak.kg.model.run import Audit, Candidate, Device, Failure, Kernel, Measurement, Noise, Run, Trial
from tests.shipped import LAWS

PROBLEM: dict[str, Scalar] = {
    "batch": 8,
    "heads": 16,
    "kv_heads": 16,
    "seq_q": 1024,
    "seq_kv": 1024,
    "q_offset": 0,
    "head_dim": 64,
    "causal": True,
    "dtype": "fp16",
}


def laws() -> Laws:
    return LAWS


def time_us(tile_m: int, tile_n: int, occupancy: int) -> float:
    """Best at 64 x 64, occupancy 2; 128 x 128 spills and is slow; occupancy 1 costs a tenth."""
    base = 100.0 + abs(tile_m - 64) + abs(tile_n - 64)
    return base * (4 if tile_m == tile_n == 128 else 1) * (1.1 if occupancy == 1 else 1)


def trials() -> Iterator[Trial]:
    for tile_m, tile_n, occupancy, v_latency in product((32, 64, 128), (32, 64, 128), (1, 2), (4, 5)):
        configuration: dict[str, Scalar] = {
            "tile_m": tile_m,
            "tile_n": tile_n,
            "occupancy": occupancy,
            "v_latency": v_latency,
        }
        value = time_us(tile_m, tile_n, occupancy)
        stack = 512.0 if tile_m == tile_n == 128 else 0.0
        found = (
            Measurement(name="spill_bytes", value=stack, unit="bytes"),
            Measurement(name="time", value=value, unit="us", low=value * 0.999, high=value * 1.001),
            Measurement(name="relative_error", value=2e-4),
        )
        yield Trial(configuration=configuration, measurements=found, origin="sweep")


def run(name: str = "measured-h200-small", **changes: object) -> Run:
    """A measured sweep of FMHA on an H200 at its usual size, with `changes`."""
    whole = Run(
        id=name,
        tier="measured",
        created="2026-01-02T03:04:05Z",
        hw="h200",
        op="fmha",
        toolchain={"tileiras": "13.4.92"},
        device=Device(name="NVIDIA H200", driver="1", sm_clock_mhz_min=1500, sm_clock_mhz_max=1980, throttled=True),
        kernel=Kernel(name="fmha", source_sha256="ab" * 32),
        commit="abc1234",
        problem=PROBLEM,
        flop_rule="useful",
        noise=Noise(rounds=25, repeats=1, interleaved=True, l2="flushed", timer="events"),
        reference_times={"sdpa": Measurement(name="time", value=120.0, unit="us", low=119.0, high=121.0)},
        reproduce="python -m bench.sweep measure fmha",
        trials=tuple(trials()),
    )
    return msgspec.structs.replace(whole, **changes)


def failing(count: int) -> tuple[Trial, ...]:
    """`count` trials that gave no result."""
    failure = Failure(type="LaunchError", message="too much shared memory")
    return tuple(
        Trial(
            configuration={"tile_m": 256, "tile_n": 32, "occupancy": 1, "v_latency": 1 + place},
            invalidity="runtime",
            failure=failure,
        )
        for place in range(count)
    )


def search_under_laws(known: Laws) -> Run:
    """A run in which laws took part: an audit contradicts one, and a law is suggested."""
    candidate = Candidate(law=known.laws["sm90-fmha-v-latency-4-or-5"], outcome="confirmed", reason="held at 2 sizes")
    return run(
        "measured-h200-searched",
        audit=Audit(trials=3, contradicted=("blackwell-fmha-tile-m-128-is-slow",)),
        suggested=(candidate,),
    )


def written(one: Run, folder: Path) -> str:
    """The run as a file; its path."""
    path = folder / f"{one.id}.json"
    path.write_bytes(msgspec.json.encode(one))
    return str(path)
