"""Reads SM clocks and throttling while times are taken. Reads only: it never changes a setting of the card."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from spak.tuner.backend.gpu.detect import smi

THROTTLE_BITS = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""Software power cap, hardware slowdown, software and hardware thermal slowdown, hardware power brake.

Source: NVML API reference, nvmlClocksEventReasons (SwPowerCap 0x4, HwSlowdown 0x8, SwThermalSlowdown 0x20,
HwThermalSlowdown 0x40, HwPowerBrakeSlowdown 0x80).
"""
SMI_INTERVAL_S = 2.0
"""Least time between two starts of nvidia-smi, which take tens of milliseconds each."""


@dataclass(frozen=True)
class Reading:
    """One look at the clocks: MHz, and the active throttle reasons as NVML's bits."""

    sm_mhz: float
    reasons: int


Read = Callable[[], Reading | None]
"""Reads the clocks now; None where the card does not say."""


class ClockLog:
    """Lowest and highest SM clock seen, and whether the card was throttled at any look."""

    def __init__(self, read: Read, *, least_interval_s: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        """Look through `read`, at most once in `least_interval_s` seconds of the clock `now`."""
        self._read, self._least_interval_s, self._now = read, least_interval_s, now
        self._last: float | None = None
        self._seen: list[Reading] = []

    def observe(self) -> None:
        """Look once, unless the last look was too recent."""
        now = self._now()
        if self._last is not None and now - self._last < self._least_interval_s:
            return
        self._last = now
        reading = self._read()
        if reading is not None:
            self._seen.append(reading)

    @property
    def sm_mhz(self) -> tuple[float, float] | None:
        """(lowest, highest), or None if nothing could be read."""
        clocks = [reading.sm_mhz for reading in self._seen]
        return (min(clocks), max(clocks)) if clocks else None

    @property
    def throttled(self) -> bool | None:
        """Whether any look found a reason of `THROTTLE_BITS`; None if nothing could be read."""
        return any(reading.reasons & THROTTLE_BITS for reading in self._seen) if self._seen else None


def parse_smi(line: str) -> Reading | None:
    """A line of what `read_smi` asks for, such as `1980, 0x0000000000000004`; None if the card does not say."""
    clock, _, reasons = line.partition(",")
    try:
        return Reading(float(clock), int(reasons.strip(), 16))
    except ValueError:
        return None


def read_smi() -> Reading | None:
    """Ask nvidia-smi; None if it is not there or says nothing."""
    return parse_smi(smi("clocks.sm,clocks_event_reasons.active", timeout_s=10).partition("\n")[0])


def current_card() -> str:  # pragma: no cover  # needs a GPU: tests/gpu
    """NVML's name of PyTorch's current card; NVML also counts those that CUDA is not shown."""
    import torch

    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def open_clock_log(card: str = "") -> ClockLog:
    """A log that reads `card`, the first one if none is named, through nvidia-ml-py where that is installed.

    Elsewhere nvidia-smi is asked for the first card.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(card) if card else pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # noqa: BLE001  # not installed, no library, no permission: nvidia-smi may still answer
        return ClockLog(read_smi, least_interval_s=SMI_INTERVAL_S)

    def read() -> Reading | None:
        try:
            clock = pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)
            return Reading(float(clock), int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)))
        except pynvml.NVMLError:
            return None

    return ClockLog(read)
