"""The search's diary: every trial is on disk before the next begins, so that nothing finished is ever lost."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import TypeVar

import msgspec

from spak.kg.files import reading
from spak.kg.files.loader import MAX_RUN_BYTES
from spak.kg.model.base import Model, Scalar
from spak.kg.model.run import Trial
from spak.tuner.errors import TunerError

FORMAT = 1

_T = TypeVar("_T")


class Header(Model, frozen=True, kw_only=True):
    """First line of a journal: what was searched and how, enough to go on.

    Attributes:
        run: Id of the run the search writes.
        created: ISO 8601, UTC.
        arguments: The search's settings by option name, as typed or as they were by default.
        source_sha256: Hash of the kernel's source: another source is another search.
        toolchain: Component -> version.
        fleet: How the fleet was named that it ran on; empty: it ran on one machine. Of no use elsewhere.
    """

    format: int
    run: str
    created: str
    arguments: dict[str, Scalar | None]
    source_sha256: str
    toolchain: dict[str, str]
    fleet: str = ""


@dataclass(frozen=True)
class JournalContents:
    """What a journal holds: its first line, finished trials in order, and whether a last line was cut off and dropped."""

    header: Header
    trials: tuple[Trial, ...]
    torn: bool

    @property
    def begun(self) -> datetime:
        """When the search began, UTC.

        Raises:
            TunerError: If the header was edited so that it does not say.
        """
        try:
            moment = datetime.fromisoformat(self.header.created)
        except ValueError:
            raise self._edited("created: no ISO 8601 time") from None
        if moment.tzinfo is None:
            raise self._edited("created: a time without its distance from UTC")
        return moment

    def settings(self, kind: type[_T]) -> _T:
        """The search's settings as a `kind`.

        Raises:
            TunerError: If the header was edited so that they are none.
        """
        try:
            return msgspec.convert(self.header.arguments, type=kind)
        except msgspec.ValidationError as error:
            raise self._edited(f"arguments: {error}") from None

    def _edited(self, what: str) -> TunerError:
        return TunerError(
            f"--resume {self.header.run}: the journal's first line was edited: {what}; start a new search"
        )

    def check_same(self, source_sha256: str, toolchain: Mapping[str, str]) -> None:
        """Trials of other code, or of another compiler, are not trials of this search.

        Raises:
            TunerError: If the kernel or the toolchain changed since.
        """
        for what, same in (
            ("the kernel's source", self.header.source_sha256 == source_sha256),
            ("the toolchain", self.header.toolchain == toolchain),
        ):
            if not same:
                raise TunerError(f"--resume {self.header.run}: {what} changed since; start a new search")


class Journal:
    """Appends trials to a file; a line is on disk when `add` returns."""

    def __init__(self, file: FileIO) -> None:
        """Go on at the end of `file`, which no other search may then write to.

        Raises:
            TunerError: If another search writes to it.
        """
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise TunerError(f"{file.name}: another search writes to this journal; let it end first") from None
        self._file = file

    @classmethod
    def create(cls, path: Path, header: Header) -> Journal:
        """Begin the journal `path`.

        Raises:
            FileExistsError: If there is one already.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = cls(path.open("xb", buffering=0))
        journal._write(header)
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal:
        """Go on with the journal `path`; a torn last line is cut off first."""
        journal = cls(path.open("r+b", buffering=0))
        journal._file.truncate(journal._file.read().rfind(b"\n") + 1)
        journal._file.seek(0, os.SEEK_END)
        return journal

    def add(self, trial: Trial) -> None:
        """Append `trial` and flush it to disk."""
        self._write(trial)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._file.close()

    def _write(self, line: Header | Trial) -> None:
        """Append a line; one that does not fit on the disk is taken back."""
        end, rest = self._file.tell(), memoryview(msgspec.json.encode(line) + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:  # which does not say of which file
            self._file.truncate(end)
            raise OSError(error.errno, error.strerror, self._file.name) from None


@contextmanager
def kept(
    folder: Path | None, header: Header, begun: JournalContents | None = None
) -> Iterator[Callable[[Trial], None]]:
    """Where finished trials go: into the run's journal in `folder`, on disk before the next begins, or nowhere.

    Args:
        folder: Of journals; None if nothing is written.
        header: Of the journal, if it begins now.
        begun: What the journal holds, if the search goes on.

    Raises:
        TunerError: If the journal is of other code or another toolchain than `header` names.
    """
    if begun is not None:
        begun.check_same(header.source_sha256, header.toolchain)
    if folder is None:
        yield lambda _: None
        return
    path = path_of(folder, header.run)
    with closing(Journal.create(path, header) if begun is None else Journal.reopen(path)) as opened:
        yield opened.add


def path_of(folder: Path, run: str) -> Path:
    """The journal of a run in a folder of journals."""
    return folder / f"{Path(run).name}.jsonl"


def recall(folder: Path, run: str) -> JournalContents:
    """What the journal of `run` in `folder` holds.

    Raises:
        TunerError: If there is none, or it is damaged.
    """
    path = path_of(folder, run)
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.jsonl")))
        raise TunerError(f"--resume {run}: no journal {path}; there are {known or 'none'}")
    return read_journal(path)


def read_journal(path: Path) -> JournalContents:
    """What the journal `path` holds; a last line without its end is dropped.

    Raises:
        TunerError: If it is no journal, or a line before the last is damaged.
        KgError: If it is no plain file, or larger than a run file may be.
        OSError: If it cannot be read.
    """
    *lines, rest = reading.content(path, MAX_RUN_BYTES).split(b"\n")
    if not lines:
        raise TunerError(f"{path}: not a journal: it has no complete first line")
    header = _decode(path, 1, lines[0], Header)
    if header.format != FORMAT:
        raise TunerError(f"{path}:1: journal format {header.format}, this version reads {FORMAT}; start a new search")
    trials = (_decode(path, number, line, Trial) for number, line in enumerate(lines[1:], 2))
    return JournalContents(header, tuple(trials), torn=bool(rest))


def _decode(path: Path, number: int, line: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        mend = (
            f"delete it and what follows to go on with the {number - 2} trials before it"
            if number > 1
            else "start a new search"
        )
        raise TunerError(f"{path}:{number}: not a journal line: {error}; {mend}") from None
