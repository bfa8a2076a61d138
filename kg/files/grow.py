"""Evidence into a law file while others write too: nobody's entry is lost, and nobody's half-done edit is judged."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from spak.kg.errors import KgError
from spak.kg.files.edit import ChangedError, LawFile, law_of
from spak.kg.files.git import git
from spak.kg.files.lock import locked
from spak.kg.model.law import Evidence, Law

_ATTEMPTS = 20
"""Times a file is read again because somebody saved it meanwhile; only people write without the lock."""


def append(root: Path, path: Path, entries: Sequence[Evidence]) -> bool:
    """Add `entries` to the law file `path` of `root`, as it is now; False if it has them all.

    Raises:
        ChangedError: If somebody keeps saving the file in between.
        KgError: If the file has uncommitted edits that conflict; see `conflict`.
        OSError: If it cannot be written.
    """
    with locked(root):
        for _ in range(_ATTEMPTS - 1):
            with suppress(ChangedError):
                return _once(path, entries)
        return _once(path, entries)


def _once(path: Path, entries: Sequence[Evidence]) -> bool:
    why = conflict(path)
    if why:
        raise KgError(why)
    file = LawFile.read(path)
    return file.append_evidence(*entries) and file.save()


def conflict(path: Path) -> str:
    """Why no evidence may be added to `path` now: its claim or earlier evidence differs from what is committed.

    Entries added and not yet committed are no conflict, or a second search would be refused the first one's files.
    Outside git, and for a file that was never committed, there is nothing to conflict with.

    Returns:
        One line for a person; empty if there is no conflict.
    """
    committed = _committed(path)
    if committed is None:
        return ""
    try:
        before = law_of(committed.decode("utf-8-sig"), path)
    except KgError:
        return ""  # what was committed is no law: there is no claim to compare with
    changed = _changed(before, LawFile.read(path).law)
    return (
        changed
        and f"{path}: {changed} differs from what is committed; commit or undo that edit, then add the evidence again"
    )


def _changed(before: Law, now: Law) -> str:
    """Which part of the law somebody edited."""
    for what in ("kind", "scope", "claim", "withdrawn"):
        mine, its = (type(law) if what == "kind" else getattr(law, what) for law in (before, now))
        if mine != its:
            return what
    kept = [msgspec.json.encode(entry) for entry in now.evidence]
    return "" if all(msgspec.json.encode(entry) in kept for entry in before.evidence) else "evidence"


def _committed(path: Path) -> bytes | None:
    """The file as it is in HEAD, if it differs from that; None otherwise, and outside git."""
    if not _git(path, "status", "--porcelain", "--", path.name):
        return None
    return _git(path, "show", f"HEAD:./{path.name}")


def _git(path: Path, *arguments: str) -> bytes | None:
    """What git prints; None if there is no git, no repository, or no such file in it."""
    try:
        done = git(path.parent, *arguments)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout
