"""The compiled features of one kernel, from its cubin and its disassembly."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from spak.tuner.backend.compile.cubin import CubinError, resources
from spak.tuner.backend.compile.occupancy import OccupancyLimits, ctas_per_sm
from spak.tuner.knowledge.predict import WARP_THREADS

UNITS: Mapping[str, str] = {
    "spill_bytes": "bytes",
    "smem_bytes": "bytes",
    "static_smem_bytes": "bytes",
    "dynamic_smem_bytes": "bytes",
    "loop_spill_bytes": "bytes",
    "loop_shared_bytes": "bytes",
    "predicted_time": "us",
}
"""Unit of each measurement that is not a plain number."""


def unit_of(name: str) -> str:
    """Unit of a measurement, of whichever function."""
    return UNITS.get(name.rsplit(".", maxsplit=1)[-1], "1")


def of_cubin(cubin: bytes, symbol: str) -> dict[str, float]:
    """`registers`, `spill_bytes` (a thread's stack), `threads`, and shared memory in bytes of a CTA.

    `static_smem_bytes` and `dynamic_smem_bytes` are the kernel's own; `smem_bytes`, which laws speak of, is their sum.

    Raises:
        CubinError: If the cubin cannot be read.
    """
    found = resources(cubin, symbol)
    static = found.static_smem_bytes - found.reserved_bytes
    return {
        "registers": found.registers,
        "spill_bytes": found.stack_bytes,
        "threads": found.threads,
        "static_smem_bytes": static,
        "dynamic_smem_bytes": 0,  # cuTile allots all of it statically, and a cubin records no other
        "smem_bytes": static,
    }


def with_dynamic(features: Mapping[str, float], num_bytes: int) -> dict[str, float]:
    """`features` of a kernel that is launched with so much dynamic shared memory, which its cubin does not record."""
    whole = features["static_smem_bytes"] + num_bytes
    return {**features, "dynamic_smem_bytes": num_bytes, "smem_bytes": whole}


def disassemble(cubin: bytes, nvdisasm: str, *, time_limit_s: float) -> str:
    """The code of `cubin` as text.

    Raises:
        CubinError: If the disassembler fails.
        subprocess.TimeoutExpired: If it takes longer than the limit.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        command = [nvdisasm, "-c", "-ndf", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=time_limit_s)
    if done.returncode:
        raise CubinError(f"nvdisasm ended with code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def others(hot: Mapping[str, float], name: str) -> dict[str, float]:
    """The features of a function beside the hot one, its name and a dot before each; none of one without products."""
    return {f"{name}.{key}": value for key, value in hot.items()} if hot.get("loop_tensor_flops") else {}


def resident_features(features: Mapping[str, float], limits: OccupancyLimits) -> dict[str, float]:
    """`ctas_per_sm`, and `warp_occupancy`: resident warps of the most an SM holds (0 to 1), for each function in `features`."""
    found: dict[str, float] = {}
    for start in (name.removesuffix("registers") for name in features if name.split(".")[-1] == "registers"):
        registers, threads, smem_bytes = (
            int(features[start + name]) for name in ("registers", "threads", "smem_bytes")
        )
        ctas = ctas_per_sm(registers, threads, smem_bytes, limits)
        warps = -(-threads // WARP_THREADS)
        found |= {f"{start}ctas_per_sm": ctas, f"{start}warp_occupancy": ctas * warps / limits.max_warps_per_sm}
    return found
