"""One file of a cache: a header and a core, which are read whole, and pieces, which are read once somebody asks for one.

Header and core have one sum, each piece its own: what is damaged is seen when it is read, what is cut short before.
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from spak.kg.files import atomic
from spak.kg.model.base import Model

_MAGIC = b"spakkg04"
"""Changes when the layout of an entry changes."""

_HEAD = struct.Struct("<8sI")
"""Magic, CRC-32 of all that follows up to the pieces."""

_LENGTHS = struct.Struct("<IQQ")
"""Lengths of header, core and pieces."""


class EntryHeader(Model, frozen=True, kw_only=True):
    """What an entry was made from.

    Attributes:
        code: Digest of this package's own files, so that another version of the model never reads the entry.
        young: Whether a file was young when the stat data were taken.
    """

    code: bytes
    stat: bytes
    content: bytes
    young: bool


class EntryPiece(Model, frozen=True, kw_only=True):
    """Where a piece lies among the pieces of its entry, in bytes, and its CRC-32."""

    at: int
    size: int
    crc: int


class Cuttings:
    """Values on their way into an entry, each a piece of it."""

    def __init__(self) -> None:
        """None yet."""
        self.parts: list[bytes] = []
        self._size = 0

    def add(self, value: object) -> EntryPiece:
        """Take `value`; says where it will lie."""
        data = msgspec.msgpack.encode(value)
        self.parts.append(data)
        self._size += len(data)
        return EntryPiece(at=self._size - len(data), size=len(data), crc=zlib.crc32(data))


class _OpenFile:
    """A file that is open for reading until nobody has it any more."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._handle)

    def read(self, at: int, size: int) -> bytes:
        """Some bytes.

        Raises:
            ValueError: If there are fewer.
            OSError: If they cannot be read.
        """
        found = os.pread(self._handle, size, at)
        if len(found) != size:
            raise ValueError("not an entry of this layout, or cut short")
        return found

    @property
    def size(self) -> int:
        """In bytes, now."""
        return os.fstat(self._handle).st_size


@dataclass(frozen=True)
class Pieces:
    """The pieces of an entry, of this one also when another has taken its place: its file stays open.

    Attributes:
        start: Where they begin, in bytes.
        size: Of all of them.
    """

    file: _OpenFile
    start: int
    size: int

    def read(self, piece: EntryPiece) -> bytes:
        """The bytes of `piece`.

        Raises:
            ValueError: If they are not what was written.
            OSError: If they cannot be read.
        """
        return _sound(self.file.read(self.start + piece.at, piece.size), piece.crc)

    def whole(self) -> bytes:
        """All of them as they lie in the file, damaged or not.

        Raises:
            ValueError: If some are missing.
            OSError: If they cannot be read.
        """
        return self.file.read(self.start, self.size)


@dataclass(frozen=True)
class CacheEntry:
    """An entry as it was opened."""

    header: EntryHeader
    core: memoryview
    pieces: Pieces


def open_entry(path: Path) -> CacheEntry:
    """The entry in a file.

    Raises:
        ValueError: If it is not an entry of this layout, is cut short, or its core is damaged.
        OSError: If it cannot be read.
    """
    file = _OpenFile(path)
    head = file.read(0, _HEAD.size + _LENGTHS.size)
    magic, crc = _HEAD.unpack_from(head)
    length, core, rest = _LENGTHS.unpack_from(head, _HEAD.size)
    start = len(head) + length + core
    if magic != _MAGIC or file.size != start + rest:
        raise ValueError("not an entry of this layout, or cut short")
    _sound(whole := file.read(_HEAD.size, start - _HEAD.size), crc)
    body = memoryview(whole)[_LENGTHS.size :]
    header = msgspec.msgpack.decode(body[:length], type=EntryHeader)
    return CacheEntry(header, body[length:], Pieces(file, start, rest))


def _sound(data: bytes, crc: int) -> bytes:
    if zlib.crc32(data) != crc:
        raise ValueError("a cache's entry is damaged")
    return data


def store_entry(path: Path, header: EntryHeader, core: bytes | memoryview, pieces: Sequence[bytes]) -> None:
    """Replace an entry whole: a reader sees the old one or the new one. Not synced: a lost cache is no loss.

    Raises:
        OSError: If it cannot be written.
    """
    head = msgspec.msgpack.encode(header)
    lengths = _LENGTHS.pack(len(head), len(core), sum(map(len, pieces)))
    crc = zlib.crc32(core, zlib.crc32(head, zlib.crc32(lengths)))
    atomic.write(path, b"".join((_HEAD.pack(_MAGIC, crc), lengths, head, core, *pieces)), durable=False)
