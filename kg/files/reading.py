"""Reading a file that may be anything: one that is no plain file, or is too large, is refused before it is read."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NoReturn

from spak.kg.errors import InvalidFilesError, Problem

MAX_YAML_BYTES = 256 * 1024
"""Largest YAML file; a law has about 2 KB, and the largest op file a tenth of this."""

_PIECE = 1 << 16
"""Bytes that are asked for at a time of a file that has more than it says."""

_GZIP = 16 + zlib.MAX_WBITS
"""Has zlib expect a header of gzip, and check the sum behind it."""


@contextmanager
def opened(path: Path, most: int) -> Iterator[BinaryIO]:
    """The plain file `path`, open for reading; what it is is asked of the open file, so that it cannot change meanwhile.

    Raises:
        InvalidFilesError: If it is a folder, a device, a pipe or a socket, or has more than `most` bytes.
        OSError: If it cannot be opened.
    """
    handle, _ = _open(path, most)
    try:
        with open(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def _open(path: Path, most: int) -> tuple[int, int]:
    """The descriptor of a plain file and how many bytes it says it has, at most `most`; asked of the open file."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)  # a pipe nobody writes to would be waited for
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            _refuse(path, "a folder; name one file")
        if not stat.S_ISREG(found.st_mode):
            _refuse(path, "not a plain file but a device, pipe or socket; put what it gives into a file")
        if found.st_size > most:
            _refuse(path, f"the file has {found.st_size} bytes; at most {most} are read, split it")
    except BaseException:
        os.close(handle)
        raise
    return handle, found.st_size


def content(path: Path, most: int) -> bytes:
    """All of the plain file `path`, which has at most `most` bytes.

    Raises:
        InvalidFilesError: If it is a folder, a device, a pipe or a socket, or is too large.
        OSError: If it cannot be opened or read.
    """
    handle, size = _open(path, most)
    try:
        data = piece = os.read(handle, size + 1)
        while piece and len(data) <= most:
            piece = os.read(handle, _PIECE)
            data += piece
    finally:
        os.close(handle)
    if len(data) > most:  # it grew, or says it has no size, as those of /proc do
        _refuse(path, f"more than {most} bytes; split it")
    return data


def unpacked(path: Path, packed: bytes, most: int) -> bytes:
    """What the gzip file `path`, whose bytes are `packed`, holds: at most `most` bytes, and no more is unpacked.

    Raises:
        InvalidFilesError: If it is truncated or corrupt, or holds more.
    """
    try:
        inflating = zlib.decompressobj(_GZIP)
        data = inflating.decompress(packed, most + 1)
        if not inflating.eof or inflating.unused_data:  # cut short, too large, or of several pieces
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
                data = file.read(most + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(path, f"truncated or corrupt gzip ({error}); fetch the file again")
    if len(data) > most:
        _refuse(path, f"more than {most} bytes once unpacked; split it")
    return data


@contextmanager
def unquoted(path: Path, root: Path) -> Iterator[None]:
    """What is wrong in a file that a link out of `root` leads to is not said: that would quote it, whatever it is.

    Raises:
        InvalidFilesError: As raised inside; of such a file in one line.
    """
    try:
        yield
    except InvalidFilesError:
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            _refuse(path, "a link out of the law root, to what cannot be used; put the file itself there")
        raise


def _refuse(path: Path, message: str) -> NoReturn:
    raise InvalidFilesError([Problem(str(path), 0, 0, "", message)])
