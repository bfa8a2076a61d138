"""One writer of a law root at a time, among processes that ask; people's editors do not, and are noticed otherwise."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spak.kg.errors import KgError

PATIENCE_S = 300.0
"""Who holds the lock longer than this hangs: an import of a large file into a large root takes a tenth of it."""

_LOOK_AGAIN_S = 0.01


@contextmanager
def locked(root: Path, *, create: bool = False, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold the lock of the law root `root`; waits for whoever has it.

    The lock is on the folder itself: it leaves no file, and the system lets go of it when its process dies.

    Args:
        root: The folder.
        create: Whether to make it if need be; what fails in it then leaves no empty one behind.
        patience_s: Longest wait.

    Raises:
        KgError: If another process holds it all the while.
        OSError: If the folder cannot be opened.
    """
    handle = _acquired(root, time.monotonic() + patience_s, create=create)
    try:
        yield
    except BaseException:
        if create:
            with contextlib.suppress(OSError):  # not empty
                root.rmdir()
        raise
    finally:
        os.close(handle)


def _acquired(root: Path, end: float, *, create: bool) -> int:
    """A handle of `root` with its lock; again if who made the folder took it back while we waited."""
    while True:
        if create:
            with contextlib.suppress(FileExistsError):  # exist_ok would fail where it goes again in that moment
                root.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            try:
                handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, handle)
                _wait(handle, root, end)
                if os.path.samestat(os.fstat(handle), root.stat()):
                    stack.pop_all()
                    return handle
            except FileNotFoundError:
                if not create:
                    raise


def _wait(handle: int, root: Path, end: float) -> None:
    import fcntl  # noqa: PLC0415 - POSIX only, and only writers need it

    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise KgError(f"{root}: another process holds its lock and does not end; end it and repeat") from None
            time.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(root)) from None
