"""Which GPU this machine has, without torch: what nvidia-smi says."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine; its name as the driver says it, an alias in laws/hardware (`NVIDIA H200`)."""

    name: str
    driver: str
    arch: str


def detect() -> Gpu | None:
    """The first GPU, or None if there is no driver or no card."""
    return parse_devices(smi("name,driver_version,compute_cap", timeout_s=30))


def smi(query: str, *, timeout_s: float) -> str:
    """What nvidia-smi says of these properties, a line for each card; empty if it is not there or fails."""
    command = ("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=timeout_s).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


MACHINE_DIGITS = 12
"""48 bits: two GPUs of one kind share them once in 10^14 pairs."""


def machine_of(uuid: str) -> str:
    """Hex digits that tell one GPU from another without saying which it is: of the SHA-256 of its UUID.

    Empty for no UUID. `GPU-...` as the driver writes it and the bare form that CUDA gives are the same GPU.
    """
    bare = uuid.strip().lower().removeprefix("gpu-")
    return hashlib.sha256(bare.encode()).hexdigest()[:MACHINE_DIGITS] if bare else ""


def parse_devices(output: str) -> Gpu | None:
    """The first card of what `detect` asks for: `NVIDIA H200, 580.159.03, 9.0`."""
    fields = [field.strip() for field in next(iter(output.splitlines()), "").split(",")]
    if len(fields) != 3:  # noqa: PLR2004  # the three that `detect` asks for
        return None
    name, driver, capability = fields
    return Gpu(name, driver, f"sm_{capability.replace('.', '')}")
