"""Which GPUs a machine has, and how a process comes to see exactly one of them. A GPU's id is a hash of its UUID."""

from __future__ import annotations

import os
from dataclasses import dataclass

from spak.tuner.backend.gpu.detect import machine_of, smi
from spak.tuner.errors import TunerError


@dataclass(frozen=True)
class FleetGpu:
    """A GPU of this machine: its id in a fleet, the UUID by which CUDA is told to see it, its name and architecture."""

    device: str
    uuid: str
    name: str
    arch: str


def gpus() -> tuple[FleetGpu, ...]:
    """The GPUs that the driver names, in its order."""
    return parse_gpus(smi("uuid,name,compute_cap", timeout_s=30))


def parse_gpus(output: str) -> tuple[FleetGpu, ...]:
    """The cards of what `gpus` asks for: a line `GPU-8932f937, NVIDIA H200, 9.0` each; other lines are none."""
    found = []
    for line in output.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 3:  # noqa: PLR2004  # the three that `gpus` asks for
            uuid, name, capability = fields
            found.append(FleetGpu(machine_of(uuid), uuid, name, f"sm_{capability.replace('.', '')}"))
    return tuple(found)


def gpu_of(device: str) -> FleetGpu | None:
    """The GPU of that id, or None if it is not in this machine."""
    return next((gpu for gpu in gpus() if gpu.device == device), None)


def see_only(device: str) -> None:
    """Let CUDA in this process, and in those it starts, see that GPU alone; an id that no GPU here has changes nothing."""
    gpu = gpu_of(device)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu.uuid


def visible_gpus(shown: str | None = None) -> tuple[FleetGpu, ...]:
    """The GPUs that this process is shown, in that order.

    Args:
        shown: `CUDA_VISIBLE_DEVICES`; None: that of this process, if any.
    """
    there = gpus()
    shown = os.environ.get("CUDA_VISIBLE_DEVICES") if shown is None else shown
    if shown is None:
        return there
    found: list[FleetGpu] = []
    for part in (part.strip() for part in shown.split(",")):
        fitting = (
            there[int(part) : int(part) + 1]
            if part.isdigit()
            else [g for g in there if part and g.uuid.startswith(part)]
        )
        found += fitting[:1]
    return tuple(found)


def visible_device(shown: str | None = None) -> str:
    """The id of the first GPU that this process is shown.

    Args:
        shown: As `visible_gpus` has it.

    Raises:
        TunerError: If there is none.
    """
    found = visible_gpus(shown)
    if not found:
        raise TunerError("this worker was to have a GPU, and no NVIDIA GPU with a driver is to be seen")
    return found[0].device
