"""What a worker of the simulated fleet does: the orders of a search, each as long as a record says, scaled, with recorded answers.

Compilers and GPUs are stand-ins; what they are asked, how, by whom and what becomes of the answers is the product's. A
compilation is a sleep that leaves made-up machine code in the host's cache. A GPU is a device program whose process the
product's own supervisor keeps, and which sleeps for checking and timing. Both keep a diary, one line written at once for
what begins and what ends, so that nobody has to believe the search.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from spak.kg.expression.assignment import show_assignments
from spak.kg.model.base import Configuration, Model, ProblemSize
from spak.kg.model.run import Device, Failure
from spak.tuner.backend.gpu.cubins import Cubin, CubinStore
from spak.tuner.backend.gpu.protocol import Contestant, DeviceProgram, SeenDevice
from spak.tuner.backend.gpu.steady import ReferenceTimes
from spak.tuner.backend.source import source_of
from spak.tuner.fleet.orders import (
    CompiledCubins,
    CompileOrder,
    CubinReference,
    DescribeOrder,
    MeasureOrder,
    MemberDescription,
    decoded,
    digest_of,
    encoded,
    own_version,
)
from spak.tuner.fleet.workbench import Work, Workplace
from spak.tuner.fleet.works import MeasureWork

DIARY = "pieces.jsonl"
"""In the workers' cache folder: what any of them began and ended."""

RECORDS = "records.msgpack"
"""In the same folder: what workers sleep and answer."""

COMPILE, MEASURE, CHECK = "compile", "measure", "check"
WORKS = {
    COMPILE: f"{__name__}:RecordedCompile",
    MEASURE: f"{__name__}:RecordedMeasure",
    "describe": f"{__name__}:RecordedDescription",
}

GPU_NAME, ARCH = "NVIDIA H100 80GB HBM3", "sm_90"
TOOLCHAIN = {"tileiras": "13.4.92"}

MEASURE_S = 0.06
"""Seconds that one configuration takes to be checked and timed.

Source: laws/evidence/measured-h200-fmha-d128-s4096-full, -d128-s4096-causal and -d64-s4096-full, all of whose code was
compiled already: from each one's time of day to the next sweep's 18, 29 and 11 s for 324 configurations.
"""

PREPARE_S = 0.3
"""Seconds that a batch takes however small it is: inputs, reference kernels. It is on top of what those sweeps took in all.

Source: a guess: half of what a whole batch of 16 took, six of which took 3.85 s (bench/results/fleet-gpus-h200.json).
"""

CODE_BYTES = 65536
"""Of made-up machine code, which travels to the search, and to the host of a GPU that has not got it. A guess."""


class RecordedRow(Model, frozen=True, kw_only=True):
    """What is known of one configuration: seconds are recorded ones."""

    compile_s: float
    time_us: float
    features: dict[str, float]
    failure: Failure | None = None


class Records(Model, frozen=True, kw_only=True):
    """What workers go by.

    Attributes:
        scale: Seconds here for one recorded.
        rows: `key_of` -> what is known of it.
        pills: Configurations that end their worker instead: key -> whether they are to `compile` or to `check`.
    """

    scale: float
    rows: dict[str, RecordedRow]
    pills: dict[str, str] = {}  # noqa: RUF012 - msgspec copies mutable defaults


class DiaryLine(Model, frozen=True, kw_only=True):
    """What a worker did: `begun` by the clock of this machine, `ended` is 0 for a line at the beginning.

    Attributes:
        key: Of the configuration that compiles or is checked; empty for a whole batch.
        asked_s: What a record says of it, scaled.
        count: Configurations of a batch.
    """

    member: str
    stage: str
    key: str
    asked_s: float
    begun: float
    ended: float = 0.0
    count: int = 1


