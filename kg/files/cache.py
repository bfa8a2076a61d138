"""A cache of parsed law roots: derived, safe to delete, never stale, ignored when anything about it is wrong.

An entry is trusted if the files' stat data are those it was made from and no file was young when it was made (a file
written twice within one tick of the file system's clock can keep its stat data). Otherwise it is trusted if the files'
content hashes to what it was made from, which also survives a `git checkout` or a copied tree. Otherwise it is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

import msgspec

from spak.kg.errors import InvalidFilesError
from spak.kg.files import listing, loader, reading
from spak.kg.files.contents import Contents, ReadLaw
from spak.kg.files.entry import CacheEntry, Cuttings, EntryHeader, EntryPiece, Pieces, open_entry, store_entry
from spak.kg.files.loader import Laws
from spak.kg.files.processes import num_processes
from spak.kg.files.remembered import YOUNG_NS, ledger_of
from spak.kg.files.shelf import Packed, Paths, Shelf, Vault, no_collection, packed
from spak.kg.law.superseding import Superseded
from spak.kg.model.base import Model
from spak.kg.model.hardware import Hardware
from spak.kg.model.law import Related
from spak.kg.model.op import Op
from spak.kg.model.system import System

_READ = (".yaml", ".yml")
"""Ends the names of files that a load opens."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Kept(Generic[_T]):
    """What an entry held: its core, decoded, and its pieces."""

    value: _T
    pieces: Pieces


@dataclass(frozen=True)
class Stamp:
    """The stat data of every file under a root at one moment.

    Attributes:
        digest: Of path, size, modification and change time and inode of each file.
        young: Whether one of them changed less than two seconds before.
    """

    digest: bytes
    young: bool


@dataclass(frozen=True)
class Cache:
    """The entries of every law root, one file each."""

    directory: Path

    def read(self, root: Path, kind: type[_T]) -> Kept[_T] | None:
        """What was stored for `root` if it is what a fresh load would give, else None. Never raises for a bad entry."""
        path = self.path(root)
        try:
            found = open_entry(path)
            if found.header.code != code_digest():
                return None
            now = stamp(root)
            if now.digest != found.header.stat or found.header.young:
                if content_digest(root) != found.header.content:
                    return None
                fresh = msgspec.structs.replace(found.header, stat=now.digest, young=now.young)
                with contextlib.suppress(OSError):  # a cache that cannot be refreshed still answers
                    store_entry(path, fresh, found.core, [found.pieces.whole()])
            return _decoded(found, kind)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def read_old(self, root: Path, kind: type[_T]) -> Kept[_T] | None:
        """What was stored for `root` last by this code, whatever became of the files since; None if there is nothing."""
        try:
            found = open_entry(self.path(root))
            return _decoded(found, kind) if found.header.code == code_digest() else None
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def write(self, root: Path, before: Stamp, content: bytes, value: object, pieces: Sequence[bytes] = ()) -> None:
        """Store what a load of `root` gave, unless the files changed since `before` and `content` were taken.

        A cache that cannot be written (a read-only home, a full disk) is no error: the next load is slower.
        """
        with contextlib.suppress(OSError):
            after = stamp(root)
            if after.digest != before.digest or (before.young and content_digest(root) != content):
                return
            header = EntryHeader(code=code_digest(), stat=before.digest, content=content, young=before.young)
            store_entry(self.path(root), header, msgspec.msgpack.encode(value), pieces)

    def path(self, root: Path) -> Path:
        """The file of its entry."""
        name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=12).hexdigest()
        return self.directory / f"laws-{name}.msgpack"


def _decoded(found: CacheEntry, kind: type[_T]) -> Kept[_T]:
    with no_collection():
        return Kept(msgspec.msgpack.decode(found.core, type=kind), found.pieces)


