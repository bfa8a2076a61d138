"""What a worker of the simulated fleet does: it takes as long as the record says, scaled, and answers what the record says.

It keeps a diary of what it began, one line written at once for each piece, so that nobody has to believe the search.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec

from spak.kg.model.base import Model
from spak.tuner.fleet.workbench import Workplace

DIARY = "pieces.jsonl"
"""In the workers' cache folder: what any of them began and ended."""

COMPILE, MEASURE = "compile", "measure"
WORKS = dict.fromkeys((COMPILE, MEASURE), "bench.fleet_work:open_work")


class RecordedPiece(Model, frozen=True, kw_only=True):
    """One stage of one configuration.

    Attributes:
        key: Problem size and configuration, as text.
        seconds: What it takes.
        kills: Whether it ends its worker instead of answering.
    """

    stage: str
    key: str
    seconds: float
    kills: bool = False


class DiaryLine(Model, frozen=True, kw_only=True):
    """What a worker did: `seconds` are those of the clock of this machine, `ended` is 0 for a line at the beginning."""

    member: str
    stage: str
    key: str
    asked_s: float
    begun: float
    ended: float = 0.0


class Recorded:
    """Sleeps and writes its diary."""

    def __init__(self, place: Workplace) -> None:
        """Append to the diary in the cache."""
        self._member = place.member
        self._diary = os.open(place.cache / DIARY, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def perform(self, data: bytes) -> bytes:
        """Take the time of a piece; the answer is its key."""
        piece = msgspec.msgpack.decode(data, type=RecordedPiece)
        line = DiaryLine(
            member=self._member, stage=piece.stage, key=piece.key, asked_s=piece.seconds, begun=time.monotonic()
        )
        self._write(line)
        time.sleep(piece.seconds)
        if piece.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        self._write(msgspec.structs.replace(line, ended=time.monotonic()))
        return piece.key.encode()

    def close(self) -> None:
        """Nothing to release that the end of the process does not."""

    def _write(self, line: DiaryLine) -> None:
        os.write(self._diary, msgspec.json.encode(line) + b"\n")


def open_work(place: Workplace) -> Recorded:
    """The work of a worker."""
    return Recorded(place)


def read_diary(cache: Path) -> list[DiaryLine]:
    """All that was begun and ended, in the order it was written."""
    path = cache / DIARY
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=DiaryLine) for line in lines]
