"""Which GPU this machine has, without torch: what nvidia-smi says."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

QUERY = ("nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader")


@dataclass(frozen=True)
class Gpu:
    """A GPU of this machine.

    Attributes:
        name: As the driver says it, an alias in laws/hardware (`NVIDIA H200`).
    """

    name: str
    driver: str
    arch: str


def detect() -> Gpu | None:
    """The first GPU, or None if there is no driver or no card."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse(done.stdout)


def parse(output: str) -> Gpu | None:
    """The first line of `QUERY`'s output: `NVIDIA H200, 580.159.03, 9.0`."""
    fields = [field.strip() for field in next(iter(output.splitlines()), "").split(",")]
    if len(fields) != 3:  # noqa: PLR2004  # the three that QUERY asks for
        return None
    name, driver, capability = fields
    return Gpu(name, driver, f"sm_{capability.replace('.', '')}")
