"""What launches: a GPU with cuTile, or whatever stands for one in a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch

from spak.kernels.cutile import sms_of

LEAST_CAPABILITY = (8, 0)
"""Compute capability that cuTile compiles for. Source: CUDA Tile IR, supported architectures."""


@dataclass(frozen=True)
class LaunchDevice:
    """Where kernels run.

    Attributes:
        hardware: As the driver says it (`NVIDIA H200`).
        arch: `sm_90`.
        launch: As `cuda.tile.launch`, whatever device is the current one.
        stream: Its current stream, as `launch` takes it.
    """

    hardware: str
    arch: str
    num_sms: int
    launch: Callable[..., object]
    stream: Callable[[], Any]


DeviceOf = Callable[[torch.device], LaunchDevice | str]
"""torch's device -> where its kernels run, or why they do not, in words."""


def launch_device(device: torch.device) -> LaunchDevice | str:
    """The GPU, or why no kernel here runs on a device."""
    if device.type != "cuda":
        return f"no kernel for device {device.type!r}"
    if find_spec("cuda") is None or find_spec("cuda.tile") is None:
        return "cuda-tile is not installed"
    return _gpu(device)  # pragma: no cover  # needs a GPU: tests/gpu


@cache
def _gpu(device: torch.device) -> LaunchDevice | str:  # pragma: no cover  # needs a GPU: tests/gpu
    import cuda.tile as ct

    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < LEAST_CAPABILITY:
        return f"no kernel for compute capability {major}.{minor}"

    def launch(*arguments: Any) -> None:
        with torch.cuda.device(device):
            ct.launch(*arguments)

    return LaunchDevice(
        hardware=torch.cuda.get_device_name(device),
        arch=f"sm_{major}{minor}",
        num_sms=sms_of(device),
        launch=ct.launch if torch.cuda.device_count() == 1 else launch,
        stream=partial(torch._C._cuda_getCurrentRawStream, device.index or 0),  # noqa: SLF001  # 30 times faster
    )
