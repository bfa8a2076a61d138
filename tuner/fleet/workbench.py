"""What a worker does with a piece: finds the work by its name among those it knows, and lets nothing out but an outcome."""

from __future__ import annotations

import pkgutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from spak.tuner.backend.base import exception_failure
from spak.tuner.errors import TunerError
from spak.tuner.fleet.executor import Piece, PieceOutcome, RefusedError

if TYPE_CHECKING:
    from spak.tuner.fleet.compiling import CompilingProcess


@dataclass(frozen=True)
class Workplace:
    """Where a worker works.

    Attributes:
        member: Its name in the fleet.
        cache: Folder that keeps what is compiled; the workers of a host share it.
        device: Id of the GPU that it measures on; empty if it has none.
        compiles: Whether it is asked to compile.
    """

    member: str
    cache: Path
    device: str = ""
    compiles: bool = True

    @cached_property
    def compiling(self) -> CompilingProcess:
        """What compiles for all works of this worker."""
        from spak.tuner.fleet.compiling import CompilingProcess

        return CompilingProcess()


class Work(Protocol):
    """One kind of work of one worker process. It may keep what the next piece can use."""

    def perform(self, data: bytes) -> bytes:
        """Do a piece.

        Raises:
            TunerError: For bytes that are no piece of this work, or one that this worker must refuse.
        """
        ...

    def close(self) -> None:
        """Release what it kept; safe to call twice."""
        ...


@runtime_checkable
class EarlyWork(Protocol):
    """A work that can begin what its pieces will need before there is one."""

    def prepare(self) -> None:
        """Begin it; does not wait."""
        ...


WORKS: Mapping[str, str] = {
    "describe": "spak.tuner.fleet.works:DescribeWork",
    "features": "spak.tuner.fleet.works:FeaturesWork",
    "compile": "spak.tuner.fleet.works:CompileWork",
    "measure": "spak.tuner.fleet.works:MeasureWork",
}
"""Name of a work -> `module:function` that takes a `Workplace` and makes it. A worker does these, whoever asks."""


class Workbench:
    """The works of one worker process; each is made when first asked for."""

    def __init__(self, place: Workplace, works: Mapping[str, str] = WORKS) -> None:
        """Know `works`; load none yet."""
        self._place, self._known = place, works
        self._made: dict[str, Work] = {}
        self._making = threading.Lock()

    def prepare(self) -> None:
        """Make all works, and begin what their pieces will need; what cannot be made is said of the first piece."""
        for name in self._known:
            with suppress(Exception):
                work = self._work(name)
                if isinstance(work, EarlyWork):
                    work.prepare()

    def perform(self, piece: Piece) -> PieceOutcome:
        """Do a piece; whatever it raises is said in the outcome."""
        try:
            return PieceOutcome(data=self._work(piece.work).perform(piece.data), member=self._place.member)
        except Exception as error:  # noqa: BLE001 - the worker outlives it, and who asked is told
            failure = exception_failure(error)
            said = failure.message if isinstance(error, TunerError) else f"{failure.type}: {failure.message}"
            if isinstance(error, RefusedError):
                return PieceOutcome(refused=f"{piece.work}: {said}", member=self._place.member)
            return PieceOutcome(error=f"{piece.work}: {said}", member=self._place.member)

    def close(self) -> None:
        """Release what the works kept; safe to call twice."""
        while self._made:
            self._made.popitem()[1].close()

    def _work(self, name: str) -> Work:
        with self._making:
            if name not in self._made:
                if name not in self._known:
                    known = ", ".join(sorted(self._known)) or "none"
                    raise TunerError(f"this worker knows no such work; it knows {known}")
                maker: Callable[[Workplace], Work] = pkgutil.resolve_name(self._known[name])
                self._made[name] = maker(self._place)
            return self._made[name]
