"""What a verb meets of the world, passed in: law root, clocks, folders, and what it may say while it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from spak.kg.errors import KgError
from spak.kg.files.listing import EVIDENCE
from spak.kg.files.loader import Laws
from spak.kg.files.root import LawRoot
from spak.kg.model.hardware import check_device
from spak.kg.model.store import Store
from spak.tuner.backend.base import Backend
from spak.tuner.backend.registry import BackendEntry, Task, choose, wants_device
from spak.tuner.engine.session import SearchTask

Show = Callable[[int, float], None]
"""Told how many trials are done after how many seconds."""


def _silent(*_: object) -> None:
    """Say and show nothing."""


@dataclass(frozen=True)
class Surroundings:
    """Where a verb works.

    Attributes:
        laws: The law root, loaded.
        root: Where it lies, and whether it takes run files and laws.
        now: Time of day.
        clock: Seconds that never go back.
        cache: Folder that keeps what is compiled; safe to delete.
        local: Folder for journals, and for run files that no law root takes; None where nothing is written.
        commit: Asked for the commit of the working tree, `-dirty` if files differ from it; empty if unknown.
        workers: Compiling processes.
        device: Asked for the name of this machine's GPU as its driver says it; empty if there is none.
        devices: Asked for the names of the GPUs of all machines that `open` reaches, where that is more than this one; else
            empty.
        is_fleet: Whether what `open` opens for several devices may work at the same time.
        open: Opens a backend for a task.
        fleet: How the fleet is named on which it does so; empty: this machine.
        say: Told in a sentence what a person should know before it goes on.
        watch: Told the most trials and the most seconds of a search that begins; what it returns follows its progress.
        doing: Told in a few words what a search does while no trial finishes, and after how many seconds.
    """

    laws: Laws
    root: LawRoot
    now: Callable[[], datetime]
    clock: Callable[[], float]
    cache: Path
    local: Path | None = None
    commit: Callable[[], str] = str
    workers: int = 1
    device: Callable[[], str] = str
    devices: Callable[[], Sequence[str]] = tuple
    is_fleet: bool = False
    open: Callable[[BackendEntry, Task], Backend] = BackendEntry.open
    fleet: str = ""
    say: Callable[[str], None] = _silent
    watch: Callable[[int | None, float | None], Show] = lambda *_: _silent
    doing: Callable[[str, float], None] = _silent

    @property
    def evidence(self) -> Path:
        """Folder of the law root's run files."""
        return self.root.path / EVIDENCE

    def kept(self, kind: str) -> Path:
        """The folder in `local` for `journal` or for `runs`.

        Raises:
            KgError: If there is none.
        """
        if self.local is None:
            raise KgError(f"no folder for {kind} was given; write nothing, or name one")
        return self.local / kind

    def task(self, question: SearchTask, seed: int) -> Task:
        """What a backend is opened for."""
        return Task(question.hw, question.op, question.facts, self.cache, self.workers, seed, question.own)


@dataclass(frozen=True)
class Choice:
    """A backend, and the name of this machine's GPU if it runs on that, else empty."""

    backend: BackendEntry
    device: str

    def check(self, store: Store, hw: str) -> None:
        """Check that what runs on the device may be recorded for the hardware node `hw`.

        Raises:
            KgError: If the device is another.
        """
        if self.device:
            check_device(store.hardware, hw, self.device)


def chosen(around: Surroundings, name: str) -> Choice:
    """The backend of that name, or for `auto` the first that runs here.

    Raises:
        TunerError: If there is none of that name, or it needs a device that is not there.
    """
    device = around.device() if wants_device(name) else ""
    backend = choose(name, has_device=bool(device))
    return Choice(backend, device if backend.needs_device else "")
