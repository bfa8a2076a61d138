"""Works without compiler and GPU for whole searches: machine code is made up, the device is the fake one of the GPU tests."""

from __future__ import annotations

import os
import signal

from spak.kg.model.run import Failure
from spak.tuner.backend.gpu.cubins import Cubin
from spak.tuner.backend.source import source_of
from spak.tuner.fleet.orders import (
    CompiledCubins,
    CompileOrder,
    CubinReference,
    DescribeOrder,
    MemberDescription,
    decoded,
    digest_of,
    encoded,
    own_version,
)
from spak.tuner.fleet.works import MeasureWork
from tests.tuner.backend.gpu.fake_device import FakeDevice, FakeProgram

WORKS = {
    "compile": f"{__name__}:Compile",
    "measure": f"{__name__}:measure",
    "describe": "spak.tuner.fleet.works:DescribeWork",
}


class Compile:
    """`kind` refused does not compile, fell ends the worker, damaged sends other bytes than it says."""

    def __init__(self, place):
        self._place = place

    def perform(self, data):
        order = decoded(data, CompileOrder)
        kind = order.configuration.get("kind")
        if kind == "refused":
            return encoded(CompiledCubins(invalidity="compile", failure=Failure(type="ValueError", message="no")))
        if kind == "fell" and order.configuration.get("when") == "compile":
            os.kill(os.getpid(), signal.SIGKILL)
        blob = Cubin("kernel", repr(sorted(order.configuration.items())).encode()).packed()
        digest = digest_of(blob)
        sent = blob[:-1] if kind == "damaged" else blob
        return encoded(
            CompiledCubins(
                cubins=(CubinReference(key=digest[:40], digest=digest),),
                features={"spill_bytes": 8.0},
                milliseconds=3.0,
                blobs={digest: sent},
            )
        )

    def close(self):
        pass


class FallingDevice(FakeDevice):
    """`kind` fell takes the worker down, process and all; after sick nothing runs in this process, though it looks well.

    While there is a file `sick` beside its log, nothing runs in any.
    """

    _sick = False

    def check(self, contestant):
        self._sick |= contestant.configuration.get("kind") == "sick"
        if self._sick or self._program.log.with_suffix(".sick").exists():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if contestant.configuration.get("kind") == "fell":
            os.kill(os.getppid(), signal.SIGKILL)
        return super().check(contestant)


class FallingProgram(FakeProgram):
    def __call__(self):
        return FallingDevice(self)


class FallingMeasure(MeasureWork):
    def perform(self, data):
        os.kill(os.getpid(), signal.SIGKILL)


def measure(place):
    """Each device keeps a log of its own; beside it `broken` says that it prepares nothing, `slow` that its clock is low.

    And `falls` that whatever it is asked for ends its worker.
    """
    place.cache.mkdir(parents=True, exist_ok=True)
    log = place.cache / f"steps-{place.device}"
    log.touch()
    if (place.cache / f"falls-{place.device}").exists():
        return FallingMeasure(place)
    works = not (place.cache / f"broken-{place.device}").exists()
    slow = 0 if (place.cache / f"slow-{place.device}").exists() else None
    return MeasureWork(place, lambda _: FallingProgram(log, prepares=works, slows_after=slow))


class Describe:
    """What the member's name says after its last dash: `other` another source, `bare` no compiler, `new` another one."""

    def __init__(self, place):
        self._kind, self._device = place.member.rpartition("-")[2], place.device

    def perform(self, data):
        op = decoded(data, DescribeOrder).op
        source = source_of(op) if op else ""
        toolchain = {"bare": {}, "new": {"tileiras": "14"}}.get(self._kind, {"tileiras": "13.4.92"})
        return encoded(
            MemberDescription(
                version="0" if self._kind == "old" else own_version(),
                distributed="2020.1" if self._kind == "dask" else own_version("distributed"),
                source_sha256="0" * 64 if self._kind == "other" else source,
                spec_sha256=source_of(op, with_spec=True) if op else "",
                features_toolchain=toolchain,
                toolchain=toolchain,
                compiler="V13",
                gpu="NVIDIA H200" if self._device else "",
                arch="sm_90" if self._device else "",
            )
        )

    def close(self):
        pass


SAYING = {**WORKS, "describe": f"{__name__}:Describe"}
"""The same, where members say what their names ask for."""
