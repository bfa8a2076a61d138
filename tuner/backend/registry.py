"""Every backend by name; adding one adds a record here. Modules load on first use."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from spak.kg.model.base import Scalar
from spak.kg.model.law import Tier
from spak.kg.model.op import Op
from spak.tuner.backend.base import Backend
from spak.tuner.errors import TunerError

AUTO = "auto"
"""The first of `BACKENDS` that makes trials and runs here."""


@dataclass(frozen=True)
class Task:
    """What a backend is opened for.

    Attributes:
        facts: Hardware facts without `hw.`.
        cache: Folder that keeps what is compiled from one search to the next.
        seed: Draws inputs and orders.
        own: Place of a kernel that is declared outside this repository; empty: it is one of the registry.
        resumed: When the search began that is gone on with; None for one that begins.
    """

    hw: str
    op: Op
    facts: Mapping[str, Scalar]
    cache: Path
    workers: int
    seed: int = 0
    own: str = ""
    resumed: datetime | None = None

    @property
    def arch(self) -> str:
        """What to compile for, such as `sm_90`.

        Raises:
            TunerError: If the hardware facts do not say.
        """
        code = self.facts.get("gpu_code")
        if code is None:
            raise TunerError(f"{self.hw} names no compute capability to compile for; name a device of it")
        return str(code)


@dataclass(frozen=True)
class BackendEntry:
    """One backend.

    Attributes:
        opener: `module:function` that takes a `Task`; empty: it makes no trials, `spak.tuner.replay` gives it recorded ones.
        tier: Of the evidence that its trials are; None: that of what was recorded.
        needs_device: Whether it runs only where the hardware is.
        num_trials: Trials where no budget is given.
    """

    name: str
    description: str
    opener: str
    tier: Tier | None
    needs_device: bool
    num_trials: int = 0

    def open(self, task: Task) -> Backend:
        """The backend, of which no process starts before it is used.

        Raises:
            TunerError: If it makes no trials, what it runs is missing, or the hardware facts are not enough for it.
        """
        if not self.opener:
            raise TunerError(f"--backend {self.name} makes no trials; use --backend {_names(making())}")
        opener: Callable[[Task], Backend] = pkgutil.resolve_name(self.opener)
        return opener(task)


BACKENDS: Mapping[str, BackendEntry] = {
    entry.name: entry
    for entry in (
        # Trials without a budget: some ten minutes on a GPU; about a minute of compiling on two idle cores.
        BackendEntry(
            "gpu", "measure on the GPU of this machine", "spak.tuner.backend.gpu.open:open_task", "measured", True, 128
        ),
        BackendEntry(
            "compile",
            "compile only, for any hardware, and predict times",
            "spak.tuner.backend.compile.backend:open_task",
            "compiled",
            False,
            16,
        ),
        BackendEntry("replay", "answer with recorded trials", "", None, False),
    )
}
"""Name -> backend; of those that run, the first is the one to take."""


def making() -> tuple[BackendEntry, ...]:
    """The backends that make trials, the first choice first."""
    return tuple(entry for entry in BACKENDS.values() if entry.opener)


def wants_device(name: str) -> bool:
    """Whether a device has to be looked for before `choose` is asked for `name`."""
    return name not in BACKENDS or BACKENDS[name].needs_device


def choose(name: str, *, has_device: bool) -> BackendEntry:
    """The backend called `name`; for `AUTO` the first that makes trials here.

    Raises:
        TunerError: If there is none of that name, or it needs a device that is not there.
    """
    usable = [entry for entry in making() if has_device or not entry.needs_device]
    if name == AUTO:
        return usable[0]
    if name not in BACKENDS:
        raise TunerError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)}")
    if BACKENDS[name].needs_device and not has_device:
        raise TunerError(f"--backend {name}: no NVIDIA GPU with a driver was found; use --backend {_names(usable)}")
    return BACKENDS[name]


def _names(entries: Iterable[BackendEntry]) -> str:
    return " or ".join(entry.name for entry in entries)
