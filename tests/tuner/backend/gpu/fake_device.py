"""A device program without a GPU: it implements `DeviceProgram`, and configurations really hang, crash, exit or raise.

`kind` in a configuration says what it does; `when` says in which stage (`check` or `time`).
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from spak.kg.model.run import Device
from spak.tuner.backend.gpu.protocol import Contestant, SeenDevice, WrongOutputError
from tests.tuner.backend.hanging import Hangs


@dataclass(frozen=True)
class FakeProgram:
    """Opens a `FakeDevice` in the worker. `log` collects one line for each step a worker really took."""

    log: Path
    opens: bool = True
    prepares: bool = True
    reads: bool = True
    slows_after: int | None = None
    """Readings after which the device is a tenth slower."""

    @property
    def hangs(self) -> Hangs:
        """Says beside the log that a configuration hangs."""
        return Hangs(self.log.with_suffix(".hangs"))

    def __call__(self):
        if not self.opens:
            raise RuntimeError("no CUDA device")
        return FakeDevice(self)


class FakeDevice:
    def __init__(self, program):
        self._program, self._poisoned, self._observed, self._readings = program, False, 0, 0
        self._note("open")

    def prepare(self, problem, seed):
        self._note(f"prepare {problem['seq']} seed {seed}")
        if not self._program.prepares:
            raise MemoryError("out of memory")
        return ("cudnn", "broken")

    def check(self, contestant: Contestant) -> float:
        self._note(f"check {contestant.index}")
        self._act(contestant, "check")
        if contestant.baseline == "broken":
            raise RuntimeError("no available kernel")
        if contestant.configuration.get("kind") == "wrong":
            raise WrongOutputError("relative error nan above 0.001; 5 elements are NaN")
        return 1e-4

    def ready(self, contestant: Contestant, warmups: int) -> None:
        self._note(f"ready {contestant.index}")

    def sample(self, contestant: Contestant) -> float:
        self._act(contestant, "time")
        return self._slowed(float(contestant.configuration.get("us", 50.0)))

    def reference(self):
        if not self._program.reads:
            raise RuntimeError("CUDA error: uncorrectable ECC error encountered")
        self._readings += 1
        return {"clock": (self._slowed(100.0),) * 8, "memory": (50.0,) * 8}

    def _slowed(self, us):
        after = self._program.slows_after
        return us if after is None or self._readings <= after else us * 1.1

    def observe(self):
        self._observed += 1

    def healthy(self) -> bool:
        return not self._poisoned

    def machine(self) -> SeenDevice:
        return SeenDevice(Device(name="Fake GPU", sm_clock_mhz_min=1000.0, sm_clock_mhz_max=1000.0 + self._observed))

    def _act(self, contestant, stage):
        configuration = contestant.configuration
        if configuration.get("when", "check") != stage:
            return
        kind = configuration.get("kind")
        if kind == "once" and self._first_time():
            kind = "crash"
        if kind == "hang":
            self._program.hangs.hang()
        if kind == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "exit":
            os._exit(7)
        if kind == "poison":
            self._poisoned = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if kind == "raise":
            raise ValueError("grid too large")

    def _first_time(self):
        return "once" not in self._program.log.read_text() and self._note("once") is None

    def _note(self, line):
        with self._program.log.open("a") as file:
            file.write(f"{line}\n")
