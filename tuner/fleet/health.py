"""Which devices of a fleet can still be trusted: one that fails whatever it is given is taken out, and named.

A failure may be its configuration's or its device's. After one that harms a device, the device is given something that has
run well elsewhere before anything new. If that fails too, it is given the same once more, in a process of its own begun
anew: what a launch poisons is a context, and that ends with its process. Only then the device is out, and only the first
failure was anybody's.
"""

from __future__ import annotations

from collections import Counter

DOUBTFUL = frozenset({"runtime", "timeout", "correctness"})
"""Failures that may be the device's: after one it is asked whether it still works."""

MOST_FAILURES = 3
"""Failures in a row that take a device out while nothing is known to run well, so that nothing can be asked of it."""

MOST_PROBES = 2
"""Times in a row that a device may fail with what ran well: in the process there is, and in a new one."""

MOST_UNSTEADY = 3
"""Marked times in a row (`spak.tuner.backend.gpu.steady`) after which a device is no longer worth asking."""


class DeviceHealth:
    """What the outcomes of a fleet's devices say of them.

    Attributes:
        out: Device -> why it was taken out.
    """

    def __init__(self) -> None:
        """Trust everybody."""
        self.out: dict[str, str] = {}
        self._failures: Counter[str] = Counter()
        self._probes: Counter[str] = Counter()
        self._unsteady: Counter[str] = Counter()

    def well(self, device: str, *, steady: bool = True) -> None:
        """It measured something; `steady` unless the time had to be marked."""
        self._failures.pop(device, None)
        self._probes.pop(device, None)
        self._unsteady[device] = 0 if steady else self._unsteady[device] + 1
        if self._unsteady[device] >= MOST_UNSTEADY:
            self.out.setdefault(device, f"{MOST_UNSTEADY} times in a row it was not as fast as at first")

    def failed(self, device: str, how: str) -> None:
        """A launch failed on it, or its worker was lost with it."""
        self._failures[device] += 1
        if self._failures[device] >= MOST_FAILURES:
            self.out.setdefault(device, f"{MOST_FAILURES} failures in a row, the last: {how}")

    def failed_again(self, device: str, how: str) -> None:
        """It failed with what is known to run well; the next time it is to be a process of its own begun anew."""
        self._probes[device] += 1
        if self._probes[device] >= MOST_PROBES:
            self.out.setdefault(device, f"after a failure it fails with what ran well before: {how}")

    def unusable(self, device: str, how: str) -> None:
        """Its worker says that it fails outside any configuration."""
        self.out.setdefault(device, how)
