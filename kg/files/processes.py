"""Work shared out to processes of this machine: each is a copy of this one as it stands, and sends back bytes."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import selectors
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

MAX_PROCESSES = 4
"""Copies at a time: each comes to hold what it reads, and writes to pages that it shared before."""

MAX_NUMBERS = 1024
"""Numbers that are laid out: they fit into one page, which any pipe has."""

_LENGTH, _NUMBER = struct.Struct("<Q"), struct.Struct("<I")
_PIECE = 1 << 20

_PR_SET_PDEATHSIG = 1
"""The operation of prctl(2), which Python does not name, that has a process sent a signal when its parent has ended."""


def num_processes() -> int:
    """How many processes may share work: one where this one has threads, whose locks a copy would wait for for ever."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return min(len(os.sched_getaffinity(0)), MAX_PROCESSES)


def from_processes(shares: Sequence[Callable[[], Iterable[bytes]]]) -> Iterator[bytes]:
    """What `shares` give, each called in a process of its own, as it comes; all of them end with the iterator.

    One that fails has given what came until then: who asks does the rest, and so finds the fault where it can be told.
    """
    children = [_begun(share) for share in shares]
    buffers = {pipe: bytearray() for _, pipe in children}
    try:
        with selectors.DefaultSelector() as waiting:
            for pipe in buffers:
                waiting.register(pipe, selectors.EVENT_READ)
            while waiting.get_map():
                for key, _ in waiting.select():
                    piece = os.read(key.fd, _PIECE)
                    buffers[key.fd] += piece
                    yield from _whole(buffers[key.fd])
                    if not piece:
                        waiting.unregister(key.fd)
    finally:
        for child, pipe in children:
            os.close(pipe)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class Numbers:
    """The numbers below a count, from the least: each is given to one alone of the processes that ask for the next."""

    def __init__(self, count: int) -> None:
        """Lay out the numbers, at most `MAX_NUMBERS`, before there are processes."""
        assert count <= MAX_NUMBERS, count  # noqa: S101 - more would fill the pipe, and nobody reads yet
        self._reading, writing = os.pipe()
        os.write(writing, b"".join(map(_NUMBER.pack, range(count))))
        os.close(writing)

    def __iter__(self) -> Iterator[int]:
        while piece := os.read(self._reading, _NUMBER.size):
            yield _NUMBER.unpack(piece)[0]

    def close(self) -> None:
        """Lay out nothing any more."""
        os.close(self._reading)


def _begun(share: Callable[[], Iterable[bytes]]) -> tuple[int, int]:
    """A process that does `share`, and where to read what it gives."""
    reading, writing = os.pipe()
    was_frozen = gc.get_freeze_count() > 0
    gc.freeze()  # else a collection in the copy writes to every page
    parent, child = os.getpid(), os.fork()
    if child == 0:
        try:
            os.close(reading)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is interrupted ends this one
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # and so does who is killed
            if os.getppid() != parent:
                os._exit(0)
            with os.fdopen(writing, "wb") as pipe:
                for piece in share():
                    pipe.write(_LENGTH.pack(len(piece)) + piece)
                    pipe.flush()
        finally:
            os._exit(0)
    if not was_frozen:
        gc.unfreeze()
    os.close(writing)
    return child, reading


def _whole(buffer: bytearray) -> Iterator[bytes]:
    """The whole pieces at the head of `buffer`, which are taken out."""
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            return
        yield bytes(buffer[_LENGTH.size : end])
        del buffer[:end]
