"""Works of a fleet whose GPUs are of two kinds, an H200 and an H100, without compiler and GPU: times are a formula of matmul."""

from __future__ import annotations

import os
import signal
from functools import partial

from spak.kg.model.run import Device
from spak.tuner.backend.gpu.protocol import SeenDevice
from spak.tuner.backend.source import source_of
from spak.tuner.fleet.orders import DescribeOrder, MemberDescription, decoded, encoded, own_version
from spak.tuner.fleet.works import MeasureWork
from tests.tuner.backend.gpu.fake_device import FakeDevice, FakeProgram
from tests.tuner.fleet.fake_works import WORKS as ONE_KIND

CARDS = {"a" * 12: ("NVIDIA H200", 1.0), "b" * 12: ("NVIDIA H100 80GB HBM3", 1.4)}
"""Id of each GPU -> its name, and its times beside those of the first."""


def planted(configuration) -> float:
    """Microseconds; what does not load by TMA takes three times as long."""
    tiles = 100.0 + abs(configuration["tile_m"] - 128) / 16 + abs(configuration["tile_n"] - 256) / 16
    return (tiles + configuration["latency"]) * (1.0 if configuration["use_tma"] else 3.0)


class UnlikeDevice(FakeDevice):
    """While there is a file `kill` beside its log, the next check takes the worker down, once."""

    def prepare(self, problem, seed):
        return ()

    def check(self, contestant):
        kill = self._program.log.with_suffix(".kill")
        if kill.exists():
            kill.unlink()
            os.kill(os.getppid(), signal.SIGKILL)
        return super().check(contestant)

    def sample(self, contestant):
        return planted(contestant.configuration) * CARDS[self._program.log.name][1]

    def machine(self):
        device = self._program.log.name
        return SeenDevice(Device(name=CARDS[device][0], machine=device))


class UnlikeProgram(FakeProgram):
    def __call__(self):
        return UnlikeDevice(self)


def measure(place):
    """Its log is named as the device."""
    place.cache.mkdir(parents=True, exist_ok=True)
    (place.cache / place.device).touch()
    return MeasureWork(place, partial(_opener, UnlikeProgram(place.cache / place.device)))


def _opener(program, _target):
    return program


class Describe:
    def __init__(self, place):
        self._gpu = CARDS[place.device][0] if place.device else ""

    def perform(self, data):
        op = decoded(data, DescribeOrder).op
        toolchain = {"tileiras": "13.4.92"}
        return encoded(
            MemberDescription(
                version=own_version(),
                source_sha256=source_of(op) if op else "",
                spec_sha256=source_of(op, with_spec=True) if op else "",
                features_toolchain=toolchain,
                toolchain=toolchain,
                compiler="V13",
                gpu=self._gpu,
                arch="sm_90" if self._gpu else "",
            )
        )

    def close(self):
        pass


WORKS = {**ONE_KIND, "measure": f"{__name__}:measure", "describe": f"{__name__}:Describe"}
