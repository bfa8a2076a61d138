"""A law root for programs that run for long: what changed on disk is seen at the next question."""

from __future__ import annotations

import os
import time
from pathlib import Path

from spak.kg.files.root import find_root
from spak.library import Library, load

_YOUNG_NS = 2_000_000_000
"""A file that changed less than this before it was looked at may change again without its stat data telling (see `kg.files.cache`)."""


class LiveLibrary:
    """The laws at a path, as they are whenever they are asked for. Nothing is read before that, and nothing is written."""

    def __init__(self, path: str | Path | None = None, *, toolchain: str | None = None) -> None:
        """Begin; arguments as for `load`, of which the folder is found anew each time."""
        self._path, self._toolchain = path, toolchain
        self._seen: tuple[Path, frozenset[tuple[object, ...]]] | None = None
        self._library: Library | None = None

    def now(self) -> Library:
        """The library; the one given before if no file of it changed since, run files included.

        Raises:
            InvalidFilesError: With every problem of every file; the next call looks again.
            KgError: If there is no law root, or the toolchain cannot be read.
        """
        root = find_root(self._path, Path.cwd()).path
        seen = _look(root)
        if self._library is None or seen is None or (root, seen) != self._seen:
            self._library, self._seen = None, None
            self._library = load(self._path, toolchain=self._toolchain)
            self._seen = None if seen is None else (root, seen)
        return self._library


def _look(root: Path) -> frozenset[tuple[object, ...]] | None:
    """Name, size, times and inode of every file below `root`; None if one is too young to go by that."""
    newest, started, found = 0, time.time_ns(), set()
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - a root may hold 10,000 files, and this runs at each question
            try:
                stat = os.stat(path)  # noqa: PTH116 - as above
            except OSError:
                return None  # gone since it was listed, or a link to nothing: whoever loads says what is wrong
            newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
            found.add((path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))
    return None if newest > started - _YOUNG_NS else frozenset(found)
