"""A cache of parsed law roots: derived, safe to delete, never stale, ignored when anything about it is wrong.

An entry is trusted if the files' stat data are those it was made from and no file was young when it was made (a file
written twice within one tick of the file system's clock can keep its stat data). Otherwise it is trusted if the files'
content hashes to what it was made from, which also survives a `git checkout` or a copied tree. Otherwise it is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import sys
import time
import zlib
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import msgspec

from spak.kg.errors import InvalidFilesError
from spak.kg.files import atomic, listing, loader, reading
from spak.kg.files.contents import Contents
from spak.kg.files.loader import Laws
from spak.kg.files.processes import num_processes
from spak.kg.files.remembered import YOUNG_NS, ledger_of
from spak.kg.files.shelf import Packed, Shelf, no_collection, packed
from spak.kg.law.superseding import Superseded
from spak.kg.model.base import Model
from spak.kg.model.hardware import Hardware
from spak.kg.model.op import Op
from spak.kg.model.system import System

_MAGIC = b"spakkg03"
"""Changes when the layout of an entry changes."""

_HEAD = struct.Struct("<8sII")
"""Magic, CRC-32 of all that follows, length of the header."""

_READ = (".yaml", ".yml")
"""Ends the names of files that a load opens."""

_T = TypeVar("_T")


class _Header(Model, frozen=True, kw_only=True):
    """What an entry was made from.

    Attributes:
        code: Digest of this package's own files, so that another version of the model never reads the entry.
        young: Whether a file was young when the stat data were taken.
    """

    code: bytes
    stat: bytes
    content: bytes
    young: bool


@dataclass(frozen=True)
class Stamp:
    """The stat data of every file under a root at one moment.

    Attributes:
        digest: Of path, size, modification and change time and inode of each file.
        young: Whether one of them changed less than two seconds before.
    """

    digest: bytes
    young: bool
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Cache:
    """The entries of every law root, one file each."""

    directory: Path

    def read(self, root: Path, kind: type[_T]) -> _T | None:
        """What was stored for `root` if it is what a fresh load would give, else None. Never raises for a bad entry."""
        entry = self._path(root)
        try:
            header, payload = _open(entry.read_bytes())
            if header.code != code_digest():
                return None
            now = stamp(root)
            if now.digest != header.stat or header.young:
                if content_digest(root, now) != header.content:
                    return None
                fresh = _Header(code=header.code, stat=now.digest, content=header.content, young=now.young)
                with contextlib.suppress(OSError):  # a cache that cannot be refreshed still answers
                    self._write(entry, fresh, payload)
            with no_collection():
                return msgspec.msgpack.decode(payload, type=kind)
        except (OSError, ValueError, struct.error, msgspec.MsgspecError):
            return None

    def read_old(self, root: Path, kind: type[_T]) -> _T | None:
        """What was stored for `root` last by this code, whatever became of the files since; None if there is nothing."""
        try:
            header, payload = _open(self._path(root).read_bytes())
            with no_collection():
                return msgspec.msgpack.decode(payload, type=kind) if header.code == code_digest() else None
        except (OSError, ValueError, struct.error, msgspec.MsgspecError):
            return None

    def write(self, root: Path, before: Stamp, content: bytes, value: object) -> None:
        """Store what a load of `root` gave, unless the files changed since `before` and `content` were taken.

        A cache that cannot be written (a read-only home, a full disk) is no error: the next load is slower.
        """
        with contextlib.suppress(OSError):
            after = stamp(root)
            if after.digest != before.digest or (before.young and content_digest(root, after) != content):
                return
            header = _Header(code=code_digest(), stat=before.digest, content=content, young=before.young)
            self._write(self._path(root), header, msgspec.msgpack.encode(value))

    def _path(self, root: Path) -> Path:
        name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=12).hexdigest()
        return self.directory / f"laws-{name}.msgpack"

    def _write(self, entry: Path, header: _Header, payload: bytes | memoryview) -> None:
        """Replace the entry whole: a reader sees the old one or the new one. Not synced: a lost cache is no loss."""
        head = msgspec.msgpack.encode(header)
        crc = zlib.crc32(payload, zlib.crc32(head))
        atomic.write(entry, b"".join((_HEAD.pack(_MAGIC, crc, len(head)), head, payload)), durable=False)


class Stored(Model, frozen=True, kw_only=True):
    """`Contents` as an entry keeps them: the laws by op, so that a question decodes those it may be about."""

    laws: dict[str, Packed]
    hardware: dict[str, Hardware]
    ops: dict[str, Op]
    systems: dict[str, System]
    files: dict[str, dict[str, str]]
    misplaced: dict[str, dict[str, str]]
    layers: dict[str, str]
    superseded: tuple[Superseded, ...]
    digests: bytes

    @staticmethod
    def of(contents: Contents) -> Stored:
        """`contents`, to be encoded."""
        return Stored(**{**msgspec.structs.asdict(contents), "laws": packed(contents.laws)})

    def contents(self) -> Contents:
        """What was stored."""
        shelf = Shelf(self.laws, self.files["law"])
        return Contents(**{**msgspec.structs.asdict(self), "laws": shelf})


def load_cached(root: Path, cache: Cache) -> Laws:
    """The laws under `root`, from `cache` if nothing changed since they were stored; stored there if not.

    Raises:
        InvalidFilesError: With every problem of every file.
        OSError: If a file cannot be opened.
    """
    ledger = ledger_of(root, cache.directory)
    stored = cache.read(root, Stored)
    contents = stored.contents() if stored is not None else None
    if contents is None:
        before = stamp(root)
        content = content_digest(root, before)
        old = cache.read_old(root, Stored)
        known = old.contents().read_laws() if old is not None else {}
        del old
        contents = loader.load(root, known=known, processes=num_processes()).contents
        cache.write(root, before, content, Stored.of(contents))
    return Laws(root, contents, ledger)


def _open(raw: bytes) -> tuple[_Header, memoryview]:
    """The header and payload of an entry.

    Raises:
        ValueError: If it is not an entry of this layout, or is damaged.
    """
    magic, crc, length = _HEAD.unpack_from(raw)
    body = memoryview(raw)[_HEAD.size :]
    if magic != _MAGIC or zlib.crc32(body) != crc:
        raise ValueError("not an entry of this layout, or damaged")
    return msgspec.msgpack.decode(body[:length], type=_Header), body[length:]


def stamp(root: Path) -> Stamp:
    """The stat data of every file under `root`, and beneath it, that a load looks at: hidden files and links to folders are none."""
    started = time.time_ns()
    newest = 0
    found: list[str] = []
    for path, entry in listing.all_files(root):
        if not path.endswith(_READ):  # of a file that a load only lists (a run file) it matters that it is there
            found.append(f"{path}\0")
            continue
        stat = entry.stat()
        mtime, ctime = stat.st_mtime_ns, stat.st_ctime_ns
        found.append(f"{path}\0{stat.st_size} {mtime} {ctime} {stat.st_ino}")
        newest = max(newest, mtime, ctime)
    found.sort()  # no path comes twice, and none has a NUL in it
    digest = _digest("\0".join(found).encode(errors="surrogateescape"))
    return Stamp(digest, newest > started - YOUNG_NS, tuple(one.partition("\0")[0] for one in found))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def content_digest(root: Path, files: Stamp) -> bytes:
    """Digest of the paths of `files` under `root` and of the bytes of those that a load reads.

    Raises:
        OSError: If a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in files.paths:
        content = _content(root / path) if path.endswith(_READ) else b""
        digest.update(f"{path}\0{len(content)}\n".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.digest()


def _content(path: Path) -> bytes:
    """What a load would read of the file; nothing of one that it refuses unread, since no such root is ever stored."""
    try:
        return reading.content(path, reading.MAX_YAML_BYTES)
    except InvalidFilesError:
        return b""


def code_digest() -> bytes:
    """Digest of the stat data of the files of `kg` and of the interpreter's version."""
    lines = [f"{sys.version_info} {msgspec.__version__}"]
    for path, entry in sorted(listing.files(os.fspath(Path(__file__).parents[1])), key=itemgetter(0)):
        if path.endswith(".py"):
            stat = entry.stat()
            lines.append(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}")
    return _digest("\0\n".join(lines).encode(errors="surrogateescape"))
