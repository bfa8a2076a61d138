"""What was worked out before, by a digest of everything it was worked out from: derived, safe to delete, never stale.

A ledger is asked with all inputs, and answers only if it has seen exactly these: there is nothing to invalidate. The
code that computes is an input too. One file for each law root; one that is damaged, cut short or of another layout is
an empty one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from spak.kg.files import atomic

MAX_LEDGER_BYTES = 64 * 1024 * 1024
"""Largest ledger; what was not asked for the longest goes first. 10,000 laws with their evidence take 2 MB."""

_MAGIC = b"spakld01"
"""Changes when the layout of a ledger changes."""

YOUNG_NS = 2_000_000_000
"""A file younger than this when read may be rewritten without its stat data changing (FAT keeps two-second times)."""

_DIGEST_BYTES = 20
_COMPUTING = ("msgspec", "numpy")
"""Distributions whose version may change a number."""

_T = TypeVar("_T")


class Ledger:
    """Results by digest of their inputs, kept in a file; without one, for as long as the object lives."""

    def __init__(self, path: Path | None = None) -> None:
        """Take what is in the file at `path`, once the first question is asked."""
        self._path = path
        self._noted: dict[bytes, bytes] | None = None
        self._asked: dict[bytes, bytes] = {}
        self._new: dict[bytes, bytes] = {}

    def remembered(self, parts: Iterable[bytes], compute: Callable[[], _T], kind: type[_T]) -> _T:
        """What `compute` gives: from the ledger if it was computed from exactly `parts` before, else now.

        Args:
            parts: Everything that the result depends on besides the code of this package; the first says of what
                computation, so that two do not answer for each other.
            compute: A function of `parts` alone. What it raises is not noted.
            kind: Type of the result, one that msgspec can encode; an entry that is none of it is none.
        """
        key = _key(parts)
        noted = self._asked.get(key) or self._entries().get(key)
        if noted is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                result = msgspec.msgpack.decode(noted, type=kind)
                self._asked[key] = noted
                return result
        computed = compute()
        self._asked[key] = self._new[key] = msgspec.msgpack.encode(computed)
        return computed

    def knows(self, parts: Iterable[bytes]) -> bool:
        """Whether there is a result of exactly `parts`."""
        key = _key(parts)
        return key in self._asked or key in self._entries()

    def news(self) -> dict[bytes, bytes]:
        """What was computed since this was asked last, to be passed on to `learn` of another process."""
        new, self._new = self._new, {}
        return new

    def learn(self, news: Mapping[bytes, bytes]) -> None:
        """Take what a process of this program computed, by `news`."""
        self._asked.update(news)
        self._new.update(news)

    def save(self) -> None:
        """Write the file, if there is anything new: what was asked for first, then the rest while there is room.

        It is replaced whole: of two processes the last wins, and what the other noted is computed again. A file that
        cannot be written (a read-only home, a full disk) is no error.
        """
        if self._path is None or not self._new:
            return
        body = msgspec.msgpack.encode(_first({**self._asked, **self._entries(), **self._asked}))
        with contextlib.suppress(OSError):
            atomic.write(self._path, _MAGIC + _digest(body) + body, durable=False)
            self._new = {}

    def _entries(self) -> dict[bytes, bytes]:
        if self._noted is None:
            self._noted = {} if self._path is None else _read(self._path)
        return self._noted


def ledger_of(root: Path, directory: Path) -> Ledger:
    """The ledger of the law root `root` among those in a cache directory."""
    return Ledger(directory / f"results-{_digest(os.fsencode(root.resolve())).hex()[:24]}.msgpack")


def _read(path: Path) -> dict[bytes, bytes]:
    """What a ledger holds; nothing if anything about it is wrong."""
    with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
        with path.open("rb") as file:
            raw = file.read(2 * MAX_LEDGER_BYTES)
        start = len(_MAGIC) + _DIGEST_BYTES
        body = memoryview(raw)[start:]
        if raw.startswith(_MAGIC) and raw[len(_MAGIC) : start] == _digest(body):
            return msgspec.msgpack.decode(body, type=dict[bytes, bytes])
    return {}


def _first(entries: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The first of `entries`, as many as a ledger holds."""
    room, kept = MAX_LEDGER_BYTES, {}
    for key, result in entries.items():
        room -= len(key) + len(result)
        if room < 0:
            break
        kept[key] = result
    return kept


def _key(parts: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b(_code(), digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(b"%d\0" % len(part))
        digest.update(part)
    return digest.digest()


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


@cache
def _code() -> bytes:
    """Digest of the source of this package, of the interpreter's version and of what else computes."""
    from importlib.metadata import version  # noqa: PLC0415 - slow to import, and only who computes needs it

    digest = hashlib.blake2b(repr(sys.version_info).encode(), digest_size=_DIGEST_BYTES)
    for name in _COMPUTING:
        digest.update(f"{name} {version(name)}\n".encode())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        digest.update(f"{path.relative_to(package)}\0{len(source)}\n".encode())
        digest.update(source)
    return digest.digest()
