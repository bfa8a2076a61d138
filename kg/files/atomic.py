"""Writing files so that a reader, or a crash, sees the old content or the new one and nothing between."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_DEFAULT_MODE = 0o644

_PREFIX, _SUFFIX = ".spak-", ".part"
"""Ends of a temporary file's name: hidden, so that no load reads it, and ours, so that no other file is swept away."""


def write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `data`: a temporary file in the same folder, renamed over it.

    A link is followed, so the file it names is replaced and the link stays; the mode of an existing file is kept.
    Folders in between are made. What can be made again need not be durable: outlive a crash of the machine.

    Raises:
        OSError: If the folder cannot be written or the disk is full; the old file is then untouched.
    """
    with _about(path), _staged(path, data, durable=durable) as (target, staged):
        staged.replace(target)
        if durable:
            _sync_folder(target.parent)


def write_text(path: Path, text: str) -> None:
    """`write` of `text` as UTF-8, line ends as they are."""
    write(path, text.encode())


def write_all(files: Mapping[Path, bytes], check: Callable[[], object]) -> None:
    """Replace all `files`, in their order, or none: none if the disk cannot hold them all or `check` then raises.

    What taking them back needs is on disk before the first is replaced, so that a full disk cannot prevent it.

    Raises:
        OSError: If one cannot be written.
    """
    made = [folder for folder in dict.fromkeys(path.parent for path in files) if not folder.exists()]
    done: list[tuple[Path, Path | None]] = []
    with contextlib.ExitStack() as stack:

        def stage(path: Path, data: bytes) -> tuple[Path, Path]:
            with _about(path):
                return stack.enter_context(_staged(path, data))

        try:
            new = [stage(path, data) for path, data in files.items()]
            old = [stage(path, path.read_bytes())[1] if path.exists() else None for path in files]
            for (target, staged), before in zip(new, old, strict=True):
                done.append((target, before))
                staged.replace(target)
            check()
        except BaseException:
            for target, before in reversed(done):
                target.unlink(missing_ok=True) if before is None else before.replace(target)
            stack.close()
            for folder in made:
                with contextlib.suppress(OSError):  # somebody else's file is in it by now
                    folder.rmdir()
            raise
        for folder in {target.parent for target, _ in new}:
            _sync_folder(folder)


@contextlib.contextmanager
def _about(path: Path) -> Iterator[None]:
    """Let an error name the file that is written, not a temporary one, or none as where a disk is full."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def _staged(path: Path, data: bytes, *, durable: bool = True) -> Iterator[tuple[Path, Path]]:
    """The file that `path` means, and a temporary one beside it that holds `data` until it is renamed or this ends."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target.parent)
    handle, staged = _temporary(target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(handle, _mode(target))
            file.flush()
            if durable:
                os.fsync(handle)
            yield target, staged
    finally:
        with contextlib.suppress(OSError):
            staged.unlink()


def _temporary(folder: Path) -> tuple[int, Path]:
    """A new file in `folder`, locked for as long as it is open: by that a sweep knows that its writer lives."""
    import fcntl  # noqa: PLC0415 - POSIX only, and only writers need it

    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # swept away before it was locked


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed left in `folder`."""
    import fcntl  # noqa: PLC0415 - as above

    with os.scandir(folder) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX)]
    for name in left:
        with contextlib.suppress(OSError):  # its writer lives, or somebody else sweeps
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(name).unlink()
            finally:
                os.close(handle)


def _mode(target: Path) -> int:
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return _DEFAULT_MODE


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable; file systems that cannot sync a folder do without."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
