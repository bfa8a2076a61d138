"""What the search's process and the measuring worker say to each other, and what a device program must offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from spak.kg.model.base import Configuration, ProblemSize
from spak.kg.model.run import Device, Failure, Invalidity
from spak.tuner.backend.gpu.steady import ReferenceTimes
from spak.tuner.backend.gpu.timing import Plan

TaskStage = Literal["open", "prepare", "check", "ready", "reference", "time", "close"]
"""What the worker is doing: each has its own time limit."""

FIRST_BASELINE = 1_000_000
"""Indices of baselines start here, beyond any configuration's."""
NOBODY = -1
"""Index in messages about a stage that belongs to no contestant."""


@dataclass(frozen=True)
class Contestant:
    """What takes part in a batch: a configuration, or a library baseline by name; `checked` if it need not be once more."""

    index: int
    configuration: Configuration = field(default_factory=dict)
    baseline: str = ""
    checked: bool = False


@dataclass(frozen=True)
class Batch:
    """What is checked in this order and then timed together in random ones, at one problem size.

    Attributes:
        best_us: The best median of earlier batches of this problem.
        with_baselines: Whether the worker adds the kernel's library baselines, which it names in `Prepared`.
        skip: Baselines it leaves out.
    """

    problem: ProblemSize
    contestants: tuple[Contestant, ...]
    seed: int
    plan: Plan
    best_us: float
    with_baselines: bool = False
    skip: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Opened:
    """The worker holds a device and takes batches; `machine` describes it."""

    machine: SeenDevice


@dataclass(frozen=True)
class TaskStep:
    """The worker begins `stage` of contestant `index`; its time limit starts now."""

    stage: TaskStage
    index: int = NOBODY


@dataclass(frozen=True)
class Prepared:
    """Inputs and reference are there; the baselines that joined the batch."""

    baselines: tuple[Contestant, ...]


@dataclass(frozen=True)
class Checked:
    """The outputs of contestant `index` are right: relative error, and wall milliseconds of launch and comparison."""

    index: int
    error: float
    wall_ms: float


@dataclass(frozen=True)
class Failed:
    """Contestant `index` (or nobody: the stage itself) failed; `fatal` if the worker can do nothing more."""

    index: int
    invalidity: Invalidity
    failure: Failure
    fatal: bool = False


@dataclass(frozen=True)
class TimedReferences:
    """The reference kernels before and after the rounds whose times follow."""

    readings: tuple[ReferenceTimes, ...]


@dataclass(frozen=True)
class TimedContestant:
    """All samples of contestant `index`, in microseconds."""

    index: int
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Done:
    """The batch is over; the machine as it was while timing."""

    machine: SeenDevice


Message = Opened | TaskStep | Prepared | Checked | Failed | TimedReferences | TimedContestant | Done


@dataclass(frozen=True)
class SeenDevice:
    """The device as the worker sees it; its clocks are those of all that was timed so far."""

    device: Device
    l2: str = ""
    timer: str = ""
    toolchain: tuple[tuple[str, str], ...] = ()
    compiled_here: int = 0
    """Kernels the worker had to compile itself, since none was compiled ahead."""


class WrongOutputError(Exception):
    """A launch ran and its outputs are wrong; the message says how wrong."""


class DeviceProgram(Protocol):
    """What runs inside the worker. Every method returns only when the device has finished."""

    def prepare(self, problem: ProblemSize, seed: int) -> Sequence[str]:
        """Make fresh inputs, poisoned outputs and the reference; forget the last ones. Names the library baselines."""
        ...

    def check(self, contestant: Contestant) -> float:
        """Relative error of one launch.

        Raises:
            WrongOutputError: If the outputs are wrong or the inputs were overwritten.
            Exception: Whatever the launch raises.
        """
        ...

    def ready(self, contestant: Contestant, warmups: int) -> None:
        """Warm up and keep whatever `sample` needs."""
        ...

    def sample(self, contestant: Contestant) -> float:
        """Microseconds of one launch."""
        ...

    def reference(self) -> ReferenceTimes:
        """Time the kernels that tell whether the device still is what it was, whatever the problem; see steady.py."""
        ...

    def observe(self) -> None:
        """Note clocks and throttling."""
        ...

    def healthy(self) -> bool:
        """Whether the device still answers after an exception."""
        ...

    def machine(self) -> SeenDevice:
        """What was seen so far."""
        ...


Opener = Callable[[], DeviceProgram]
"""Opens the device inside the worker; picklable."""
