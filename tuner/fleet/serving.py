"""The process behind a member of a local fleet: takes pieces from stdin, answers on stdout, dies with who started it."""

from __future__ import annotations

import os
import queue
import signal
import struct
import sys
import threading
from pathlib import Path
from typing import IO

import msgspec

from spak.kg.model.base import Model
from spak.tuner.fleet.devices import see_only
from spak.tuner.fleet.executor import Piece
from spak.tuner.fleet.workbench import Workbench, Workplace

_LENGTH = struct.Struct(">Q")


class ServingSetup(Model, frozen=True, kw_only=True):
    """First frame to a process: see `Workplace`, and `works` of `Workbench`."""

    member: str
    cache: str
    device: str
    compiles: bool
    works: dict[str, str]


def write_frame(stream: IO[bytes], data: bytes) -> None:
    """Send `data` behind its length.

    Raises:
        OSError: If nobody reads any more.
    """
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """What was sent; None if the other side ended, also in the middle of it."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def main() -> None:
    """Do pieces until stdin ends; then at once, with everything that was started."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not look like an answer
    setup = msgspec.msgpack.decode(read_frame(sys.stdin.buffer) or b"", type=ServingSetup)
    pieces: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(pieces,), daemon=True).start()
    if setup.device:
        see_only(setup.device)
    bench = Workbench(Workplace(setup.member, Path(setup.cache), setup.device, setup.compiles), setup.works)
    threading.Thread(target=bench.prepare, daemon=True).start()
    while True:
        outcome = bench.perform(msgspec.msgpack.decode(pieces.get(), type=Piece))
        write_frame(answers, msgspec.msgpack.encode(outcome))


def _listen(pieces: queue.SimpleQueue[bytes]) -> None:
    """Take pieces while others are done, so that the end of who started this is noticed whatever goes on."""
    while (data := read_frame(sys.stdin.buffer)) is not None:
        pieces.put(data)
    os.killpg(0, signal.SIGKILL)  # this process leads a group of its own: compilers and the measuring process end too
