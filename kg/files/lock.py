"""One writer of a law root at a time, among processes that ask; people's editors do not, and are noticed otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of the law root `root`; waits for whoever has it.

    The lock is on the folder itself: it leaves no file, and the system lets go of it when its process dies.

    Raises:
        OSError: If the folder cannot be opened.
    """
    import fcntl  # noqa: PLC0415 - POSIX only, and only writers need it

    handle = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