class Diary:
    """What one worker writes down."""

    def __init__(self, folder: Path, member: str) -> None:
        """Append to the diary in `folder`."""
        self._member = member
        self._file = os.open(folder / DIARY, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    @contextmanager
    def of(self, stage: str, key: str, asked_s: float, count: int = 1) -> Iterator[None]:
        """What is done in the block; it is not ended if the block raises, or ends its process."""
        line = DiaryLine(
            member=self._member, stage=stage, key=key, asked_s=asked_s, begun=time.monotonic(), count=count
        )
        self._write(line)
        yield
        self._write(msgspec.structs.replace(line, ended=time.monotonic()))

    def _write(self, line: DiaryLine) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")


def key_of(problem: ProblemSize, configuration: Configuration) -> str:
    """Problem size and configuration as text, whatever order their names come in."""
    size, values = dict(sorted(problem.items())), dict(sorted(configuration.items()))
    return f"{show_assignments(size)} | {show_assignments(values)}"


def read_records(folder: Path) -> Records:
    """What a search of the simulated fleet goes by, as it is now."""
    return msgspec.msgpack.decode((folder / RECORDS).read_bytes(), type=Records)


@cache
def _known(folder: Path, changed_ns: int) -> Records:
    del changed_ns
    return read_records(folder)


def _records(folder: Path) -> Records:
    return _known(folder, (folder / RECORDS).stat().st_mtime_ns)


# ----------------------------------------------------------------------------------------------------------- compiling


class RecordedCompile(Work):
    """Sleeps as long as a configuration compiled, unless this host has its machine code, and makes some up."""

    def __init__(self, place: Workplace) -> None:
        """Keep machine code where the product keeps it."""
        self._cache, self._store = place.cache, CubinStore(place.cache / "cubins")
        self._diary = Diary(place.cache, place.member)

    def perform(self, data: bytes) -> bytes:
        """Take the time of a compilation."""
        order, records = decoded(data, CompileOrder), _records(self._cache)
        key = key_of(order.problem, order.configuration)
        row, name = records.rows[key], hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()
        seconds = row.compile_s * records.scale
        kept = self._store.get(name)
        if kept is None:
            with self._diary.of(COMPILE, key, seconds):
                time.sleep(seconds)
                if records.pills.get(key) == COMPILE:
                    os.kill(os.getpid(), signal.SIGKILL)
            kept = Cubin("kernel", hashlib.shake_256(key.encode()).digest(CODE_BYTES))
        if row.failure is not None:
            return encoded(CompiledCubins(invalidity="compile", failure=row.failure))
        self._store.put(name, kept)
        blob = kept.packed()
        return encoded(
            CompiledCubins(
                cubins=(CubinReference(key=name, digest=digest_of(blob)),),
                features=row.features,
                milliseconds=row.compile_s * 1e3,
                blobs={digest_of(blob): blob},
            )
        )

    def close(self) -> None:
        """Nothing to release that the end of the process does not."""


# ----------------------------------------------------------------------------------------------------------- measuring


class RecordedMeasure(MeasureWork):
    """The product's own work, on a device that sleeps."""

    def __init__(self, place: Workplace) -> None:
        """Write down each batch."""
        super().__init__(place, lambda _: RecordedProgram(str(place.cache), place.member, place.device))
        self._cache, self._diary = place.cache, Diary(place.cache, place.member)

    def perform(self, data: bytes) -> bytes:
        """Check and time a batch, or open the device."""
        batch = decoded(data, MeasureOrder).batch
        if batch is None:
            return super().perform(data)
        count = len(batch.contestants)
        with self._diary.of(MEASURE, "", count * MEASURE_S * _records(self._cache).scale, count):
            return super().perform(data)


@dataclass(frozen=True)
class RecordedProgram:
    """Opens the device in the measuring process."""

    folder: str
    member: str
    device: str

    def __call__(self) -> RecordedDevice:
        """The device."""
        return RecordedDevice(self)


class RecordedDevice(DeviceProgram):
    """A GPU that sleeps: half of a configuration's time to check it, half for its rounds."""

    def __init__(self, program: RecordedProgram) -> None:
        """Go by the records in the folder of the program."""
        folder = Path(program.folder)
        self._folder, self._device, self._diary = folder, program.device, Diary(folder, program.member)
        self._problem: ProblemSize = {}
        self._times_us: dict[int, float] = {}

    def prepare(self, problem: ProblemSize, seed: int) -> Sequence[str]:
        """Take the time of a batch; there are no library baselines."""
        del seed
        self._problem = problem
        time.sleep(PREPARE_S * _records(self._folder).scale)
        return ()

    def check(self, contestant: Contestant) -> float:
        """Take half the time of a configuration; one that is to end its worker does so now."""
        records, key = _records(self._folder), key_of(self._problem, contestant.configuration)
        seconds = MEASURE_S / 2 * records.scale
        with self._diary.of(CHECK, key, seconds):
            time.sleep(seconds)
            if records.pills.get(key) == CHECK:
                os.kill(os.getppid(), signal.SIGKILL)
        return 1e-4

    def ready(self, contestant: Contestant, warmups: int) -> None:
        """Take the other half."""
        del warmups
        records = _records(self._folder)
        self._times_us[contestant.index] = records.rows[key_of(self._problem, contestant.configuration)].time_us
        time.sleep(MEASURE_S / 2 * records.scale)

    def sample(self, contestant: Contestant) -> float:
        """The recorded time, in every round."""
        return self._times_us[contestant.index]

    def reference(self) -> ReferenceTimes:
        """A device that never changes, like the others of its name."""
        return {"clock": (100.0,) * 8, "memory": (50.0,) * 8}

    def observe(self) -> None:
        """Nothing changes."""

    def healthy(self) -> bool:
        """Always."""
        return True

    def machine(self) -> SeenDevice:
        """As the driver would say it."""
        return SeenDevice(Device(name=GPU_NAME, machine=self._device), timer="none: recorded times")


# ---------------------------------------------------------------------------------------------------------- describing


class RecordedDescription(Work):
    """Says that this worker has the compiler, and the GPU of the records if it has one."""

    def __init__(self, place: Workplace) -> None:
        """Know where."""
        self._device = place.device

    def perform(self, data: bytes) -> bytes:
        """Describe."""
        op = decoded(data, DescribeOrder).op
        return encoded(
            MemberDescription(
                version=own_version(),
                source_sha256=source_of(op) if op else "",
                spec_sha256=source_of(op, with_spec=True) if op else "",
                features_toolchain=TOOLCHAIN,
                toolchain=TOOLCHAIN,
                compiler="V13",
                gpu=GPU_NAME if self._device else "",
                arch=ARCH if self._device else "",
            )
        )

    def close(self) -> None:
        """Nothing was kept."""


def read_diary(folder: Path) -> list[DiaryLine]:
    """All that was begun and ended, in the order it was written."""
    path = folder / DIARY
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=DiaryLine) for line in lines]


def write_records(folder: Path, records: Records) -> None:
    """Let workers go by these from now on."""
    beside = folder / f"{RECORDS}.new"
    beside.write_bytes(msgspec.msgpack.encode(records))
    beside.replace(folder / RECORDS)
