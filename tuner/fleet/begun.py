"""What the members of a host have in hand, on its disk: who takes the place of one that ended can say with what it ended.

Each member holds a lock on a file of its own, which its end releases, and writes there what it begins. A search that was
killed while a piece was under way asks, once it is resumed, which pieces their members did not survive.
A member that is told to leave takes its file along, and what an earlier boot of the machine left says nothing: neither is
the fault of a piece.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from spak.kg.model.base import Model
from spak.tuner.fleet.executor import Piece

FOLDER = "begun"
"""In the cache that the members of a host share."""

KEPT_S = 30 * 24 * 3600.0
"""How long a file stays that nobody holds: longer than anybody waits before a search is resumed."""

_NEW_S = 60.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class _Line(Model, frozen=True, kw_only=True):
    """What one member has in hand: `at` in seconds of the time of day."""

    member: str
    boot: str
    piece: str
    at: float


class InHand:
    """What one member has in hand."""

    def __init__(self, cache: Path, member: str) -> None:
        """Nothing yet."""
        folder = cache / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._path = tempfile.mkstemp(dir=folder)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._member, self._boot = member, _boot()

    def begin(self, piece: Piece) -> None:
        """It has this piece from now on."""
        line = _Line(member=self._member, boot=self._boot, piece=piece_name(piece), at=time.time())
        with contextlib.suppress(OSError):  # a full disk costs what a later search would know, and no piece
            os.pwrite(self._file, msgspec.json.encode(line), 0)

    def end(self) -> None:
        """It has survived it."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)

    def leave(self) -> None:
        """It ends, whatever it has in hand, and nothing of that is the fault of a piece; safe to call twice."""
        Path(self._path).unlink(missing_ok=True)


def not_survived(cache: Path, since: float) -> dict[str, str]:
    """Name of each piece that a member on this cache ended with after that time of day -> that member."""
    lines = (line for path, line in _left_behind(cache) if line.boot == _boot() and line.at >= since)
    return {line.piece: line.member for line in lines}


def forget(cache: Path, members: Collection[str]) -> None:
    """Have it that these members, which have ended, were told to."""
    for path, line in _left_behind(cache):
        if line.member in members:
            path.unlink(missing_ok=True)


def piece_name(piece: Piece) -> str:
    """What a piece is called, whoever is to do it: a hash of what is to be done."""
    return hashlib.sha256(piece.work.encode() + b"\0" + piece.data).hexdigest()


def _left_behind(cache: Path) -> Iterator[tuple[Path, _Line]]:
    """What nobody holds any more; files of members that had nothing in hand, and old ones, are removed."""
    for path in sorted((cache / FOLDER).glob("*")):
        try:
            with path.open("rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                content, age_s = file.read(), time.time() - os.fstat(file.fileno()).st_mtime
            line = msgspec.json.decode(content, type=_Line)
        except OSError:  # somebody holds it, or removed it meanwhile
            continue
        except msgspec.DecodeError:  # nothing in hand; or about to be locked by who made it
            if age_s > _NEW_S:
                path.unlink(missing_ok=True)
            continue
        if age_s > KEPT_S:
            path.unlink(missing_ok=True)
        else:
            yield path, line


def _boot() -> str:
    """Which boot of the machine this is; empty where the system does not say."""
    return _BOOT.read_text().strip() if _BOOT.exists() else ""
