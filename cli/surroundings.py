"""What a command passes to a verb: this machine's clocks, folders, compiler and GPU, and stderr to talk on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from spak.cli.app import Globals
from spak.cli.progress import Progress
from spak.cli.roots import cache_directory, open_laws, open_root
from spak.tuner.backend.base import Backend
from spak.tuner.backend.registry import Entry, Task
from spak.tuner.engine.surroundings import Surroundings

LOCAL = Path(".spak")
"""Where journals lie, and run files that no law root takes."""


class _Voice:
    """Sentences and progress on stderr."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def say(self, sentence: str) -> None:
        self.end()
        print(sentence, file=sys.stderr)  # noqa: T201 - progress goes to stderr

    def watch(self, trials: int | None, seconds: float | None) -> Callable[[int, float], None]:
        self._progress = Progress(sys.stderr, trials, seconds)
        return self._progress.show

    def end(self) -> None:
        if self._progress is not None:
            self._progress.end()


@contextmanager
def surroundings(state: Globals) -> Iterator[Surroundings]:
    """The surroundings of a command.

    Raises:
        KgError: If there is no law root, or a file in it cannot be used.
    """
    voice = _Voice()
    try:
        yield Surroundings(
            laws=open_laws(state),
            root=open_root(state),
            now=lambda: datetime.now(UTC),
            clock=time.monotonic,
            cache=cache_directory(),
            local=LOCAL,
            commit=_commit,
            workers=os.cpu_count() or 1,
            device=device,
            open=open_backend,
            say=voice.say,
            watch=voice.watch,
        )
    finally:
        voice.end()


def open_backend(entry: Entry, task: Task) -> Backend:
    """What evaluates.

    Raises:
        TunerError: If the compiler is missing, or the hardware is nothing to compile for.
    """
    return entry.open(task)


def device() -> str:
    """What the driver calls this machine's GPU; empty if there is none."""
    from spak.tuner.backend.gpu.detect import detect

    gpu = detect()
    return "" if gpu is None else gpu.name


def _commit() -> str:
    """Commit of the working tree, `-dirty` if files differ from it; empty outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
