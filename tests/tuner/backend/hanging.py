"""Time limits that end a wait when the other process hangs, and only then: a busy machine must not look like a hang."""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

_POLL = Connection.poll
_LOOK_S = 0.02


@dataclass
class Hangs:
    """How the process that hangs tells the one that waits for it, which is its only way to know without asking a clock.

    Attributes:
        sign: A file with one byte for each hang.
        noticed: How many of them ended a wait.
    """

    sign: Path
    noticed: int = 0

    def hang(self) -> None:
        """Say so, then do nothing."""
        with self.sign.open("a") as file:
            file.write("x")
        time.sleep(3600)

    def poll(self, connection: Connection, limit_s: float | None = 0.0) -> bool:
        """In place of `Connection.poll`: the limit is reached once the other process hangs and has nothing more to say."""
        if not limit_s:
            return _POLL(connection, limit_s)
        while True:
            hanging = self.sign.exists() and self.sign.stat().st_size > self.noticed
            if _POLL(connection, 0 if hanging else _LOOK_S):
                return True
            if hanging:
                self.noticed += 1
                return False


def noticing(monkeypatch: pytest.MonkeyPatch, sign: Path) -> Hangs:
    """Every wait for a process from now on ends by what `sign` says."""
    hangs = Hangs(sign)
    monkeypatch.setattr(Connection, "poll", lambda connection, limit_s=0.0: hangs.poll(connection, limit_s))
    return hangs
