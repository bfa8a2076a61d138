"""What a command passes to a verb: this machine's clocks, folders, compiler and GPU, and stderr to talk on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spak.cli.app import Globals
from spak.cli.progress import Progress
from spak.cli.roots import cache_directory, open_library
from spak.cli.terminal import behind
from spak.tuner.engine.surroundings import Surroundings
from spak.verbs import here

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
        self._progress = Progress(behind(sys.stderr), trials, seconds)
        return self._progress.show

    def doing(self, what: str, elapsed_s: float) -> None:
        if self._progress is not None:
            self._progress.doing(what, elapsed_s)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.end()


@contextmanager
def surroundings(state: Globals, own: str = "") -> Iterator[Surroundings]:
    """The surroundings of a command; of one about the kernel that lies outside this repository at `own`, with its laws.

    Raises:
        KgError: If there is no law root, or a file in it cannot be used.
    """
    voice = _Voice()
    try:
        machine = here(open_library(state, own=own), cache=cache_directory(), local=LOCAL)
        yield replace(machine, commit=_commit, say=voice.say, watch=voice.watch, doing=voice.doing)
    finally:
        voice.end()


def _commit() -> str:
    """Commit of the working tree, `-dirty` if files differ from it; empty outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
