"""What one version of the code says of each law, as a file, and what another version says differently of the same laws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from spak.kg.errors import KgError
from spak.kg.files import reading
from spak.kg.model.base import Model
from spak.kg.model.law import Id, Status

MAX_STATUSES_BYTES = 16 * 1024 * 1024
"""Largest file of statuses; one of 100,000 laws has about 15 MB."""


class LawStatus(Model, frozen=True, kw_only=True):
    """What the code that is installed says of one law.

    Attributes:
        written: The word of its file.
        computed: What its evidence entries give.
        replayed: What all recorded runs give, those that it does not cite among them.
        may_remove: Whether a search may leave configurations out because of it.
        differing: Evidence entries, and checks executed now, that say something else than its file.
    """

    id: Id
    written: Status
    computed: Status
    replayed: Status
    may_remove: bool = False
    differing: Annotated[int, Meta(ge=0)] = 0


class LawStatuses(Model, frozen=True, kw_only=True):
    """What one version of the code says of all laws of a root: what `kg verify --all --format json` prints."""

    statuses: tuple[LawStatus, ...]


@dataclass(frozen=True)
class StatusChange:
    """A law of which two versions of the code say different things.

    Attributes:
        before: None if the first version knows no such law.
        after: None if the second does not.
    """

    id: str
    before: LawStatus | None
    after: LawStatus | None


def read_statuses(path: Path) -> LawStatuses:
    """The file `path`, whoever wrote it.

    Raises:
        KgError: If it is too large, or not what `kg verify --all --format json` prints.
        OSError: If it cannot be read.
    """
    if path.is_symlink():
        raise KgError(f"{path}: a link; put the file itself there")
    try:
        return msgspec.json.decode(reading.content(path, MAX_STATUSES_BYTES), type=LawStatuses)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        msg = f"{path}: not what kg verify --all --format json prints: {error}"
        raise KgError(msg) from None


def compare_statuses(before: LawStatuses, after: LawStatuses) -> tuple[StatusChange, ...]:
    """Every law of which they say different things, by id. What its file says is no matter of code."""
    old, new = ({one.id: one for one in side.statuses} for side in (before, after))
    changes = (StatusChange(law, old.get(law), new.get(law)) for law in sorted(old.keys() | new.keys()))
    return tuple(change for change in changes if any(status_words(change)))


def status_words(change: StatusChange) -> Iterator[str]:
    """What is said differently, a line for each; nothing if only the word of the file is."""
    before, after = change.before, change.after
    if before is None or after is None:
        yield "is a law to the changed code alone" if before is None else "is no law to the changed code"
        return
    for name, words in (("computed", "by its evidence entries"), ("replayed", "by all recorded runs")):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{old} -> {new} {words}"
    if before.may_remove != after.may_remove:
        yield "may now remove configurations" if after.may_remove else "may no longer remove configurations"
    if before.differing != after.differing:
        yield f"entries that differ from their runs: {before.differing} -> {after.differing}"