class Stored(Model, frozen=True, kw_only=True):
    """`Contents` as an entry keeps them: laws in cohorts and paths by kind are pieces, since a question needs few of them."""

    laws: dict[str, Packed]
    links: dict[str, tuple[Related, ...]]
    hardware: dict[str, Hardware]
    ops: dict[str, Op]
    systems: dict[str, System]
    files: dict[str, EntryPiece]
    misplaced: dict[str, dict[str, str]]
    layers: dict[str, str]
    superseded: tuple[Superseded, ...]
    digests: bytes

    @staticmethod
    def of(contents: Contents) -> tuple[Stored, list[bytes]]:
        """`contents`, to be encoded, and its pieces."""
        cuttings = Cuttings()
        laws = packed(contents.laws, cuttings)
        files = {kind: cuttings.add(dict(paths)) for kind, paths in contents.files.items()}
        own = {"laws": laws, "links": contents.links, "files": files}
        return Stored(**{**msgspec.structs.asdict(contents), **own}), cuttings.parts

    def contents(self, pieces: Pieces, again: Callable[[], Contents]) -> Contents:
        """What was stored; `again` loads it from the files, should a piece be damaged."""
        vault = Vault(pieces, again)
        paths = Paths(self.files, vault)
        held = {name: value for name, value in msgspec.structs.asdict(self).items() if name != "links"}
        return Contents(**{**held, "laws": Shelf(self.laws, self.links, paths, vault), "files": paths})


def load_cached(root: Path, cache: Cache) -> Laws:
    """The laws under `root`, from `cache` if nothing changed since they were stored; stored there if not.

    Raises:
        InvalidFilesError: With every problem of every file.
        OSError: If a file cannot be opened.
    """
    ledger = ledger_of(root, cache.directory)
    kept = cache.read(root, Stored)
    if kept is not None:
        return Laws(root, kept.value.contents(kept.pieces, partial(_without, root, cache)), ledger)
    before = stamp(root)
    content = content_digest(root)
    contents = loader.load(root, known=_known(root, cache), processes=num_processes()).contents
    stored, pieces = Stored.of(contents)
    cache.write(root, before, content, stored, pieces)
    return Laws(root, contents, ledger)


def _without(root: Path, cache: Cache) -> Contents:
    """What the files hold; the entry, which is damaged, is taken away, so that the next load stores another."""
    with contextlib.suppress(OSError):
        cache.path(root).unlink()
    return loader.load(root, processes=num_processes()).contents


def _known(root: Path, cache: Cache) -> dict[str, ReadLaw]:
    """What files of laws came to when they were read last; nothing if a piece of that is damaged."""
    kept = cache.read_old(root, Stored)
    if kept is None:
        return {}
    try:
        return kept.value.contents(kept.pieces, _nothing).read_laws()
    except InvalidFilesError:
        return {}


def _nothing() -> NoReturn:
    raise InvalidFilesError([])


def stamp(root: Path) -> Stamp:
    """The stat data of every file under `root`, and beneath it, that a load looks at: hidden files and links to folders are none."""
    started = time.time_ns()
    newest = 0
    found: list[tuple[str, list[str]]] = []
    for folder, entries in listing.all_folders(root):
        own = []
        for entry in entries:
            name = entry.name
            if not name.endswith(_READ):  # of a file that a load only lists (a run file) it matters that it is there
                own.append(f"{name}\0")
                continue
            stat = entry.stat()
            mtime, ctime = stat.st_mtime_ns, stat.st_ctime_ns
            own.append(f"{name}\0{stat.st_size} {mtime} {ctime} {stat.st_ino}")
            if ctime > newest or mtime > newest:
                newest = max(ctime, mtime)
        own.sort()  # no name comes twice, and none has a NUL in it
        found.append((folder, own))
    found.sort()
    digest = _digest("\0".join(text for folder, own in found for text in (folder, str(len(own)), *own)))
    return Stamp(digest, newest > started - YOUNG_NS)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).digest()


def content_digest(root: Path) -> bytes:
    """Digest of the paths of all files under `root`, and beneath it, and of the bytes of those that a load reads.

    Raises:
        OSError: If a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(path for path, _ in listing.all_files(root)):
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
    return _digest("\0\n".join(lines))
